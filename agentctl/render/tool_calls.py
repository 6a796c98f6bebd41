"""Tool calls in a few lines: what was asked for, what came of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ToolCallRequested,
    ToolFinished,
)
from agentctl.core.jsontypes import JsonObject

# The tool whose approval is the user's answer.
ASK_USER = "ask_user"
FOLDED_LINES = 3
_LONGEST_VALUE = 60
_LONGEST_CALL = 200
_LONGEST_LINE = 160


@dataclass(slots=True, kw_only=True)
class CallRecord:
    """One call as far as it got; `approved` is None where nobody has decided.

    `args` are those that ran: the user may have edited them. `preview` is what the user was shown.
    """

    call_id: str
    tool: str
    args: JsonObject
    agent: str = ""
    preview: str = ""
    approved: bool | None = None
    by: str = ""
    result: str | None = None
    error: str | None = None
    took_ms: float | None = None
    files: tuple[str, ...] = ()
    is_asked: bool = False

    @property
    def is_waiting(self) -> bool:
        return self.is_asked and self.approved is None and self.took_ms is None


class CallLog:
    """The calls of a run by their ids, in order; one that was asked for twice is one call."""

    def __init__(self) -> None:
        self.calls: dict[str, CallRecord] = {}

    def add(
        self, event: ToolCallRequested | ApprovalRequired | ApprovalGiven | ToolFinished
    ) -> CallRecord:
        """The call that the event is about, up to date."""
        tool = "" if isinstance(event, ApprovalGiven) else event.tool
        args = {} if isinstance(event, ToolFinished) else event.args
        call = self.calls.setdefault(
            event.call_id, CallRecord(call_id=event.call_id, tool=tool, args=args)
        )
        match event:
            case ToolCallRequested(agent=agent):
                call.agent = agent or ""
            case ApprovalRequired(preview=preview):
                call.preview, call.is_asked = preview, True
            case ApprovalGiven(approved=approved, by=by):
                call.approved, call.by, call.args = approved, by, event.args
            case ToolFinished(error=error):
                call.result = event.result if error is None else None
                call.error, call.took_ms, call.files = error, event.took_ms, event.files
        return call


def call_line(tool: str, args: JsonObject) -> str:
    """`→ read_file path="notes.md"`, in one line however much it is."""
    values = (
        f"{name}={clipped(json.dumps(value, ensure_ascii=False), _LONGEST_VALUE)}"
        for name, value in args.items()
    )
    return clipped(" ".join([f"→ {tool}", *values]), _LONGEST_CALL)


def result_line(call: CallRecord) -> str:
    """`← 1,204 characters, 0.1 s`, or what went wrong."""
    took = f"{(call.took_ms or 0) / 1000:.1f} s"
    if call.error is not None:
        return clipped(f"← error, {took}: {call.error}", _LONGEST_CALL)
    return f"← {len(call.result or ''):,} characters, {took}"


def folded(text: str, limit: int = FOLDED_LINES) -> Iterator[str]:
    """The first lines of a text, and how many more there are."""
    lines = text.rstrip("\n").split("\n") if text.strip() else []
    yield from (clipped(line, _LONGEST_LINE) for line in lines[:limit])
    if len(lines) > limit:
        more = len(lines) - limit
        yield f"… {more:,} more {'line' if more == 1 else 'lines'}"


def clipped(text: str, limit: int) -> str:
    """At most `limit` characters, in one line."""
    line = text.replace("\n", " ")
    return line if len(line) <= limit else line[: limit - 1] + "…"
