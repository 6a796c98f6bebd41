"""The verbs on tasks, watched folders and the machine, of the Workspace in this process."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from agentctl.core.config import Settings
from agentctl.core.paths import Paths
from agentctl.core.storage import open_database

if TYPE_CHECKING:
    from agentctl.core.automation.journal import JournalEntry
    from agentctl.core.automation.measurements import (
        BackendState,
        DaemonUse,
        MinuteAverages,
        SystemStats,
    )
    from agentctl.core.automation.monitor import Monitor
    from agentctl.core.automation.task_store import TaskStore
    from agentctl.core.automation.tasks import TaskEntry, TaskRequest, TaskRun
    from agentctl.core.automation.watched_folders import WatchedFolders
    from agentctl.core.automation.watching import FolderStatus, WatchedFolder, WatchRequest

# Seconds between two looks whether something was stored.
_CHANGES_S = 0.5


class Daemon(Protocol):
    """What a workspace in a daemon can tell that any other has to look for."""

    async def backend_state(self) -> "BackendState": ...

    def daemon_use(self) -> "DaemonUse": ...

    def folder_states(self) -> "Mapping[str, FolderStatus]":
        """How each watched folder is followed, by its path."""
        ...


class AutomationVerbs:
    """Opens the database at the first verb that needs it."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        daemon: Daemon | None,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._environ = environ
        self._daemon = daemon
        self._connection: sqlite3.Connection | None = None

    @cached_property
    def _database(self) -> sqlite3.Connection:
        self._connection = open_database(self._paths.database)
        return self._connection

    @cached_property
    def _tasks(self) -> "TaskStore":
        from agentctl.core.automation.task_store import TaskStore

        return TaskStore(self._database)

    @cached_property
    def _watched(self) -> "WatchedFolders":
        from agentctl.core.automation.watched_folders import WatchedFolders

        return WatchedFolders(self._database)

    @cached_property
    def _monitor(self) -> "Monitor":
        from agentctl.core.automation.measurements import DaemonUse
        from agentctl.core.automation.monitor import Monitor, machine_probe
        from agentctl.core.automation.server_look import ServerLook

        daemon = self._daemon
        if daemon is not None:
            backend, use = daemon.backend_state, daemon.daemon_use
        else:
            backend = ServerLook(self._settings, self._paths, self._environ).state
            use = lambda: DaemonUse(status="stopped")  # noqa: E731 - one of two ways to ask
        probe = machine_probe(self._paths.data)
        settings = self._settings.monitor
        return Monitor(settings, self._database, probe, backend=backend, daemon=use)

    async def list_tasks(self) -> "list[TaskEntry]":
        return self._tasks.entries()

    async def show_task(self, reference: str) -> "TaskEntry":
        return self._tasks.find(reference)

    async def add_task(self, request: "TaskRequest") -> "TaskEntry":
        return self._tasks.add(request)

    async def preview_task(self, request: "TaskRequest", count: int = 5) -> list[str]:
        from agentctl.core.automation.schedule import check, next_times, to_text

        check(request.trigger)
        return [*map(to_text, islice(next_times(request.trigger, datetime.now(UTC)), count))]

    async def enable_task(self, reference: str, *, is_enabled: bool) -> "TaskEntry":
        return self._tasks.set_enabled(reference, is_enabled=is_enabled)

    async def remove_task(self, reference: str) -> "TaskEntry":
        return self._tasks.remove(reference)

    async def task_history(self, reference: str | None = None, limit: int = 50) -> "list[TaskRun]":
        return self._tasks.history(reference, limit)

    async def list_watched(self) -> "list[WatchedFolder]":
        watched = self._watched.entries()
        if self._daemon is None:
            return watched
        # One that was added this moment is about to be followed.
        states = self._daemon.folder_states()
        return [replace(each, status=states.get(each.path, "watching")) for each in watched]

    async def watch_folder(self, request: "WatchRequest") -> "WatchedFolder":
        return self._watched.add(request)

    async def unwatch_folder(self, path: str) -> "WatchedFolder":
        return self._watched.remove(path)

    async def measure(self) -> "SystemStats":
        return await self._monitor.measure()

    async def measurements(self, seconds: float) -> "list[MinuteAverages]":
        from agentctl.core.automation.measurement_store import MeasurementStore

        return MeasurementStore(self._database).since(seconds)

    async def journal(self, since: str) -> "list[JournalEntry]":
        from agentctl.core.automation.journal import Journal

        return Journal(self._database).since(since)

    async def changes(self) -> AsyncGenerator[int, None]:
        # Of its own writes a connection is told nothing: this one never writes.
        with closing(open_database(self._paths.database)) as connection:
            number, seen = 0, None
            while True:
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                if version != seen:
                    seen = version
                    yield number
                    number += 1
                await asyncio.sleep(_CHANGES_S)
