"""A table whose rows have keys: shown anew, it changes only what has changed."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from agentctl.render.output import printable


class KeyedTable(DataTable[Text]):
    """Keeps the selected row, by its key, and what is scrolled to."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select_cursor", "Open", show=False),
    ]
    DEFAULT_CSS = """
    KeyedTable { background: $background; scrollbar-size-horizontal: 1; }
    KeyedTable > .datatable--header { background: $background; color: $foreground 60%; }
    KeyedTable > .datatable--cursor { background: $panel; color: $foreground; }
    KeyedTable:focus > .datatable--cursor {
        background: $primary; color: $background; text-style: bold;
    }
    """

    def __init__(self, columns: Sequence[str], *, id: str) -> None:  # noqa: A002 - as Widget's
        super().__init__(cursor_type="row", id=id)
        self._names = columns
        self._shown: dict[str, tuple[Text, ...]] = {}

    def on_mount(self) -> None:
        for name in self._names:
            self.add_column(name, key=name)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def show(self, rows: Iterable[tuple[str, tuple[Text, ...]]]) -> None:
        """`rows` are keys, each only once, and cells."""
        shown = dict(rows)
        if list(shown) == list(self._shown):
            for key, cells in shown.items():
                self._update(key, cells)
        else:
            self._fill(shown)
        self._shown = shown

    def select(self, key: str) -> bool:
        """False when there is no such row."""
        if key not in self._shown:
            return False
        self.move_cursor(row=list(self._shown).index(key), animate=False)
        return True

    def _update(self, key: str, cells: tuple[Text, ...]) -> None:
        for name, cell, old in zip(self._names, cells, self._shown[key], strict=True):
            if cell != old:
                self.update_cell(key, name, cell, update_width=True)

    def _fill(self, rows: dict[str, tuple[Text, ...]]) -> None:
        selected, scrolled = self.selected, self.scroll_y
        with self.prevent(DataTable.RowHighlighted):
            self.clear()
            for key, cells in rows.items():
                self.add_row(*cells, key=key)
            keys = list(rows)
            row = keys.index(selected) if selected in rows else min(self.cursor_row, len(keys) - 1)
            self.move_cursor(row=max(row, 0), animate=False, scroll=False)
        self.scroll_to(y=scrolled, animate=False)
        # It may be drawn before its columns have their widths, and keeps what it has drawn.
        self.call_after_refresh(self._draw_anew)

    def _draw_anew(self) -> None:
        if self.row_count:
            self.refresh_row(0)
        self.refresh()


def cell(text: str, style: str = "") -> Text:
    """Text as it is, in one line."""
    shown = Text(" ".join(printable(text).split()), no_wrap=True)
    if style:
        shown.stylize(style)
    return shown
