"""What happened while the user was away, in a dozen lines."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentctl.core.automation.journal import EntryKind, Journal, JournalEntry, Level
from agentctl.core.automation.report import write_report
from agentctl.core.automation.tasks import TaskRun, TaskStatus
from agentctl.core.storage import open_database

SINCE = "2026-03-01T20:00:00.000Z"


def entry(
    message: str, level: Level = "info", kind: EntryKind = "daemon", **detail: str
) -> JournalEntry:
    return JournalEntry(
        id=1,
        time="2026-03-02T03:00:00.000Z",
        level=level,
        kind=kind,
        message=message,
        detail=detail,
    )


def attempt(task: str, status: TaskStatus, error: str | None = None) -> TaskRun:
    return TaskRun(
        id=1,
        task=task,
        due=None,
        status=status,
        attempt=1,
        started="2026-03-02T03:00:00Z",
        finished="2026-03-02T03:01:00Z",
        run_id=None,
        session=None,
        result="",
        error=error,
    )


def lines(entries: list[JournalEntry], runs: list[TaskRun]) -> list[str]:
    return [line.text for line in write_report(SINCE, entries, runs, []).lines]


def test_when_nothing_happened_it_is_quiet() -> None:
    assert write_report(SINCE, [], [], []).is_quiet


def test_what_failed_comes_before_what_was_done() -> None:
    told = lines(
        [entry("the daemon was started", event="started")],
        [attempt("nightly", "failed", "no such agent"), attempt("brief", "done")],
    )

    assert told == [
        "task nightly failed: no such agent",
        "tasks done: 1 (brief)",
        "the daemon was started once",
    ]


def test_a_failure_that_was_made_good_since_is_no_news() -> None:
    newest_first = [attempt("nightly", "done"), attempt("nightly", "failed", "busy")]

    assert lines([], newest_first) == ["tasks done: 1 (nightly)"]


def test_of_many_troubles_of_a_kind_the_newest_are_told_and_the_rest_counted() -> None:
    troubles = [entry(f"restarted {n}", "warning", "model") for n in range(20)]

    assert lines(troubles, []) == [
        "model: 17 earlier warnings",
        "restarted 17",
        "restarted 18",
        "restarted 19",
    ]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "agentctl.db")) as opened:
        yield opened


def test_the_journal_keeps_its_order_and_forgets_what_is_old(
    connection: sqlite3.Connection,
) -> None:
    journal = Journal(connection)
    for number in range(5):
        journal.write("info", "daemon", f"entry {number}", {"number": number})

    assert [each.message for each in journal.since("", limit=2)] == ["entry 3", "entry 4"]
    assert journal.since("")[0].detail == {"number": 0}
    assert journal.since("9999") == []
    assert journal.prune("9999") == 5
