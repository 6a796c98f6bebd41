"""What starts tasks when they are due, in the daemon.

The tables say what is due; APScheduler only wakes us. Each enabled task has one job in its memory,
for its next occurrence, and whatever woke us, the tables and the clock are looked at anew. So a
clock that jumps, a suspended machine or a wrong wake-up neither lose an occurrence nor run it
twice, and what passed while nothing ran is simply overdue.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.periodic_jobs import JobState, PeriodicJobs, Work
from agentctl.core.automation.schedule import next_times, to_text
from agentctl.core.automation.task_runner import TaskRunner
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.tasks import TaskEntry, TaskRun, Trigger
from agentctl.core.errors import NotFound
from agentctl.core.events import Event
from agentctl.core.moments import utc_now

if TYPE_CHECKING:
    # APScheduler 3 ships no types.
    from apscheduler.schedulers.asyncio import AsyncIOScheduler  # type: ignore[import-untyped]

# How late an occurrence may begin and still be no missed one.
_GRACE = timedelta(minutes=1)
# Timers stand still while the machine sleeps: the clock is looked at this often, in seconds.
_LOOK_S = 30.0
# Seconds that tasks which are cut short at a stop have to store their ends.
_CUT_S = 5.0
# Heavy tasks look this often whether there is room, in seconds, and at most so many times.
_ROOM_LOOK_S, _ROOM_LOOKS = 30.0, 120
# A clock that went back further is one that was wrong before.
_CLOCK_ERROR = timedelta(hours=1)
_HEAVY = "ingest"

logger = logging.getLogger(__name__)


class Scheduler:
    """Runs tasks when they are due, and the daemon's own periodic jobs.

    `hold` says why heavy tasks have to wait now, or None.
    """

    def __init__(
        self,
        store: TaskStore,
        runner: TaskRunner,
        journal: Journal,
        *,
        hold: Callable[[], str | None] = lambda: None,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._store = store
        self._runner = runner
        self._journal = journal
        self._hold = hold
        self._now = now
        self._sleep = sleep
        self._periodic = PeriodicJobs(journal, now)
        self._alarms: AsyncIOScheduler | None = None
        self._looking: asyncio.Task[None] | None = None
        self._active: dict[int, asyncio.Task[None]] = {}
        # Tasks that could not even be tried are left alone until then.
        self._not_before: dict[int, datetime] = {}
        self._is_stopping = False

    def start(self) -> None:
        """Recovers what was killed; from then on everything runs when it is due."""
        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        self._alarms = AsyncIOScheduler(
            timezone=UTC,
            event_loop=asyncio.get_running_loop(),
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._alarms.start()
        self._looking = asyncio.create_task(self._look_at_the_clock())
        self.recover()
        self.sync()

    async def stop(self, patience_s: float) -> None:
        """What runs has so many seconds to end, then it is cut short, and may go on later.

        What does not even end then is left to the next start, as after a kill.
        """
        self._is_stopping = True
        if self._looking is not None:
            self._looking.cancel()
        if self._alarms is not None:
            self._alarms.shutdown(wait=False)
        running = {*self._active.values(), *self._periodic.running()}
        if running:
            _, late = await asyncio.wait(running, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=_CUT_S)

    def sync(self) -> None:
        """Sets the alarms by the tables, as they are now; changes nothing where they agree."""
        if self._alarms is None or self._is_stopping:
            return
        wanted: dict[str, tuple[datetime, Callable[[str], Awaitable[None]]]] = {}
        for entry in self._store.entries():
            when = self._alarm(entry)
            if when is not None:
                wanted[f"task {entry.id}"] = (when, self._task_alarm)
        for name, when in self._periodic.due().items():
            wanted[f"job {name}"] = (when, self._job_alarm)
        for job in self._alarms.get_jobs():
            if wanted.get(job.id, (None,))[0] == job.next_run_time:
                del wanted[job.id]
            elif job.id not in wanted:
                job.remove()
        for name, (when, alarm) in wanted.items():
            self._alarms.add_job(
                alarm, "date", run_date=when, args=(name,), id=name, replace_existing=True
            )
        # It measures its waiting with a timer of its own, which a sleeping machine stops.
        self._alarms.wakeup()

    async def run_due(self, task: int | None = None) -> None:
        """Runs what is due of one task, or of all, and waits for it."""
        due = [entry.id for entry in self._store.entries() if task in (None, entry.id)]
        for each in due:
            self._launch(each)
        await asyncio.gather(*(self._active[each] for each in due if each in self._active))

    def recover(self) -> None:
        """Lets go on, in the background, what a kill or a stop has cut short.

        So it does with what ended unseen: its end could not be stored, say on a full disk.
        """
        for entry, cut in self._runner.recover():
            self._launch(entry.id, cut)

    def look(self) -> None:
        """What is done every half minute, whatever woke us or did not."""
        try:
            self.recover()
        except Exception:
            # An outer edge: what is missing now, such as room or a file handle, may be there later.
            logger.exception("what was cut short could not be looked for")
        self._set_alarms()

    def every(self, name: str, seconds: float, work: Work) -> None:
        """A job of the daemon's own, for the first time after so many seconds."""
        self._periodic.every(name, seconds, work)
        self.sync()

    def daily(self, name: str, hour: int, work: Work) -> None:
        """A job of the daemon's own, at that hour of this machine's clock."""
        self._periodic.daily(name, hour, work)
        self.sync()

    def jobs(self) -> list[JobState]:
        """The daemon's own."""
        return self._periodic.states()

    def _alarm(self, entry: TaskEntry) -> datetime | None:
        """When to look at this task next; one that runs is looked at when it ends."""
        if entry.next_run is None or entry.id in self._active:
            return None
        now = self._now()
        if self._store.handled(entry.id) > now + _CLOCK_ERROR:
            self._store.set_handled(entry.id, now)
            entry = self._store.find(str(entry.id))
            message = f"the clock went back: {entry.name} counts from now on"
            self._journal.write("warning", "task", message)
        due = datetime.fromisoformat(entry.next_run) if entry.next_run else None
        pause_end = self._not_before.get(entry.id)
        return max(due, pause_end) if due and pause_end and pause_end > now else due

    async def _task_alarm(self, name: str) -> None:
        self._launch(int(name.removeprefix("task ")))

    async def _job_alarm(self, name: str) -> None:
        self._periodic.launch(name.removeprefix("job "), self._set_alarms)

    async def _look_at_the_clock(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()

    def _set_alarms(self) -> None:
        try:
            self.sync()
        except Exception:
            # An outer edge: the next look may find the database well again.
            logger.exception("the schedule could not be looked at")

    def _launch(self, task: int, cut: TaskRun | None = None) -> None:
        if task not in self._active and not self._is_stopping:
            self._active[task] = asyncio.create_task(self._work(task, cut))

    async def _work(self, task: int, cut: TaskRun | None) -> None:
        """Lets go on what was cut short, then runs what is due; raises nothing but a cancel."""
        try:
            began = self._now()
            if cut is not None:
                entry = self._store.find(str(task))
                await _drain(self._runner.go_on(entry, cut, when_cut="interrupted"))
            await self._run_last_due(task, began)
        except NotFound:
            # It was removed meanwhile.
            pass
        except Exception:
            # An outer edge: one task must not stop the others.
            logger.exception("a task could not be run", extra={"task": task})
            self._not_before[task] = self._now() + timedelta(seconds=_LOOK_S)
        finally:
            del self._active[task]
            self._set_alarms()

    async def _run_last_due(self, task: int, began: datetime) -> None:
        """Runs the last occurrence up to `began`, for all before it; leaves out later ones."""
        entry = self._store.find(str(task))
        if self._last_due(entry, began) is None:
            return
        await self._wait_for_room(entry)
        # Meanwhile it may have been paused, or run by hand.
        entry = self._store.find(str(task))
        due = self._last_due(entry, began)
        if due is None or not entry.enabled or self._is_stopping:
            return
        if began - due > _GRACE and entry.options.missed == "skip":
            self._leave_out(entry, due, "it was due while nothing ran")
        elif self._runner.is_held(entry):
            self._leave_out(entry, due, "it was still running")
        else:
            await _drain(self._runner.run(entry, to_text(due), when_cut="interrupted"))
        passed = self._last_due(entry, self._now())
        if passed is not None:
            self._leave_out(entry, passed, "it was still running")

    def _last_due(self, entry: TaskEntry, until: datetime) -> datetime | None:
        return last_time(entry.trigger, self._store.handled(entry.id), until)

    def _leave_out(self, entry: TaskEntry, due: datetime, reason: str) -> None:
        self._store.skip(entry.id, to_text(due), reason)
        message = f"{entry.name} was left out: {reason}"
        self._journal.write("warning", "task", message, {"task": entry.name, "due": to_text(due)})

    async def _wait_for_room(self, entry: TaskEntry) -> None:
        """A heavy task waits for a machine that has room, but not for ever."""
        for look in range(_ROOM_LOOKS):
            reason = self._hold() if entry.action.kind == _HEAVY else None
            if reason is None:
                return
            if look == 0:
                self._journal.write("info", "task", f"{entry.name} waits: {reason}")
            await self._sleep(_ROOM_LOOK_S)


def last_time(trigger: Trigger, after: datetime, until: datetime) -> datetime | None:
    """The last occurrence after `after` and not after `until`, however many there are."""
    if trigger.kind == "interval":
        step = timedelta(seconds=int(trigger.expression))
        count = (until - after) // step
        return after + count * step if count > 0 else None
    # From the end, in windows that grow: years of minutes are not gone through.
    window = timedelta(minutes=1)
    while True:
        start = max(after, until - window)
        times = takewhile(lambda time: time <= until, next_times(trigger, start))
        found = deque(times, maxlen=1)
        if found or start >= until or start == after:
            return found[0] if found else None
        window *= 4


async def _drain(events: AsyncGenerator[Event, None]) -> None:
    async with aclosing(events):
        async for _ in events:
            pass
