"""Scheduled tasks as values: what is done when, and what became of it.

Times are ISO 8601 in UTC, to the second, ending in Z.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

TriggerKind: TypeAlias = Literal["cron", "interval", "once"]
ActionKind: TypeAlias = Literal["agent", "ask", "ingest"]
TaskStatus: TypeAlias = Literal[
    "running", "done", "failed", "timeout", "denied", "cancelled", "interrupted", "skipped"
]
Missed: TypeAlias = Literal["run", "skip"]
Interrupted: TypeAlias = Literal["resume", "restart", "leave"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """When a task is due.

    `expression` is a cron expression of five fields, a number of seconds, or a time in UTC.
    `timezone`, an IANA name, is where a cron expression's clock hangs.
    """

    kind: TriggerKind
    expression: str
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What a task does: `text` is an agent's task, a prompt, or the absolute path to take in.

    `folder` is where an agent works; code may change it only when `code_may_write`.
    """

    kind: ActionKind
    text: str
    agent: str | None = None
    model: str | None = None
    collection: str | None = None
    folder: str = ""
    code_may_write: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """How a task is run.

    Args:
        missed: what becomes of occurrences that passed while no daemon ran: run once, for all of
            them, or skip. Up to a minute late, one is not missed.
        interrupted: what becomes of a run that was killed: an agent's goes on where it was
            (what cannot go on starts again), it starts again, or it is left.
        timeout_s: seconds one attempt may take; an agent's own limits hold as well.
        retries: further attempts after a failure, with growing pauses.
        notify: `desktop`, `file:PATH` or `command:WORDS`, each told of every outcome.
        notify_on: of which outcomes.
    """

    missed: Missed = "run"
    interrupted: Interrupted = "resume"
    timeout_s: float = 3600.0
    retries: int = 0
    notify: tuple[str, ...] = ()
    notify_on: Literal["failure", "always"] = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    name: str
    trigger: Trigger
    action: Action
    options: TaskOptions = TaskOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun:
    """One attempt. `due` is the occurrence it stands for, None when it was run by hand.

    `run_id` is the agents' run or the answer's, `session` the answer's conversation.
    """

    id: int
    task: str
    due: str | None
    status: TaskStatus
    attempt: int
    started: str
    finished: str | None
    run_id: str | None
    session: str | None
    result: str
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """A task as it is kept.

    `next_run` is None when it is paused or never due again; one that has passed is overdue, and run
    as soon as a daemon runs. `last_run` is the last attempt, what was skipped left aside.
    """

    id: int
    name: str
    trigger: Trigger
    action: Action
    options: TaskOptions
    enabled: bool
    created: str
    next_run: str | None
    last_run: TaskRun | None
