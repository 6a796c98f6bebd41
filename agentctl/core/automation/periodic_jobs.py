"""The daemon's own periodic jobs: what each does, and how it went the last time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.schedule import local_timezone, next_time, to_text
from agentctl.core.automation.tasks import Trigger
from agentctl.core.errors import AgentctlError

Work: TypeAlias = Callable[[], Awaitable[None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """`every` is in words, `last_error` None when the last run went well."""

    name: str
    every: str
    last_run: str | None
    last_error: str | None
    next_run: str | None


@dataclass(slots=True)
class _Job:
    name: str
    every: str
    work: Work
    next_after: Callable[[datetime], datetime]
    next_run: datetime
    last_run: datetime | None = None
    last_error: str | None = None
    is_told: bool = False
    untold: str | None = None
    running: asyncio.Task[None] | None = None


class PeriodicJobs:
    """They never overlap with themselves, and none of them stops another."""

    def __init__(self, journal: Journal, now: Callable[[], datetime]) -> None:
        self._journal = journal
        self._now = now
        self._jobs: dict[str, _Job] = {}

    def every(self, name: str, seconds: float, work: Work) -> None:
        self._add(name, f"{seconds:g} s", work, lambda time: time + timedelta(seconds=seconds))

    def daily(self, name: str, hour: int, work: Work) -> None:
        zone = local_timezone()
        trigger = Trigger(kind="cron", expression=f"0 {hour} * * *", timezone=zone)

        def next_after(time: datetime) -> datetime:
            return next_time(trigger, time) or time + timedelta(days=1)

        self._add(name, f"day at {hour:02}:00", work, next_after)

    def due(self) -> dict[str, datetime]:
        """When each is to run that does not run now."""
        now = self._now()
        idle = [job for job in self._jobs.values() if job.running is None]
        for job in idle:
            # A clock that went back must not make it wait longer.
            job.next_run = min(job.next_run, job.next_after(now))
        return {job.name: job.next_run for job in idle}

    def launch(self, name: str, then: Callable[[], None]) -> None:
        """Runs it in the background, and then calls `then`."""
        job = self._jobs[name]
        if job.running is None:
            job.running = asyncio.create_task(self._run(job, then))

    def running(self) -> list[asyncio.Task[None]]:
        return [job.running for job in self._jobs.values() if job.running is not None]

    def states(self) -> list[JobState]:
        return [
            JobState(
                name=job.name,
                every=job.every,
                last_run=to_text(job.last_run) if job.last_run else None,
                last_error=job.last_error,
                next_run=to_text(job.next_run) if job.running is None else None,
            )
            for job in self._jobs.values()
        ]

    def _add(
        self, name: str, every: str, work: Work, next_after: Callable[[datetime], datetime]
    ) -> None:
        self._jobs[name] = _Job(name, every, work, next_after, next_after(self._now()))

    async def _run(self, job: _Job, then: Callable[[], None]) -> None:
        job.last_run = self._now()
        try:
            await job.work()
            self._note(job, None)
        except Exception as error:
            # An outer edge: a job that fails is tried again at its next time.
            logger.exception("a periodic job failed", extra={"job": job.name})
            self._note(job, f"{type(error).__name__}: {error}")
        finally:
            job.running = None
            job.next_run = job.next_after(self._now())
            then()

    def _note(self, job: _Job, error: str | None) -> None:
        """Into the journal when it begins to fail, and when it works again."""
        job.last_error = error
        if error is not None and not job.is_told:
            job.untold = error
        # A journal that cannot be written must not end the job; it is told later then.
        with suppress(AgentctlError):
            if job.untold is not None:
                verb = "had failed" if error is None else "fails"
                self._journal.write("warning", "daemon", f"{job.name} {verb}: {job.untold}")
                job.is_told, job.untold = error is not None, None
            elif error is None and job.is_told:
                self._journal.write("info", "daemon", f"{job.name} works again")
                job.is_told = False
