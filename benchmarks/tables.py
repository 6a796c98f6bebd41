"""The tables in the documentation: what stands between two markers is replaced.

`docs/benchmarks.md` has a table for each benchmark and one of what was missed, README a choice.
The last two are made from the first, so that they always agree.
"""

import re
from collections.abc import Iterable, Sequence

from benchmarks.registry import BENCHMARKS, CHOICE
from benchmarks.rows import MISSED

HEADING = ("what", "measured", "bar")


def table(rows: Iterable[Sequence[str]], heading: Sequence[str] = HEADING) -> str:
    return "\n".join(map(line, [heading, ["---"] * len(heading), *rows]))


def line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " for cell in cells).replace("| --- ", "|---") + "|"


def read_rows(text: str) -> list[tuple[str, ...]]:
    """The cells of a table, without its heading."""
    lines = [each for each in text.splitlines() if each.startswith("|")]
    return [tuple(cell.strip() for cell in each[1:-1].split("|")) for each in lines[2:]]


def between(document: str, name: str) -> str:
    """What stands between the markers of that name. Raises ValueError when there are none."""
    found = _markers(name).search(document)
    if found is None:
        raise ValueError(
            f"no markers for a table: <!-- benchmark: {name} --> … <!-- /benchmark -->"
        )
    return found["body"]


def replace(document: str, name: str, body: str) -> str:
    """Raises ValueError when there are no such markers."""
    between(document, name)
    return _markers(name).sub(lambda found: f"{found['start']}\n{body}\n{found['end']}", document)


def missed(page: str) -> str:
    """Every row of the page that misses a bar, with its benchmark."""
    rows = [
        (name, *row)
        for name in BENCHMARKS
        for row in read_rows(between(page, name))
        if MISSED in row[-1]
    ]
    return table(rows, ("benchmark", *HEADING)) if rows else "Nothing is missed."


def choice(page: str) -> str:
    """README's table: some rows of the page."""
    rows = {row[0]: row for name in BENCHMARKS for row in read_rows(between(page, name))}
    return table(rows[name] for name in CHOICE if name in rows)


def _markers(name: str) -> re.Pattern[str]:
    return re.compile(
        rf"(?P<start><!-- benchmark: {name} -->)\n(?P<body>.*?)\n?(?P<end><!-- /benchmark -->)",
        re.S,
    )
