"""A line typed at the console of Windows, by keys that are given."""

from itertools import count

import pytest

from agentctl.render.console_keys import read_line

ARROW = "\xe0H"
SMILE = "😀".encode("utf-16-le")
SMILE_IN_TWO = [SMILE[n : n + 2].decode("utf-16-le", "surrogatepass") for n in (0, 2)]


class Keyboard:
    """Keys that were pressed; those of one piece come at once, between pieces there is a pause."""

    def __init__(self, *pieces: str) -> None:
        self._pieces = [[*piece] for piece in pieces]
        self.shown = ""
        self.interrupts = 0

    def is_pressed(self) -> bool:
        return bool(self._pieces and self._pieces[0])

    def next(self) -> str:
        return self._pieces[0].pop(0)

    def show(self, text: str) -> None:
        self.shown += text

    def interrupt(self) -> None:
        self.interrupts += 1

    def pause(self, _: float) -> None:
        if self._pieces:
            self._pieces.pop(0)


def typed(keys: Keyboard) -> str | None:
    looks = count()
    return read_line(keys, lambda: next(looks) > 50, keys.pause)


def test_a_line_ends_with_enter_and_is_shown_meanwhile() -> None:
    keys = Keyboard("yes", "\r")

    assert typed(keys) == "yes\n"
    assert keys.shown == "yes\n"


def test_what_comes_after_the_line_is_left_for_the_next_one() -> None:
    keys = Keyboard("a\rb\r")

    assert (typed(keys), typed(keys)) == ("a\n", "b\n")


def test_letters_of_other_alphabets_are_what_they_are() -> None:
    assert typed(Keyboard("größe и ", *SMILE_IN_TWO, "\r")) == "größe и 😀\n"


def test_a_letter_that_looks_like_the_beginning_of_an_arrow_is_a_letter() -> None:
    assert typed(Keyboard("\xe0", "la", "\r")) == "àla\n"


def test_arrows_are_passed_over() -> None:
    assert typed(Keyboard(f"a{ARROW}b\0;\r")) == "ab\n"


def test_backspace_takes_the_last_letter_back() -> None:
    keys = Keyboard("ab\bc\r")

    assert typed(keys) == "ac\n"
    assert keys.shown == "ab\b \bc\n"


def test_backspace_takes_a_letter_of_two_parts_back_at_once() -> None:
    assert typed(Keyboard("a", *SMILE_IN_TWO, "\b\r")) == "a\n"


def test_backspace_at_the_beginning_does_nothing() -> None:
    assert typed(Keyboard("\b\ba\r")) == "a\n"


def test_escape_begins_again() -> None:
    assert typed(Keyboard("no, never\x1byes\r")) == "yes\n"


def test_ctrl_z_at_the_beginning_ends_the_input() -> None:
    assert typed(Keyboard("\x1a\r")) is None


def test_ctrl_z_within_a_line_is_nothing() -> None:
    assert typed(Keyboard("a\x1ab\r")) == "ab\n"


@pytest.mark.parametrize("before", ["", "half a line"])
def test_ctrl_c_interrupts(before: str) -> None:
    keys = Keyboard(f"{before}\x03")

    assert typed(keys) is None
    assert keys.interrupts == 1


def test_a_question_that_nobody_answers_can_be_left() -> None:
    assert typed(Keyboard("half a line")) is None
