"""Beside the documents: the collections with their sizes, and the folders that are followed."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from agentctl.core.automation.journal import JournalEntry
from agentctl.core.automation.watching import WatchedFolder
from agentctl.core.knowledge.library import DocumentEntry
from agentctl.render.links import short_path
from agentctl.tui.widgets.document_table import day_and_time, one_line
from agentctl.tui.widgets.headed_lines import cell, end_of

_WIDTH = 24
_INNER = _WIDTH - 2


class KnowledgeSide(Vertical):
    DEFAULT_CSS = f"""
    KnowledgeSide {{ width: {_WIDTH}; padding: 0 1; background: $surface; }}
    KnowledgeSide .title {{ color: $primary; text-style: bold; }}
    KnowledgeSide OptionList {{ height: auto; max-height: 50%; border: none; padding: 0;
        background: $surface; scrollbar-size-vertical: 1; }}
    KnowledgeSide #folders-title {{ margin-top: 1; }}
    KnowledgeSide #watcher {{ color: $foreground 60%; margin-top: 1; height: auto; max-height: 4; }}
    """

    class CollectionChosen(Message):
        """`name` is None for all of them."""

        def __init__(self, name: str | None) -> None:
            super().__init__()
            self.name = name

    class FolderChosen(Message):
        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._names: list[str | None] = []
        self._shown_collections: object = None
        self._watched: Sequence[WatchedFolder] = ()

    def compose(self) -> ComposeResult:
        yield Static("Collections", classes="title")
        yield OptionList(id="collections", compact=True, markup=False)
        yield Static("Watched folders", classes="title", id="folders-title")
        yield OptionList(id="folders", compact=True, markup=False)
        yield Static("", id="watcher", markup=False)

    @property
    def folder(self) -> WatchedFolder | None:
        """The one that is marked."""
        at = self.query_one("#folders", OptionList).highlighted
        return self._watched[at] if at is not None and at < len(self._watched) else None

    @property
    def collection(self) -> str | None:
        """The one that is marked; None for all."""
        at = self.query_one("#collections", OptionList).highlighted
        return self._names[at] if at is not None and at < len(self._names) else None

    def show_collections(self, documents: Sequence[DocumentEntry], chosen: str | None) -> None:
        counts = Counter(each.collection for each in documents)
        if self._shown_collections == (counts, chosen):
            return
        self._shown_collections = (counts, chosen)
        self._names = [None, *sorted(counts)]
        numbers = [len(documents), *(counts[name] for name in sorted(counts))]
        lines = [
            _line(name, number, is_chosen=name == chosen)
            for name, number in zip(self._names, numbers, strict=True)
        ]
        _put(self.query_one("#collections", OptionList), lines, self._names.index(chosen))

    def show_watched(
        self, watched: Sequence[WatchedFolder], entries: Sequence[JournalEntry]
    ) -> None:
        told = self.query_one("#watcher", Static)
        if entries:
            last = entries[-1]
            told.update(f"{day_and_time(last.time)} {one_line(last.message)}")
        else:
            told.update("" if watched else "None. w follows one.")
        if watched != self._watched:
            self._watched = watched
            options = self.query_one("#folders", OptionList)
            _put(options, [self._described(each) for each in watched], options.highlighted)

    def _described(self, folder: WatchedFolder) -> Content:
        name = end_of(one_line(short_path(folder.path, self._folder)), _INNER)
        status = "no daemon" if folder.status == "idle" else folder.status
        style = "$success" if folder.status in ("watching", "polling") else "$warning"
        return Content.assemble(
            name, "\n", (f"  {status}", style), (f" → {folder.collection}", "dim")
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option_list.id == "collections":
            self.post_message(self.CollectionChosen(self._names[event.option_index]))
        else:
            self.post_message(self.FolderChosen(self._watched[event.option_index].path))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()


def _line(name: str | None, number: int, *, is_chosen: bool) -> Content:
    shown = f"{number:,}"
    mark = "● " if is_chosen else "  "
    text = cell(mark + ("all" if name is None else one_line(name)), _INNER - len(shown) - 2)
    return Content.assemble((text, "bold" if is_chosen else ""), " ", (shown, "dim"))


def _put(options: OptionList, lines: Sequence[Content], highlighted: int | None) -> None:
    options.clear_options()
    options.add_options(Option(line) for line in lines)
    if highlighted is not None and lines:
        options.highlighted = min(highlighted, len(lines) - 1)
