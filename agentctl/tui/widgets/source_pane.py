"""A passage of a document beside the chat."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from agentctl.core.knowledge.library import Passage
from agentctl.core.sources import Source
from agentctl.render.output import printable


class SourcePane(Vertical):
    """Out of sight until something is shown in it."""

    DEFAULT_CSS = """
    SourcePane {
        display: none; width: 40%; min-width: 30; border-left: tall $panel; padding: 0 1;
        &.open { display: block; }
        .title { text-style: bold; color: $primary; }
        .place { color: $foreground 70%; margin-bottom: 1; }
        .hint { color: $foreground 60%; }
        VerticalScroll { scrollbar-size-vertical: 1; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", id="source.close")]

    class Closed(Message):
        """The user is done with it."""

    def compose(self) -> ComposeResult:
        yield Static(classes="title", markup=False)
        yield Static(classes="place", markup=False)
        with VerticalScroll():
            yield Static(classes="text", markup=False)
        yield Static("esc closes", classes="hint", markup=False)

    @property
    def is_open(self) -> bool:
        return self.has_class("open")

    def show(self, source: Source, passage: Passage | None) -> None:
        """The passage as it stands now; as it was cited when the document is gone."""
        title = f"[{source.n}] {' '.join(source.title.split()) or source.path}"
        text = source.text if passage is None else passage.text
        remark = "\nremoved since; this was cited" if passage is None else ""
        self.query_one(".title", Static).update(printable(title))
        self.query_one(".place", Static).update(printable(f"{_place(source, passage)}{remark}"))
        self.query_one(".text", Static).update(printable(text))
        self.add_class("open")
        self.query_one(VerticalScroll).scroll_home(animate=False)
        self.focus()

    def focus(self, scroll_visible: bool = True) -> "SourcePane":
        self.query_one(VerticalScroll).focus(scroll_visible)
        return self

    def action_close(self) -> None:
        self.remove_class("open")
        self.post_message(self.Closed())


def _place(source: Source, passage: Passage | None) -> str:
    page, first, last = (
        (source.page, source.line_start, source.line_end)
        if passage is None
        else (passage.page, passage.line_start, passage.line_end)
    )
    place = source.path
    if page is not None:
        return f"{place}, page {page}"
    if first is None:
        return place
    return f"{place}, line {first}" if first == last else f"{place}, lines {first}-{last}"
