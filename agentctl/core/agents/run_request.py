"""What a user asks of agents: a run, its going on, an answer to a call that waits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agentctl.core.jsontypes import JsonObject

Approve: TypeAlias = Literal["none", "ask", "all"]
Scope: TypeAlias = Literal["once", "run", "always"]

ROUTER = "auto"
"""In place of an agent's name: the one that fits the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitChanges:
    """Limits of one run, where they differ from the agent's file."""

    rounds: int | None = None
    tool_calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRequest:
    """A task for an agent.

    `folder` is where it works; code may change it only when `code_may_write`. `approve` says what
    becomes of calls that need the user: "ask" waits, here when `is_attended`, else until somebody
    answers; "none" denies, "all" allows.
    """

    agent: str
    task: str
    folder: Path
    code_may_write: bool = False
    model: str | None = None
    approve: Approve = "ask"
    is_attended: bool = False
    limits: LimitChanges = LimitChanges()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRequest:
    """A run that goes on: where it was, or with another `task` after it has ended."""

    run: str
    task: str | None = None
    approve: Approve | None = None
    is_attended: bool = False
    limits: LimitChanges = LimitChanges()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """The user's answer to a call: `args` in place of the model's, `scope` for an allowed one.

    Without `call_id` it is for the only call of the run that waits.
    """

    run: str
    allow: bool
    call_id: str | None = None
    scope: Scope = "once"
    args: JsonObject | None = None
    reason: str = ""
