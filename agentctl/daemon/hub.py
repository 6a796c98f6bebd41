"""What the HTTP server needs of the daemon around it."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agentctl.core.automation.measurements import BackendState
from agentctl.core.automation.periodic_jobs import JobState
from agentctl.core.jsontypes import JsonObject
from agentctl.core.workspace import Workspace

Status: TypeAlias = Literal["healthy", "degraded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonState:
    """What `daemon status` and `/health` tell. `problems` say what is wrong and what to do."""

    status: Status
    version: str
    pid: int
    url: str
    socket: str
    started: str
    uptime_s: float
    backend: BackendState
    running: tuple[str, ...]
    watched: int
    jobs: tuple[JobState, ...]
    problems: tuple[str, ...]


class Hub(Protocol):
    """The daemon, as far as the server knows it."""

    def workspace(self) -> AbstractAsyncContextManager[Workspace]:
        """The one of the settings in force; it stays open for as long as somebody uses it."""
        ...

    def state(self) -> DaemonState: ...

    def heard(self, item: object) -> None:
        """Something that a verb said: a model server's failure is looked into at once."""
        ...

    def shut_down(self) -> None: ...

    def updates(self) -> AsyncGenerator[JsonObject, None]:
        """What a dashboard wants to hear of, as it happens."""
        ...
