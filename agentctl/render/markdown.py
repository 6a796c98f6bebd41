"""Markdown that is rendered while it streams, in time linear in its length.

The text is cut into pieces: its blocks, and the parts of a long listing or list. Only the text
decides where, and only by whole lines, so that a piece which another one follows stays as it is
whatever comes later. It is printed once and never touched again; the last piece is drawn anew,
about ten times a second.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from typing import ClassVar, NamedTuple

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markdown import CodeBlock, Markdown, MarkdownElement
from rich.segment import Segment, SegmentLines
from rich.syntax import Syntax

from agentctl.render.output import printable

REDRAW_S = 0.1
# A list or listing is cut where it has this many lines.
LONG_LINES = 40
# Nothing may be lost, so HTML is text; no block may change another one, so nothing refers to a
# definition elsewhere.
_PARSER = (
    MarkdownIt("commonmark", {"html": False})
    .enable(["strikethrough", "table"])
    .disable("reference")
)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


class MarkdownStream:
    """Feed it text as it arrives; `close` prints what is left."""

    def __init__(self, console: Console, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._monotonic = monotonic
        # Nothing stands above the first piece.
        self._last = Piece("", is_continued=True)
        self._arrived: list[str] = []
        self._next_draw = monotonic()
        self._live = self._new_live()

    def feed(self, text: str) -> None:
        self._arrived.append(printable(text))
        if self._monotonic() >= self._next_draw:
            self._draw()

    def suspend(self) -> None:
        """Gives the terminal back until the next text, so that others may write."""
        self._live.stop()
        self._live = self._new_live()

    def close(self) -> None:
        """Prints the rest. Harmless when called twice."""
        self._live.stop()
        self._print(self._rendered(cut(self._take())))

    def _draw(self) -> None:
        started = self._monotonic()
        finished, self._last = split_finished(self._take())
        height = max(self._console.height - 3, 1)
        # The cursor waits in a line of its own, which what is typed there cannot make longer.
        lines = [*self._rendered(cut(self._last))[-height:], []]
        self._live.update(SegmentLines(lines, new_lines=True))
        self._print(self._rendered(finished))
        self._live.start()
        self._live.refresh()
        ended = self._monotonic()
        # Drawing may take a fifth of the time, however slow the terminal is.
        self._next_draw = ended + max(REDRAW_S, 4 * (ended - started))

    def _take(self) -> "Piece":
        """The last piece with all that has arrived since."""
        piece = self._last.followed_by("".join(self._arrived))
        self._arrived = []
        self._last = Piece("", is_continued=True)
        return piece

    def _print(self, lines: list[list[Segment]]) -> None:
        if lines:
            self._console.print(SegmentLines(lines, new_lines=True), end="")

    def _rendered(self, pieces: Iterable["Piece"]) -> list[list[Segment]]:
        """With one empty line between blocks, however many rich puts there."""
        rendered: list[list[Segment]] = []
        for piece in pieces:
            lines = [*map(trimmed, self._console.render_lines(Rendered(piece.text), pad=False))]
            filled = [number for number, line in enumerate(lines) if line]
            if filled:
                gap: list[list[Segment]] = [] if piece.is_continued else [[]]
                rendered += [*gap, *lines[filled[0] : filled[-1] + 1]]
        return rendered

    def _new_live(self) -> Live:
        return Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )


class Piece(NamedTuple):
    """Markdown that can be rendered alone; `is_continued`: it goes on with the piece before."""

    text: str
    is_continued: bool

    def followed_by(self, text: str) -> "Piece":
        return self._replace(text=self.text + text)


def split_finished(piece: Piece) -> tuple[list[Piece], Piece]:
    """The pieces that no later text can change, and the last one, to which it will be added."""
    whole, newline, unfinished_line = piece.text.rpartition("\n")
    known = piece._replace(text=whole + newline)
    *finished, last = cut(known) or [known]
    return finished, last.followed_by(unfinished_line)


def cut(piece: Piece) -> list[Piece]:
    """Rendered one below the other, the pieces look as the whole does."""
    lines = _LINE.findall(piece.text)
    starts = list(_starts(piece.text, lines))
    pieces = []
    for start, following in zip_longest(starts, starts[1:]):
        text = start.opening + "".join(lines[start.line : following.line if following else None])
        if following is not None and (fence := _FENCE.match(following.opening)):
            text += f"{fence.group(1)}\n"
        pieces.append(Piece(text, start.is_continued))
    if pieces:
        before = "".join(lines[: starts[0].line])
        pieces[0] = Piece(before + pieces[0].text, piece.is_continued)
    return pieces


class _Start(NamedTuple):
    """The line where a piece begins, and the line that opens a listing again which goes on."""

    line: int
    is_continued: bool = False
    opening: str = ""


def _starts(text: str, lines: list[str]) -> Iterator[_Start]:
    begun, number = 0, 0
    for token in _PARSER.parse(text):
        if token.map is None:
            continue
        line = token.map[0]
        if token.level == 0:
            begun, number = line, int(token.attrs.get("start", 1))
            yield _Start(line)
            if token.type == "fence":
                end = line + 1 + token.content.count("\n")
                for cut_line in range(line + 1 + LONG_LINES, end, LONG_LINES):
                    yield _Start(cut_line, True, lines[line])
        elif token.level == 1 and token.type == "list_item_open":
            # A list that counts in its own way would be counted anew behind a cut.
            if line - begun >= LONG_LINES and token.info in ("", str(number)):
                yield _Start(line, True)
                begun = line
            number += 1


class _Listing(CodeBlock):
    """Shows every line of it, since empty ones at its ends may be in the middle of a cut one."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).removesuffix("\n")
        yield Syntax(code, self.lexer_name, theme=self.theme, word_wrap=True, padding=(0, 1))


class Rendered(Markdown):
    """Markdown as it was parsed to be cut."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "fence": _Listing,
        "code_block": _Listing,
    }

    def __init__(self, text: str) -> None:
        super().__init__("")
        self.parsed = _PARSER.parse(text)


def trimmed(line: list[Segment]) -> list[Segment]:
    """Without the spaces that lines are filled up with, unless they have a colour."""
    while line and not (line[-1].style and line[-1].style.bgcolor):
        *line, last = line
        if text := last.text.rstrip():
            return [*line, last._replace(text=text)]
    return line
