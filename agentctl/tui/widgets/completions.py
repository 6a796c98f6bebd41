"""The paths that may follow an @, in a list above the composer."""

from pathlib import Path

from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from agentctl.core.backends.threads import run_in_thread
from agentctl.tui.mentions import best_matches, find_paths_below


class Completions(Widget, can_focus=False):
    """Shown while there is something to choose from; the keys come from the composer."""

    DEFAULT_CSS = """
    Completions { display: none; height: auto; max-height: 8; }
    Completions.open { display: block; }
    Completions OptionList {
        height: auto; max-height: 8; border: none; padding: 0 1; background: $panel;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    """

    class Taken(Message):
        """A path was clicked."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._head: str | None = None
        self._paths: list[str] = []
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        options = OptionList(markup=False)
        options.can_focus = False
        yield options

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    @property
    def chosen(self) -> str | None:
        options = self.query_one(OptionList)
        if not self.is_open or options.highlighted is None:
            return None
        return self._shown[options.highlighted]

    def suggest(self, begun: str) -> None:
        """Looks for what `begun` may become, beside the typing."""
        self.run_worker(self._search(begun), exclusive=True, group="completions")

    def close(self) -> None:
        """The next one to be opened looks at the files anew."""
        self.workers.cancel_group(self, "completions")
        self._head = None
        self._paths = []
        self.remove_class("open")

    def move(self, by: int) -> None:
        options = self.query_one(OptionList)
        options.action_cursor_down() if by > 0 else options.action_cursor_up()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Taken())

    async def _search(self, begun: str) -> None:
        head = begun[: begun.rfind("/") + 1]
        if head != self._head:
            self._paths = await run_in_thread(lambda: find_paths_below(self._folder, begun))
            self._head = head
        paths = self._paths
        self._show(await run_in_thread(lambda: best_matches(begun, paths)))

    def _show(self, paths: list[str]) -> None:
        options = self.query_one(OptionList)
        if paths != self._shown:
            self._shown = paths
            options.clear_options()
            options.add_options([Option(Content(path)) for path in paths])
        if paths:
            options.highlighted = 0
        self.set_class(bool(paths), "open")
