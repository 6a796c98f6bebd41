"""What all parts of one live run share: its log, its limits, its end.

Events are logged, then passed on. A part that must not go on (a limit, a call that waits for the
user) calls `stop` and halts; the runner then ends the framework from outside, always in the same
way, whatever the framework does with errors.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn, TypeAlias, TypedDict

from agentctl.core.agents.run_store import RunStore, Turn
from agentctl.core.agents.tools.base import Workplace
from agentctl.core.backends.base import TextDelta, ThinkingDelta
from agentctl.core.errors import AgentctlError
from agentctl.core.events import (
    ApprovalGiven,
    Event,
    RunStarted,
    RunStatus,
    ToolCallRequested,
    ToolFinished,
    WarningRaised,
)
from agentctl.core.jsontypes import JsonObject

StopStatus: TypeAlias = RunStatus | Literal["waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may take each time it is started: model turns, calls, tokens, seconds."""

    rounds: int = 20
    tool_calls: int = 50
    tokens: int = 200_000
    seconds: float = 600.0


@dataclass(slots=True)
class Used:
    """What this process has spent on the run; what was played again costs nothing."""

    rounds: int = 0
    tool_calls: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Record:
    """What a run goes on from: turns and tool results by their keys, the tasks that were done.

    `asked` is what was asked for under each id of a call. `begun` are calls that were about to run
    when the run's process ended.
    """

    turns: dict[str, Turn] = field(default_factory=dict)
    asked: dict[str, ToolCallRequested] = field(default_factory=dict)
    results: dict[str, ToolFinished] = field(default_factory=dict)
    data: dict[str, JsonObject] = field(default_factory=dict)
    whole_tasks: frozenset[int] = frozenset()
    begun: frozenset[str] = frozenset()

    @classmethod
    def read(cls, store: RunStore, run: str) -> "Record":
        events = store.events(run)
        results = {each.call_id: each for each in events if isinstance(each, ToolFinished)}
        allowed = {
            each.call_id for each in events if isinstance(each, ApprovalGiven) and each.approved
        }
        return cls(
            {turn.key: turn for turn in store.turns(run)},
            {each.call_id: each for each in events if isinstance(each, ToolCallRequested)},
            results,
            {str(body["call_id"]): body for body in store.entries(run, "tool_data")},
            frozenset(int(str(body["number"])) for body in store.entries(run, "task_done")),
            frozenset(allowed - results.keys()),
        )

    def python_state(self) -> JsonObject | None:
        """What the latest Python session kept of itself."""
        states = [body["state"] for body in self.data.values() if "state" in body]
        return states[-1] if states and isinstance(states[-1], dict) else None

    def sources_given(self) -> int:
        """How many passages have a number already."""
        lists = [body["sources"] for body in self.data.values() if "sources" in body]
        return sum(len(each) for each in lists if isinstance(each, list))


class RunContext:
    """One live run; used by its event loop's thread only.

    `status` says why it was stopped, None while it goes on; `failure` is the first error of ours
    that a part met, kept since frameworks lose the types of errors.
    """

    def __init__(
        self,
        run_id: str,
        store: RunStore,
        place: Workplace,
        limits: Limits,
        *,
        task_number: int = 1,
        record: Record | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run_id = run_id
        self.store = store
        self.place = place
        self.limits = limits
        self.record = record or Record()
        self.used = Used()
        self.task_number = task_number
        self.status: StopStatus | None = None
        self.failure: AgentctlError | None = None
        self.was_denied = False
        self.was_cut = False
        self.must_answer: set[str] = set()
        self.latest_calls: dict[str, deque[str]] = {}
        self.has_started = False
        self.stopped = asyncio.Event()
        self.on_stop: list[Callable[[], None]] = []
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.monotonic = monotonic
        self.deadline = monotonic() + limits.seconds
        self.last_text = ""
        self._keys: dict[str, int] = {}

    def stamp(self) -> "Stamp":
        return {"run_id": self.run_id, "time": self.store.time()}

    def emit(self, event: Event) -> None:
        """Logged first, then said."""
        self.has_started |= isinstance(event, RunStarted)
        self.store.append_event(event)
        self.events.put_nowait(event)

    def emit_piece(self, event: Event, delta: TextDelta | ThinkingDelta) -> None:
        """A piece of a turn: the log holds it until the turn is whole."""
        kind = "text" if isinstance(delta, TextDelta) else "thinking"
        self.store.append(self.run_id, "piece", {kind: delta.text})
        self.events.put_nowait(event)

    def warn(self, code: str, message: str) -> None:
        self.emit(WarningRaised(**self.stamp(), code=code, message=message))

    def next_key(self, speaker: str) -> str:
        """Names the speaker's next turn, the same each time the run is played."""
        number = self._keys[speaker] = self._keys.get(speaker, 0) + 1
        return f"{self.task_number}-{speaker}-{number}"

    def begin_task(self, number: int) -> None:
        self.task_number = number
        self._keys = {}

    def stop(self, status: StopStatus, failure: AgentctlError | None = None) -> None:
        """Ends the run. The first call counts."""
        if self.status is None:
            self.status = status
            self.failure = self.failure or failure
            self.stopped.set()
            for tell in self.on_stop:
                tell()

    def fail(self, error: AgentctlError) -> None:
        """Keeps the error that is about to be raised through a framework."""
        self.failure = self.failure or error

    async def halt(self) -> NoReturn:
        """Waits for the end that `stop` has called for: the runner cancels whoever waits."""
        while True:
            await asyncio.get_running_loop().create_future()

    async def stop_at_limit(self, what: str) -> NoReturn:
        self.stop("max_rounds")
        self.warn("limit", f"the run was stopped: {what}")
        await self.halt()

    async def begin_round(self) -> None:
        """Before a model is asked; halts at a limit."""
        await self.check_running()
        if self.used.rounds >= self.limits.rounds:
            await self.stop_at_limit(f"it has taken its {self.limits.rounds} rounds")
        if self.used.tokens >= self.limits.tokens:
            await self.stop_at_limit(f"it has taken its {self.limits.tokens:,} tokens")
        self.used.rounds += 1

    def is_last_round(self) -> bool:
        """Whether the turn that has begun is the last there may be, of several."""
        return 1 < self.limits.rounds == self.used.rounds

    async def begin_call(self) -> None:
        """Before a tool is called; halts at a limit."""
        await self.check_running()
        if self.used.tool_calls >= self.limits.tool_calls:
            await self.stop_at_limit(f"it has made its {self.limits.tool_calls} tool calls")
        self.used.tool_calls += 1

    async def check_running(self) -> None:
        if self.status is not None:
            await self.halt()


class Stamp(TypedDict):
    """What every event carries."""

    run_id: str
    time: str


def shorten(text: str, limit: int = 200) -> str:
    """One line of at most `limit` characters."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def outline(names: Sequence[str]) -> str:
    """`read_file, now x3`: names with how often each stands there."""
    counts = {name: names.count(name) for name in names}
    return ", ".join(f"{name} x{n}" if n > 1 else name for name, n in counts.items())
