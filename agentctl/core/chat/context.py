"""Fitting a conversation into a model's context window, in the open."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agentctl.core.backends.base import Message
from agentctl.core.errors import ContextOverflow
from agentctl.core.sources import Source

# Tokens kept free for the answer: at most this many, and at most this share of the window.
ANSWER_TOKENS = 1024
ANSWER_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class FittedContext:
    """What is sent, and what was left out: whole turns, the oldest first.

    `passages` are those of the knowledge base that stand in the last turn.
    """

    messages: tuple[Message, ...]
    prompt_tokens: int
    dropped_messages: int
    truncated_tokens: int
    passages: tuple[Source, ...] = ()


def prompt_budget(context_window: int, max_tokens: int | None) -> int:
    """Tokens a prompt may have so that the answer still fits."""
    reserve = max_tokens or min(ANSWER_TOKENS, int(context_window * ANSWER_SHARE))
    return max(context_window - reserve, 0)


async def fit_context(
    messages: tuple[Message, ...],
    budget: int,
    count_tokens: Callable[[tuple[Message, ...]], Awaitable[int]],
    widest: int,
) -> FittedContext:
    """Drops as few of the oldest turns as needed; system messages and the last turn stay.

    Counts O(log n) times for n turns. `widest` (tokens) is the most the model can see.

    Raises:
        ContextOverflow: the system messages and the last turn alone are over `budget` tokens.
    """
    total = await count_tokens(messages)
    if total <= budget:
        return FittedContext(messages, total, 0, 0)
    system = tuple(message for message in messages if message.role == "system")
    rest = tuple(message for message in messages if message.role != "system")
    starts = [index for index, message in enumerate(rest) if message.role == "user"] or [0]
    low, high = 0, len(starts) - 1
    smallest = await count_tokens(system + rest[starts[high] :])
    if smallest > budget:
        raise ContextOverflow(
            f"the prompt has {smallest:,} tokens, the context window has room for {budget:,}",
            _mend(smallest, widest),
        )
    tokens = smallest
    while low < high:
        middle = (low + high) // 2
        count = await count_tokens(system + rest[starts[middle] :])
        if count <= budget:
            high, tokens = middle, count
        else:
            low = middle + 1
    kept = rest[starts[high] :]
    return FittedContext(system + kept, tokens, len(rest) - len(kept), total - tokens)


def _mend(tokens: int, widest: int) -> str:
    # The next power of two that holds the prompt and an answer.
    window = 2 ** (tokens + ANSWER_TOKENS).bit_length()
    if tokens + ANSWER_TOKENS > widest:
        return "send less, or take a model with a larger window: agentctl models list"
    return f"send less, or widen the window: -o context_window {min(window, widest)}"
