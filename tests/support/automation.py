"""Tasks without models: verbs that follow a plan, a clock that is set, and a bench of both.

`python -m tests.support.automation HOME KIND SPEED` is a daemon's loop to be killed: a task of
an agent's over the database in HOME, which when `interrupted` does KIND; its clock goes SPEED
times as fast as the real one. Each run adds a line to HOME/actions.
"""

import asyncio
import json
import random
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.agents.run_store import RunDetails, RunRow
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.scheduler import Scheduler
from agentctl.core.automation.task_outcome import stamp
from agentctl.core.automation.task_runner import TaskRunner
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.tasks import (
    Action,
    Interrupted,
    TaskEntry,
    TaskOptions,
    TaskRequest,
    TaskRun,
    Trigger,
)
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import NotFound
from agentctl.core.events import Event, RunFinished, RunStarted, RunStatus, TextArrived
from agentctl.core.knowledge.library import IngestReport, IngestRequest, IngestStep
from agentctl.core.storage import open_database

HOURLY = Trigger(kind="cron", expression="0 * * * *")
ASK = Action(kind="ask", text="What is new?")
AGENT = Action(kind="agent", text="Tidy up.", agent="assistant", folder="/work")
INGEST = Action(kind="ingest", text="/notes")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, time: str = "2026-03-02T10:30:00Z") -> None:
        self.time = datetime.fromisoformat(time)

    def __call__(self) -> datetime:
        return self.time

    def moves(self, **by: float) -> None:
        self.time += timedelta(**by)


Plan = Callable[[str], AsyncGenerator[Event, None]]


async def answers(
    run: str, text: str = "All is well.", status: RunStatus = "done"
) -> AsyncGenerator[Event, None]:
    yield RunStarted(**stamp(run), model="m", backend="b", session=f"session-{run}")
    yield TextArrived(**stamp(run), text=text)
    yield RunFinished(**stamp(run), status=status, answer=text)


async def never_ends(run: str) -> AsyncGenerator[Event, None]:
    """Until it is cancelled; then as the real verbs: it says so, then raises."""
    yield RunStarted(**stamp(run), model="m", backend="b")
    yield TextArrived(**stamp(run), text="half an ans")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        yield RunFinished(**stamp(run), status="cancelled", answer="half an ans")
        raise


@dataclass
class Verbs:
    """Each call follows the next of `plans`, the last of them for ever; `calls` are kept."""

    plans: list[Plan] = field(default_factory=lambda: [answers])
    report: IngestReport = field(default_factory=IngestReport)
    runs: dict[str, str] = field(default_factory=dict)
    calls: list[object] = field(default_factory=list)

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        return self._next(request)

    def run_agent(self, request: AgentRequest) -> AsyncGenerator[Event, None]:
        return self._next(request)

    def resume_run(self, request: ResumeRequest) -> AsyncGenerator[Event, None]:
        return self._next(request)

    async def show_run(self, reference: str) -> RunDetails:
        if reference not in self.runs:
            raise NotFound(f"no run {reference}")
        return run_details(reference, self.runs[reference])

    async def ingest(
        self, request: IngestRequest
    ) -> AsyncGenerator[IngestStep | IngestReport, None]:
        self.calls.append(request)
        yield IngestStep(status="found", total=1)
        yield self.report

    def _next(self, request: object) -> AsyncGenerator[Event, None]:
        self.calls.append(request)
        plan = self.plans.pop(0) if len(self.plans) > 1 else self.plans[0]
        return plan(f"run{len(self.calls)}")


def run_details(run: str, status: str) -> RunDetails:
    row = RunRow(
        id=run,
        agent="assistant",
        kind="chat",
        task="Tidy up.",
        status=status,
        answer="Tidy.",
        model="m",
        folder="/work",
        spec={},
        created="",
        updated="",
    )
    return RunDetails(run=row, tasks=(), events=(), decisions=(), is_live=False)


class Bench:
    """Everything that tasks need, over one database; `pauses` are those that were slept."""

    def __init__(
        self, home: Path, now: Callable[[], datetime] | None = None, verbs: Verbs | None = None
    ) -> None:
        self.clock = Clock()
        now = now or self.clock
        self.home = home
        self.verbs = verbs or Verbs()
        self.pauses: list[float] = []
        self.held: list[str | None] = []
        self.connection = open_database(home / "agentctl.db")
        self.store = TaskStore(self.connection, now)
        self.journal = Journal(self.connection, now)
        self.runner = TaskRunner(
            self.store,
            self.verbs,
            self.journal,
            home / "tasks",
            sleep=self._sleep,
            random=lambda: 1.0,
        )
        self.scheduler = Scheduler(
            self.store, self.runner, self.journal, hold=self._hold, now=now, sleep=self._sleep
        )

    def add(
        self,
        name: str = "news",
        *,
        trigger: Trigger = HOURLY,
        action: Action = ASK,
        options: TaskOptions | None = None,
    ) -> TaskEntry:
        request = TaskRequest(name=name, trigger=trigger, action=action)
        return self.store.add(replace(request, options=options) if options else request)

    def run(self, entry: TaskEntry, due: str | None = None) -> list[Event]:
        return asyncio.run(collected(self.runner.run(entry, due)))

    def run_due(self) -> None:
        asyncio.run(self.scheduler.run_due())

    def killed(self, entry: TaskEntry, due: str | None, run_id: str | None = None) -> None:
        """As a kill in the middle of an attempt leaves it."""
        row = self.store.begin(entry.id, due)
        assert row is not None
        if run_id is not None:
            self.store.note(row, run_id=run_id, session=None)

    def recovered(self) -> None:
        """What a daemon does first, to its end."""

        async def recover() -> None:
            self.scheduler.recover()
            await self.scheduler.run_due()

        asyncio.run(recover())

    def last(self) -> TaskRun:
        return self.store.history()[0]

    def outcomes(self) -> list[tuple[str | None, int, str]]:
        """Due, attempt and status of all attempts, the oldest first."""
        return [(run.due, run.attempt, run.status) for run in reversed(self.store.history())]

    def journalled(self) -> list[str]:
        return [entry.message for entry in self.journal.since("")]

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def _hold(self) -> str | None:
        return self.held.pop(0) if self.held else None


async def collected(events: AsyncGenerator[Event, None]) -> list[Event]:
    async with aclosing(events):
        return [event async for event in events]


class KeptRuns(Verbs):
    """Agents' runs that outlive a kill: each adds one line to HOME/actions, once."""

    def __init__(self, home: Path) -> None:
        super().__init__()
        self._home = home

    def run_agent(self, request: AgentRequest) -> AsyncGenerator[Event, None]:
        return self._go(secrets.token_hex(4))

    def resume_run(self, request: ResumeRequest) -> AsyncGenerator[Event, None]:
        return self._go(request.run)

    async def show_run(self, reference: str) -> RunDetails:
        is_done = (self._home / f"{reference}.done").exists()
        return run_details(reference, "done" if is_done else "running")

    async def _go(self, run: str) -> AsyncGenerator[Event, None]:
        yield RunStarted(**stamp(run), model="m", backend="b")
        await asyncio.sleep(random.random() * 0.03)
        actions = self._home / "actions"
        if run not in (actions.read_text() if actions.exists() else ""):
            with actions.open("a") as file:
                file.write(f"{run}\n")
        await asyncio.sleep(random.random() * 0.03)
        (self._home / f"{run}.done").touch()
        yield RunFinished(**stamp(run), status="done", answer="done")


async def _daemon(home: Path, kind: Interrupted, speed: float) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    epoch = float((home / "epoch").read_text())

    def now() -> datetime:
        return datetime.fromtimestamp(began + (time.time() - epoch) * speed, UTC)

    bench = Bench(home, now, KeptRuns(home))
    if not bench.store.entries():
        every = Trigger(kind="interval", expression="10")
        bench.add(trigger=every, action=AGENT, options=TaskOptions(interrupted=kind))
    print(json.dumps("ready"), flush=True)
    bench.scheduler.recover()
    while True:
        await bench.scheduler.run_due()
        await asyncio.sleep(0.002)


if __name__ == "__main__":
    asyncio.run(_daemon(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))  # type: ignore[arg-type]
