"""A lock that one process holds on a file, and that its end, even by a kill, releases."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.open_files import patiently
from agentctl.core.paths import owner_only

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


# What says that somebody else holds a lock, or is about to remove its file. Windows says it in many
# ways, and its own file systems all have locks.
_HELD: tuple[type[OSError], ...] = (BlockingIOError, FileNotFoundError, PermissionError)
if sys.platform == "win32":
    _HELD = (OSError,)
# Seconds between two looks at a lock that others may hold for a moment.
_LOOK_S = 0.05


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Holds the lock file `path`, which is gone afterwards.

    Raises:
        BackendBusy: it is held elsewhere, also by another thread; `what` says for what.
        StorageError: its file system has no locks.
        OSError: the file cannot be made.
    """
    with ExitStack() as stack:
        file = patiently(lambda: open(path, "ab", opener=owner_only))  # noqa: SIM115 - closed by the stack
        if sys.platform == "win32":
            # There a file that is open cannot be removed, by whoever has it open.
            stack.callback(_remove_if_free, path)
        stack.enter_context(file)
        if not _takes(path, file.fileno()):
            raise BackendBusy(f"{what} is already under way", "wait for it, or try again later")
        if sys.platform != "win32":
            stack.callback(path.unlink, missing_ok=True)
        yield


def _takes(path: Path, descriptor: int) -> bool:
    """Whether nobody else holds it."""
    try:
        _try_lock(descriptor)
        # Whoever held it before may have removed the file between open and lock.
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except _HELD:
        return False
    except OSError as error:
        raise StorageError(
            f"{path} cannot be locked: {error.strerror}",
            "use a file system that has locks: export AGENTCTL_HOME=FOLDER",
        ) from None


@contextmanager
def locked_past_lookers(
    path: Path,
    refusal: BackendBusy,
    sleep: Callable[[float], object] = time.sleep,
    *,
    attempts: int = 10,
) -> Iterator[None]:
    """The same, also while others look whether it is held, which takes it for a moment.

    Raises `refusal` when it goes on being held: it looks 20 times a second.
    """
    with ExitStack() as stack:
        for attempt in range(attempts):
            try:
                stack.enter_context(locked(path, "this"))
                break
            except BackendBusy:
                if attempt == attempts - 1:
                    raise refusal from None
                sleep(_LOOK_S)
        yield


def _remove_if_free(path: Path) -> None:
    """Unless somebody else has it open by now, who will remove it."""
    with suppress(OSError):
        path.unlink()
