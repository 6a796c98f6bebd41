"""One task, now: its attempts, what is kept of them, and who is told.

Used by `tasks run` in any process and by the scheduler. A task never overlaps with itself: a lock
is held on a file of its own, and a kill releases it. What a kill leaves behind is found by that.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from agentctl.core.agents.run_request import ROUTER, AgentRequest, ResumeRequest
from agentctl.core.agents.run_store import RunDetails
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.notifications import notify
from agentctl.core.automation.task_outcome import Outcome, in_time, stamp
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.tasks import TaskEntry, TaskRun
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import AgentctlError, BackendBusy, InputUnreadable, NotFound
from agentctl.core.events import (
    ErrorRaised,
    Event,
    MessageFinished,
    RunFinished,
    RunStarted,
    WarningRaised,
)
from agentctl.core.file_lock import locked
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.library import IngestReport, IngestRequest, IngestStep
from agentctl.core.paths import make_private

Cut: TypeAlias = Literal["cancelled", "interrupted"]

# An occurrence that is interrupted that often is left: it may be what kills.
_MOST_CUTS = 10
# Seconds before the second attempt; each further pause is twice as long, up to the longest.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 600.0

logger = logging.getLogger(__name__)


class Verbs(Protocol):
    """What tasks need of the Workspace."""

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]: ...

    def run_agent(self, request: AgentRequest) -> AsyncGenerator[Event, None]: ...

    def resume_run(self, request: ResumeRequest) -> AsyncGenerator[Event, None]: ...

    async def show_run(self, reference: str) -> RunDetails: ...

    def ingest(self, request: IngestRequest) -> AsyncGenerator[IngestStep | IngestReport, None]: ...


class TaskRunner:
    """Runs tasks, and keeps what becomes of them.

    Args:
        locks: the folder of the tasks' locks.
        random: gives numbers from 0 to 1.
    """

    def __init__(
        self,
        store: TaskStore,
        verbs: Verbs,
        journal: Journal,
        locks: Path,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._verbs = verbs
        self._journal = journal
        self._locks = locks
        self._sleep = sleep
        self._random = random

    async def run(
        self, entry: TaskEntry, due: str | None = None, *, when_cut: Cut = "cancelled"
    ) -> AsyncGenerator[Event, None]:
        """The events of one run, with one `RunFinished` even when it takes several attempts.

        What goes wrong is an event. `due` is the occurrence it stands for; nothing happens when
        that was begun before. Cancelling the reading task stops the run, which is kept as
        `when_cut`; `RunFinished` still arrives, then CancelledError is raised.

        Raises BackendBusy when the task runs already, here or in another process.
        """
        with self._locked(entry):
            async with aclosing(self._attempts(entry, due, 1, None, when_cut)) as events:
                async for event in events:
                    yield event

    async def go_on(
        self, entry: TaskEntry, cut: TaskRun, *, when_cut: Cut = "cancelled"
    ) -> AsyncGenerator[Event, None]:
        """Another attempt at an occurrence that was interrupted, as `run`.

        An agent's run goes on where it was, if the task wants that and there is one; one that had
        come to its end before the kill is only noted.
        """
        with self._locked(entry):
            resumes = entry.action.kind == "agent" and entry.options.interrupted == "resume"
            run = await self._find_run(cut.run_id) if resumes else None
            if run is not None and run.run.status in ("done", "denied", "waiting"):
                outcome = Outcome.of_run(run)
                await self._conclude(entry, cut.id, cut.due, outcome)
                return
            resumed = run.run.id if run is not None else None
            again = self._attempts(entry, cut.due, cut.attempt + 1, resumed, when_cut)
            async with aclosing(again) as events:
                async for event in events:
                    yield event

    def is_held(self, entry: TaskEntry) -> bool:
        """Whether it runs now, in any process."""
        with suppress(BackendBusy), self._locked(entry):
            return False
        return True

    def recover(self) -> list[tuple[TaskEntry, TaskRun]]:
        """Marks what a kill left running as interrupted; the occurrences that are to go on."""
        entries = {entry.name: entry for entry in self._store.entries()}
        for run in self._store.unfinished():
            entry = entries[run.task]
            if not self.is_held(entry) and self._store.interrupt(run.id):
                self._journal.write("warning", "task", f"{entry.name} was interrupted")
        return [
            (entries[run.task], run)
            for run in self._store.interrupted()
            if entries[run.task].enabled
            and entries[run.task].options.interrupted != "leave"
            and run.attempt < entries[run.task].options.retries + _MOST_CUTS
        ]

    async def _attempts(
        self, entry: TaskEntry, due: str | None, first: int, resumed: str | None, when_cut: Cut
    ) -> AsyncGenerator[Event, None]:
        """Attempts until one does not fail, or there are no more retries."""
        outcome = Outcome()
        row = self._store.begin(entry.id, due, first)
        if row is None:
            return
        if resumed is not None:
            self._store.note(row, run_id=resumed, session=None)
        cut: asyncio.CancelledError | None = None
        try:
            for number in range(entry.options.retries + 1):
                outcome = Outcome()
                async with aclosing(self._attempt(entry, row, resumed, outcome)) as events:
                    async for event in events:
                        yield event
                if number == entry.options.retries or not outcome.is_worth_a_retry:
                    break
                self._finish(row, outcome)
                # Begun before the pause, so that a kill in it does not lose the retry.
                row = self._store.begin(entry.id, due, first + number + 1) or row
                pause, resumed = self._pause(number), None
                message = f"{outcome.error}; tried again in {pause:.0f} seconds"
                yield WarningRaised(**outcome.stamp(), code="retry", message=message)
                await self._sleep(pause)
        except asyncio.CancelledError as error:
            cut = error
            outcome.cut(when_cut)
        except GeneratorExit:
            outcome.cut(when_cut)
            self._finish(row, outcome)
            raise
        for event in await self._conclude(entry, row, due, outcome):
            yield event
        yield outcome.finished()
        if cut is not None:
            raise cut

    async def _attempt(
        self, entry: TaskEntry, row: int, resumed: str | None, outcome: Outcome
    ) -> AsyncGenerator[Event, None]:
        """The events of one attempt but its last; what came of it is in `outcome`."""
        error: AgentctlError | None = None
        try:
            work = self._noted(row, entry, self._events(entry, resumed))
            async with aclosing(in_time(work, entry.options.timeout_s, outcome)) as events:
                async for event in events:
                    outcome.take(event)
                    if not isinstance(event, RunFinished):
                        yield event
        except AgentctlError as problem:
            error = problem
        except Exception as problem:
            # An outer edge: whatever a verb does, the schedule goes on.
            logger.exception("a task failed unexpectedly", extra={"task": entry.name})
            error = AgentctlError(f"{type(problem).__name__}: {problem}")
        if error is not None:
            for event in outcome.fail(error, entry.action.agent):
                yield event
        outcome.close(entry.options.timeout_s)

    async def _noted(
        self, row: int, entry: TaskEntry, events: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        """Which run it is, is on disk before the run goes on."""
        async with aclosing(events):
            async for event in events:
                if isinstance(event, RunStarted) and entry.action.kind != "ingest":
                    self._store.note(row, run_id=event.run_id, session=event.session)
                yield event

    def _events(self, entry: TaskEntry, resumed: str | None) -> AsyncGenerator[Event, None]:
        action = entry.action
        if resumed is not None:
            return self._verbs.resume_run(ResumeRequest(run=resumed))
        if action.kind == "agent":
            return self._verbs.run_agent(
                AgentRequest(
                    agent=action.agent or ROUTER,
                    task=action.text,
                    folder=Path(action.folder),
                    code_may_write=action.code_may_write,
                    model=action.model,
                )
            )
        if action.kind == "ask":
            return self._verbs.ask(
                AskRequest(
                    prompt=action.text,
                    model=action.model,
                    collection=action.collection,
                )
            )
        return self._ingest(action.text, action.collection or "default")

    async def _ingest(self, path: str, collection: str) -> AsyncGenerator[Event, None]:
        """As a run; what could be taken in is, even when something could not."""
        run = secrets.token_hex(4)
        yield RunStarted(**stamp(run), model="", backend="", agent="ingest")
        report = IngestReport()
        request = IngestRequest(sources=(path,), collection=collection, prune=True)
        async with aclosing(self._verbs.ingest(request)) as steps:
            async for step in steps:
                if isinstance(step, IngestReport):
                    report = step
        summary = _summary(report)
        yield MessageFinished(**stamp(run), agent="ingest", role="assistant", content=summary)
        for failure in report.failed[:1]:
            yield ErrorRaised(
                **stamp(run),
                code=failure.code,
                message=failure.message,
                hint=failure.hint,
                exit_code=InputUnreadable.exit_code,
            )
        status: Literal["failed", "done"] = "failed" if report.failed else "done"
        yield RunFinished(**stamp(run), status=status, answer=summary)

    async def _conclude(
        self, entry: TaskEntry, row: int, due: str | None, outcome: Outcome
    ) -> list[Event]:
        """Keeps what came of it, then tells about it; warnings of what could not be told."""
        self._finish(row, outcome)
        message = f"{entry.name}: {outcome.message}"
        detail: JsonObject = {
            "task": entry.name,
            "status": outcome.status,
            "due": due,
            "run_id": outcome.run_id,
            "session": outcome.session,
            "result": outcome.result,
            "error": outcome.error,
        }
        try:
            self._journal.write(outcome.level, "task", message, {"id": row, **detail})
        except AgentctlError as error:
            # Whoever is to be told is told all the same.
            logger.warning("the journal cannot be written: %s (%s)", error, message)
        # Whoever cuts it short knows.
        wanted = outcome.status not in ("cancelled", "interrupted") and (
            entry.options.notify_on == "always" or outcome.status != "done"
        )
        title = f"{entry.name}: {outcome.status}"
        targets = entry.options.notify if wanted else ()
        told = [await notify(target, title, outcome.text, detail) for target in targets]
        return [
            WarningRaised(**outcome.stamp(), code="notify", message=warning)
            for warning in told
            if warning is not None
        ]

    def _finish(self, row: int, outcome: Outcome) -> None:
        self._store.finish(row, outcome.status, result=outcome.result, error=outcome.error)

    async def _find_run(self, run: str | None) -> RunDetails | None:
        with suppress(NotFound):
            return await self._verbs.show_run(run) if run else None
        return None

    def _pause(self, number: int) -> float:
        """Seconds: growing, and spread so that tasks that failed together part."""
        longest = min(_FIRST_PAUSE_S * 2.0**number, _LONGEST_PAUSE_S)
        return longest * (0.5 + self._random() / 2)

    @contextmanager
    def _locked(self, entry: TaskEntry) -> Iterator[None]:
        with locked(make_private(self._locks) / f"{entry.id}.lock", f"task {entry.name}"):
            yield


def _summary(report: IngestReport) -> str:
    counts = {
        "added": report.added,
        "updated": report.updated,
        "removed": report.removed,
        "failed": len(report.failed),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "no changes"
