"""The averages of minutes in the database."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import MinuteAverages
from agentctl.core.storage import open_database
from tests.support.measured import START

NOW = int(START.timestamp())


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "agentctl.db")) as connection:
        yield connection


@pytest.fixture
def store(connection: sqlite3.Connection) -> MeasurementStore:
    return MeasurementStore(connection, lambda: START + timedelta(seconds=30))


def averages(minute: int, cpu: float = 10.0, gpu: float | None = None) -> MinuteAverages:
    return MinuteAverages(
        minute=minute,
        cpu_percent=cpu,
        memory_percent=40.0,
        disk_percent=60.0,
        sent_per_s=0.0,
        received_per_s=0.0,
        gpu_percent=gpu,
    )


def test_what_was_kept_comes_back_the_oldest_first(store: MeasurementStore) -> None:
    rows = [averages(NOW - 60, gpu=5.0), averages(NOW)]
    for row in reversed(rows):
        store.add(row)

    assert store.since(3600) == rows


def test_only_the_time_asked_for_comes_back(store: MeasurementStore) -> None:
    for age in (7200, 3600, 1800):
        store.add(averages(NOW - age))

    assert [row.minute for row in store.since(3600)] == [NOW - 1800]


def test_two_that_measure_the_same_minute_do_not_clash(store: MeasurementStore) -> None:
    store.add(averages(NOW, cpu=10.0))
    store.add(averages(NOW, cpu=30.0))

    assert [row.cpu_percent for row in store.since(3600)] == [30.0]


def test_old_minutes_are_forgotten(store: MeasurementStore) -> None:
    for days in (31, 29):
        store.add(averages(NOW - days * 86_400))

    assert store.prune(30) == 1
    assert [row.minute for row in store.since(10**9)] == [NOW - 29 * 86_400]


def test_a_row_of_a_newer_program_is_read_as_far_as_it_is_known(
    store: MeasurementStore, connection: sqlite3.Connection
) -> None:
    store.add(averages(NOW))
    connection.execute("UPDATE measurements SET body = json_set(body, '$.pressure', 5)")

    assert store.since(3600) == [averages(NOW)]
