"""Puts a staged home in the place of the present one, whatever kills it on the way.

The new home waits in a hidden folder inside each of the old one's folders, so that every step is a
rename. A journal says what is to be moved. Before it is written, nothing was changed; from then on
whoever comes next goes on where it broke off: so a home is always the old one or the new one.
Every start looks whether there is a journal: so little is imported here.
"""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agentctl.core.errors import StorageError
from agentctl.core.file_lock import locked
from agentctl.core.open_files import move_over, remove, rename
from agentctl.core.paths import Paths, make_private, owner_only

ROOTS = ("config", "data", "state")
"""The folders of `Paths` that a swap moves things in."""

_STAGED = ".restore-"
_KEPT = "replaced-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is called `name` in a root goes aside; in its place comes a new one, if there is one."""

    root: str
    name: str
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """`mark` tells its folders from those of other swaps."""

    mark: str
    keeps_old: bool
    moves: tuple[Move, ...]

    def places(self, paths: Paths, move: Move) -> tuple[Path, Path, Path]:
        """Where the new one waits, where it goes, and where the old one goes."""
        root = root_of(paths, move.root)
        new, old = staging(paths, move.root, self.mark), kept(paths, move.root, self.mark)
        return new / move.name, root / move.name, old / move.name


def root_of(paths: Paths, root: str) -> Path:
    return {"config": paths.config, "data": paths.data, "state": paths.state}[root]


def staging(paths: Paths, root: str, mark: str) -> Path:
    return root_of(paths, root) / f"{_STAGED}{mark}"


def kept(paths: Paths, root: str, mark: str) -> Path:
    """The folder of the old home's things."""
    return root_of(paths, root) / f"{_KEPT}{mark}"


def is_own(name: str) -> bool:
    """Whether a folder of that name in a root belongs to a swap."""
    return name.startswith((_STAGED, _KEPT))


def lock(paths: Paths) -> Path:
    """Held by whoever restores, or ends what was begun."""
    return paths.data / "restore.lock"


def journal(paths: Paths) -> Path:
    return paths.data / "restore.json"


def finish_swap(paths: Paths) -> bool:
    """Ends a swap that was killed; whether there was one. Costs one look when there was none.

    Raises:
        BackendBusy: it is under way in another process.
        StorageError: it can neither be ended nor undone.
    """
    if not journal(paths).exists():
        return False
    with locked(lock(paths), "a restore"):
        finish_own_swap(paths)
    return True


def finish_own_swap(paths: Paths) -> None:
    """The same for one who holds the lock."""
    try:
        told = json.loads(journal(paths).read_text(encoding="utf-8"))
        moves = tuple(Move(**each) for each in told.pop("moves"))
        swap = Swap(**told, moves=moves)
    except FileNotFoundError:
        return
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StorageError(
            f"{journal(paths)} cannot be read: {error}", "see docs/recovery.md"
        ) from None
    _carry_out(paths, swap)


def commit(paths: Paths, swap: Swap) -> None:
    """Carries it out for one who holds the lock.

    Raises StorageError when something cannot be moved, and then all is as it was.
    """
    new = journal(paths).with_suffix(".new")
    with open(new, "w", encoding="utf-8", opener=owner_only) as file:
        json.dump(asdict(swap), file)
        file.flush()
        os.fsync(file.fileno())
    move_over(new, journal(paths))
    _keep(paths.data)
    _carry_out(paths, swap)


def tidy(paths: Paths) -> None:
    """Removes what restores left that were killed before they had changed anything."""
    import shutil

    for root in ROOTS:
        for folder in root_of(paths, root).glob(f"{_STAGED}*"):
            shutil.rmtree(folder, ignore_errors=True)


def _carry_out(paths: Paths, swap: Swap) -> None:
    import shutil

    try:
        for move in swap.moves:
            _make(*swap.places(paths, move), is_new=move.is_new)
    except OSError as error:
        _undo(paths, swap)
        raise StorageError(
            f"{error.filename} cannot be replaced: {error.strerror}; all is as it was",
            "close what uses it, then: agentctl restore FILE",
        ) from None
    for root in ROOTS:
        _keep(root_of(paths, root))
    # An index of the old documents; searches make it anew.
    shutil.rmtree(paths.vector_indexes, ignore_errors=True)
    for root in ROOTS:
        if not swap.keeps_old:
            shutil.rmtree(kept(paths, root, swap.mark), ignore_errors=True)
        shutil.rmtree(staging(paths, root, swap.mark), ignore_errors=True)
    remove(journal(paths))


def _make(new: Path, place: Path, old: Path, *, is_new: bool) -> None:
    """One move, or what is left of it."""
    if is_new and not _is_there(new):
        return
    if _is_there(place) and not _is_there(old):
        make_private(old.parent)
        rename(place, old)
    if is_new:
        make_private(place.parent)
        move_over(new, place)


def _undo(paths: Paths, swap: Swap) -> None:
    """Moves back what was moved. Raises StorageError when that cannot be done either."""
    try:
        for move in reversed(swap.moves):
            new, place, old = swap.places(paths, move)
            if move.is_new and not _is_there(new) and _is_there(place):
                rename(place, new)
            if _is_there(old) and not _is_there(place):
                rename(old, place)
    except OSError as error:
        raise StorageError(
            f"a restore can be neither ended nor undone: {error.filename}: {error.strerror}",
            "make it writable, then: agentctl doctor",
        ) from None
    remove(journal(paths))
    tidy(paths)
    for root in ROOTS:
        with suppress(OSError):
            kept(paths, root, swap.mark).rmdir()


def _is_there(path: Path) -> bool:
    return os.path.lexists(path)


def _keep(folder: Path) -> None:
    """Has the renames in a folder written to the disk, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
