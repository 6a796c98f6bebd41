"""Measures what the machine, the models and the knowledge base do, in a few milliseconds."""

import asyncio
import json
import re
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from agentctl.core.automation.gpus import GpuReader
from agentctl.core.automation.measurements import (
    Amount,
    BackendState,
    DaemonUse,
    GpuUse,
    KnowledgeSize,
    NetworkRate,
    ProcessUse,
    Speed,
    SystemStats,
)
from agentctl.core.config import Monitor as MonitorSettings
from agentctl.core.errors import BackendBusy
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.storage import translated_errors

# psutil compares with its last look: what lies between must be long enough to mean something.
_SHORTEST_LOOK_S = 0.1
# A gap this long was no silence: the machine slept, and its counters say nothing about a rate.
_LONGEST_LOOK_S = 300.0
# What the models say to this program is no traffic of the machine's.
_LOOPBACK = re.compile(r"lo\d*|.*loopback.*", re.IGNORECASE)
_ANSWERS = 20
_ANSWERS_AGE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the operating system tells; `sent` and `received` are bytes since its start."""

    cpu_percent: float
    load: tuple[float, float, float]
    memory: Amount
    disk: Amount
    sent: int
    received: int
    process: ProcessUse


Probe: TypeAlias = Callable[[], Reading]


class Monitor:
    """Measures when it is asked to; `probe` is asked once at the start, to have a first look.

    Args:
        connection: to the database, for the size of the knowledge base and the last answers.
        backend: the state of the model server, as it is known or newly looked at.
        daemon: whether the daemon runs.
        probe: what the operating system tells.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        connection: sqlite3.Connection,
        probe: Probe,
        *,
        backend: Callable[[], Awaitable[BackendState]],
        daemon: Callable[[], DaemonUse] = lambda: DaemonUse(status="stopped"),
        gpus: Callable[[], tuple[GpuUse, ...]] | None = None,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._connection = connection
        self._probe = probe
        self._backend = backend
        self._daemon = daemon
        self._gpus = gpus or GpuReader().read
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._last, self._at = probe(), monotonic()
        self._is_primed = False
        self._knowledge = (-1, KnowledgeSize(documents=0, chunks=0))

    async def measure(self) -> SystemStats:
        """Raises StorageError, BackendBusy, and what `backend` raises."""
        if not self._is_primed:
            await self._sleep(max(0.0, _SHORTEST_LOOK_S - (self._monotonic() - self._at)))
            self._is_primed = True
        backend = await self._backend()
        # GPUtil starts a process: the loop goes on meanwhile.
        gpus = await asyncio.to_thread(self._gpus)
        reading, network = self._look()
        return SystemStats(
            time=moment_text(self._now()),
            cpu_percent=reading.cpu_percent,
            load=reading.load,
            memory=reading.memory,
            disk=reading.disk,
            network=network,
            gpus=gpus,
            process=reading.process,
            backend=backend,
            speed=self._speed(),
            daemon=self._daemon(),
            knowledge=self._size(),
            warnings=tuple(_warnings(self._settings, reading, gpus)),
        )

    def _look(self) -> tuple[Reading, NetworkRate]:
        reading, at = self._probe(), self._monotonic()
        rate = _rate(self._last, reading, at - self._at)
        self._last, self._at = reading, at
        return reading, rate

    def _speed(self) -> Speed | None:
        """Of the newest answers of the last hour."""
        since = (self._now() - _ANSWERS_AGE).isoformat(timespec="milliseconds")
        with translated_errors():
            rows = self._connection.execute(
                "SELECT usage FROM (SELECT usage, created FROM messages WHERE role = 'assistant'"
                " ORDER BY id DESC LIMIT ?) WHERE created >= ? AND usage IS NOT NULL",
                (_ANSWERS, since.replace("+00:00", "Z")),
            ).fetchall()
        usages = [json.loads(row[0]) for row in rows]
        told = [each for each in usages if each.get("tokens_per_s")]
        if not told:
            return None
        return Speed(
            tokens_per_s=round(sum(each["tokens_per_s"] for each in told) / len(told), 1),
            ttft_s=round(sum(each.get("ttft_ms", 0.0) for each in told) / len(told) / 1000, 3),
            answers=len(told),
        )

    def _size(self) -> KnowledgeSize:
        """Counted anew only when the database was written to."""
        with translated_errors():
            others = self._connection.execute("PRAGMA data_version").fetchone()[0]
            version = others + self._connection.total_changes
            if version != self._knowledge[0]:
                documents, chunks = self._connection.execute(
                    "SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM chunks)"
                ).fetchone()
                self._knowledge = version, KnowledgeSize(documents=documents, chunks=chunks)
        return self._knowledge[1]


def machine_probe(folder: Path) -> Probe:
    """What psutil tells of this machine, of the disk that holds `folder`, and of this process."""
    import psutil

    process = psutil.Process()
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())

    def read() -> Reading:
        try:
            return look()
        except (OSError, psutil.Error) as error:
            message = f"the machine cannot be measured: {error}"
            raise BackendBusy(message, "close what is not needed, and try again") from error

    def look() -> Reading:
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(place))
        sent, received = _traffic()
        with process.oneshot():
            own = ProcessUse(rss=process.memory_info().rss, cpu_percent=process.cpu_percent())
        return Reading(
            cpu_percent=psutil.cpu_percent(),
            load=_load(),
            memory=Amount(
                used=memory.total - memory.available, total=memory.total, percent=memory.percent
            ),
            disk=Amount(used=disk.used, total=disk.total, percent=disk.percent),
            sent=sent,
            received=received,
            process=own,
        )

    return read


def _load() -> tuple[float, float, float]:
    """Nothing where Windows keeps no counters."""
    import psutil

    try:
        return psutil.getloadavg()
    except RuntimeError:
        return 0.0, 0.0, 0.0


def _traffic() -> tuple[int, int]:
    """Bytes sent and received; nothing where Windows does not tell."""
    import psutil

    try:
        cards = psutil.net_io_counters(pernic=True)
    except RuntimeError:
        return 0, 0
    outer = [counters for name, counters in cards.items() if not _LOOPBACK.fullmatch(name)]
    return sum(card.bytes_sent for card in outer), sum(card.bytes_recv for card in outer)


def percent(part: float, whole: float) -> float:
    """0 of nothing."""
    return round(100 * part / whole, 1) if whole else 0.0


def _rate(before: Reading, after: Reading, seconds: float) -> NetworkRate:
    if not _SHORTEST_LOOK_S / 2 <= seconds <= _LONGEST_LOOK_S:
        return NetworkRate(sent_per_s=0.0, received_per_s=0.0)
    # A card that was reset counts from zero again.
    return NetworkRate(
        sent_per_s=round(max(0, after.sent - before.sent) / seconds, 1),
        received_per_s=round(max(0, after.received - before.received) / seconds, 1),
    )


def _warnings(limits: MonitorSettings, reading: Reading, gpus: tuple[GpuUse, ...]) -> Iterator[str]:
    if reading.cpu_percent > limits.cpu_percent:
        yield f"the processor is at {reading.cpu_percent:.0f}%"
    if reading.memory.percent > limits.memory_percent:
        yield f"memory is at {reading.memory.percent:.0f}%: heavy jobs wait"
    if reading.disk.percent > limits.disk_percent:
        yield f"the disk is {reading.disk.percent:.0f}% full"
    for gpu in gpus:
        full = percent(gpu.memory_used, gpu.memory_total)
        if full > limits.gpu_memory_percent:
            yield f"the memory of {gpu.name} is at {full:.0f}%: heavy jobs wait"
