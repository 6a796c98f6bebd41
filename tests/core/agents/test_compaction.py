"""How a long run is made to fit the window."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.compaction import Compacted, compact
from agentctl.core.backends.base import Message, ToolCall
from agentctl.core.errors import ContextOverflow


async def count(messages: tuple[Message, ...]) -> int:
    """A token is a word here."""
    return sum(len(each.content.split()) for each in messages)


def compacted(messages: list[Message], budget: int) -> Compacted:
    return asyncio.run(compact(tuple(messages), budget, count))


def exchange(number: int, words: int = 60) -> list[Message]:
    """A call and its result."""
    call = ToolCall(f"c{number}", "read_file", {"path": f"{number}.md"})
    result = " ".join(f"w{number}" for _ in range(words))
    return [
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", result, tool_call_id=call.id, tool_name=call.name),
    ]


HEAD = [Message("system", "You are careful."), Message("user", "Read all files.")]


def test_what_fits_is_sent_as_it_is() -> None:
    messages = [*HEAD, *exchange(1)]

    assert compacted(messages, 1000) == Compacted(tuple(messages), 66)


def test_older_results_are_shortened_first_and_no_more_than_needed() -> None:
    messages = [*HEAD, *(each for n in range(6) for each in exchange(n, words=200))]

    found = compacted(messages, 1000)

    lengths = [len(each.content.split()) for each in found.messages if each.role == "tool"]
    assert len(found.messages) == len(messages)
    assert [length < 200 for length in lengths] == [True, True, False, False, False, False]
    assert found.tokens <= 1000
    assert found.note == "older tool results were shortened to fit the context window"


def test_then_the_oldest_exchanges_are_left_out_and_named() -> None:
    messages = [*HEAD, *(each for n in range(30) for each in exchange(n))]

    found = compacted(messages, 300)

    assert found.messages[:2] == tuple(HEAD)
    assert "earlier messages are left out here" in found.messages[2].content
    assert "read_file x" in found.messages[2].content
    assert found.messages[-1] == messages[-1]
    assert "left out" in found.note


def test_a_result_that_is_too_long_by_itself_is_cut() -> None:
    found = compacted([*HEAD, *exchange(1, words=5000)], 1000)

    assert found.tokens <= 1000
    assert found.messages[-1].content.endswith("[the rest was cut: it does not fit]")


def test_a_task_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ContextOverflow):
        compacted([Message("user", "word " * 100)], 50)


def test_neighbours_of_one_role_are_sent_as_one() -> None:
    found = compacted([*HEAD, Message("user", "planner says:\nfirst this")], 1000)

    assert [each.content for each in found.messages] == [
        "You are careful.",
        "Read all files.\n\nplanner says:\nfirst this",
    ]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 300)), max_size=30),
    st.integers(20, 600),
)
def test_whatever_the_run_the_budget_holds_and_no_result_is_without_its_call(
    steps: list[tuple[int, int]], budget: int
) -> None:
    messages = list(HEAD)
    for number, (kind, words) in enumerate(steps):
        messages += (
            [Message("assistant", "said " * words)] if kind == 0 else exchange(number, words)
        )

    try:
        found = compacted(messages, budget)
    except ContextOverflow:
        return

    assert asyncio.run(count(found.messages)) <= budget
    called = {call.id for each in found.messages for call in each.tool_calls}
    answered = {each.tool_call_id for each in found.messages if each.role == "tool"}
    assert answered <= called
