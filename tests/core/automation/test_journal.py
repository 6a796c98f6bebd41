"""The journal finds again what it was told, however much was told since."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentctl.core.automation.journal import Journal
from agentctl.core.storage import open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "agentctl.db")) as connection:
        yield connection


def test_a_new_journal_knows_of_no_daemon(database: sqlite3.Connection) -> None:
    journal = Journal(database)
    journal.write("warning", "daemon", "resources fails: no space")

    assert journal.last_event() is None


def test_the_last_event_of_a_long_life_is_found(database: sqlite3.Connection) -> None:
    journal = Journal(database)
    journal.write("info", "daemon", "the daemon was stopped", {"event": "stopped"})
    journal.write("info", "daemon", "the daemon was started", {"event": "started"})
    for number in range(1200):
        journal.write("info", "task", f"task {number}: done", {"event": "no event of the daemon's"})

    last = journal.last_event()

    assert last is not None
    assert (last.message, last.detail) == ("the daemon was started", {"event": "started"})
