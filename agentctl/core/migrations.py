"""The tables, as ordered migrations: a new one is appended, an old one is never changed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


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


def _create_tasks(database: "Database") -> None:
    tasks = database.table("tasks")
    tasks.create(
        {
            "id": int,
            "name": str,
            # What it is and does, as JSON.
            "body": str,
            "is_enabled": int,
            "created": str,
            # Up to when all occurrences were run, or left out on purpose (ISO 8601, UTC).
            "handled": str,
        },
        pk="id",
        not_null={"name", "body", "is_enabled", "created", "handled"},
    )
    tasks.create_index(["name"], unique=True)
    runs = database.table("task_runs")
    runs.create(
        {
            "id": int,
            "task": int,
            # The occurrence it stands for; null when the user ran it by hand.
            "due": str,
            "status": str,
            "attempt": int,
            "started": str,
            "finished": str,
            # The agents' run or the session it led to.
            "run": str,
            "session": str,
            "result": str,
            "error": str,
        },
        pk="id",
        foreign_keys=[("task", "tasks", "id")],
        not_null={"task", "status", "attempt", "started"},
    )
    # An occurrence is run once, whatever dies in between.
    runs.create_index(["task", "due", "attempt"], unique=True)
    runs.create_index(["started"])


def _create_automation(database: "Database") -> None:
    database.table("watched_folders").create(
        {"path": str, "collection": str, "include": str, "exclude": str, "added": str},
        pk="path",
        not_null={"collection", "include", "exclude", "added"},
    )
    # The averages of one minute each; `minute` is in seconds since 1970, `body` is JSON.
    database.table("measurements").create({"minute": int, "body": str}, pk="minute")
    journal = database.table("journal")
    journal.create(
        {"id": int, "time": str, "level": str, "kind": str, "message": str, "detail": str},
        pk="id",
        not_null={"time", "level", "kind", "message", "detail"},
    )
    journal.create_index(["time"])


def _add_summaries(database: "Database") -> None:
    sessions = database.table("sessions")
    sessions.add_column("summary", str)
    # The id of the last message that it tells of.
    sessions.add_column("summarised", int)


def _count_messages(database: "Database") -> None:
    # Kept by the database itself: counting a long session takes longer than opening its end.
    sessions = database.table("sessions")
    sessions.add_column("messages", int, not_null_default=0)
    database.execute(
        "UPDATE sessions SET messages = (SELECT count(*) FROM messages WHERE session = sessions.id)"
    )
    database.execute(
        """CREATE TRIGGER messages_counted_up AFTER INSERT ON messages BEGIN
             UPDATE sessions SET messages = messages + 1 WHERE id = new.session;
           END"""
    )
    database.execute(
        """CREATE TRIGGER messages_counted_down AFTER DELETE ON messages BEGIN
             UPDATE sessions SET messages = messages - 1 WHERE id = old.session;
           END"""
    )


MIGRATIONS: tuple[Callable[["Database"], None], ...] = (
    _create_sessions,
    _create_knowledge,
    _add_sources,
    _create_runs,
    _create_pending_vectors,
    _create_tasks,
    _create_automation,
    _add_summaries,
    _count_messages,
)
