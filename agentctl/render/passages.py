"""Passages of documents: search hits and parts of a text, on a terminal and in a pipe."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

from agentctl.core.knowledge.citations import location
from agentctl.core.knowledge.library import Passage
from agentctl.core.sources import Source
from agentctl.render.links import link_style, short_path
from agentctl.render.output import Output, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# Rows of a hit's passage on a terminal.
ROWS = 4
_INDENT = "    "
_NOTHING = re.compile(r"(?!)")


def show_hits(output: Output, hits: Sequence[Source], query: str, folder: Path) -> None:
    """Each with the lines that hold most of the query's words.

    In a pipe a hit is one line: where it is, its score, its best line, with tabs between.
    """
    words = words_of(query)
    if not output.is_rich:
        output.table((), (_in_one_line(hit, words, folder) for hit in hits))
        return
    console = output.console()
    for hit in hits:
        _print_hit(console, hit, words, folder)


def show_passage(output: Output, passage: Passage, folder: Path) -> None:
    """With a head and line numbers on a terminal; the bare text in a pipe."""
    text = passage.text if passage.text.endswith("\n") else passage.text + "\n"
    if not output.is_rich:
        output.text(text)
        return
    from rich.text import Text

    document = passage.document
    page = f"(page {passage.page})" if passage.page is not None else ""
    about = [_one_line(part) for part in (page, document.title, passage.heading) if part]
    name = _one_line(short_path(document.path, folder))
    head = Text.assemble(
        (name, link_style(document.path, "cyan")), ("  ".join(["", *about]), "dim")
    )
    output.console().print(head)
    if passage.line_start is None:
        output.text(text)
        return
    lines = text[:-1].split("\n")
    width = len(str(passage.line_start + len(lines)))
    for number, line in enumerate(lines, passage.line_start):
        output.line(f"{number:>{width}}  {line}")


def words_of(query: str) -> re.Pattern[str]:
    """Matches the query's words and those that begin alike, as `ship` and `ships`."""
    from agentctl.core.knowledge.query import STOPWORDS

    words = {*re.findall(r"\w+", query.casefold())}
    stems = [
        re.escape(word[: max(4, len(word) - 3)]) + (r"\w*" if len(word) > 3 else "")
        for word in sorted(words - STOPWORDS or words, key=len, reverse=True)
    ]
    return re.compile(rf"\b(?:{'|'.join(stems)})\b", re.IGNORECASE) if stems else _NOTHING


def _in_one_line(hit: Source, words: re.Pattern[str], folder: Path) -> tuple[str, str, str]:
    lines = [*_lines(hit.text)]
    best = _densest([len(words.findall(line)) for _, line in lines], 1)
    offset, line = lines[best] if lines else (0, "")
    return _location(hit, folder, offset), f"{hit.score:.3f}", line.strip()


def _print_hit(console: "Console", hit: Source, words: re.Pattern[str], folder: Path) -> None:
    from rich.text import Text

    rows = [
        (offset, row)
        for offset, line in _lines(dedent(hit.text))
        for row in _marked(line, words).wrap(console, console.width - len(_INDENT))
    ]
    best = _densest([len(row.spans) for _, row in rows], ROWS)
    shown = rows[best : best + ROWS]
    place = _location(hit, folder, shown[0][0] if shown else 0)
    head = Text.assemble(
        (f"{hit.n:>2}  ", "bold"),
        (_one_line(place), link_style(hit.path, "cyan")),
        f"  {_one_line(hit.title)}",
        (f"  {hit.score:.3f}", "dim"),
    )
    console.print(head)
    for _, row in shown:
        console.print(Text(_INDENT) + row, no_wrap=True, overflow="ellipsis")
    console.print()


def _marked(line: str, words: re.Pattern[str]) -> "Text":
    from rich.text import Text

    text = Text(printable(line).rstrip())
    text.expand_tabs(4)
    text.highlight_regex(words, "bold yellow")
    return text


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Those that are not blank, each with the number of lines before it."""
    return ((n, line) for n, line in enumerate(text.split("\n")) if line.strip())


def _densest(counts: Sequence[int], size: int) -> int:
    """Where the `size` neighbours begin whose counts are the highest together."""
    starts = range(max(len(counts) - size, 0) + 1)
    return max(starts, key=lambda start: sum(counts[start : start + size]))


def _location(hit: Source, folder: Path, offset: int) -> str:
    """That of the line `offset` lines below the passage's first."""
    line = hit.line_start + offset if hit.line_start is not None else None
    return location(replace(hit, line_start=line), short_path(hit.path, folder))


def _one_line(text: str) -> str:
    return " ".join(printable(text).split())
