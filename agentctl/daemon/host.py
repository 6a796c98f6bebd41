"""One daemon: the scheduler, the watcher, the monitor and the recovery, behind one `Hub`."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from agentctl import __version__
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import BackendState, DaemonUse
from agentctl.core.automation.notifications import notify
from agentctl.core.automation.periodic_jobs import JobState
from agentctl.core.automation.recorder import Recorder
from agentctl.core.automation.scheduler import Scheduler
from agentctl.core.automation.supervisor import ModelSupervisor
from agentctl.core.automation.task_runner import TaskRunner
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.watched_folders import WatchedFolders
from agentctl.core.automation.watcher import Watcher
from agentctl.core.automation.watching import FolderStatus
from agentctl.core.backends.kept_models import KeptModels
from agentctl.core.config import Config
from agentctl.core.errors import AgentctlError, BackendFailed
from agentctl.core.events import ErrorRaised
from agentctl.core.jsontypes import JsonObject
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.paths import Paths
from agentctl.core.storage import is_damaged, open_database, set_aside
from agentctl.daemon.calls import Calls
from agentctl.daemon.feed import Feed
from agentctl.daemon.hub import DaemonState
from agentctl.daemon.listening import Listening
from agentctl.daemon.verbs import CurrentVerbs

# An answer that failed so may mean that the model server needs help.
_SERVER_FAULTS = {"backend-unreachable", "backend-timeout", "answer-interrupted", "backend-failed"}

_MONTH_S = 31 * 86_400.0
# Of glibc's malloc.h.
_ARENA_MAX, _MMAP_THRESHOLD = -8, -3

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lease:
    workspace: LocalWorkspace
    users: int = 0


class Host:
    """Everything of a daemon but its sockets. Made where an event loop runs.

    A damaged database is set aside and begun anew: a daemon that does not start helps nobody.
    """

    def __init__(
        self,
        config: Config,
        paths: Paths,
        environ: Mapping[str, str],
        listening: Listening,
        url: str,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        keep_memory_low()
        self.config = config
        self.paths = paths
        self.now = now
        self.feed = Feed()
        self.calls = Calls()
        self.stopping = asyncio.Event()
        self._environ = environ
        self._started = now()
        self._listening = listening
        self._url = url
        self._background: set[asyncio.Task[None]] = set()
        aside = _set_damaged_aside(paths, now)
        self.connection = open_database(paths.database)
        self.journal = Journal(self.connection, now)
        if aside:
            self.journal.write("error", "daemon", aside)
        self.problems: list[str] = [aside] if aside else []
        self._kept = KeptModels()
        self.tasks = TaskStore(self.connection, now)
        measurements = MeasurementStore(self.connection, now)
        self.recorder = Recorder(config.settings.monitor, measurements, self.journal)
        self.supervisor = ModelSupervisor(
            config.settings, paths, environ, self.journal, notify=self.notify
        )
        self._lease = self._new_lease()
        self._make_services()

    def _new_lease(self) -> _Lease:
        settings = self.config.settings
        return _Lease(
            LocalWorkspace(settings, self.paths, self._environ, daemon=self, kept=self._kept)
        )

    def _make_services(self) -> None:
        verbs = CurrentVerbs(self)
        runner = TaskRunner(self.tasks, verbs, self.journal, self.paths.task_locks)
        self.scheduler = Scheduler(self.tasks, runner, self.journal, hold=self._hold, now=self.now)
        paths = self.paths
        self.watcher = Watcher(
            WatchedFolders(self.connection, self.now).entries,
            verbs.ingest,
            self.journal,
            self._hold,
            own=(paths.data, paths.cache, paths.state, paths.config),
            now=self.now,
        )

    # A `Hub`

    @asynccontextmanager
    async def workspace(self) -> AsyncIterator[LocalWorkspace]:
        lease = self._lease
        lease.users += 1
        try:
            yield lease.workspace
        finally:
            lease.users -= 1
            if lease is not self._lease and not lease.users:
                await lease.workspace.close()

    def state(self) -> DaemonState:
        backend = self.supervisor.state
        problems = list(self.problems)
        if backend.status == "degraded":
            problems.append(f"{backend.detail}; {backend.fix}")
        problems += [f"{job.name} fails: {job.last_error}" for job in self._failing()]
        return DaemonState(
            status="degraded" if problems else "healthy",
            version=__version__,
            pid=os.getpid(),
            url=self._url,
            socket=self._listening.path,
            started=moment_text(self._started, "seconds"),
            uptime_s=(self.now() - self._started).total_seconds(),
            backend=backend,
            running=tuple(run.task for run in self.tasks.unfinished()),
            watched=len(self.watcher.states()),
            jobs=tuple(self.scheduler.jobs()),
            problems=tuple(problems),
        )

    def heard(self, item: object) -> None:
        if isinstance(item, ErrorRaised) and item.code in _SERVER_FAULTS:
            self.supervisor.report_failure(BackendFailed(item.message))
            self.in_background(self._check_server())

    def shut_down(self) -> None:
        self.stopping.set()

    def updates(self) -> AsyncGenerator[JsonObject, None]:
        return self.feed.listen()

    # What the workspace in a daemon knows more than one without

    async def backend_state(self) -> BackendState:
        return self.supervisor.state

    def daemon_use(self) -> DaemonUse:
        return DaemonUse(status="running", uptime_s=(self.now() - self._started).total_seconds())

    def folder_states(self) -> Mapping[str, FolderStatus]:
        return self.watcher.states()

    # Its life

    def start(self) -> None:
        self._tell_of_the_last_one()
        self.journal.write("info", "daemon", "the daemon was started", {"event": "started"})
        self.scheduler.start()
        self.watcher.start()

    async def stop(self, patience_s: float) -> None:
        """Finishes or stores what runs, within about so many seconds; nothing new is begun."""
        self.feed.close()
        await asyncio.gather(
            self.calls.drain(patience_s), self.watcher.stop(), self.scheduler.stop(patience_s)
        )
        for task in self._background:
            task.cancel()
        await self.supervisor.stop()
        self.recorder.flush()
        await self._lease.workspace.close()
        await self._kept.close()
        self.journal.write("info", "daemon", "the daemon was stopped", {"event": "stopped"})
        self.connection.close()

    async def measure(self) -> None:
        """One measurement, for the record and for dashboards."""
        async with self.workspace() as workspace:
            stats = await workspace.measure()
        self.recorder.add(stats)
        self.feed.tell({"type": "stats", "data": msgspec.to_builtins(stats)})

    async def use_settings(self, config: Config) -> None:
        """Goes on with these; what runs is finished with the old ones."""
        before = self._lease
        self.config = config
        self._lease = self._new_lease()
        if not before.users:
            await before.workspace.close()
        self.recorder.use(config.settings.monitor)
        await self.supervisor.use(config.settings)
        self.journal.write("info", "settings", "the settings were changed, and are in force")

    async def notify(self, title: str, text: str) -> None:
        """Tells the user what needs them, in the way they chose."""
        self.feed.tell({"type": "notice", "title": title, "text": text})
        target = self.config.settings.daemon.notify
        if target:
            await notify(target, title, text, {})

    def in_background(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def _hold(self) -> str | None:
        """The recorder is another one after the settings were changed."""
        return self.recorder.hold()

    def _tell_of_the_last_one(self) -> None:
        """A daemon whose last word is not that it was stopped was killed, or the machine was."""
        last = self.journal.last_event()
        if last is None or last.detail["event"] == "stopped":
            return
        minutes = MeasurementStore(self.connection, self.now).since(_MONTH_S)
        alive = [last.time]
        alive += [datetime.fromtimestamp(minutes[-1].minute, UTC).isoformat()] if minutes else []
        self.journal.write(
            "warning",
            "daemon",
            f"the daemon had ended without being stopped, last seen at {_minute(max(alive))}",
            {"event": "crashed"},
        )

    async def _check_server(self) -> None:
        try:
            await self.supervisor.check()
        except AgentctlError as error:
            logger.warning("the model server could not be looked at: %s", error)

    def _failing(self) -> list[JobState]:
        return [job for job in self.scheduler.jobs() if job.last_error is not None]


def keep_memory_low() -> None:
    """Lets the C library give back what is freed, where it would hold on to it.

    glibc makes up to eight heaps for each core, and what short threads free in each stays there;
    and once it has freed a large block it takes blocks of that size, such as an engine's, from a
    heap too.
    """
    if sys.platform == "linux":
        import ctypes

        # Another C library has no such options, and need not have them.
        with suppress(OSError, AttributeError):
            mallopt = ctypes.CDLL(None).mallopt
            mallopt(_ARENA_MAX, 2)
            mallopt(_MMAP_THRESHOLD, 2**17)


def _minute(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"


def _set_damaged_aside(paths: Paths, now: Callable[[], datetime]) -> str:
    """What to tell the user when that had to be done; empty when all is well."""
    if not is_damaged(paths.database):
        return ""
    aside = set_aside(paths.database, now().strftime("%Y%m%d-%H%M%S"))
    return f"the database was damaged: it is kept as {aside}, and a new one was begun"
