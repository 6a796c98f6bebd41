"""Fitting a conversation into the window."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import Message
from agentctl.core.chat.context import FittedContext, fit_context, prompt_budget
from agentctl.core.errors import ContextOverflow


async def count_words(messages: tuple[Message, ...]) -> int:
    return sum(len(message.content.split()) + 1 for message in messages)


def fit(messages: tuple[Message, ...], budget: int) -> FittedContext:
    return asyncio.run(fit_context(messages, budget, count_words, 32768))


def turns(*words: int, system: int = 0) -> tuple[Message, ...]:
    """A conversation of user and assistant in turn, each with so many words."""
    spoken = [
        Message("assistant" if number % 2 else "user", "word " * count)
        for number, count in enumerate(words)
    ]
    return (*([Message("system", "rule " * system)] if system else []), *spoken)


def test_what_fits_is_left_alone() -> None:
    messages = turns(3, 4, 5)

    assert fit(messages, 15) == FittedContext(messages, 15, 0, 0)


def test_the_oldest_turns_go_first_and_the_loss_is_counted() -> None:
    messages = turns(10, 10, 3, 3, 2, system=1)

    fitted = fit(messages, 15)

    assert fitted.messages == (messages[0], *messages[3:])
    assert (fitted.dropped_messages, fitted.truncated_tokens) == (2, 22)


def test_a_last_message_that_cannot_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextOverflow, match=r"101 tokens.*room for 50") as caught:
        fit(turns(5, 5, 100), 50)

    assert "context_window" in caught.value.hint


def test_no_window_is_offered_that_the_model_does_not_have() -> None:
    with pytest.raises(ContextOverflow) as caught:
        asyncio.run(fit_context(turns(5000), 1000, count_words, 4096))

    assert "larger window" in caught.value.hint


def test_the_answer_keeps_its_room() -> None:
    assert prompt_budget(8192, None) == 8192 - 1024
    assert prompt_budget(1000, None) == 750
    assert prompt_budget(8192, 4000) == 4192
    assert prompt_budget(1000, 4000) == 0


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(lambda counts: len(counts) % 2),
    st.integers(0, 10),
    st.integers(0, 200),
)
def test_whatever_fits_is_a_system_prompt_and_a_whole_end_of_the_talk(
    counts: list[int], system: int, budget: int
) -> None:
    messages = turns(*counts, system=system)
    spoken = tuple(message for message in messages if message.role != "system")
    try:
        fitted = fit(messages, budget)
    except ContextOverflow:
        assert asyncio.run(count_words((*messages[: bool(system)], messages[-1]))) > budget
        return
    kept = tuple(message for message in fitted.messages if message.role != "system")
    assert fitted.prompt_tokens == asyncio.run(count_words(fitted.messages)) <= budget
    assert kept == spoken[len(spoken) - len(kept) :]
    assert kept[0].role == "user"
    assert kept[-1] == messages[-1]
    assert fitted.dropped_messages == len(messages) - len(fitted.messages)
    if fitted.dropped_messages:
        # Nothing was dropped that would have fitted.
        one_more = len(kept) + 2
        with_more = (*messages[: bool(system)], *spoken[len(spoken) - one_more :])
        assert asyncio.run(count_words(with_more)) > budget
