"""Changed paths until they are at rest: a file that is still being written to has to wait."""

import os
import stat
import threading
from collections.abc import Callable
from typing import TypeAlias

# Paths that are remembered one by one; past them all that counts is that no more come.
PENDING_PATHS = 1_000
# Seconds that what is at rest waits for what is not, and that a flood of changes is waited out.
PATIENCE_S = 0.75
FLOOD_S = 5.0

# What must not change between two looks; empty for what is not there.
State: TypeAlias = tuple[int, ...]


class Settling:
    """The changed paths of one folder; `note` may be called in any thread.

    Whoever looks leaves a pause between two looks, long enough for a writer to write more.
    """

    def __init__(self, state: Callable[[str], State] | None = None) -> None:
        self._state = state or file_state
        self._lock = threading.Lock()
        # With the state at the last look; None before the first.
        self._pending: dict[str, State | None] = {}
        self._is_flooded = False
        self._is_noted = False
        self._since: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether another look is needed."""
        return bool(self._pending) or self._is_flooded

    def note(self, path: str) -> bool:
        """Something happened to it; whether that is the first after a time of rest."""
        with self._lock:
            was_busy = self.is_busy
            self._is_noted = True
            if not self._is_flooded:
                self._pending.setdefault(path, None)
            if len(self._pending) > PENDING_PATHS:
                self._pending.clear()
                self._is_flooded = True
            return not was_busy

    def look(self, now: float) -> tuple[str, ...] | None:
        """The paths that are not at rest, when the others shall be taken in; None: not yet.

        Those others are forgotten. `now` is in seconds, of any clock that only goes forward.
        """
        with self._lock:
            if not self.is_busy:
                return None
            since = self._since = now if self._since is None else self._since
            if self._is_flooded:
                return self._look_at_flood(now - since)
            before = dict(self._pending)
        states = {path: self._state(path) for path in before}
        with self._lock:
            restless = tuple(path for path, state in states.items() if state != before[path])
            # A flood that came meanwhile has taken the place of all of them.
            for path in restless if not self._is_flooded else ():
                self._pending[path] = states[path]
            if len(restless) == len(states) or (restless and now - since < PATIENCE_S):
                return None
            self._since = None
            for path in states.keys() - set(restless):
                self._pending.pop(path, None)
            return restless

    def _look_at_flood(self, lasted: float) -> tuple[str, ...] | None:
        was_noted, self._is_noted = self._is_noted, False
        if was_noted and lasted < FLOOD_S:
            return None
        self._is_flooded = False
        self._since = None
        return ()


def file_state(path: str) -> State:
    """Size, time and identity of a file; a folder is at rest whatever happens in it."""
    try:
        status = os.lstat(path)
    except (OSError, ValueError):
        return ()
    if stat.S_ISDIR(status.st_mode):
        return (status.st_mode,)
    return (status.st_size, status.st_mtime_ns, status.st_ino)
