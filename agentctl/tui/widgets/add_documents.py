"""What to take in, and where to: a path that completes itself, and a collection."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.suggester import Suggester, SuggestFromList
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from agentctl.core.paths import expand
from agentctl.core.web_page import URL_SCHEMES
from agentctl.render.output import printable

# Of a folder so many entries are looked at, and so many names are offered.
_LOOKED_AT = 5000
_OFFERED = 50


@dataclass(frozen=True, slots=True)
class Chosen:
    """`path` is absolute, or an address."""

    path: str
    collection: str


class AddDocuments(ModalScreen[Chosen | None]):
    """None when it was left. With `only_folders` nothing else is offered or taken."""

    DEFAULT_CSS = """
    AddDocuments Input { margin-bottom: 1; }
    AddDocuments #offers { max-height: 8; height: auto; border: none; margin-bottom: 1; }
    AddDocuments .problem { color: $error; height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close")]

    def __init__(
        self,
        title: str,
        folder: Path,
        collections: Sequence[str],
        collection: str,
        *,
        only_folders: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._folder = folder
        self._collections = collections
        self._collection = collection
        self._only_folders = only_folders
        self._offers: list[str] = []

    def compose(self) -> ComposeResult:
        what = "A folder" if self._only_folders else "A file, a folder or a web address"
        with Vertical(classes="dialog"):
            yield Static(self._title, classes="title", markup=False)
            yield Static(f"{what} (tab completes)", classes="hint", markup=False)
            yield PathInput(
                id="path",
                compact=True,
                placeholder="notes/",
                suggester=_PathSuggester(self._folder, only_folders=self._only_folders),
            )
            yield OptionList(id="offers", compact=True, markup=False)
            yield Static("Collection", classes="hint")
            suggester = SuggestFromList(self._collections)
            yield Input(self._collection, id="collection", compact=True, suggester=suggester)
            yield Static("", id="problem", classes="problem", markup=False)
            yield Static("enter adds, esc leaves", classes="hint")

    def on_mount(self) -> None:
        self._offer("")

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.input.id == "path":
            self._offer(event.value)

    def _offer(self, text: str) -> None:
        async def look() -> None:
            found = await _in_thread(text, self._folder, self._only_folders)
            self._offers = found
            options = self.query_one("#offers", OptionList)
            options.clear_options()
            options.add_options(Option(Content(printable(each))) for each in found)

        # Not yet begun, for the next may come before it begins.
        self.run_worker(look, group="offers", exclusive=True)  # type: ignore[arg-type]  # mypy finds no type for its result

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        path = self.query_one("#path", PathInput)
        path.value = self._offers[event.option_index]
        path.action_end()
        path.focus()

    def on_input_submitted(self) -> None:
        text = self.query_one("#path", PathInput).value.strip()
        collection = self.query_one("#collection", Input).value.strip()
        problem = self._problem(text, collection)
        if problem:
            self.query_one("#problem", Static).update(problem)
        else:
            self.dismiss(Chosen(absolute(text, self._folder), collection))

    def _problem(self, text: str, collection: str) -> str:
        if not text:
            return "Name a file or a folder."
        if not collection:
            return "Name a collection, such as default."
        is_address = text.startswith(URL_SCHEMES)
        place = Path(absolute(text, self._folder))
        if self._only_folders and (is_address or not place.is_dir()):
            return f"There is no folder {printable(text)}."
        if not is_address and not place.exists():
            return f"There is no {printable(text)}."
        return ""

    def action_close(self) -> None:
        self.dismiss(None)


class PathInput(Input):
    """Tab takes what is suggested, else goes on to the next field."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "complete", "Complete", show=False),
        Binding("down", "to_offers", "Offers", show=False),
    ]

    def action_complete(self) -> None:
        if len(self._suggestion) > len(self.value):
            self.action_cursor_right() if self.cursor_at_end else self.action_end()
        else:
            self.screen.focus_next()

    def action_to_offers(self) -> None:
        offers = self.screen.query_one("#offers", OptionList)
        if offers.option_count:
            offers.highlighted = 0
            offers.focus()


class _PathSuggester(Suggester):
    def __init__(self, folder: Path, *, only_folders: bool) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._folder = folder
        self._only_folders = only_folders

    async def get_suggestion(self, value: str) -> str | None:
        found = await _in_thread(value, self._folder, self._only_folders)
        return next((each for each in found if each.startswith(value)), None)


async def _in_thread(text: str, folder: Path, only_folders: bool) -> list[str]:
    import asyncio

    return await asyncio.to_thread(completions, text, folder, only_folders=only_folders)


def completions(text: str, folder: Path, *, only_folders: bool = False) -> list[str]:
    """Names that begin like `text`, written as it is; folders end in a /. Hidden ones only when
    a dot was typed."""
    if text.startswith(URL_SCHEMES):
        return []
    head, slash, begun = text.rpartition("/")
    try:
        with os.scandir(folder / expand(head + slash or ".")) as entries:
            names = [
                f"{head}{slash}{each.name}" + ("/" if each.is_dir() else "")
                for each in islice(entries, _LOOKED_AT)
                if each.name.casefold().startswith(begun.casefold())
                and (begun.startswith(".") or not each.name.startswith("."))
                and (each.is_dir() or not only_folders)
            ]
    except (OSError, ValueError):
        return []
    return sorted(names, key=str.casefold)[:_OFFERED]


def absolute(text: str, folder: Path) -> str:
    """A path as the knowledge base knows it; an address stays as it is."""
    if text.startswith(URL_SCHEMES):
        return text
    return os.path.abspath(folder / expand(text))  # noqa: PTH100 - absolute() keeps the `..`
