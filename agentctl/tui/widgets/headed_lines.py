"""Lines that are drawn when they are looked at, under a head that stays: as many as one likes."""

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class HeadedLines(ScrollView, can_focus=True):
    """The head is the first row of the widget; `line` draws the others, `count_lines` of them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "lines--head",
        "lines--cursor",
        "lines--dim",
        "lines--mark",
        "lines--word",
    }
    DEFAULT_CSS = """
    HeadedLines {
        height: 1fr; overflow-x: hidden; overflow-y: auto;
        scrollbar-size-vertical: 1; scrollbar-gutter: stable;
        & > .lines--head { color: $primary; text-style: bold; }
        & > .lines--cursor { background: $panel; text-style: bold; }
        & > .lines--dim { color: $foreground 60%; }
        & > .lines--mark { background: $panel; }
        & > .lines--word { color: $accent; text-style: bold underline; }
        &:focus > .lines--head { background: $panel; }
        &:focus > .lines--cursor { background: $primary; color: $background; }
    }
    """

    def head(self) -> Strip:
        return Strip.blank(self.size.width)

    def line(self, number: int) -> Strip:
        """The line of this number, from 0, as wide as `text_width`."""
        raise NotImplementedError

    def count_lines(self) -> int:
        return 0

    @property
    def text_width(self) -> int:
        return max(1, self.scrollable_content_region.width)

    def refresh_all(self) -> None:
        """To be called when there are other lines than before."""
        self.virtual_size = Size(1, self.count_lines() + 1)
        self.refresh()

    def on_resize(self) -> None:
        self.refresh_all()

    def render_line(self, y: int) -> Strip:
        if y == 0:
            drawn = self.head()
        else:
            number = self.scroll_offset.y + y - 1
            drawn = self.line(number) if number < self.count_lines() else Strip.blank(0)
        return drawn.adjust_cell_length(self.size.width, self.rich_style)

    def show_line(self, number: int) -> None:
        """Scrolls no further than it has to."""
        rows = self.size.height - 1
        top = self.scroll_offset.y
        if number < top:
            self.scroll_to(y=number, animate=False)
        elif number >= top + rows:
            self.scroll_to(y=number - rows + 1, animate=False)

    def part_style(self, name: str) -> Style:
        return self.get_component_rich_style(f"lines--{name}")


def cell(text: str, width: int, *, at_right: bool = False) -> str:
    """One line of exactly so many terminal cells."""
    if cell_len(text) > width:
        text = set_cell_size(text, max(width - 1, 0)) + "…" if width else ""
    space = " " * (width - cell_len(text))
    return space + text if at_right else text + space


def end_of(text: str, width: int) -> str:
    """The end of a long path, for its end tells more than its beginning."""
    if cell_len(text) <= width:
        return text
    kept = text[-width:] if width else ""
    while kept and cell_len(kept) > width - 1:
        kept = kept[1:]
    return f"…{kept}"


def plain_strip(text: str, style: Style) -> Strip:
    return Strip([Segment(text, style)])
