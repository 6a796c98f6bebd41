"""Markdown that streams: where it is cut, and what a terminal shows of it in the end."""

import io
import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeAlias

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from agentctl.render.markdown import LONG_LINES, MarkdownStream, Piece, cut, split_finished

Moments: TypeAlias = Sequence[tuple[int, Literal["draw", "suspend"]]]
Line: TypeAlias = tuple[tuple[object, ...], ...]

DOCUMENTS = {
    "a mixed answer": (
        "# Hello\n\nHere is **bold**, *this* and `code`:\n\n```python\nfor i in range(3):\n"
        "    print(i)\n```\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> said\n> so\n\n"
        "Setext\n---\n\n***\n\n[a link](https://example.org) and ~~no~~.\nDone."
    ),
    "a long listing": "Look:\n```python\n"
    + "".join(f"value_{n} = {n}\n\n\n" for n in range(30))
    + "```\nThat was it.\n",
    "an unclosed fence": "So:\n\n````\n" + "line\n```\n\n" * 30,
    "a long list": "".join(f"- item **{n}**\n  goes on\n" for n in range(50)) + "\nEnd.",
    "a long numbered list": "".join(f"{n}. item\n" for n in range(95, 205)),
    "a list that does not count": "1. item\n" * 100,
    "nested lists": "".join(
        f"1. outer\n   - inner {n}\n     1. innermost\n\n   and on\n" for n in range(15)
    ),
    "a long table": "| n | square |\n|--:|---|\n"
    + "".join(f"| {n} | {n * n} |\n" for n in range(30)),
    "wide letters": "# 日本語の見出し\n\n"
    + "とても長い文章です。" * 12
    + "\n\n- 👍 はい\n- 한국어\n",
    "wider than the screen": "word " * 60 + "\n\n" + "x" * 200 + "\n\n```\n" + "y" * 150 + "\n```",
    "blocks without empty lines": "Note:\n***very* important**\n#tag\n# Title\ntext\n- a\n***\nend",
    "html is text": "<think>\nhm\n</think>\n\na<br>b <!-- c -->\n\n<div>shown</div>\n",
}
LINES = (
    *("text", "more **text**", "", "", "# Title", "#", "***", "---", "- a", "-", "  - b", "* c"),
    *("1. one", "2. two", "10. ten", "    indented", "```", "```py", "~~~", "> quoted", ">"),
    *("| a | b |", "|---|---|", "[1]: http://x", "<div>", "日本語", "a\u2028b", "***b***", "`c"),
)
places = st.integers(0, 1000)
moments = st.lists(st.tuples(places, st.sampled_from(["draw", "draw", "suspend"])), max_size=12)


def written_by(text: str, steps: Moments, *, width: int = 60, height: int = 12) -> str:
    """What is sent to the terminal.

    A moment is a place, in thousandths of the text, and what happens when it has come to there.
    """
    now = 0.0
    written = io.StringIO()
    console = Console(
        file=written,
        force_terminal=True,
        color_system="256",
        width=width,
        height=height,
        _environ={"TERM": "xterm-256color"},
    )
    markdown = MarkdownStream(console, lambda: now)
    start = 0
    for place, action in sorted(steps):
        end = len(text) * place // 1000
        now += 1000 if action == "draw" else 0
        markdown.feed(text[start:end])
        if action == "suspend":
            markdown.suspend()
        start = end
    markdown.feed(text[start:])
    markdown.close()
    return written.getvalue()


def stream(text: str, steps: Moments, *, width: int = 60, height: int = 12) -> list[Line]:
    """What the terminal shows in the end, scrolled off or not: letters with their colours."""
    return screen(written_by(text, steps, width=width, height=height), width, height)


def screen(output: str, width: int, height: int) -> list[Line]:
    terminal = pyte.HistoryScreen(width, height, history=10_000, ratio=0.5)
    terminal.set_mode(pyte.modes.LNM)
    pyte.Stream(terminal).feed(output)
    assert not terminal.cursor.hidden
    rows = [*terminal.history.top, *(terminal.buffer[row] for row in range(height))]
    lines = [tuple(tuple(row[column]) for column in range(width)) for row in rows]
    blank = tuple(tuple(terminal.default_char) for _ in range(width))
    while lines and lines[-1] == blank:
        lines.pop()
    return lines


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(str(cell[0]) for cell in line).rstrip() for line in lines)


@cache
def at_once(text: str, *, width: int = 60, height: int = 12) -> list[Line]:
    return stream(text, [], width=width, height=height)


def cut_whole(text: str) -> list[Piece]:
    return cut(Piece(text, is_continued=True))


def split_at(text: str, places: Sequence[int]) -> list[Piece]:
    """The pieces when the text is looked at each of the places."""
    finished: list[Piece] = []
    last = Piece("", is_continued=True)
    for start, end in zip([0, *places], [*places, len(text)], strict=True):
        more, last = split_finished(last.followed_by(text[start:end]))
        finished += more
    return [*finished, *cut(last)]


# Where the text is cut


@given(lines=st.lists(st.sampled_from(LINES)), stops=st.lists(places))
def test_the_pieces_are_the_same_whenever_the_text_is_looked_at(
    lines: list[str], stops: list[int]
) -> None:
    text = "\n".join(lines)
    assert split_at(text, [len(text) * stop // 1000 for stop in sorted(stops)]) == cut_whole(text)


@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
def test_it_does_not_matter_how_often_the_text_is_looked_at(text: str) -> None:
    assert split_at(text, range(0, len(text), 7)) == cut_whole(text)


@given(st.lists(st.sampled_from(LINES), max_size=LONG_LINES).map("\n".join) | st.text())
def test_the_pieces_together_are_the_text(text: str) -> None:
    finished, last = split_finished(Piece(text, is_continued=True))
    assert "".join(piece.text for piece in (*finished, last)) == text


def test_a_long_listing_is_closed_and_opened_again() -> None:
    code = [f"line {n}\n" for n in range(2 * LONG_LINES + 1)]
    first, second, third = cut_whole("".join(["~~~~py\n", *code, "~~~~~\n"]))

    assert first == Piece("".join(["~~~~py\n", *code[:LONG_LINES], "~~~~\n"]), True)
    assert second == Piece("".join(["~~~~py\n", *code[LONG_LINES:-1], "~~~~\n"]), True)
    assert third == Piece(f"~~~~py\n{code[-1]}~~~~~\n", True)


def test_a_long_list_is_cut_before_an_item() -> None:
    items = [f"- item {n}\n  goes on\n" for n in range(LONG_LINES)]

    pieces = cut_whole("".join(items))

    assert [piece.text.count("item") for piece in pieces] == [LONG_LINES // 2] * 2
    assert all(piece.is_continued for piece in pieces)


# On the screen


@pytest.mark.parametrize("name", DOCUMENTS)
@settings(max_examples=10)
@given(steps=moments)
def test_the_screen_ends_up_the_same_however_the_text_came(name: str, steps: Moments) -> None:
    text = DOCUMENTS[name]
    assert stream(text, steps) == at_once(text)


@settings(max_examples=30)
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=12),
    steps=moments,
    size=st.sampled_from([(60, 12), (20, 5), (10, 4)]),
)
def test_any_document_ends_up_the_same(
    lines: list[str], steps: Moments, size: tuple[int, int]
) -> None:
    text, (width, height) = "\n".join(lines), size
    shown = stream(text, steps, width=width, height=height)
    assert shown == stream(text, [], width=width, height=height)


def test_blocks_are_one_empty_line_apart() -> None:
    text = "# Title\n\n\ntext\n- one\n- two\n\n\n***\n\n```\n\ncode\n\n```\n\n\nend"
    assert text_of(at_once(text, width=8)) == (
        " Title\n\ntext\n\n • one\n • two\n\n--------\n\n\n code\n\n\nend"
    )


def test_numbers_go_on_where_a_list_was_cut() -> None:
    text = text_of(at_once(DOCUMENTS["a long numbered list"]))
    numbers = [line.split()[0] for line in text.splitlines()]
    assert numbers == [str(n) for n in range(95, 205)]


def test_an_empty_line_where_a_listing_was_cut_stays() -> None:
    code = "x\n" * (LONG_LINES - 1) + "\n\n" + "y\n" * LONG_LINES
    assert text_of(at_once(f"```\n{code}```")).splitlines() == [
        f" {line}".rstrip() for line in code.splitlines()
    ]


def test_nothing_a_model_writes_is_left_out() -> None:
    text = "<b>bold</b> [1]\n\n<div>\nshown\n</div>\n\n[1]: https://example.org"
    assert text_of(at_once(text)) == (
        "<b>bold</b> [1]\n\n<div> shown </div>\n\n[1]: https://example.org"
    )


# Control characters


@settings(max_examples=30)
@given(st.text(st.sampled_from("a` \n\t\r\0\x07\x08\x1b\x7f\x85\x90\x9b\x9d]0;[2J\u2028")))
def test_control_characters_never_reach_the_terminal(text: str) -> None:
    output = written_by(text, [(500, "draw")])
    drawing = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
    assert re.search(r"[\0-\x08\x0b-\x1f\x7f-\x9f]", drawing.sub("", output)) is None


def test_escape_sequences_are_shown_not_obeyed() -> None:
    text = "a\x1b[2Jb\x1b]0;title\x07c\x9b31md"
    assert text_of(at_once(text)) == "a\ufffd[2Jb\ufffd]0;title\ufffdc\ufffd31md"


def test_lines_may_end_as_on_windows() -> None:
    assert text_of(at_once("- a\r\n- b\r\n")) == " • a\n • b"
