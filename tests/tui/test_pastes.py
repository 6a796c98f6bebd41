"""What a terminal sends for a paste, read by Textual's own parser."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from textual import events
from textual._xterm_parser import XTermParser
from textual.message import Message

from agentctl.tui.pastes import keep_pastes_whole

BEGIN, END = "\x1b[200~", "\x1b[201~"
COLOURED = "one \x1b[31mred\x1b\x1b[0m\rINFO two\r\n\x1b[0mthree\r"


@pytest.fixture(autouse=True)
def _whole_pastes(monkeypatch: pytest.MonkeyPatch) -> None:
    # Put back afterwards: it is for the whole process.
    monkeypatch.setattr(XTermParser, "parse", XTermParser.parse)
    keep_pastes_whole()


def read(*pieces: str) -> list[Message]:
    """What comes of these pieces; the terminal is closed at the end."""
    parser = XTermParser()
    return [event for piece in (*pieces, "") for event in parser.feed(piece)]


def in_words(seen: Sequence[Message]) -> list[str]:
    return [
        event.text if isinstance(event, events.Paste) else event.key
        for event in seen
        if isinstance(event, events.Paste | events.Key)
    ]


def test_a_paste_with_colours_is_one_paste() -> None:
    seen = read("a", f"{BEGIN}{COLOURED}{END}b\r")

    assert in_words(seen) == [
        "a",
        "one \ufffd[31mred\ufffd\ufffd[0m\nINFO two\n\ufffd[0mthree\n",
        "b",
        "enter",
    ]


@given(st.text(st.sampled_from("\x1b[201~m\rab\x00"), max_size=40), st.data())
def test_nothing_in_a_paste_is_a_key_however_it_comes_in_pieces(
    text: str, data: st.DataObject
) -> None:
    assume(END not in text)
    sent = f"x{BEGIN}{text}{END}\x1b[A"
    cuts = sorted({0, len(sent), *data.draw(st.lists(st.integers(0, len(sent)), max_size=5))})
    seen = read(*(sent[a:b] for a, b in pairwise(cuts)))

    assert [type(event).__name__ for event in seen] == ["Key", "Paste", "Key"]
    assert in_words(seen)[2] == "up"


def test_two_pastes_are_two_and_one_without_an_end_is_none() -> None:
    seen = read(f"{BEGIN}a{END}{BEGIN}\x1b[31mb{END}", f"{BEGIN}c")

    assert in_words(seen) == ["a", "\ufffd[31mb"]


def test_the_escape_key_alone_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 99.0])
    monkeypatch.setattr("textual._parser.get_time", lambda: next(clock))
    parser = XTermParser()

    assert in_words([*parser.feed("\x1b"), *parser.tick()]) == ["escape"]
