"""Replacing, moving and removing files that another program may have open.

Only Windows minds: there a reader, a virus scanner or the search index is in the way for a moment.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Seconds between attempts, rather more than one in all.
_PAUSES_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)


def move_over(new: Path, path: Path) -> None:
    """Renames `new` to `path`, in the place of a file that is there. Raises OSError."""
    patiently(lambda: new.replace(path))


def rename(path: Path, place: Path) -> None:
    """Renames a file or folder to a name that nothing has. Raises OSError."""
    patiently(lambda: path.rename(place))


def remove(path: Path) -> None:
    """Removes a file, if it is there. Raises OSError."""
    patiently(lambda: path.unlink(missing_ok=True))


def patiently(
    act: Callable[[], T],
    sleep: Callable[[float], object] = time.sleep,
    platform: str = sys.platform,
) -> T:
    """What comes of it; on Windows it is tried for about a second while it is not permitted."""
    for pause_s in _PAUSES_S if platform == "win32" else ():
        try:
            return act()
        except PermissionError:
            sleep(pause_s)
    return act()


def open_to_append(path: Path) -> int:
    """A descriptor whose writes go to the end, whoever else writes there; made for its owner.

    Raises OSError.
    """
    if sys.platform != "win32":
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    import ctypes
    import msvcrt

    # Python's own append there looks for the end before it writes: others write meanwhile. This
    # right has the system do both, and sharing all lets others rename the file.
    append_only, share_all, open_always, ordinary = 0x0004, 0x7, 4, 0x80
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.CreateFileW.restype = ctypes.c_void_p
    handle = kernel.CreateFileW(
        str(path), append_only, share_all, None, open_always, ordinary, None
    )
    if handle == ctypes.c_void_p(-1).value:
        raise ctypes.WinError(ctypes.get_last_error())
    return msvcrt.open_osfhandle(handle, os.O_APPEND | os.O_BINARY)
