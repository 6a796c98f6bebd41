"""What comes of one attempt at a task, gathered from its events."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TypedDict

from agentctl.core.agents.run_store import RunDetails
from agentctl.core.automation.journal import Level
from agentctl.core.automation.tasks import TaskStatus
from agentctl.core.errors import AgentctlError, UserError
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    RunStatus,
    TextArrived,
)
from agentctl.core.files import well_formed
from agentctl.core.moments import moment_text, utc_now

# Characters that are kept of a result, told to a person, and put on one line.
_RESULT_CHARS, _TOLD_CHARS, _LINE_CHARS = 4000, 300, 120
# Seconds that what is cancelled has to end.
_PATIENCE_S = 20.0


class Stamp(TypedDict):
    """What every event has."""

    run_id: str
    time: str


@dataclass(slots=True)
class Outcome:
    """`status` is `running` until the run has said how it ended.

    `waiting` holds the calls that nobody has answered, and their tools.
    """

    status: TaskStatus = "running"
    run_id: str | None = None
    session: str | None = None
    answer: str = ""
    error: str | None = None
    is_late: bool = False
    waiting: dict[str, str] = field(default_factory=dict)
    _ended: RunStatus | None = None
    _is_final: bool = False

    @classmethod
    def of_run(cls, details: RunDetails) -> "Outcome":
        """Of an agent's run that had ended before anybody noted it."""
        run = details.run
        outcome = cls(status="done", run_id=run.id, answer=run.answer)
        if run.status != "done":
            outcome.status = "denied"
            pending = [each for each in details.decisions if each.decision == "pending"]
            outcome.waiting = {each.call_id: each.tool for each in pending}
        return outcome

    def take(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self.run_id, self.session = event.run_id, event.session
        elif isinstance(event, TextArrived):
            self.answer += event.text
        elif isinstance(event, ApprovalRequired):
            self.waiting[event.call_id] = event.tool
        elif isinstance(event, ApprovalGiven):
            self.waiting.pop(event.call_id, None)
        elif isinstance(event, ErrorRaised):
            self.error = f"{event.message} ({event.hint})"
        elif isinstance(event, RunFinished):
            self._ended, self.answer = event.status, event.answer
            self.status = "failed" if event.status == "max_rounds" else event.status

    def fail(self, error: AgentctlError, agent: str | None) -> Iterator[Event]:
        """Takes what a verb has raised; the events that tell of it."""
        if self.run_id is None:
            self.run_id = secrets.token_hex(4)
            yield RunStarted(**self.stamp(), model="", backend="", agent=agent)
        self.status, self._ended = "failed", None
        # The user must act: the same call fails again.
        self._is_final = isinstance(error, UserError)
        event = ErrorRaised(
            **self.stamp(),
            code=error.slug,
            message=error.message,
            hint=error.hint,
            exit_code=error.exit_code,
        )
        self.take(event)
        yield event

    def close(self, timeout_s: float) -> None:
        """At the end of the events."""
        if self.is_late and self.status != "done":
            self.status, self.error = "timeout", f"stopped after {timeout_s:g} seconds"
        elif self.status == "running":
            self.status, self.error = "failed", "it broke off without an end"
        elif self._ended == "max_rounds":
            self.error = self.error or "the agent came to no end within its limits"

    def cut(self, status: TaskStatus) -> None:
        """Somebody stopped it; what was done by then is done."""
        if self.status != "done":
            self.status, self.error = status, None

    @property
    def is_worth_a_retry(self) -> bool:
        return self.status in ("failed", "timeout") and not self._is_final

    @property
    def level(self) -> Level:
        if self.status in ("failed", "timeout"):
            return "error"
        return "info" if self.status in ("done", "cancelled") else "warning"

    @property
    def result(self) -> str:
        return shortened(self.answer, _RESULT_CHARS)

    @property
    def text(self) -> str:
        """For a person: the result, or what to do."""
        if self.status == "denied" and self.waiting:
            tools = ", ".join(sorted(set(self.waiting.values())))
            return f"{tools} waits for your approval: agentctl runs approve {self.run_id}"
        if self.status == "denied":
            return f"a call was denied: agentctl runs show {self.run_id}"
        return shortened(self.error or self.answer, _TOLD_CHARS)

    @property
    def message(self) -> str:
        """For a journal: how it ended, on one line."""
        line = " ".join(self.text.split())
        status = "failed" if self.status == "running" else self.status
        return shortened(f"{status}: {line}" if line else status, _LINE_CHARS)

    def stamp(self) -> Stamp:
        return stamp(self.run_id or "")

    def finished(self) -> RunFinished:
        """The event that ends the task's run."""
        status: RunStatus = "cancelled"
        if self.status == "failed":
            status = "max_rounds" if self._ended == "max_rounds" else "failed"
        elif self.status in ("done", "timeout", "denied"):
            status = self.status
        return RunFinished(**self.stamp(), status=status, answer=self.answer)


async def in_time(
    events: AsyncGenerator[Event, None], timeout_s: float, outcome: Outcome
) -> AsyncGenerator[Event, None]:
    """The events. After `timeout_s` seconds their run is cancelled, and `outcome` is late.

    What a cancelled run still says is passed on; one that does not end is left behind.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def read() -> None:
        async with aclosing(events):
            async for event in events:
                queue.put_nowait(event)

    loop = asyncio.get_running_loop()
    work = loop.create_task(read())
    work.add_done_callback(lambda _: queue.put_nowait(None))

    def cancel() -> None:
        work.cancel()
        loop.call_later(_PATIENCE_S, queue.put_nowait, None)

    def expire() -> None:
        outcome.is_late = True
        cancel()

    timer = loop.call_later(timeout_s, expire)
    cancelled: asyncio.CancelledError | None = None
    try:
        while True:
            try:
                event = await queue.get()
            except asyncio.CancelledError as error:
                cancelled = error
                cancel()
                continue
            if event is None:
                break
            yield event
    finally:
        timer.cancel()
        work.cancel()
        await asyncio.wait((work,), timeout=_PATIENCE_S)
    if cancelled is not None:
        raise cancelled
    # A late one has raised CancelledError, or nothing yet.
    if not outcome.is_late:
        work.result()


def stamp(run: str) -> Stamp:
    time = moment_text(utc_now())
    return Stamp(run_id=run, time=time)


def shortened(text: str, length: int) -> str:
    """At most so many characters, of which each can be stored."""
    text = well_formed(text)
    return text if len(text) <= length else text[: length - 1] + "…"
