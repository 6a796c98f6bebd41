"""What an agent is: it works on a task with a model and tools, whatever framework drives it.

All that can be seen of a run (words, calls, results, usage) is told by the two doors that an agent
is given, the `RecordedModel` and the `Gate`; so an agent only has to loop, and to answer.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agentctl.core.backends.base import ChatModel, ModelOptions, ToolCall, ToolSpec
from agentctl.core.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the gate answers: text for the model, an error or not; `data` is for the caller.

    `is_repeated`: it was not run, since the model asks for the same again and again.
    """

    text: str
    is_error: bool = False
    is_repeated: bool = False
    data: JsonObject | None = None


CallTool: TypeAlias = Callable[[ToolCall], Awaitable[ToolResult]]
"""The gate, as one speaker sees it. Does not return when the run ends there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One speaker: what it is told, the model it speaks with, the tools it may call.

    `new_call_id` names calls that come from no answer of a model, the same each time the run is
    played.
    """

    name: str
    description: str
    instructions: str
    model: ChatModel
    tools: Sequence[ToolSpec]
    call: CallTool
    options: ModelOptions
    new_call_id: Callable[[], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamRules:
    """How a team works together.

    It ends when `ends_by` (any speaker when empty) says `agreement`, or after `max_messages`; the
    answer is what `answers` (the last speaker but `ends_by` when empty) said last.
    """

    order: Literal["round_robin", "selector"] = "round_robin"
    agreement: str = "APPROVED"
    ends_by: str = ""
    answers: str = ""
    max_messages: int = 12


class Agent(Protocol):
    """An agent at work. Holds its conversation from task to task."""

    async def run(self, task: str) -> str:
        """Works on one task; the answer. What the model door raises may come out as anything."""
        ...

    def stop(self) -> None:
        """Called when the run has been stopped, before `run` is cancelled; must not block."""
        ...

    async def close(self) -> None:
        """Frees what it holds."""
        ...
