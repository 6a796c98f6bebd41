"""Search hits in a pipe: one line each, whatever is in them."""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.sources import Source
from agentctl.render.output import Output
from agentctl.render.passages import show_hits, words_of

FOLDER = Path("/home/ada")


def hit(text: str = "", path: str = "/home/ada/a.md", **values: int) -> Source:
    places = {"page": None, "line_start": None, "line_end": None, **values}
    return Source(
        n=1,
        score=0.5,
        path=path,
        title="",
        collection="default",
        text=text,
        chunk_id=1,
        document_id=1,
        **places,
    )


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (hit("Ships.", line_start=3), "a.md:3\t0.500\tShips."),
        (hit("One\n\nTwo\nMy ship", line_start=3), "a.md:6\t0.500\tMy ship"),
        (hit("Ships.", page=7), "a.md (page 7)\t0.500\tShips."),
        (hit("A\tship", path="/srv/b\nc.md"), "/srv/b c.md\t0.500\tA ship"),
        (hit(path="https://example.org/a"), "https://example.org/a\t0.500\t"),
    ],
)
def test_a_line_says_where_the_best_line_of_a_hit_stands(
    found: Source, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_hits(Output("search"), [found], "ships", FOLDER)

    assert capsys.readouterr().out == line + "\n"


@pytest.mark.parametrize(
    ("query", "marked"),
    [
        ("the ships", ["ship", "ships"]),
        ("navigating", ["navigation"]),
        ("C++ or c#", ["c"]),
        ("was is das", ["das"]),
        ("", []),
        ("?!", []),
    ],
)
def test_words_are_marked_that_begin_like_those_of_the_query(query: str, marked: list[str]) -> None:
    assert words_of(query).findall("the ship, its ships, navigation, shore, das c") == marked


@given(st.text(), st.text())
def test_no_query_and_no_text_is_too_odd(query: str, text: str) -> None:
    show_hits(Output("search", "text"), [hit(text)], query, FOLDER)


def test_code_keeps_its_indentation_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    code = "    def sail(ship):\n        if ship:\n            ship.go()\n"
    show_hits(Output("search"), [hit(code)], "ship", FOLDER)

    lines = [
        re.sub("\x1b[^m]*m", "", line).rstrip() for line in capsys.readouterr().out.split("\n")
    ]
    assert lines[1:4] == ["    def sail(ship):", "        if ship:", "            ship.go()"]
