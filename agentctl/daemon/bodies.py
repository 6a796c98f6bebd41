"""What the documented routes take: each body as a model, from which OpenAPI is made."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from agentctl.core.automation.tasks import Action, TaskOptions, Trigger

Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=1_000_000)]
Reference = Annotated[str, Field(min_length=1, max_length=4000)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Question(Body):
    """A question, or a task when an `agent` is named; with `stream`, events as they happen."""

    prompt: Text
    agent: Name | None = None
    model: Name | None = None
    session: Name | None = None
    system: Text | None = None
    knowledge: Literal["auto", "always", "off"] | None = None
    collection: Name | None = None
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    stream: bool = False


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


class TaskChange(Body):
    enabled: bool
