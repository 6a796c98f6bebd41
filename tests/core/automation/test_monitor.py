"""What is measured, whatever the clock and the machine do in between."""

import asyncio
import errno
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from agentctl.core.automation.measurements import (
    BackendState,
    KnowledgeSize,
    NetworkRate,
    ProcessUse,
    Speed,
    SystemStats,
)
from agentctl.core.automation.monitor import Monitor, Reading, machine_probe
from agentctl.core.config import Monitor as MonitorSettings
from agentctl.core.config import default_settings
from agentctl.core.errors import BackendBusy
from agentctl.core.storage import open_database
from tests.support.measured import START, amount, gpu, time_text

HEALTHY = BackendState(name="ollama", status="healthy")
SETTINGS: MonitorSettings = replace(default_settings().monitor, cpu_percent=97.0)
CALM = Reading(
    cpu_percent=20.0,
    load=(0.5, 0.4, 0.3),
    memory=amount(40.0),
    disk=amount(60.0),
    sent=1000,
    received=5000,
    process=ProcessUse(rss=50_000_000, cpu_percent=1.0),
)


class Machine:
    """A machine that is as the test says, and a clock that only moves when it says so."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.reading = CALM
        self.gpus = ()
        self.clock = 0.0
        self.slept: list[float] = []
        self.connection = connection
        self.monitor = Monitor(
            SETTINGS,
            connection,
            lambda: self.reading,
            backend=self._backend,
            gpus=lambda: self.gpus,
            now=lambda: START + timedelta(seconds=self.clock),
            monotonic=lambda: self.clock,
            sleep=self._sleep,
        )

    def measure(self, after_s: float = 5.0, **changes: object) -> SystemStats:
        self.clock += after_s
        self.reading = replace(self.reading, **changes)  # type: ignore[arg-type]  # of any field
        return asyncio.run(self.monitor.measure())

    async def _backend(self) -> BackendState:
        return HEALTHY

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock += seconds


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "agentctl.db")) as connection:
        yield connection


@pytest.fixture
def machine(connection: sqlite3.Connection) -> Machine:
    return Machine(connection)


def test_a_measurement_tells_what_the_machine_does(machine: Machine) -> None:
    stats = machine.measure()

    assert (stats.time, stats.cpu_percent, stats.memory) == (time_text(5), 20.0, amount(40.0))
    assert (stats.backend, stats.speed, stats.warnings) == (HEALTHY, None, ())
    assert stats.knowledge == KnowledgeSize(documents=0, chunks=0)


def test_the_first_look_lasts_long_enough_to_mean_something(machine: Machine) -> None:
    machine.measure(after_s=0.03)
    machine.measure(after_s=5)

    assert machine.slept == [pytest.approx(0.07)]


def test_the_real_machine_is_measured(connection: sqlite3.Connection, tmp_path: Path) -> None:
    async def backend() -> BackendState:
        return HEALTHY

    probe = machine_probe(tmp_path / "not" / "there")
    stats = asyncio.run(Monitor(SETTINGS, connection, probe, backend=backend).measure())

    assert 0 <= stats.cpu_percent <= 100
    assert 0 < stats.memory.used < stats.memory.total
    assert 0 < stats.disk.used < stats.disk.total
    assert stats.process.rss > 1_000_000


def test_a_machine_that_counts_neither_load_nor_traffic_is_measured_nevertheless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise RuntimeError("Performance counters may be disabled.")

    monkeypatch.setattr(psutil, "getloadavg", fails)
    monkeypatch.setattr(psutil, "net_io_counters", fails)

    reading = machine_probe(tmp_path)()

    assert (reading.load, reading.sent, reading.received) == ((0.0, 0.0, 0.0), 0, 0)
    assert reading.memory.total > 0


# The network


def test_a_machine_that_cannot_be_measured_is_an_error_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails() -> None:
        raise OSError(errno.EMFILE, "Too many open files", "/proc/meminfo")

    probe = machine_probe(tmp_path)
    monkeypatch.setattr(psutil, "virtual_memory", fails)

    with pytest.raises(BackendBusy, match=r"cannot be measured.*Too many open files"):
        probe()


def test_the_network_is_told_by_the_second(machine: Machine) -> None:
    machine.measure()

    stats = machine.measure(after_s=2, sent=3000, received=9000)

    assert stats.network == NetworkRate(sent_per_s=1000.0, received_per_s=2000.0)


@pytest.mark.parametrize(
    ("after_s", "received"),
    [(5.0, 100), (0.0, 10**9), (-3600.0, 10**9), (8 * 3600.0, 10**12)],
    ids=["counters reset", "no time at all", "a clock set back", "asleep for a night"],
)
def test_a_rate_is_never_absurd(machine: Machine, after_s: float, received: int) -> None:
    machine.measure()

    assert machine.measure(after_s=after_s, received=received).network.received_per_s == 0.0


# Answers and knowledge


def add_answer(connection: sqlite3.Connection, created: str, usage: object) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO sessions (id, title, created, updated) VALUES ('s', '', '', '')"
    )
    connection.execute(
        "INSERT INTO messages (session, role, content, thinking, status, created, usage)"
        " VALUES ('s', 'assistant', '', '', 'done', ?, ?)",
        (created, json.dumps(usage) if usage else None),
    )


def test_speed_is_that_of_the_last_answers(machine: Machine) -> None:
    add_answer(machine.connection, time_text(-7200), {"tokens_per_s": 1.0, "ttft_ms": 9000})
    add_answer(machine.connection, time_text(-60), {"tokens_per_s": 20.0, "ttft_ms": 400})
    add_answer(machine.connection, time_text(-30), {"tokens_per_s": 40.0, "ttft_ms": 600})
    add_answer(machine.connection, time_text(-10), None)

    assert machine.measure().speed == Speed(tokens_per_s=30.0, ttft_s=0.5, answers=2)


def test_the_knowledge_base_is_counted_anew_when_anybody_changed_it(
    machine: Machine, tmp_path: Path
) -> None:
    machine.measure()
    with closing(open_database(tmp_path / "agentctl.db")) as other:
        other.execute(
            "INSERT INTO documents (collection, path, title, context, media_type, hash, size,"
            " mtime_ns, modified, ingested, text, sections)"
            " VALUES ('', '', '', '', '', '', 0, 0, '', '', '', '')"
        )

    assert machine.measure().knowledge == KnowledgeSize(documents=1, chunks=0)


# Limits


def test_what_is_over_its_limit_is_a_warning(machine: Machine) -> None:
    machine.gpus = (gpu(memory=50.0), gpu(memory=97.0))

    stats = machine.measure(cpu_percent=99.0, memory=amount(96.0), disk=amount(98.0))

    assert stats.warnings == (
        "the processor is at 99%",
        "memory is at 96%: heavy jobs wait",
        "the disk is 98% full",
        "the memory of a GPU is at 97%: heavy jobs wait",
    )
