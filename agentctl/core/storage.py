"""The SQLite database: one connection's settings, and bringing its tables up to date.

A database remembers in `user_version` how many migrations it has seen. sqlite-utils shapes the
tables and is imported only when there is something to migrate: it costs more than a whole query.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.migrations import MIGRATIONS
from agentctl.core.open_files import move_over
from agentctl.core.paths import make_private

BUSY_TIMEOUT_S = 10.0


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode to an up-to-date database, made when there is none.

    Raises:
        StorageError: written by a newer agentctl, damaged, or not to be opened.
        BackendBusy: another process holds it locked for longer than `BUSY_TIMEOUT_S` seconds.
    """
    with translated_errors(path):
        make_private(path.parent)
        if not path.exists():
            path.touch(mode=0o600)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def read_only(path: PurePath) -> str:
    """The URI of a database that is only to be read. `path` is absolute, perhaps of a share."""
    uri = path.as_uri()
    # SQLite knows no other machine's name: it stands in the path.
    return (
        f"{uri if uri.startswith('file:///') else uri.replace('file://', 'file:////', 1)}?mode=ro"
    )


def schema_version() -> int:
    """The version this program writes."""
    return len(MIGRATIONS)


def is_damaged(path: Path) -> bool:
    """Whether SQLite cannot read it as a database: what no waiting mends."""
    if not path.exists():
        return False
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        found = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
    finally:
        connection.close()
    return bool(found[0] != "ok")


def set_aside(path: Path, mark: str) -> Path:
    """Moves a damaged database out of the way, with what SQLite keeps beside it; where it is now.

    Nothing is deleted: `sqlite3 FILE .recover` may still read what is whole in it.
    """
    aside = path.with_name(f"{path.name}.damaged-{mark}")
    with translated_errors(path):
        for ending in ("-wal", "-shm", ""):
            beside = Path(f"{path}{ending}")
            if beside.exists():
                move_over(beside, Path(f"{aside}{ending}"))
    return aside


@contextmanager
def translated_errors(path: Path | str = "the database") -> Iterator[None]:
    """Turns sqlite3's errors into ours: the one edge where they are known."""
    try:
        yield
    except sqlite3.OperationalError as error:
        message = str(error)
        if "locked" in message or "busy" in message:
            raise BackendBusy(f"{path} is locked by another process", "try again") from error
        if "full" in message:
            raise StorageError(
                f"{path}: no space left to store it", "free some disk space, then: agentctl doctor"
            ) from error
        raise StorageError(f"{path}: {message}", "agentctl doctor") from error
    except OverflowError:
        raise StorageError("a number is too large to be stored", "give a smaller one") from None
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path}: {error}", "agentctl doctor") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; takes the write lock at once, so that it never fails half-way."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > schema_version():
        raise StorageError(
            f"{path} was written by a newer agentctl (schema {version}, this one knows "
            f"{schema_version()}); it was left as it is",
            "pip install --upgrade agentctl",
        )
    # WAL lets readers go on while one process writes; with it, NORMAL loses nothing to a kill.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    if version < schema_version():
        _migrate(connection)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    database = Database(connection, execute_plugins=False)
    with transaction(connection):
        # Another process may have migrated while this one waited for the lock.
        for number in range(_version(connection), schema_version()):
            MIGRATIONS[number](database)
        connection.execute(f"PRAGMA user_version = {schema_version()}")
