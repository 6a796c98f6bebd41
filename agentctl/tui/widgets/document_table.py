"""The documents as a table of which only the rows in sight are drawn."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, TypeAlias

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.strip import Strip

from agentctl.core.knowledge.library import DocumentEntry
from agentctl.render.links import short_path
from agentctl.render.output import human_size, printable
from agentctl.tui.widgets.headed_lines import HeadedLines, cell, end_of, plain_strip

Order: TypeAlias = Literal["path", "newest", "largest"]
_ORDERS: dict[Order, Callable[[DocumentEntry], object] | None] = {
    "path": None,
    "newest": lambda each: each.ingested,
    "largest": lambda each: each.size,
}
_GAP = 2
_LEAST_PATH = 24


class _Column(NamedTuple):
    name: str
    width: int
    value: Callable[[DocumentEntry], str]


# The first are the last to go when it gets narrow.
_COLUMNS = (
    _Column("size", 8, lambda each: human_size(each.size)),
    _Column("ingested", 12, lambda each: day_and_time(each.ingested)),
    _Column("chunks", 6, lambda each: f"{each.chunks:,}"),
    _Column("type", 6, lambda each: _kind_of(each)),  # noqa: PLW0108 - it stands below
)
_TITLE_WIDTH = 28


class DocumentTable(HeadedLines):
    """Keeps the cursor on the document where it was when others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "jump(0)", "First", show=False),
        Binding("end,G", "jump(-1)", "Last", show=False),
        Binding("enter", "choose", "Read", id="knowledge.read", show=False),
    ]

    class Highlighted(Message):
        def __init__(self, document: DocumentEntry | None) -> None:
            super().__init__()
            self.document = document

    class Chosen(Highlighted):
        """Enter, or a click."""

    def __init__(self, folder: Path, *, id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self._folder = folder
        self._home = str(Path.home())
        self._all: Sequence[DocumentEntry] = ()
        self._rows: Sequence[DocumentEntry] = ()
        self._cursor = 0
        self._filter = ""
        self.order: Order = "path"

    @property
    def current(self) -> DocumentEntry | None:
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    @property
    def counts(self) -> tuple[int, int]:
        """How many are shown, of how many."""
        return len(self._rows), len(self._all)

    def show(self, documents: Sequence[DocumentEntry]) -> None:
        self._all = documents
        self._arrange()

    def narrow(self, text: str) -> None:
        """Shows those whose path or title holds `text`, in capitals or not."""
        self._filter = text.casefold()
        self._arrange()

    def sort_next(self) -> Order:
        orders = [*_ORDERS]
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        self._arrange()
        return self.order

    def _arrange(self) -> None:
        before = self.current
        rows = self._all
        if self._filter:
            rows = [
                each for each in rows if self._filter in f"{each.path}\n{each.title}".casefold()
            ]
        key = _ORDERS[self.order]
        if key is not None:
            rows = sorted(rows, key=key, reverse=True)  # type: ignore[arg-type]  # str or int
        self._rows = rows
        place = next((n for n, each in enumerate(rows) if before and each.id == before.id), None)
        self._cursor = min(self._cursor, max(len(rows) - 1, 0)) if place is None else place
        self.refresh_all()
        self.show_line(self._cursor)
        now = self.current
        if (before and before.id) != (now and now.id):
            self.post_message(self.Highlighted(now))

    # Drawing

    def count_lines(self) -> int:
        return len(self._rows)

    def head(self) -> Strip:
        path, title, columns = self._layout()
        cells = [cell("document", path), *([cell("title", title)] if title else [])]
        cells += [cell(each.name, each.width, at_right=True) for each in columns]
        return plain_strip((" " * _GAP).join(cells), self.part_style("head"))

    def line(self, number: int) -> Strip:
        document = self._rows[number]
        path, title, columns = self._layout()
        cells = [cell(end_of(self.name_of(document.path), path), path)]
        if title:
            cells.append(cell(one_line(document.title), title))
        cells += [cell(each.value(document), each.width, at_right=True) for each in columns]
        is_here = number == self._cursor
        style = self.part_style("cursor") if is_here else self.rich_style
        return plain_strip(cell((" " * _GAP).join(cells), self.text_width), style)

    def name_of(self, path: str) -> str:
        """As it is called from here, or from the user's home."""
        short = short_path(path, self._folder)
        if short == path and path.startswith(f"{self._home}/"):
            short = f"~{path[len(self._home) :]}"
        return one_line(short)

    def _layout(self) -> tuple[int, int, list[_Column]]:
        """The widths of path and title, and the columns that there is room for."""
        left = self.text_width
        columns = []
        for column in _COLUMNS:
            if left - column.width - _GAP < _LEAST_PATH:
                break
            columns.append(column)
            left -= column.width + _GAP
        title = _TITLE_WIDTH if left - _TITLE_WIDTH - _GAP >= _LEAST_PATH else 0
        return left - (title + _GAP if title else 0), title, columns

    # Moving

    def action_move(self, by: int) -> None:
        self._go(self._cursor + by)

    def action_page(self, direction: int) -> None:
        self._go(self._cursor + direction * max(1, self.size.height - 2))

    def action_jump(self, to: int) -> None:
        self._go(to % max(len(self._rows), 1))

    def action_choose(self) -> None:
        if self.current is not None:
            self.post_message(self.Chosen(self.current))

    def on_click(self, event: events.Click) -> None:
        number = self.scroll_offset.y + event.y - 1
        if event.y > 0 and number < len(self._rows):
            self._go(number)
            self.action_choose()

    def _go(self, number: int) -> None:
        number = max(0, min(number, len(self._rows) - 1))
        if number != self._cursor and self._rows:
            self._cursor = number
            self.show_line(number)
            self.refresh()
            self.post_message(self.Highlighted(self.current))


def _kind_of(document: DocumentEntry) -> str:
    """The ending of its name, or what it says that it is."""
    ending = document.path.rpartition("/")[2].rpartition(".")
    if ending[1] and ending[0] and ending[2].isalnum() and len(ending[2]) <= 6:
        return ending[2].lower()
    return document.media_type.rpartition("/")[2][:6]


def day_and_time(time: str) -> str:
    """`26 Nov 08:44` of a time in ISO 8601, in the user's zone; of other years the day."""
    moment = datetime.fromisoformat(time).astimezone()
    is_now = moment.year == datetime.now().astimezone().year
    return f"{moment:%d %b %H:%M}" if is_now else f"{moment:%d %b %Y}"


def one_line(text: str) -> str:
    return " ".join(printable(text).split())
