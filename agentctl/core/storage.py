"""The SQLite database: one connection's settings, and the ordered migrations.

A database remembers in `user_version` how many migrations it has seen. sqlite-utils shapes the
tables and is imported only when there is something to migrate: it costs more than a whole query.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.paths import make_private

if TYPE_CHECKING:
    from sqlite_utils import Database

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


def schema_version() -> int:
    """The version this program writes."""
    return len(_MIGRATIONS)


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
            _MIGRATIONS[number](database)
        connection.execute(f"PRAGMA user_version = {schema_version()}")


def _create_sessions(database: "Database") -> None:
    sessions = database.table("sessions")
    sessions.create(
        {"id": str, "name": str, "title": str, "created": str, "updated": str, "parent": str},
        pk="id",
        not_null={"title", "created", "updated"},
    )
    sessions.create_index(["name"], unique=True)
    sessions.create_index(["updated"])
    messages = database.table("messages")
    messages.create(
        {
            "id": int,
            "session": str,
            "role": str,
            "content": str,
            "thinking": str,
            "status": str,
            "model": str,
            "backend": str,
            "created": str,
            "usage": str,
            "error": str,
        },
        pk="id",
        foreign_keys=[("session", "sessions", "id")],
        not_null={"session", "role", "content", "thinking", "status", "created"},
    )
    messages.create_index(["session"])
    messages.create_index(["status"])
    messages.enable_fts(["content"], create_triggers=True, tokenize="porter unicode61")
    # What has arrived of an answer that is not finished: appending is linear, and each piece
    # is on disk before it is shown.
    parts = database.table("message_parts")
    parts.create(
        {"id": int, "message": int, "thinking": int, "text": str},
        pk="id",
        foreign_keys=[("message", "messages", "id")],
        not_null={"message", "thinking", "text"},
    )
    parts.create_index(["message"])
    attachments = database.table("attachments")
    attachments.create(
        {"id": int, "message": int, "name": str, "media_type": str, "text": str, "data": bytes},
        pk="id",
        foreign_keys=[("message", "messages", "id")],
        not_null={"message", "name", "media_type"},
    )
    attachments.create_index(["message"])


def _create_knowledge(database: "Database") -> None:
    documents = database.table("documents")
    documents.create(
        {
            "id": int,
            "collection": str,
            "path": str,
            "title": str,
            # What stands before each passage that is embedded: it outlives a renaming.
            "context": str,
            "media_type": str,
            "hash": str,
            "size": int,
            "mtime_ns": int,
            "modified": str,
            "ingested": str,
            "text": bytes,
            "sections": bytes,
        },
        pk="id",
        not_null={
            "collection",
            "path",
            "title",
            "context",
            "media_type",
            "hash",
            "size",
            "mtime_ns",
            "modified",
            "ingested",
            "text",
            "sections",
        },
    )
    documents.create_index(["collection", "path"], unique=True)
    documents.create_index(["hash"])
    _create_chunks(database)
    database.table("embedding_profiles").create(
        # `generation` names the file of the vector index that covers the chunks up to `covered`.
        {"id": int, "spec": str, "is_active": int, "generation": str, "covered": int},
        pk="id",
        not_null={"spec", "is_active", "generation", "covered"},
        defaults={"generation": "", "covered": 0},
    )


def _create_chunks(database: "Database") -> None:
    database.execute(
        # Ids are never used again: an index file may still hold those of removed chunks.
        """CREATE TABLE chunks (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            document INTEGER NOT NULL REFERENCES documents(id) ON DELETE CASCADE,
            profile INTEGER NOT NULL,
            "start" INTEGER NOT NULL,
            "end" INTEGER NOT NULL,
            page INTEGER,
            line_start INTEGER,
            line_end INTEGER,
            heading TEXT NOT NULL,
            hash BLOB NOT NULL,
            title TEXT NOT NULL,
            text TEXT NOT NULL,
            identifiers TEXT NOT NULL
        )"""
    )
    chunks = database.table("chunks")
    chunks.create_index(["document", "profile", "start"])
    chunks.create_index(["hash"])
    chunks.enable_fts(
        ["title", "text", "identifiers"], create_triggers=True, tokenize="porter unicode61"
    )
    database.table("vectors").create(
        {"chunk": int, "embedding": bytes},
        pk="chunk",
        foreign_keys=[("chunk", "chunks", "id")],
        not_null={"embedding"},
    )


def _add_sources(database: "Database") -> None:
    # The passages that an answer rests on, as JSON: they outlive the documents they are from.
    database.table("messages").add_column("sources", str)


def _create_runs(database: "Database") -> None:
    runs = database.table("runs")
    runs.create(
        {
            "id": str,
            "agent": str,
            "kind": str,
            "task": str,
            "status": str,
            "answer": str,
            "model": str,
            "folder": str,
            # What the run was started with, as JSON: the agent as it was then, limits, answers.
            "spec": str,
            "created": str,
            "updated": str,
            "is_cancelled": int,
        },
        pk="id",
        not_null={"agent", "kind", "task", "status", "folder", "spec", "created", "updated"},
        defaults={"answer": "", "is_cancelled": 0},
    )
    runs.create_index(["updated"])
    # All that happened in a run, in order and never changed: it is shown, and it is what a run
    # goes on from.
    log = database.table("run_log")
    log.create(
        {"id": int, "run": str, "type": str, "body": str},
        pk="id",
        foreign_keys=[("run", "runs", "id")],
        not_null={"run", "type", "body"},
    )
    log.create_index(["run", "type"])
    _create_decisions(database)


def _create_decisions(database: "Database") -> None:
    decisions = database.table("decisions")
    decisions.create(
        {
            "id": int,
            "run": str,
            "call_id": str,
            "agent": str,
            "tool": str,
            "risk": str,
            "args": str,
            "preview": str,
            "decision": str,
            "decided_by": str,
            "reason": str,
            "asked": str,
            "answered": str,
        },
        pk="id",
        foreign_keys=[("run", "runs", "id")],
        not_null={"run", "call_id", "agent", "tool", "risk", "args", "decision", "asked"},
    )
    decisions.create_index(["run", "call_id"])


def _create_pending_vectors(database: "Database") -> None:
    # Vectors of a long document that is still being embedded: a stop does not lose them.
    database.table("pending_vectors").create(
        {"profile": int, "hash": bytes, "embedding": bytes},
        pk=("profile", "hash"),
        not_null={"embedding"},
    )


_MIGRATIONS: tuple[Callable[["Database"], None], ...] = (
    _create_sessions,
    _create_knowledge,
    _add_sources,
    _create_runs,
    _create_pending_vectors,
)
