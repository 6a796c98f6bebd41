"""The watcher: keeps collections equal to the folders they follow, as long as the daemon runs."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agentctl.core.automation.folder_events import open_events
from agentctl.core.automation.followed_folder import (
    FollowedFolder,
    Ingest,
    OpenEvents,
    Surroundings,
)
from agentctl.core.automation.journal import Journal, Level
from agentctl.core.automation.watching import FolderActivity, FolderStatus, WatchedFolder
from agentctl.core.errors import AgentctlError
from agentctl.core.jsontypes import JsonObject
from agentctl.core.moments import moment_text, utc_now

# Lines that `activity` remembers, and seconds until a folder is followed anew after a mistake of
# this program's own.
_REMEMBERED = 50
_MISTAKE_S = 60.0

_log = logging.getLogger(__name__)


class Watcher:
    """Follows each folder in a task of its own; all of its methods belong to one event loop.

    Args:
        folders: those that are to be followed now.
        hold: why heavy work has to wait, or None.
        own: folders that agentctl itself writes to.
    """

    def __init__(
        self,
        folders: Callable[[], list[WatchedFolder]],
        ingest: Ingest,
        journal: Journal,
        hold: Callable[[], str | None] = lambda: None,
        *,
        own: Sequence[Path] = (),
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        open_events: OpenEvents = open_events,
    ) -> None:
        self._folders = folders
        self._journal = journal
        self._now = now
        self._activity: deque[FolderActivity] = deque(maxlen=_REMEMBERED)
        self._following: dict[WatchedFolder, tuple[FollowedFolder, asyncio.Task[None]]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._is_running = False
        self._around = Surroundings(
            ingest=ingest,
            turn=asyncio.Lock(),
            hold=hold,
            tell=self._tell,
            own=tuple(map(str, own)),
            clock=clock,
            open_events=open_events,
        )

    def start(self) -> None:
        """Begins with a sweep of each folder, for what happened meanwhile."""
        self._is_running = True
        self.sync()

    def sync(self) -> None:
        """Follows what is in the list now; cheap when that is what it does.

        Raises what reading the list raises, and then goes on as before.
        """
        if not self._is_running:
            return
        wanted = {replace(each, status="idle") for each in self._folders()}
        for folder in self._following.keys() - wanted:
            self._leave(folder)
        for folder in sorted(wanted - self._following.keys(), key=lambda each: each.path):
            followed = FollowedFolder(folder, self._around)
            self._following[folder] = followed, asyncio.create_task(self._follow(followed))

    async def stop(self) -> None:
        """Ends at once; what was taken in is kept."""
        self._is_running = False
        for folder in list(self._following):
            self._leave(folder)
        await asyncio.gather(*self._leaving, return_exceptions=True)

    def states(self) -> dict[str, FolderStatus]:
        """How each folder is followed, by its path."""
        return {each.path: followed.status for each, (followed, _) in self._following.items()}

    def activity(self) -> tuple[FolderActivity, ...]:
        """What it did last, the oldest first."""
        return tuple(self._activity)

    def _leave(self, folder: WatchedFolder) -> None:
        _, task = self._following.pop(folder)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        task.cancel()

    async def _follow(self, followed: FollowedFolder) -> None:
        while True:
            try:
                await followed.follow()
            # One folder's trouble must end neither the others nor the daemon.
            except Exception as error:  # noqa: BLE001 - the outer edge of each folder
                _log.exception("the watcher failed")
                message = f"{followed.folder.path}: the watcher failed: {error!r}"
                self._tell("error", followed.folder, message, {})
            await asyncio.sleep(_MISTAKE_S)

    def _tell(self, level: Level, folder: WatchedFolder, message: str, rest: JsonObject) -> None:
        time_s = moment_text(self._now(), "seconds")
        self._activity.append(FolderActivity(time=time_s, path=folder.path, message=message))
        detail: JsonObject = {"path": folder.path, "collection": folder.collection, **rest}
        try:
            self._journal.write(level, "watcher", message, detail)
        except AgentctlError as error:
            _log.warning("the journal cannot be written: %s (%s)", error, message)
