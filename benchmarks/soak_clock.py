"""A clock that runs fast, and agentctl by that clock: `python -m benchmarks.soak_clock COMMAND`.

The clock is a file that all processes of one soak read: a moment of real time, the simulated
moment it stands for, and how many simulated seconds pass in a real one. What is due, what is
waited for on purpose and what is written down go by it. The patience with servers, files and the
database stays real, for so does the work that it is for.
"""

import asyncio
import datetime as datetime_module
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

VARIABLE = "SOAK_CLOCK"
"""Names the clock's file to a process."""

# Pauses are not shortened below this, in real seconds: a busy loop simulates nothing.
_SHORTEST_PAUSE_S = 0.05

_real_sleep = asyncio.sleep


class FastClock:
    """Simulated time by the clock's file, which may be set anew at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0
        self._real = self._simulated = 0.0
        self._rate = 1.0

    @classmethod
    def make(cls, path: Path, begin: datetime, rate: float) -> "FastClock":
        clock = cls(path)
        clock._write(begin.timestamp(), rate)
        return clock

    @property
    def rate(self) -> float:
        """Simulated seconds in a real one."""
        self._read()
        return self._rate

    def now(self) -> datetime:
        self._read()
        seconds = self._simulated + (time.time() - self._real) * self._rate
        return datetime.fromtimestamp(seconds, UTC)

    def jump(self, by: timedelta) -> None:
        """As somebody who sets the machine's clock."""
        self._write((self.now() + by).timestamp(), self.rate)

    def _write(self, simulated: float, rate: float) -> None:
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps([time.time(), simulated, rate]))
        new.replace(self._path)

    def _read(self) -> None:
        changed = self._path.stat().st_mtime_ns
        if changed != self._seen:
            self._real, self._simulated, self._rate = json.loads(self._path.read_text())
            self._seen = changed


def install(clock: FastClock) -> None:
    """Lets this process go by the clock. What is imported before it does not."""

    class AnyDatetime(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, datetime)

    class FastDatetime(datetime, metaclass=AnyDatetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # any time zone
            moment = clock.now().astimezone(tz)
            return moment if tz else moment.replace(tzinfo=None)

    async def sleep(delay: float, result: Any = None) -> Any:
        shortened = max(delay / clock.rate, min(delay, _SHORTEST_PAUSE_S))
        return await _real_sleep(shortened, result)

    datetime_module.datetime = FastDatetime  # type: ignore[misc]  # it is one
    asyncio.sleep = sleep
    _hasten_alarms(clock)
    _hasten_monotonic(clock)


def _hasten_alarms(clock: FastClock) -> None:
    from apscheduler.schedulers.asyncio import (  # type: ignore[import-untyped]  # ships no types
        AsyncIOScheduler,
    )

    start = AsyncIOScheduler._start_timer

    def start_timer(self: AsyncIOScheduler, seconds: float | None) -> None:
        start(self, None if seconds is None else seconds / clock.rate)

    AsyncIOScheduler._start_timer = start_timer


def _hasten_monotonic(clock: FastClock) -> None:
    """Where seconds are counted between things that happen, not waited for."""
    from agentctl.core.automation.supervisor import ModelSupervisor
    from agentctl.core.automation.watcher import Watcher

    def monotonic() -> float:
        return time.monotonic() * clock.rate

    for part, name in ((ModelSupervisor, "monotonic"), (Watcher, "clock")):
        part.__init__.__kwdefaults__[name] = monotonic  # type: ignore[index]  # it has some


def main() -> int:
    install(FastClock(Path(os.environ[VARIABLE])))
    from agentctl.__main__ import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
