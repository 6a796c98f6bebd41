"""A document's text to read, with its lines' numbers; a found passage and words are marked."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.strip import Strip

from agentctl.core.knowledge.library import Passage
from agentctl.render.output import printable
from agentctl.tui.widgets.headed_lines import HeadedLines, cell, plain_strip

# Letters that are shown at once, and of them those before a marked passage.
_PART = 40_000
_BEFORE = 8_000
_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class _Row:
    """A line, or a piece of it: `number` stands before its first one."""

    number: str
    text: Text
    is_marked: bool


class PassageView(HeadedLines):
    """Shows a part of a long text; n and p go to the next and the one before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "next_part", "Next part", id="passage.next"),
        Binding("p", "previous_part", "Part before", id="passage.previous"),
        Binding("y", "copy", "Copy", id="passage.copy"),
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]

    def __init__(self, empty: str, *, id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self._empty = empty
        self._passage: Passage | None = None
        self._title = ""
        self._lines: Sequence[str] = ()
        self._first = 0
        self._last = 0
        self._marked = range(0)
        self._words = _NOTHING
        self._rows: list[_Row] = []
        self._width = 0

    @property
    def passage(self) -> Passage | None:
        return self._passage

    @property
    def marked_lines(self) -> tuple[int, int] | None:
        """The numbers of the first marked line and the last, from 1."""
        return (self._marked[0] + 1, self._marked[-1] + 1) if self._marked else None

    @property
    def shown(self) -> str:
        """What can be read of it, by scrolling."""
        return "\n".join(row.text.plain for row in self._rows)

    def show(
        self, passage: Passage, title: str, found: str = "", words: re.Pattern[str] | None = None
    ) -> None:
        """`found` is the part of its text to be marked and gone to, with `words` in it."""
        self._passage = passage
        self._title = title
        self._lines = passage.text.removesuffix("\n").split("\n")
        self._words = words or _NOTHING
        self._marked = _lines_of(passage.text, found)
        self._go_to(self._part_around(self._marked[0]) if self._marked else 0)
        if self._marked:
            at = next((n for n, row in enumerate(self._rows) if row.is_marked), 0)
            self.scroll_to(y=max(0, at - 2), animate=False)

    def clear(self, empty: str) -> None:
        self._passage, self._lines, self._rows = None, (), []
        self._empty = empty
        self.refresh_all()

    # Parts of it

    def _part_around(self, line: int) -> int:
        """Where a part begins that has this line in it, and something before it."""
        return self._back(line, _BEFORE)

    def _back(self, line: int, letters: int) -> int:
        while line > 0 and letters > 0:
            line -= 1
            letters -= len(self._lines[line]) + 1
        return line

    def _go_to(self, first: int) -> None:
        self._first = last = first
        letters = 0
        while last < len(self._lines) and (letters < _PART or last == first):
            letters += len(self._lines[last]) + 1
            last += 1
        self._last = last
        self._wrap()
        self.scroll_to(y=0, animate=False)
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "next_part":
            return self._last < len(self._lines)
        if action == "previous_part":
            return self._first > 0
        return True

    def action_next_part(self) -> None:
        self._go_to(self._last)

    def action_previous_part(self) -> None:
        self._go_to(self._back(self._first, _PART))

    def action_copy(self) -> None:
        if self._passage is not None:
            self.app.copy_to_clipboard(self._passage.text)
            self.app.notify("the whole text was copied", markup=False)

    # Drawing

    def on_resize(self) -> None:
        if self.text_width != self._width:
            self._wrap()

    def _wrap(self) -> None:
        self._width = self.text_width
        self._rows = [*self._wrapped()]
        self.refresh_all()

    def _wrapped(self) -> Iterator[_Row]:
        numbers = self._passage is not None and self._passage.line_start is not None
        start = (self._passage.line_start or 1) if self._passage is not None else 1
        gutter = len(str(start + self._last)) if numbers else 1
        width = max(8, self._width - gutter - 2)
        for index in range(self._first, self._last):
            number = str(start + index).rjust(gutter) if numbers else " " * gutter
            is_marked = index in self._marked
            for piece in self._pieces(self._lines[index], width):
                yield _Row(number, piece, is_marked)
                number = " " * gutter

    def _pieces(self, line: str, width: int) -> Sequence[Text]:
        more = len(line) - _PART
        if more > 0:
            line = f"{line[:_PART]} … {more:,} more letters: y copies all"
        text = Text(printable(line).expandtabs(4))
        text.highlight_regex(self._words, "underline")
        if text.cell_len <= width:
            return [text]
        return [*text.wrap(self.app.console, width)]

    def count_lines(self) -> int:
        return len(self._rows) if self._passage is not None else 1

    def head(self) -> Strip:
        if self._passage is None:
            return plain_strip("", self.rich_style)
        title = " ".join(printable(self._title).split())
        parts = ""
        if self._first > 0 or self._last < len(self._lines):
            parts = f"  lines {self._first + 1:,}-{self._last:,} of {len(self._lines):,}"
        room = max(0, self.text_width - len(parts))
        return plain_strip(cell(title, room) + parts, self.part_style("head"))

    def line(self, number: int) -> Strip:
        if self._passage is None:
            return plain_strip(cell(self._empty, self.text_width), self.part_style("dim"))
        row = self._rows[number]
        ground = self.part_style("mark") if row.is_marked else self.rich_style
        mark = "▌" if row.is_marked else " "
        dim = self.part_style("dim")
        bar = Style(color=self.part_style("word").color, bgcolor=ground.bgcolor)
        found = self.part_style("word") + Style(bgcolor=ground.bgcolor)
        segments = [
            Segment(row.number, Style(color=dim.color, bgcolor=ground.bgcolor)),
            Segment(f"{mark} ", bar),
        ]
        at = 0
        for span in row.text.spans:
            segments += [
                Segment(row.text.plain[at : span.start], ground),
                Segment(row.text.plain[span.start : span.end], found),
            ]
            at = span.end
        segments.append(Segment(row.text.plain[at:], ground))
        return Strip(segments).adjust_cell_length(self.text_width, ground)


def _lines_of(text: str, found: str) -> range:
    """The indexes of the lines where `found` stands in `text`; none where it does not."""
    at = text.find(found) if found else -1
    if at < 0:
        return range(0)
    first = text.count("\n", 0, at)
    return range(first, first + found.rstrip("\n").count("\n") + 1)
