"""The paths of a call, and the patterns of rules that name them.

Paths are absolute with all links followed, as tools give them. A pattern is relative to the work
folder, or absolute, or begins with `~`; `*` and `?` stand for part of a name, `**` for any folders.
"""

import glob
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from agentctl.core.agents.tools.base import Workplace
from agentctl.core.errors import ToolFailed
from agentctl.core.paths import expand

OUTSIDE = "../**"
"""The one pattern with `..`: all that is neither in the work folder nor in the run's own."""


def is_inside(path: Path, place: Workplace) -> bool:
    return place.holds(path) or is_scratch(path, place)


def is_scratch(path: Path, place: Workplace) -> bool:
    return path == place.scratch or place.scratch in path.parents


def is_absolute(pattern: str) -> bool:
    return expand(pattern).is_absolute()


def covered(pattern: str, paths: Collection[Path], place: Workplace) -> set[Path]:
    """The paths that the pattern means exactly; a relative one means nothing outside."""
    if pattern == OUTSIDE:
        return {path for path in paths if not is_inside(path, place)}
    start, globs = _split(pattern, place)
    # What the user names may be a link. A link in the work folder may be the model's.
    starts = {start, _resolved(start)} if is_absolute(pattern) else {start}
    places, globs = {_cased(each.parts) for each in starts}, _cased(globs)
    return {path for path in paths if any(_below(_cased(path.parts), s, globs) for s in places)}


def catches(pattern: str, paths: Collection[Path], place: Workplace) -> bool:
    """Whether it means one of the paths, or a folder above one, in any case or through a link."""
    if pattern == OUTSIDE:
        return not all(is_inside(path, place) for path in paths)
    start, globs = _split(pattern, place)
    starts = {_folded(each.parts) for each in (start, _resolved(start))}
    globs = (*_folded(globs), "**")
    return any(_below(_folded(path.parts), each, globs) for path in paths for each in starts)


def beginning_of(pattern: str, place: Workplace) -> Path:
    """What a pattern names before its first wildcard, links followed."""
    return _resolved(_split(pattern, place)[0])


def exact_pattern(path: Path) -> str:
    return glob.escape(path.as_posix())


def common_pattern(paths: Sequence[Path], place: Workplace) -> str:
    """One pattern for all: the path, or all of the folder they share.

    When that folder would lie above the work folder, it is the pattern of the first alone.
    """
    if len(paths) > 1 and all(map(place.holds, paths)):
        return f"{exact_pattern(Path(os.path.commonpath(paths)))}/**"
    return exact_pattern(paths[0])


def paths_named(names: Iterable[str], place: Workplace, *, has_glob: bool) -> Iterator[Path]:
    """The paths that words of a command may mean. What cannot be told counts as the root."""
    for name in names:
        yield _path_named(name, place)
        if has_glob and _is_glob(name):
            yield from _expanded(name, place)


def _path_named(name: str, place: Workplace) -> Path:
    try:
        return place.resolve(name)
    except (ToolFailed, ValueError):
        return Path(place.folder.anchor)


def _expanded(name: str, place: Workplace) -> Iterator[Path]:
    """The files a shell would put for `*` and `?`, when these stand in the last part of a path."""
    folder, _, last = name.rpartition("/")
    base = _path_named(folder or ".", place)
    if _is_glob(folder) or not place.holds(base):
        yield Path(place.folder.anchor)
        return
    pattern = re.sub(r"\*+", "*", last.replace("[", "[[]"))
    with suppress(OSError):
        for path in base.glob(pattern):
            yield _path_named(str(path), place)


def _split(pattern: str, place: Workplace) -> tuple[Path, tuple[str, ...]]:
    """Where a pattern begins, and the parts from its first wildcard on."""
    if os.sep == "\\" and is_absolute(pattern):
        pattern = pattern.replace("\\", "/")
    parts = pattern.rstrip("/").split("/")
    fixed = next((n for n, part in enumerate(parts) if _is_glob(part)), len(parts))
    start = "/".join(parts[:fixed])
    if pattern.startswith("/"):
        start = "/" + start.lstrip("/")
    if start.endswith(":"):  # a drive's root, not where one stands on the drive
        start += "/"
    return place.folder / expand(start), tuple(parts[fixed:])


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _is_glob(text: str) -> bool:
    return any(sign in text for sign in "*?[")


def _cased(parts: Sequence[str]) -> tuple[str, ...]:
    """As the system compares names: on Windows case is none of them."""
    return tuple(map(os.path.normcase, parts))


def _folded(parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.casefold() for part in parts)


def _below(parts: tuple[str, ...], start: tuple[str, ...], globs: tuple[str, ...]) -> bool:
    """Whether the path begins at `start` and goes on as `globs` say."""
    return parts[: len(start)] == start and _fits(globs, parts[len(start) :])


def _fits(globs: tuple[str, ...], names: tuple[str, ...]) -> bool:
    if not globs:
        return not names
    *above, last = globs
    if last == "**":
        return any(_fits(tuple(above), names[:n]) for n in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[-1], last) and _fits(tuple(above), names[:-1])
