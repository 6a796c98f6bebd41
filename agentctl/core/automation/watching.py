"""Watched folders as values."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

FolderStatus: TypeAlias = Literal["watching", "polling", "missing", "idle"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRequest:
    """A folder, by its absolute path, whose files a collection follows.

    `include` and `exclude` are globs on the path below it.
    """

    path: str
    collection: str = "default"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedFolder:
    """`status` says how it is followed: `idle` means that no daemon runs, `missing` that the
    folder is not there now; `polling` looks again and again where no events come."""

    path: str
    collection: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    added: str
    status: FolderStatus = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderActivity:
    """What became of a watched folder's changes: `time` is ISO 8601 in UTC, `path` the folder."""

    time: str
    path: str
    message: str
