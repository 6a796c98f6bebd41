"""What happens while a run is on: one frozen, typed event stream.

Every run starts with `RunStarted` and ends with exactly one `RunFinished`, also when it
fails, times out or is cancelled. The JSON form is one object a line; its `type` names the
variant, `time` is ISO 8601 in UTC.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from agentctl.core.jsontypes import JsonObject
from agentctl.core.sources import Source

RunStatus: TypeAlias = Literal["done", "failed", "timeout", "denied", "cancelled", "max_rounds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    type: str
    run_id: str
    time: str


# Emitted by every run.


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(_Event):
    """`reason` says why this model was taken when the user named none."""

    type: Literal["run_started"] = "run_started"
    model: str
    backend: str
    session: str | None = None
    agent: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WarningRaised(_Event):
    type: Literal["warning"] = "warning"
    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRaised(_Event):
    type: Literal["error"] = "error"
    code: str
    message: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(_Event):
    """`answer` is the whole answer, or what had arrived when the run ended."""

    type: Literal["run_finished"] = "run_finished"
    status: RunStatus
    answer: str


# Emitted while a model speaks.


@dataclass(frozen=True, slots=True, kw_only=True)
class TextArrived(_Event):
    """`agent` is who speaks in a run of agents."""

    type: Literal["text"] = "text"
    text: str
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingArrived(_Event):
    type: Literal["thinking"] = "thinking"
    text: str
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageMeasured(_Event):
    """Tokens and milliseconds of one answer; `device` says where the model ran."""

    type: Literal["usage"] = "usage"
    prompt_tokens: int
    completion_tokens: int
    ttft_ms: float
    total_ms: float
    tokens_per_s: float
    context_window: int
    truncated_tokens: int
    device: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFinished(_Event):
    type: Literal["message"] = "message"
    agent: str
    role: str
    content: str


# Emitted by the knowledge base.


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcesFound(_Event):
    type: Literal["sources"] = "sources"
    sources: tuple[Source, ...]


# Emitted by the gate and the tools behind it.


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallRequested(_Event):
    """`call_id` is one of a kind in its run; `agent` is who asked."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    tool: str
    args: JsonObject
    agent: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequired(_Event):
    """`preview` is what the user must see before answering: a diff, a command, code."""

    type: Literal["approval_required"] = "approval_required"
    call_id: str
    tool: str
    args: JsonObject
    preview: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(_Event):
    """What was decided, by whom (the user, or a rule and where it stands), and what will run."""

    type: Literal["approval"] = "approval"
    call_id: str
    approved: bool
    by: str
    args: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFinished(_Event):
    """What the model is told: `result`, or the `error`; `files` were written meanwhile."""

    type: Literal["tool_result"] = "tool_result"
    call_id: str
    tool: str
    result: str
    error: str | None
    took_ms: float
    files: tuple[str, ...] = ()


Event: TypeAlias = (
    RunStarted
    | TextArrived
    | ThinkingArrived
    | MessageFinished
    | ToolCallRequested
    | ApprovalRequired
    | ApprovalGiven
    | ToolFinished
    | SourcesFound
    | UsageMeasured
    | WarningRaised
    | ErrorRaised
    | RunFinished
)

EVENT_TYPES: dict[str, type[Event]] = {
    get_args(variant.__annotations__["type"])[0]: variant for variant in get_args(Event)
}


def encode_event(event: Event) -> str:
    """The event as one line of JSON, without the newline."""
    import msgspec

    return msgspec.json.encode(event).decode()


def decode_event(line: str | bytes) -> Event:
    """The inverse of `encode_event`.

    Raises:
        ValueError: `line` is no JSON object, or no event of this stream.
    """
    import msgspec

    return read_event(msgspec.json.decode(line))


def read_event(data: object) -> Event:
    """An event from its decoded JSON. Raises ValueError."""
    import msgspec

    kind = data.get("type") if isinstance(data, dict) else None
    variant = EVENT_TYPES.get(kind) if isinstance(kind, str) else None
    if variant is None:
        raise ValueError(f"not an event: {data!r}")
    return msgspec.convert(data, variant)
