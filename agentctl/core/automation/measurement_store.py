"""The averages of each minute, in SQLite."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime

from agentctl.core.automation.measurements import MinuteAverages
from agentctl.core.moments import utc_now
from agentctl.core.storage import translated_errors

_DAY_S = 86_400


class MeasurementStore:
    """The measurements in one database. Every call may raise StorageError, BackendBusy."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._connection = connection
        self._now = now

    def add(self, averages: MinuteAverages) -> None:
        """Keeps one minute; of two that measure the same one, the last is kept."""
        body = asdict(averages)
        minute = body.pop("minute")
        with translated_errors():
            self._connection.execute(
                "INSERT INTO measurements (minute, body) VALUES (?, ?)"
                " ON CONFLICT (minute) DO UPDATE SET body = excluded.body",
                (minute, json.dumps(body)),
            )

    def since(self, seconds: float) -> list[MinuteAverages]:
        """Those of the last so many seconds, the oldest first."""
        import msgspec

        with translated_errors():
            rows = self._connection.execute(
                "SELECT minute, body FROM measurements WHERE minute > ? ORDER BY minute",
                (self._now().timestamp() - seconds,),
            ).fetchall()
        return [
            msgspec.convert({**json.loads(body), "minute": minute}, MinuteAverages)
            for minute, body in rows
        ]

    def prune(self, days: float) -> int:
        """Forgets what is older; how many minutes."""
        with translated_errors():
            return self._connection.execute(
                "DELETE FROM measurements WHERE minute < ?",
                (self._now().timestamp() - days * _DAY_S,),
            ).rowcount
