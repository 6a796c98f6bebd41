"""Text as lines of a given width in the colours of a theme, and Markdown that grows."""

from collections.abc import Iterable
from functools import cached_property
from io import StringIO
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme as Styles
from textual.strip import Strip
from textual.theme import Theme

from agentctl.render.output import printable

if TYPE_CHECKING:
    from agentctl.render.markdown import Piece

GUTTER = 2
"""Columns before the text, for the sign of what is selected."""

# Characters of one paragraph, or of one line of code, that are drawn anew while it grows.
_LONGEST_PIECE = 4_000


class Painter:
    """Draws text `width` cells wide. Another width or theme is another painter."""

    def __init__(self, width: int, theme: Theme) -> None:
        self.width = max(width, 1)
        self.theme = theme

    def plain(self, text: str, style: str = "") -> list[Strip]:
        """Wrapped, and nothing in it interpreted. `style` is rich's, or one of the theme."""
        shown = Text(printable(text), style, overflow="fold", tab_size=4)
        lines = self._console.render_lines(shown, pad=False)
        return [Strip(line) for line in lines]

    def line(self, text: str, style: str = "") -> list[Strip]:
        """One line, cut where it is too long."""
        shown = Text(printable(text).replace("\n", " "), style, overflow="ellipsis", no_wrap=True)
        return [Strip(line) for line in self._console.render_lines(shown, pad=False)]

    def markdown(self, pieces: "Iterable[Piece]") -> list[Strip]:
        """With one empty line between blocks, however many rich puts there."""
        from agentctl.render.markdown import Rendered, trimmed

        drawn: list[Strip] = []
        for piece in pieces:
            block = Rendered(piece.text)
            block.code_theme = "monokai" if self.theme.dark else "default"
            block.hyperlinks = False
            lines = [*map(trimmed, self._console.render_lines(block, pad=False))]
            filled = [number for number, line in enumerate(lines) if line]
            if filled:
                gap: list[list[Segment]] = [] if piece.is_continued else [[]]
                drawn += map(Strip, [*gap, *lines[filled[0] : filled[-1] + 1]])
        return drawn

    @cached_property
    def _console(self) -> Console:
        return Console(
            file=StringIO(),
            width=self.width,
            force_terminal=True,
            color_system="truecolor",
            legacy_windows=False,
            theme=Styles(_styles(self.theme)),
            highlight=False,
        )


def _styles(theme: Theme) -> dict[str, str | Style]:
    primary, second = theme.primary, theme.secondary or theme.primary
    heading = f"bold {primary}"
    return {
        **{f"markdown.h{level}": heading for level in range(1, 7)},
        "markdown.h1.border": "dim",
        "markdown.code": second,
        "markdown.item.bullet": primary,
        "markdown.item.number": primary,
        "markdown.block_quote": "italic",
        "markdown.hr": "dim",
        "markdown.link": f"underline {primary}",
        "markdown.link_url": f"underline {primary}",
        "markdown.table.border": "dim",
        "markdown.table.header": heading,
        "user": f"bold {second}",
        "speaker": heading,
        "aside": "dim",
        "source": primary,
        "warning": theme.warning or "",
        "error": f"bold {theme.error or ''}",
    }


class GrowingMarkdown:
    """Markdown that arrives bit by bit; what no later text can change is drawn once."""

    def __init__(self, text: str = "") -> None:
        self._arrived = [text]
        self._finished: list[Piece] = []
        self._last: Piece | None = None
        self._painter: Painter | None = None
        self._lines: list[Strip] = []
        # So many pieces are drawn for good, as so many lines.
        self._drawn = 0
        self._kept = 0

    def append(self, text: str) -> None:
        self._arrived.append(text)

    def lines(self, painter: Painter) -> list[Strip]:
        """The same list each time, brought up to date."""
        if painter is not self._painter:
            self.forget()
            self._painter = painter
        elif not self._arrived:
            return self._lines
        from agentctl.render.markdown import cut

        self._take()
        del self._lines[self._kept :]
        self._lines += painter.markdown(self._finished[self._drawn :])
        self._drawn, self._kept = len(self._finished), len(self._lines)
        if self._last is not None:
            self._lines += painter.markdown(cut(self._last))
        return self._lines

    @property
    def redrawn(self) -> int:
        """So many characters are drawn anew when more arrives."""
        return len(self._last.text) if self._last is not None else 0

    def forget(self) -> None:
        """Lets go of what was drawn."""
        self._painter, self._drawn, self._kept = None, 0, 0
        self._lines = []

    def _take(self) -> None:
        from agentctl.render.markdown import Piece, split_finished

        # Nothing stands above the first piece.
        before = self._last or Piece("", is_continued=True)
        text, self._arrived = printable("".join(self._arrived)), []
        finished, last = split_finished(before.followed_by(text))
        while len(last.text) > _LONGEST_PIECE:
            first, last = _halved(last)
            finished.append(first)
        self._finished += finished
        self._last = last


def _halved(piece: "Piece") -> "tuple[Piece, Piece]":
    """Cut behind a word, where it has grown too long to be drawn anew each time."""
    text = piece.text
    place = text.rfind(" ", 1, _LONGEST_PIECE)
    place = place if place > _LONGEST_PIECE // 2 else _LONGEST_PIECE
    opening, newline, _ = text.partition("\n")
    fence = opening.lstrip()[:3]
    if fence in ("```", "~~~") and newline and len(opening) < place:
        return (
            piece._replace(text=f"{text[:place]}\n{fence}\n"),
            piece._replace(text=f"{opening}\n{text[place:]}", is_continued=True),
        )
    return piece._replace(text=text[:place]), piece._replace(
        text=text[place:].lstrip(" "), is_continued=True
    )


def sign(is_here: bool, has_focus: bool) -> Strip:
    """What stands before a line: whether it is selected, and where the keys go."""
    text = ("▌" if has_focus else "│") if is_here else " "
    return Strip([Segment(text.ljust(GUTTER), Style(bold=True))], GUTTER)


def centred(text: str, width: int) -> Strip:
    space = " " * max((width - len(text)) // 2, 0)
    return Strip([Segment(space), Segment(text[:width], Style(dim=True))])


def marked(strip: Strip, term: str) -> Strip:
    """With the places where `term` stands turned round."""
    text = strip.text
    folded = text.casefold()
    if term not in folded or len(folded) != len(text):
        return strip
    cuts, start = [], folded.find(term)
    while start >= 0:
        end = start + len(term)
        cuts += [cell_len(text[:start]), cell_len(text[:end])]
        start = folded.find(term, end)
    parts = strip.divide([*cuts, strip.cell_length])
    mark = Style(reverse=True)
    return Strip.join(
        Strip(Segment.apply_style(part, post_style=mark)) if number % 2 else part
        for number, part in enumerate(parts)
    )
