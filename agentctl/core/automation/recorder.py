"""Keeps what the monitor measures: the last hour here, each minute's averages in the database.

It also says when heavy jobs should wait, and tells the journal once when a limit is crossed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import MinuteAverages, SystemStats
from agentctl.core.automation.monitor import percent
from agentctl.core.config import Monitor as MonitorSettings

_Measure: TypeAlias = Literal["cpu", "memory", "disk", "gpu_memory"]

# A limit counts as crossed after so many measurements in a row, and as kept again so many
# measurements in a row below it by so many points: a value that swings is told once.
_IN_A_ROW = 3
_POINTS = 5.0
_RING = timedelta(hours=1)
_MOST = 3600
_MINUTES_BETWEEN_PRUNING = 60

_NAMES: dict[_Measure, str] = {
    "cpu": "the processor",
    "memory": "memory",
    "disk": "the disk",
    "gpu_memory": "the GPU's memory",
}
_HOLDS: tuple[_Measure, ...] = ("memory", "gpu_memory")


class Recorder:
    """Takes one measurement after another.

    Every call of `add` and `flush` may raise StorageError, BackendBusy; then that minute is lost.
    """

    def __init__(
        self, settings: MonitorSettings, store: MeasurementStore, journal: Journal
    ) -> None:
        self._store = store
        self._journal = journal
        self._ring: deque[SystemStats] = deque(maxlen=_MOST)
        self._minute: list[SystemStats] = []
        self._flushed = 0
        self._begin(settings)

    def use(self, settings: MonitorSettings) -> None:
        """Goes on with these; what was measured stays, and so do alarms when no limit changes."""
        if settings != self._settings:
            self._begin(settings)

    def _begin(self, settings: MonitorSettings) -> None:
        self._settings = settings
        self._alarms: dict[_Measure, _Alarm] = {
            "cpu": _Alarm(settings.cpu_percent),
            "memory": _Alarm(settings.memory_percent),
            "disk": _Alarm(settings.disk_percent),
            "gpu_memory": _Alarm(settings.gpu_memory_percent),
        }

    def add(self, stats: SystemStats) -> None:
        if self._minute and _minute_of(self._minute[0]) != _minute_of(stats):
            self.flush()
        self._minute.append(stats)
        self._ring.append(stats)
        for measure, value in _percentages(stats).items():
            if self._alarms[measure].see(value):
                self._tell(measure)

    def recent(self) -> tuple[SystemStats, ...]:
        """The measurements of the last hour, the oldest first."""
        if not self._ring:
            return ()
        newest = _time_of(self._ring[-1])
        # Those that a clock set back has left in the future are of no hour at all.
        return tuple(each for each in self._ring if timedelta() <= newest - _time_of(each) <= _RING)

    def hold(self) -> str | None:
        """Why heavy jobs should wait now; None when they need not."""
        reasons = (
            f"{_NAMES[measure]} is at {alarm.value:.0f}%"
            for measure, alarm in self._alarms.items()
            if alarm.is_on and measure in _HOLDS
        )
        return next(reasons, None)

    def flush(self) -> None:
        """Stores the averages of the minute under way, and now and then forgets old ones."""
        measured, self._minute = self._minute, []
        if not measured:
            return
        if self._flushed % _MINUTES_BETWEEN_PRUNING == 0:
            self._store.prune(self._settings.history_days)
        self._flushed += 1
        self._store.add(average(measured))

    def _tell(self, measure: _Measure) -> None:
        alarm, name = self._alarms[measure], _NAMES[measure]
        waits = measure in _HOLDS
        if alarm.is_on:
            further = ": heavy jobs wait" if waits else ""
            text = f"{name} is at {alarm.value:.0f}%{further}"
        else:
            further = ": heavy jobs go on" if waits else ""
            text = f"{name} is at {alarm.value:.0f}% again{further}"
        level: Literal["warning", "info"] = "warning" if alarm.is_on else "info"
        self._journal.write(
            level,
            "machine",
            text,
            {"measure": measure, "percent": alarm.value, "over": alarm.is_on},
        )


@dataclass(slots=True)
class _Alarm:
    """One limit: on from the third value in a row above it, off from the third well below it."""

    limit: float
    value: float = 0.0
    is_on: bool = False
    streak: int = 0

    def see(self, value: float) -> bool:
        """Whether it has just gone on or off."""
        self.value = value
        is_against = value < self.limit - _POINTS if self.is_on else value > self.limit
        self.streak = self.streak + 1 if is_against else 0
        if self.streak < _IN_A_ROW:
            return False
        self.is_on, self.streak = not self.is_on, 0
        return True


def average(measured: Sequence[SystemStats]) -> MinuteAverages:
    """The averages of one minute's measurements, of which there is at least one."""

    def mean(value: Callable[[SystemStats], float | None]) -> float | None:
        return _mean(map(value, measured))

    return MinuteAverages(
        minute=_minute_of(measured[0]),
        cpu_percent=mean(lambda each: each.cpu_percent) or 0.0,
        memory_percent=mean(lambda each: each.memory.percent) or 0.0,
        disk_percent=mean(lambda each: each.disk.percent) or 0.0,
        sent_per_s=mean(lambda each: each.network.sent_per_s) or 0.0,
        received_per_s=mean(lambda each: each.network.received_per_s) or 0.0,
        gpu_percent=mean(lambda each: max((gpu.util_percent for gpu in each.gpus), default=None)),
        gpu_memory_percent=mean(_gpu_memory),
        tokens_per_s=mean(lambda each: each.speed.tokens_per_s if each.speed else None),
        ttft_s=mean(lambda each: each.speed.ttft_s if each.speed else None),
    )


def _percentages(stats: SystemStats) -> dict[_Measure, float]:
    return {
        "cpu": stats.cpu_percent,
        "memory": stats.memory.percent,
        "disk": stats.disk.percent,
        "gpu_memory": _gpu_memory(stats) or 0.0,
    }


def _gpu_memory(stats: SystemStats) -> float | None:
    """Of the fullest card, in percent."""
    return max((percent(gpu.memory_used, gpu.memory_total) for gpu in stats.gpus), default=None)


def _mean(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return round(sum(told) / len(told), 3) if told else None


def _time_of(stats: SystemStats) -> datetime:
    return datetime.fromisoformat(stats.time)


def _minute_of(stats: SystemStats) -> int:
    seconds = int(_time_of(stats).timestamp())
    return seconds - seconds % 60
