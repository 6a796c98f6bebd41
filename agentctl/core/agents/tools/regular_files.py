"""Files as tools open them: regular ones only, never longer than a limit, replaced as a whole.

A model may name a pipe or a device, or a file of a terabyte: none of them may hold up the program.
Names are those that the model is shown.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from agentctl.core.agents.tools.arguments import text
from agentctl.core.agents.tools.base import Workplace
from agentctl.core.errors import AgentctlError, ToolFailed
from agentctl.core.files import path_on_disk, read_up_to, storable_path, well_formed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.open_files import move_over

_BINARY = getattr(os, "O_BINARY", 0)
# What was no link and no pipe when it was looked at must not have become one since.
_READING = os.O_RDONLY | _BINARY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


def resolved(args: JsonObject, place: Workplace, default: str = "") -> Path:
    """What the argument `path` means, links followed. Raises ToolFailed."""
    return place.resolve(path_on_disk(text(args, "path", default)))


def shown(path: Path, place: Workplace) -> str:
    """A resolved path as the model is shown it, and may write it."""
    return storable_path(place.name_of(path))


@contextmanager
def failures_of(name: str) -> Iterator[None]:
    """Raises whatever can go wrong with the file `name` as ToolFailed."""
    try:
        yield
    except ToolFailed:
        raise
    except AgentctlError as error:
        raise ToolFailed(error.message) from None
    except FileNotFoundError:
        raise ToolFailed(f"{name}: no such file or folder") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ToolFailed(f"{name}: {well_formed(reason)}") from None


def read_regular(path: Path, name: str, limit: int) -> tuple[bytes, int]:
    """The file's first `limit` bytes, and how many it has. Raises ToolFailed."""
    with failures_of(name):
        # To open a device can do something already.
        _check_kind(path.lstat(), name)
        with os.fdopen(os.open(path, _READING), "rb") as file:
            status = os.fstat(file.fileno())
            _check_kind(status, name)
            data = read_up_to(file, limit + 1)
    return data[:limit], max(status.st_size, len(data))


def status_to_replace(path: Path, name: str) -> os.stat_result | None:
    """That of the file that a new one would replace, None where there is none.

    Raises ToolFailed for what is no regular file, or may not be changed.
    """
    with failures_of(name):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        _check_kind(status, name)
        if not os.access(path, os.W_OK):
            raise ToolFailed(f"{name} is read-only: choose another name, or ask the user")
    return status


def replace_file(path: Path, name: str, data: bytes) -> None:
    """Makes the file, and folders that are missing, or puts it in the place of the old one.

    At any time there is the old file or the new one, whole. It keeps its permissions and, where
    that is allowed, its owner, but does not run as the owner any more. Raises ToolFailed.
    """
    old = status_to_replace(path, name)
    temporary = path.with_name(f".agentctl-{token_hex(8)}")
    mode = 0o666 if old is None else old.st_mode & 0o777
    with failures_of(name):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY
            with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if old is not None:
                _give_to_owner(temporary, old)
                temporary.chmod(mode)
            move_over(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _give_to_owner(path: Path, status: os.stat_result) -> None:
    if sys.platform != "win32":
        with suppress(OSError):
            os.chown(path, status.st_uid, status.st_gid)


def _check_kind(status: os.stat_result, name: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ToolFailed(f"{name} is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise ToolFailed(f"{name} is no regular file but a link, a pipe or a device")
