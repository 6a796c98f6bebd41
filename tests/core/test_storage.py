"""Opening the database."""

import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

import pytest

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.migrations import MIGRATIONS
from agentctl.core.storage import (
    open_database,
    read_only,
    schema_version,
    transaction,
    translated_errors,
)


def test_a_new_database_is_private_and_current(tmp_path: Path) -> None:
    path = tmp_path / "data" / "a.db"
    connection = open_database(path)

    assert connection.execute("PRAGMA user_version").fetchone() == (schema_version(),)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_newer_database_is_refused_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE future (x)")
    connection.execute(f"PRAGMA user_version = {schema_version() + 1}")
    connection.close()
    before = path.read_bytes()

    with pytest.raises(StorageError, match="newer"):
        open_database(path)
    assert path.read_bytes() == before


def test_answers_of_an_older_schema_are_kept_counted_and_have_no_sources(tmp_path: Path) -> None:
    from sqlite_utils import Database

    older = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    for migrate in MIGRATIONS[:2]:
        migrate(Database(older))
    older.execute("PRAGMA user_version = 2")
    older.execute("INSERT INTO sessions (id, title, created, updated) VALUES ('a', '', '', '')")
    older.execute(
        "INSERT INTO messages (session, role, content, thinking, status, created)"
        " VALUES ('a', 'assistant', 'kept', '', 'done', '')"
    )
    older.close()

    connection = open_database(tmp_path / "a.db")

    assert connection.execute("SELECT content, sources FROM messages").fetchall() == [
        ("kept", None)
    ]
    assert connection.execute("SELECT messages FROM sessions").fetchone() == (1,)
    connection.close()


def test_a_file_that_is_no_database_is_refused_unharmed(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database, " * 100)

    with pytest.raises(StorageError):
        open_database(path)
    assert path.read_bytes() == b"this is no database, " * 100


def test_a_locked_database_is_busy() -> None:
    with pytest.raises(BackendBusy), translated_errors():
        raise sqlite3.OperationalError("database is locked")


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    connection = open_database(tmp_path / "a.db")
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute(
            "INSERT INTO sessions (id, title, created, updated) VALUES ('a', '', '', '')"
        )
        raise ZeroDivisionError

    assert connection.execute("SELECT count(*) FROM sessions").fetchone() == (0,)
    connection.close()


def test_processes_that_open_a_new_database_at_once_migrate_it_once(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from agentctl.core.storage import open_database;"
        "open_database(pathlib.Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "a.db")]
    processes = [subprocess.Popen(command) for _ in range(6)]

    assert [process.wait() for process in processes] == [0] * 6


@pytest.mark.parametrize(
    ("path", "uri"),
    [
        (PurePosixPath("/home/me/a b?.db"), "file:///home/me/a%20b%3F.db?mode=ro"),
        (PureWindowsPath("C:\\me\\a.db"), "file:///C:/me/a.db?mode=ro"),
        (PureWindowsPath("\\\\nas\\me\\a.db"), "file:////nas/me/a.db?mode=ro"),
    ],
)
def test_a_database_that_is_only_read_has_a_uri_that_sqlite_takes(path: PurePath, uri: str) -> None:
    assert read_only(path) == uri


def test_a_database_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a database, 100% #1.db"
    open_database(path).close()

    with closing(sqlite3.connect(read_only(path), uri=True)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema_version(),)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("PRAGMA user_version = 1")
