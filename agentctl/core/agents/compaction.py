"""Making a long run fit the model's window: older tool results are shortened, then left out.

Only what is sent is changed, the run's own log stays whole. What was done is the same for the same
messages, and the caller tells the user.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from agentctl.core.agents.run_context import outline, shorten
from agentctl.core.backends.base import Message
from agentctl.core.errors import ContextOverflow

# Characters that are left of an older tool result.
SHORTENED = 160
# The latest messages that are kept as they are, as long as it goes.
RECENT = 4
_LEAST_RESULT = 400

Count = Callable[[tuple[Message, ...]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Compacted:
    """What is sent, and in words what was done; `note` is empty when nothing was."""

    messages: tuple[Message, ...]
    tokens: int
    truncated_tokens: int = 0
    note: str = ""


async def compact(messages: tuple[Message, ...], budget: int, count: Count) -> Compacted:
    """Messages of at most `budget` tokens; counts O(log n) times.

    The system prompt, the task (the first user message) and the latest messages stay.

    Raises:
        ContextOverflow: these alone are too long.
    """
    messages = _merged(messages)
    total = await count(messages)
    if total <= budget:
        return Compacted(messages, total)
    for attempt in (_with_short_results, _without_older, _with_clipped_results):
        steps = attempt(messages)
        found = await _first_fitting(steps, budget, count)
        if found is not None:
            changed, tokens = found
            note = _note(messages, changed)
            return Compacted(changed, tokens, max(total - tokens, 1), note)
    raise ContextOverflow(
        f"the run's task and its latest messages have {total:,} tokens, the context window has"
        f" room for {budget:,}",
        "give a shorter task, or a model with a larger window: agentctl models list",
    )


Steps = Callable[[int], tuple[Message, ...]]


async def _first_fitting(
    steps: tuple[int, Steps], budget: int, count: Count
) -> tuple[tuple[Message, ...], int] | None:
    """The mildest of a series of ever shorter versions that fits; None when none does."""
    most, version = steps
    if most == 0 or (tokens := await count(version(most))) > budget:
        return None
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        fewer = await count(version(middle))
        if fewer <= budget:
            high, tokens = middle, fewer
        else:
            low = middle + 1
    return version(high), tokens


def _merged(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Neighbours of one role as one message: many a chat template insists on turns."""
    merged: list[Message] = []
    for each in messages:
        last = merged[-1] if merged else None
        if (
            last is not None
            and last.role == each.role
            and each.role != "tool"
            and not (last.tool_calls or each.tool_calls)
        ):
            text = "\n\n".join(filter(None, (last.content, each.content)))
            merged[-1] = replace(last, content=text, images=last.images + each.images)
        else:
            merged.append(each)
    return tuple(merged)


def _with_short_results(messages: tuple[Message, ...]) -> tuple[int, Steps]:
    """Version n has the n oldest tool results shortened."""
    older = messages[: max(len(messages) - RECENT, 0)]
    places = [
        n for n, each in enumerate(older) if each.role == "tool" and len(each.content) > SHORTENED
    ]

    def version(number: int) -> tuple[Message, ...]:
        chosen = set(places[:number])
        return tuple(
            replace(each, content=f"[shortened] {shorten(each.content, SHORTENED)}")
            if n in chosen
            else each
            for n, each in enumerate(messages)
        )

    return len(places), version


def _without_older(messages: tuple[Message, ...]) -> tuple[int, Steps]:
    """Version n leaves the n oldest exchanges after the task out, and says so in their place."""
    shortened = _with_short_results(messages)
    short = shortened[1](shortened[0]) if shortened[0] else messages
    head = _length_of_head(short)
    starts = [n for n in range(head, len(short)) if short[n].role != "tool"]
    # What is last is what the model has to answer.
    ends = starts[1:]

    def version(number: int) -> tuple[Message, ...]:
        end = ends[number - 1]
        return (*short[:head], _summary(short[head:end]), *short[end:])

    return len(ends), version


def _with_clipped_results(messages: tuple[Message, ...]) -> tuple[int, Steps]:
    """All but the task and the latest exchange left out, and that exchange's results cut."""
    most, without = _without_older(messages)
    least = without(most) if most else messages
    longest = max((len(each.content) for each in least if each.role == "tool"), default=0)
    most_halvings = max((longest // _LEAST_RESULT).bit_length(), 0)

    def version(number: int) -> tuple[Message, ...]:
        room = longest >> number
        return tuple(
            replace(each, content=f"{each.content[:room]}\n[the rest was cut: it does not fit]")
            if each.role == "tool" and len(each.content) > room
            else each
            for each in least
        )

    return most_halvings, version


def _length_of_head(messages: Sequence[Message]) -> int:
    """System messages and the first of the user's."""
    first = next((n for n, each in enumerate(messages) if each.role == "user"), -1)
    return first + 1


def _summary(left_out: Sequence[Message]) -> Message:
    calls = [call.name for each in left_out for call in each.tool_calls]
    said = [shorten(each.content) for each in left_out if each.role == "assistant" and each.content]
    lines = [f"[{len(left_out)} earlier messages are left out here.]"]
    if calls:
        lines.append(f"Tools called meanwhile: {outline(calls)}.")
    lines += [f"You said: {text}" for text in said[-3:]]
    return Message("user", "\n".join(lines))


def _note(before: Sequence[Message], after: Sequence[Message]) -> str:
    gone = len(before) - len(after)
    if gone > 0:
        return f"{gone + 1} earlier messages were left out to fit the context window"
    return "older tool results were shortened to fit the context window"
