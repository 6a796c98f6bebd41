"""What the documented routes take: each body as a model, from which OpenAPI is made."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, field_validator

from agentctl.core.automation import schedule
from agentctl.core.automation.tasks import Action, TaskOptions, TaskRequest, Trigger
from agentctl.core.errors import UsageProblem

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]
Reference = Annotated[str, Field(min_length=1, max_length=4000)]


def _in_utc(moment: datetime) -> datetime:
    """Where no offset is given it is UTC already."""
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Moment = Annotated[datetime, AfterValidator(_in_utc)]

_LONGEST_S = 31 * 86_400
_MOST_RETRIES = 100


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(Body):
    """A question, or a task when an `agent` is named; with `stream`, events as they happen.

    An agent takes `prompt`, `model`, `timeout_s` and `stream`, and nothing else.
    """

    prompt: Text
    agent: Name | None = None
    model: Name | None = None
    session: Name | None = None
    system: Text | None = None
    knowledge: Literal["auto", "always", "off"] | None = None
    collection: Name | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    stream: bool = False

    def task(self) -> "RunTask":
        """As the agent's task. Raises UsageProblem for what an agent has no use for."""
        for name in ("session", "system", "knowledge", "collection"):
            if getattr(self, name) is not None:
                raise UsageProblem(f"an agent takes no {name}", "leave it out, or the agent")
        return RunTask(task=self.prompt, model=self.model, timeout_s=self.timeout_s)


class RunTask(Body):
    """A task for an agent. Calls that need approval wait for `/runs/{id}/approve`."""

    task: Text
    model: Name | None = None
    folder: Reference | None = None
    approve: Literal["none", "ask"] = "ask"
    max_rounds: Annotated[int, Field(ge=1, le=1000)] | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    stream: bool = False


class Answer(Body):
    """An answer to a call that waits: the only one, or the one named."""

    call_id: Name | None = None
    scope: Literal["once", "run", "always"] = "once"
    args: dict[str, JsonValue] | None = None
    reason: Annotated[str, Field(max_length=4000)] = ""


class NewDocuments(Body):
    """Files and folders of this machine by their absolute paths, pages, or a `text` of its own."""

    paths: Annotated[list[Reference], Field(max_length=1000)] = []
    text: Annotated[str, Field(max_length=50_000_000)] | None = None
    title: Name | None = None
    collection: Name = "default"


class NewTask(Body):
    """When (`trigger`) to do what (`action`)."""

    name: Name
    trigger: Trigger
    action: Action
    options: TaskOptions = TaskOptions()

    @field_validator("options")
    @classmethod
    def check(cls, options: TaskOptions) -> TaskOptions:
        if not 0 < options.timeout_s <= _LONGEST_S or not 0 <= options.retries <= _MOST_RETRIES:
            raise ValueError(f"timeout_s is up to {_LONGEST_S}, retries up to {_MOST_RETRIES}")
        return options

    def request(self, now: datetime) -> TaskRequest:
        """The task as the scheduler takes it. Raises UsageProblem for what makes no sense."""
        return TaskRequest(
            name=self.name,
            trigger=_trigger(self.trigger, now),
            action=_action(self.action),
            options=self.options,
        )


def _trigger(told: Trigger, now: datetime) -> Trigger:
    if told.kind == "cron":
        return schedule.cron(told.expression, told.timezone)
    if told.kind == "once":
        return schedule.once(told.expression, now, told.timezone)
    is_bare = told.expression.isdecimal()
    return schedule.interval(f"{told.expression}s" if is_bare else told.expression)


def _action(told: Action) -> Action:
    if told.kind == "agent":
        return replace(told, folder=str(folder_of(told.folder or None)))
    if told.kind == "ingest" and not is_place(told.text):
        raise UsageProblem("what is to be taken in has no absolute path", "send one, or a URL")
    return told


def folder_of(name: str | None) -> Path:
    """Where an agent works: the user's own folder unless one is named. Raises UsageProblem."""
    folder = Path(name) if name is not None else Path.home()
    # A path that is too long, or holds what no path can, is an error of its own.
    with suppress(OSError, ValueError):
        if folder.is_absolute() and folder.is_dir():
            return folder
    raise UsageProblem(f"{folder!s:.200} is no absolute path of a folder", "name one that is there")


def is_place(path: str) -> bool:
    """Whether it says where something is, whatever the daemon's own folder."""
    return path.startswith(("http://", "https://")) or (
        "\0" not in path and Path(path).is_absolute()
    )


class TaskChange(Body):
    enabled: bool
