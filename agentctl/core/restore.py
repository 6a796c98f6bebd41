"""Restoring a backup: everything is checked and unpacked first, then swapped in one go."""

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agentctl.core import backup_file, home_swap
from agentctl.core.backup import (
    Progress,
    Tell,
    count,
    folders_of,
)
from agentctl.core.backup_file import BackupFile, Counts, Manifest, Member, open_backup
from agentctl.core.config import read_toml_layer
from agentctl.core.errors import (
    BackendBusy,
    ConfigError,
    InputMissing,
    InputUnreadable,
    StorageError,
)
from agentctl.core.file_lock import locked, locked_past_lookers
from agentctl.core.home_swap import Move, Swap, kept, root_of, staging
from agentctl.core.moments import utc_now
from agentctl.core.paths import Paths, make_private
from agentctl.core.relocation import Relocation, find_missing
from agentctl.core.storage import open_database, schema_version, translated_errors

# How a database begins, and what SQLite keeps beside it.
_MAGIC = b"SQLite format 3\0"
_BESIDE = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """`kept` are the folders with what was replaced; `missing` is what this machine has not."""

    manifest: Manifest
    kept: tuple[str, ...]
    missing: tuple[str, ...]


def look_into(path: Path) -> Manifest:
    """What a backup says of itself, quickly. Raises as `open_backup`, StorageError for a newer one.

    Nothing but its directory was checked then.
    """
    with open_backup(path) as backup:
        _check_age(backup)
        return backup.manifest


def present_counts(paths: Paths) -> Counts | None:
    """What the home holds now; None when it has no database, or one that cannot be read."""
    try:
        return count(paths.database) if paths.database.exists() else None
    except sqlite3.Error:
        return None


def check(path: Path, paths: Paths, tell: Tell) -> None:
    """Checks all that `restore` would, with nothing replaced. Raises the same."""
    with _only_restore(paths), _staged(path, paths, "check", tell):
        pass


def restore(
    path: Path,
    paths: Paths,
    tell: Tell,
    *,
    keeps_old: bool = True,
    now: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> RestoreReport:
    """Puts the backup's home in the place of the present one.

    A kill leaves the old home or, after `finish_swap`, the new one. Models that the backup does
    not have stay.

    Raises:
        BackendBusy: a daemon or another agentctl uses the home.
        StorageError: its database is damaged or too new, or the disk is too small.
        InputMissing, InputUnreadable, InputHostile: as `open_backup`.
    """
    with _only_restore(paths), _nobody_else(paths, sleep):
        _close_database(paths)
        mark = _unused_mark(paths, now())
        with _staged(path, paths, mark, tell) as (backup, present):
            missing = _missing(paths, mark)
            _close_database(paths)
            swap = Swap(
                mark=mark,
                keeps_old=keeps_old,
                moves=(*_moves(paths, backup.manifest, mark, present),),
            )
            home_swap.commit(paths, swap)
        left = [kept(paths, root, mark) for root in home_swap.ROOTS]
        return RestoreReport(
            manifest=backup.manifest,
            kept=tuple(str(folder) for folder in left if folder.exists()),
            missing=missing,
        )


@contextmanager
def _only_restore(paths: Paths) -> Iterator[None]:
    """Alone among restores, and what an earlier one left behind is gone."""
    with _unpackable():
        for root in home_swap.ROOTS:
            make_private(root_of(paths, root))
        stack = ExitStack()
        stack.enter_context(locked(home_swap.lock(paths), "a restore"))
    with stack:
        home_swap.finish_own_swap(paths)
        home_swap.tidy(paths)
        yield


@contextmanager
def _nobody_else(paths: Paths, sleep: Callable[[float], None]) -> Iterator[None]:
    refusal = BackendBusy("a daemon runs", "agentctl daemon stop")
    with (
        locked_past_lookers(paths.daemon_lock, refusal, sleep),
        locked(paths.ingest_lock, "an ingest"),
    ):
        yield


def _close_database(paths: Paths) -> None:
    """Makes the present database one file, which works only where nobody else has it open."""
    if not _is_database(paths.database):
        return
    with (
        suppress(sqlite3.DatabaseError),
        closing(sqlite3.connect(paths.database, timeout=0.0, isolation_level=None)) as connection,
    ):
        try:
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise BackendBusy(
                "another agentctl has the database open",
                "close it (a dashboard, an answer, a run), then try again",
            ) from None


def _is_database(path: Path) -> bool:
    """Of what is none, SQLite would remove what lies beside it, which somebody may still need."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@contextmanager
def _staged(
    path: Path, paths: Paths, mark: str, tell: Tell
) -> Iterator[tuple[BackupFile, frozenset[str]]]:
    """The backup, unpacked beside the home and ready to use; gone at the end.

    With it, the names of models that are here already, as they are in the backup.
    """
    with open_backup(path) as backup:
        _check_age(backup)
        _check_room(backup, paths)
        try:
            with _unpackable():
                present = _unpack(backup, paths, mark, tell)
                _prepare(backup, paths, mark)
            yield backup, present
        finally:
            if not home_swap.journal(paths).exists():
                home_swap.tidy(paths)


@contextmanager
def _unpackable() -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise InputUnreadable(
            f"two files of the backup have one name here: {error.filename}",
            "restore it on the system it comes from",
        ) from None
    except OSError as error:
        raise StorageError(
            f"the backup cannot be unpacked: {error.filename or ''} {error.strerror}",
            "free some disk space, or make it writable, then try again",
        ) from None


def _check_age(backup: BackupFile) -> None:
    manifest = backup.manifest
    if manifest.schema > schema_version():
        what = f"schema {manifest.schema}, this one knows {schema_version()}"
        raise backup_file.newer(backup.path, manifest.agentctl, what)


def _check_room(backup: BackupFile, paths: Paths) -> None:
    free = shutil.disk_usage(paths.data).free
    if backup.manifest.size > free:
        raise StorageError(
            f"{paths.data} has {free:,} bytes free, the backup needs {backup.manifest.size:,}",
            "free some disk space, then try again",
        )


def _unpack(backup: BackupFile, paths: Paths, mark: str, tell: Tell) -> frozenset[str]:
    progress = Progress("unpacking", backup.manifest.size, tell)
    present: set[str] = set()
    for member in backup.manifest.members:
        root, _, name = member.name.partition("/")
        target = staging(paths, root, mark) / name
        if _is_present(root_of(paths, root) / name, member):
            # What is here already is checked in the backup all the same.
            present.add(member.name)
            target = Path(os.devnull)
        else:
            make_private(target.parent)
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with target.open("r+b") as file:
            backup.unpack(member, file, progress.advance)
            file.flush()
            with suppress(OSError):
                os.fsync(file.fileno())
    return frozenset(present)


def _is_present(path: Path, member: Member) -> bool:
    """Whether a model, which may be large, is here as it is in the backup."""
    if not member.name.startswith("data/models/") or not path.is_file():
        return False
    if path.stat().st_size != member.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == member.sha256


def _prepare(backup: BackupFile, paths: Paths, mark: str) -> None:
    """Checks the staged database, brings it up to date, and moves the home's own paths."""
    relocation = Relocation(backup.manifest.folders, folders_of(paths))
    relocation.move_config(staging(paths, "config", mark))
    database = staging(paths, "data", mark) / paths.database.name
    _check_database(database, backup)
    with translated_errors(f"the database in {backup.path}"):
        with closing(open_database(database)) as connection:
            relocation.move_database(connection)
            connection.execute("PRAGMA journal_mode = DELETE")
        count(database)


def _check_database(database: Path, backup: BackupFile) -> None:
    """Raises InputUnreadable for one that is not whole, or not what the backup lists."""
    wanted = [(backup.manifest.schema,), ("ok",)]
    with closing(sqlite3.connect(database, isolation_level=None)) as opened:
        try:
            found = [
                opened.execute("PRAGMA user_version").fetchone(),
                opened.execute("PRAGMA quick_check(1)").fetchone(),
            ]
        except sqlite3.Error as error:
            found = [(str(error),)]
    if found != wanted or backup.manifest.schema < 1:
        raise InputUnreadable(
            f"the database in {backup.path} is damaged: {found[-1][0]}", "take another backup"
        )


def _missing(paths: Paths, mark: str) -> tuple[str, ...]:
    """What the staged home speaks of and this machine has not."""
    settings = staging(paths, "config", mark) / paths.settings.name
    database = staging(paths, "data", mark) / paths.database.name
    values = {}
    # Settings of no use are told of by every command that follows.
    with suppress(ConfigError, InputMissing):
        values = dict(read_toml_layer(settings).values) if settings.is_file() else {}
    with translated_errors(), closing(sqlite3.connect(database)) as connection:
        return tuple(find_missing(connection, values, _will_be_here(paths, mark)))


def _will_be_here(paths: Paths, mark: str) -> Callable[[Path], bool]:
    def is_here(path: Path) -> bool:
        return path.exists() or any(
            (staging(paths, root, mark) / path.relative_to(root_of(paths, root))).exists()
            for root in home_swap.ROOTS
            if path.is_relative_to(root_of(paths, root))
        )

    return is_here


def _moves(paths: Paths, manifest: Manifest, mark: str, present: frozenset[str]) -> Iterator[Move]:
    """Everything that a backup could hold, but for models that this one has not."""
    for beside in _BESIDE:
        name = f"{paths.database.name}{beside}"
        if (paths.data / name).exists():
            yield Move(root="data", name=name, is_new=False)
    yield Move(root="data", name=paths.database.name, is_new=True)
    yield _move(paths, mark, "data", paths.runs.name)
    for member in manifest.members:
        root, _, name = member.name.partition("/")
        if name.startswith("models/") and member.name not in present:
            yield Move(root=root, name=name, is_new=True)
    yield _move(paths, mark, "state", paths.last_report.name)
    new = staging(paths, "config", mark)
    for name in sorted({*_names(paths.config), *_names(new)}):
        yield _move(paths, mark, "config", name)


def _names(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        yield from (each.name for each in folder.iterdir() if not home_swap.is_own(each.name))


def _move(paths: Paths, mark: str, root: str, name: str) -> Move:
    return Move(root=root, name=name, is_new=(staging(paths, root, mark) / name).exists())


def _unused_mark(paths: Paths, moment: datetime) -> str:
    first = mark = moment.strftime("%Y%m%d-%H%M%S")
    number = 2
    while any(kept(paths, root, mark).exists() for root in home_swap.ROOTS):
        mark = f"{first}-{number}"
        number += 1
    return mark
