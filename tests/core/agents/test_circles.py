"""When a speaker goes round in circles."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.circles import SAME_ROUNDS, STUCK_ROUNDS, no_calls, rounds


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ("", 0),
        ("a", 1),
        ("aaa", 3),
        ("baaa", 3),
        ("aaab", 1),
        ("ababa", 3),
        ("abcabcabc", 3),
        ("abcabcabca", 4),
        ("aabaab", 2),
        ("abcdabcdabcd", 1),
    ],
)
def test_rounds_of_a_circle(calls: str, expected: int) -> None:
    assert rounds(calls) == expected


@given(st.lists(st.integers(), unique=True, min_size=1).map(lambda each: [*map(str, each)]))
def test_who_never_asks_the_same_is_in_the_first_round(calls: list[str]) -> None:
    assert rounds(calls) == 1


@given(st.text("abcd"), st.lists(st.sampled_from("xyz"), min_size=1, max_size=3, unique=True))
def test_no_circle_goes_on_for_ever(before: str, circle: list[str]) -> None:
    latest = no_calls()
    latest.extend(before)
    seen = []
    for _ in range(STUCK_ROUNDS):
        for call in circle:
            latest.append(call)
            seen.append(rounds(latest))

    assert seen[-1] == STUCK_ROUNDS
    assert seen.index(SAME_ROUNDS + 1) == SAME_ROUNDS * len(circle)
