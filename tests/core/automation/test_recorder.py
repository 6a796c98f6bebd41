"""What is kept of measurements, and when heavy jobs wait."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import MinuteAverages
from agentctl.core.automation.recorder import Recorder, average
from agentctl.core.config import default_settings
from agentctl.core.storage import open_database
from tests.support.measured import START, gpu, stats

SETTINGS = replace(
    default_settings().monitor, cpu_percent=97.0, memory_percent=90.0, gpu_memory_percent=95.0
)
MINUTE = int(START.timestamp())


class Desk:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self.store = MeasurementStore(connection, lambda: START + timedelta(hours=1))
        self.journal = Journal(connection)
        self.recorder = Recorder(SETTINGS, self.store, self.journal)

    def see(self, *memory: float) -> str | None:
        for percent in memory:
            self.recorder.add(stats(memory=percent))
        return self.recorder.hold()

    def messages(self) -> list[tuple[str, str]]:
        return [(entry.level, entry.message) for entry in self.journal.since("")]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with closing(open_database(tmp_path / "agentctl.db")) as connection:
        yield Desk(connection)


# Waiting


def test_heavy_jobs_wait_from_the_third_measurement_over_the_limit(desk: Desk) -> None:
    assert desk.see(95, 95) is None
    assert desk.see(96) == "memory is at 96%"


def test_one_measurement_below_it_begins_the_count_anew(desk: Desk) -> None:
    assert desk.see(95, 95, 80, 95, 95) is None


def test_heavy_jobs_go_on_when_it_is_well_below_the_limit_for_a_while(desk: Desk) -> None:
    desk.see(95, 95, 95)

    assert desk.see(88, 88, 88, 88) is not None
    assert desk.see(84, 84) is not None
    assert desk.see(84) is None


def test_the_memory_of_the_fullest_gpu_counts_too(desk: Desk) -> None:
    for _ in range(3):
        desk.recorder.add(stats(gpus=(gpu(memory=10.0), gpu(memory=97.0))))

    assert desk.recorder.hold() == "the GPU's memory is at 97%"


def test_a_busy_processor_is_told_and_holds_nothing_up(desk: Desk) -> None:
    for _ in range(3):
        desk.recorder.add(stats(cpu_percent=99.0))

    assert desk.recorder.hold() is None
    assert desk.messages() == [("warning", "the processor is at 99%")]


def test_by_default_a_busy_processor_is_nothing_to_tell(desk: Desk) -> None:
    recorder = Recorder(default_settings().monitor, desk.store, desk.journal)
    for _ in range(5):
        recorder.add(stats(cpu_percent=100.0))

    assert desk.messages() == []


def test_the_journal_is_told_once_when_it_begins_and_once_when_it_is_over(desk: Desk) -> None:
    desk.see(95, 95, 95, 96, 97, 89, 95, 95, 80, 80, 80, 70)

    assert desk.messages() == [
        ("warning", "memory is at 95%: heavy jobs wait"),
        ("info", "memory is at 80% again: heavy jobs go on"),
    ]


# Keeping


def test_each_minute_leaves_its_averages(desk: Desk) -> None:
    for second, memory in ((0, 40.0), (30, 60.0), (60, 80.0)):
        desk.recorder.add(stats(second, memory))

    (row,) = desk.store.since(7200)
    assert (row.minute, row.memory_percent, row.cpu_percent) == (MINUTE, 50.0, 20.0)


def test_what_is_under_way_is_kept_at_the_end(desk: Desk) -> None:
    desk.recorder.add(stats(5))

    desk.recorder.flush()
    desk.recorder.flush()

    assert [row.minute for row in desk.store.since(7200)] == [MINUTE]


def test_changed_limits_lose_no_measurement(desk: Desk) -> None:
    desk.recorder.add(stats(5, 40.0))

    desk.recorder.use(replace(SETTINGS, memory_percent=50.0))

    assert desk.see(60.0, 60.0, 60.0) == "memory is at 60%"
    desk.recorder.flush()
    assert [row.memory_percent for row in desk.store.since(7200)] == [55.0]


def test_settings_that_change_nothing_end_no_waiting(desk: Desk) -> None:
    reason = desk.see(95.0, 95.0, 95.0)

    desk.recorder.use(replace(SETTINGS))

    assert reason is not None
    assert desk.recorder.hold() == reason


def test_a_clock_that_jumps_back_loses_no_minute(desk: Desk) -> None:
    for second in (120, 0, 5):
        desk.recorder.add(stats(second))
    desk.recorder.flush()

    assert [row.minute for row in desk.store.since(7200)] == [MINUTE, MINUTE + 120]
    assert [each.time for each in desk.recorder.recent()] == [stats(0).time, stats(5).time]


def test_only_the_last_hour_is_recent(desk: Desk) -> None:
    for second in (0, 3590, 3700):
        desk.recorder.add(stats(second))

    assert [each.time for each in desk.recorder.recent()] == [stats(3590).time, stats(3700).time]


def test_old_averages_are_forgotten_on_the_way(desk: Desk) -> None:
    old = MINUTE - 31 * 86_400
    desk.store.add(replace(average([stats()]), minute=old))

    desk.recorder.add(stats())
    desk.recorder.flush()

    assert [row.minute for row in desk.store.since(10**9)] == [MINUTE]


def test_a_minute_without_answers_or_gpus_tells_none() -> None:
    assert average([stats(speed=None)]) == MinuteAverages(
        minute=MINUTE,
        cpu_percent=20.0,
        memory_percent=40.0,
        disk_percent=60.0,
        sent_per_s=1000.0,
        received_per_s=2000.0,
    )


def test_gpus_are_told_by_the_busiest() -> None:
    row = average([stats(gpus=(gpu(10, 90), gpu(80, 20))), stats(gpus=(gpu(40, 70),))])

    assert (row.gpu_percent, row.gpu_memory_percent) == (60.0, 80.0)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_an_average_lies_between_the_least_and_the_most(values: list[float]) -> None:
    mean = average([stats(memory=value) for value in values]).memory_percent

    assert min(values) - 0.001 <= mean <= max(values) + 0.001
