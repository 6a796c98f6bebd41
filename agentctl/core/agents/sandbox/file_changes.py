"""Which files of a few folders changed meanwhile, and how much was written."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import lt
from pathlib import Path
from time import monotonic

from agentctl.core.agents.tools.base import Workplace
from agentctl.core.files import well_formed

# Entries of the folders that are looked at; what lies beyond is not noticed.
_MOST_ENTRIES = 20_000
_MOST_NAMES = 100
# Of the disk, what stays free whatever runs.
_FLOOR_BYTES = 500_000_000
# Looks take this part of the time at most.
_LOOKS_APART = 50


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the folders found: a stamp for each file, all entries, all bytes on disk."""

    stamps: dict[str, tuple[int, int, int]]
    entries: int
    size: int


def look_at(folders: Sequence[Path]) -> Look:
    """Follows no links."""
    stamps: dict[str, tuple[int, int, int]] = {}
    entries = size = 0
    for entry in _entries(folders):
        entries += 1
        with suppress(OSError):
            if entry.is_file(follow_symlinks=False) and entry.path not in stamps:
                status = entry.stat(follow_symlinks=False)
                stamps[entry.path] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size)
                size += getattr(status, "st_blocks", status.st_size // 512) * 512
    return Look(stamps, entries, size)


def _entries(folders: Sequence[Path]) -> Iterator[os.DirEntry[str]]:
    left, waiting = _MOST_ENTRIES, [str(each) for each in folders]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if not left:
                    return
                left -= 1
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def changed_files(before: Look, after: Look, place: Workplace) -> tuple[str, ...]:
    """The files made or written in between, as a tool shows them: sorted, the first hundred."""
    names = (
        well_formed(place.name_of(Path(path)))
        for path, stamp in after.stamps.items()
        if before.stamps.get(path) != stamp
    )
    return tuple(sorted(names)[:_MOST_NAMES])


class Growth:
    """Whether more was written since `before` than may be, in bytes or in files and folders.

    Whoever took it, the last of a disk is left alone: a file that is deleted but open is nowhere to
    be seen but in the free space.
    """

    def __init__(self, folders: Sequence[Path], before: Look, limit: tuple[int, int]) -> None:
        self._folders = folders
        self._before = before
        self._bytes, self._entries = limit
        self._floors = [min(_FLOOR_BYTES, _free(each) // 2) for each in folders]
        self._next_look_s = 0.0

    def is_over(self) -> bool:
        if any(map(lt, map(_free, self._folders), self._floors)):
            return True
        begun_s = monotonic()
        if begun_s < self._next_look_s:
            return False
        look = look_at(self._folders)
        self._next_look_s = monotonic() + _LOOKS_APART * (monotonic() - begun_s)
        grown = look.size - self._before.size, look.entries - self._before.entries
        return grown[0] > self._bytes or grown[1] > self._entries


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
