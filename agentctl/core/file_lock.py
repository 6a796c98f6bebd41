"""A lock that one process holds on a file, and that its end, even by a kill, releases."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentctl.core.errors import BackendBusy

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`, which is gone afterwards.

    Raises:
        BackendBusy: it is held elsewhere, also by another thread; `what` says for what.
    """
    with path.open("ab") as file:
        try:
            _try_lock(file.fileno())
            # Whoever held it before may have removed the file between open and lock.
            ours = path.stat().st_ino == os.fstat(file.fileno()).st_ino
        except OSError:
            ours = False
        if not ours:
            raise BackendBusy(f"{what} is already under way", "wait for it, or try again later")
        try:
            yield
        finally:
            if sys.platform != "win32":
                path.unlink(missing_ok=True)
    if sys.platform == "win32":
        with suppress(OSError):
            path.unlink()
