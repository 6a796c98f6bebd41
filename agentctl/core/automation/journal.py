"""What happened while nobody looked: an entry for each thing that a person would want to know.

Written by the daemon's parts, read by `daemon report` and the dashboard. It is no log: what is
kept here is worth a line on a screen.
"""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agentctl.core.jsontypes import JsonObject
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.storage import translated_errors

Level: TypeAlias = Literal["info", "warning", "error"]
EntryKind: TypeAlias = Literal[
    "daemon", "task", "watcher", "model", "machine", "knowledge", "settings"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """`time` is ISO 8601 in UTC; `detail` is for programs, `message` is one line for people."""

    id: int
    time: str
    level: Level
    kind: EntryKind
    message: str
    detail: JsonObject


class Journal:
    """The journal in one database."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._connection = connection
        self._now = now

    def write(
        self, level: Level, kind: EntryKind, message: str, detail: JsonObject | None = None
    ) -> None:
        """Raises StorageError, BackendBusy."""
        time = moment_text(self._now())
        with translated_errors():
            self._connection.execute(
                "INSERT INTO journal (time, level, kind, message, detail) VALUES (?, ?, ?, ?, ?)",
                (time, level, kind, message, json.dumps(detail or {})),
            )

    def since(self, time: str, limit: int = 1000) -> list[JournalEntry]:
        """The newest `limit` entries from `time` (ISO 8601, UTC) on, the oldest first."""
        with translated_errors():
            rows = self._connection.execute(
                "SELECT id, time, level, kind, message, detail FROM journal WHERE time >= ?"
                " ORDER BY id DESC LIMIT ?",
                (time, limit),
            ).fetchall()
        return [_entry(row) for row in reversed(rows)]

    def last_event(self) -> JournalEntry | None:
        """The newest entry about the daemon's life: `event` in its detail says which."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT id, time, level, kind, message, detail FROM journal WHERE kind = 'daemon'"
                " AND json_extract(detail, '$.event') IS NOT NULL ORDER BY id DESC LIMIT 1"
            ).fetchone()
        return None if row is None else _entry(row)

    def prune(self, before: str) -> int:
        """Forgets what is older; how many."""
        with translated_errors():
            return self._connection.execute(
                "DELETE FROM journal WHERE time < ?", (before,)
            ).rowcount


def _entry(row: tuple[int, str, Level, EntryKind, str, str]) -> JournalEntry:
    number, time, level, kind, message, detail = row
    return JournalEntry(
        id=number, time=time, level=level, kind=kind, message=message, detail=json.loads(detail)
    )
