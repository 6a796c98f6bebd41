"""Backing up: the database, the configuration and the work of agents in one file.

It is taken while everything runs: the database as it is at one moment, whoever writes meanwhile.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

from agentctl import __version__
from agentctl.core import backup_file
from agentctl.core.backup_file import Counts, Folders, Manifest, Member
from agentctl.core.errors import InputMissing, StorageError, UsageProblem
from agentctl.core.home_swap import is_own
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.open_files import move_over
from agentctl.core.paths import Paths, when_unwritable
from agentctl.core.storage import open_database, read_only, schema_version, translated_errors

if TYPE_CHECKING:
    from zipfile import ZipFile

# Pages of the database that are copied at once, and how hard zlib tries: not very.
_PAGES = 1_000
_LEVEL = 1
_PRIVATE = 0o600
_GONE = (FileNotFoundError, NotADirectoryError)

Stage: TypeAlias = Literal["database", "packing", "checking", "unpacking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRequest:
    """`path` is absolute; a file that is there is only replaced when `replaces`."""

    path: str
    models: bool = False
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStep:
    """`done` of `total`, in bytes."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupReport:
    """`size` is the file's, in bytes; `left_out` are files that no backup can hold."""

    path: str
    size: int
    created: str
    schema: int
    members: int
    counts: Counts
    models: tuple[str, ...]
    left_out: tuple[str, ...]


Tell: TypeAlias = Callable[[BackupStep], None]


def back_up(
    request: BackupRequest, paths: Paths, tell: Tell, now: Callable[[], datetime] = utc_now
) -> BackupReport:
    """Writes the file beside its place, reads it back, and only then renames it.

    What `tell` raises ends it, and leaves nothing behind.

    Raises:
        UsageProblem: the file is there already.
        InputMissing: it cannot be written there, or a file of the home cannot be read.
        StorageError: the database is damaged, or the disk is full.
        BackendBusy: the database is locked for longer than anything should take.
    """
    from tempfile import TemporaryDirectory

    target = Path(request.path)
    if not request.replaces and target.exists():
        raise UsageProblem(f"{target} is there already", "give another name, or --force")
    with (
        _written(target),
        TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
    ):
        copy, whole = Path(folder, "agentctl.db"), Path(folder, "backup.zip")
        with translated_errors(paths.database):
            _copy_database(paths.database, copy, tell)
            counts = count(copy)
        with _read(paths.data):
            files, left_out = _sort_out(paths, with_models=request.models)
        manifest = _pack(whole, paths, {backup_file.DATABASE: copy} | files, counts, now, tell)
        _check_whole(whole, tell)
        size = whole.stat().st_size
        move_over(whole, target)
    return BackupReport(
        path=str(target),
        size=size,
        created=manifest.created,
        schema=manifest.schema,
        members=len(manifest.members),
        counts=counts,
        models=tuple(
            member.name.rpartition("/")[2]
            for member in manifest.members
            if member.name.startswith("data/models/")
        ),
        left_out=left_out,
    )


def count(database: Path) -> Counts:
    """What a current database holds. Raises sqlite3.Error."""
    with closing(sqlite3.connect(read_only(database.absolute()), uri=True)) as opened:
        numbers = {
            name: opened.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608 - of ours
            for name in ("documents", "sessions", "runs", "tasks")
        }
    return Counts(**numbers)


def _check_whole(path: Path, tell: Tell) -> None:
    """Reads each byte of a backup, and holds it against its manifest. Raises as `open_backup`."""
    with backup_file.open_backup(path) as backup, Path(os.devnull).open("wb") as nowhere:
        progress = Progress("checking", backup.manifest.size, tell)
        for member in backup.manifest.members:
            backup.unpack(member, nowhere, progress.advance)


class Progress:
    """Tells how many of so many bytes are done."""

    def __init__(self, stage: Stage, total: int, tell: Tell) -> None:
        self._stage: Stage = stage
        self._total = total
        self._tell = tell
        self._done = 0

    def advance(self, size: int) -> None:
        self._done += size
        self._tell(BackupStep(stage=self._stage, done=self._done, total=self._total))


@contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputMissing(
            f"{target} cannot be written: {error.strerror}",
            when_unwritable(target, "agentctl backup"),
        ) from None


@contextmanager
def _read(path: Path) -> Iterator[None]:
    """Tells a file or folder that is backed up from the one that it is backed up to."""
    try:
        yield
    except OSError as error:
        raise InputMissing(
            f"{error.filename or path} cannot be read: {error.strerror}",
            "check its rights and its disk, or move it away, then try again",
        ) from None


def _copy_database(source: Path, target: Path, tell: Tell) -> None:
    """A copy that is one file, and whole.

    The source's transaction stays open all the while: so each step copies from one state, and
    writers neither wait for it nor make it begin anew, as they otherwise would.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _PRIVATE))
    with (
        closing(open_database(source)) as opened,
        closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        opened.execute("BEGIN")
        opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
        page = opened.execute("PRAGMA page_size").fetchone()[0]
        opened.backup(copy, pages=_PAGES, progress=partial(_tell_pages, tell, page))
        opened.rollback()
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StorageError(f"{source} is damaged: {found}", "agentctl doctor")


def _tell_pages(tell: Tell, page: int, status: int, remaining: int, total: int) -> None:
    tell(BackupStep(stage="database", done=(total - remaining) * page, total=total * page))


def _sort_out(paths: Paths, *, with_models: bool) -> tuple[dict[str, Path], tuple[str, ...]]:
    """The files of a home by their names in a backup, and those that cannot be in one."""
    found = {f"config/{name}": path for name, path in _below(paths.config, follows_links=True)}
    for folder in _entries(paths.runs):
        if folder.is_dir() and not folder.is_symlink():
            for name, path in _below(folder, follows_links=False):
                found[f"data/runs/{folder.name}/{name}"] = path
    if paths.last_report.is_file():
        found["state/last-report"] = paths.last_report
    if with_models:
        models = [path for path in _entries(paths.models) if path.suffix == ".gguf"]
        found |= {f"data/models/{path.name}": path for path in models if path.is_file()}
    kept = {
        name: path
        for name, path in found.items()
        if backup_file.is_safe(name) and os.access(path, os.R_OK)
    }
    return kept, tuple(str(path) for name, path in found.items() if name not in kept)


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _below(root: Path, *, follows_links: bool) -> Iterator[tuple[str, Path]]:
    """Regular files with their paths from the root; what a restore keeps there is left aside."""
    seen: set[str] = set()
    for name, folders, files in os.walk(root, followlinks=follows_links):
        folder = Path(name)
        real = os.path.realpath(folder)
        if real in seen:
            # A link has led back to where the walk has been.
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(each for each in folders if folder != root or not is_own(each))
        for file in sorted(files):
            path = folder / file
            if path.is_file() and (follows_links or not path.is_symlink()):
                yield path.relative_to(root).as_posix(), path


def _pack(
    whole: Path,
    paths: Paths,
    files: dict[str, Path],
    counts: Counts,
    now: Callable[[], datetime],
    tell: Tell,
) -> Manifest:
    from zipfile import ZipFile

    progress = Progress("packing", sum(map(_size, files.values())), tell)
    descriptor = os.open(
        whole, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_BINARY", 0), _PRIVATE
    )
    with os.fdopen(descriptor, "w+b") as file:
        with ZipFile(file, "w", compresslevel=_LEVEL) as archive:
            members = [
                member
                for name, path in files.items()
                if (member := _add(archive, name, path, progress)) is not None
            ]
            manifest = Manifest(
                format=backup_file.FORMAT,
                agentctl=__version__,
                schema=schema_version(),
                created=moment_text(now(), "seconds"),
                folders=folders_of(paths),
                counts=counts,
                members=tuple(members),
            )
            backup_file.write_manifest(archive, manifest)
        file.flush()
        os.fsync(file.fileno())
    return manifest


def folders_of(paths: Paths) -> Folders:
    return Folders(
        config=str(paths.config),
        data=str(paths.data),
        cache=str(paths.cache),
        state=str(paths.state),
    )


def _add(archive: "ZipFile", name: str, path: Path, progress: Progress) -> Member | None:
    """None for a file that has gone since it was listed."""
    from zipfile import ZIP_DEFLATED, ZIP_STORED

    with _read(path):
        source = _opened(path)
    if source is None:
        return None
    # Models hardly shrink, and take long to.
    archive.compression = ZIP_STORED if name.startswith("data/models/") else ZIP_DEFLATED
    with source:
        return backup_file.add_member(archive, name, _pieces(source, path), progress.advance)


def _size(path: Path) -> int:
    """In bytes; 0 for a file that has gone."""
    with _read(path), suppress(*_GONE):
        return path.stat().st_size
    return 0


def _opened(path: Path) -> BinaryIO | None:
    """The file, if it still is one: opening a pipe would wait for its other end."""
    with suppress(*_GONE):
        return path.open("rb") if S_ISREG(path.stat().st_mode) else None
    return None


def _pieces(source: BinaryIO, path: Path) -> Iterator[bytes]:
    with _read(path):
        while piece := source.read(backup_file.PIECE):
            yield piece
