"""Which folders are watched, in the database."""

import json
import shlex
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agentctl.core.automation.watching import WatchedFolder, WatchRequest
from agentctl.core.errors import InputMissing, NotFound, UsageProblem
from agentctl.core.files import clipped, storable_path
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.storage import transaction, translated_errors


class WatchedFolders:
    """The list in one database; every verb may raise StorageError and BackendBusy."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._connection = connection
        self._now = now

    def add(self, request: WatchRequest) -> WatchedFolder:
        """One that is there already gets the new collection and globs.

        Raises:
            InputMissing: there is no such folder.
            UsageProblem: no absolute path, no folder, or no name of a collection.
        """
        from agentctl.core.knowledge.ingestion import check_collection

        _check_folder(request.path)
        check_collection(request.collection)
        path = storable_path(request.path)
        values = (
            path,
            request.collection,
            json.dumps(request.include),
            json.dumps(request.exclude),
            moment_text(self._now(), "seconds"),
        )
        with translated_errors(), transaction(self._connection):
            self._connection.execute(
                "INSERT INTO watched_folders (path, collection, include, exclude, added)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET"
                " collection = excluded.collection, include = excluded.include,"
                " exclude = excluded.exclude",
                values,
            )
            return next(each for each in self._read() if each.path == path)

    def remove(self, path: str) -> WatchedFolder:
        """Its documents stay. Raises NotFound."""
        stored = storable_path(path)
        with translated_errors(), transaction(self._connection):
            found = next((each for each in self._read() if each.path in (path, stored)), None)
            if found is None:
                raise NotFound(f"{clipped(stored)} is not watched", "agentctl docs watched")
            self._connection.execute("DELETE FROM watched_folders WHERE path = ?", (found.path,))
        return found

    def entries(self) -> list[WatchedFolder]:
        """All of them, by their paths."""
        with translated_errors():
            return self._read()

    def _read(self) -> list[WatchedFolder]:
        rows = self._connection.execute(
            "SELECT path, collection, include, exclude, added FROM watched_folders ORDER BY path"
        )
        return [
            WatchedFolder(
                path=path,
                collection=collection,
                include=tuple(json.loads(include)),
                exclude=tuple(json.loads(exclude)),
                added=added,
            )
            for path, collection, include, exclude, added in rows
        ]


def _check_folder(name: str) -> None:
    path = Path(name)
    try:
        if not path.is_absolute():
            raise UsageProblem(
                f"{clipped(name)} is no absolute path", "agentctl ingest FOLDER --watch"
            )
        if path.is_dir():
            return
        is_there = path.exists()
    except (OSError, ValueError):
        is_there = False
    if is_there:
        raise UsageProblem(
            f"{clipped(name)} is no folder",
            f"agentctl ingest {shlex.quote(storable_path(str(path.parent)))} --watch",
        )
    raise InputMissing(f"{clipped(name)}: no such folder", "agentctl ingest FOLDER --watch")
