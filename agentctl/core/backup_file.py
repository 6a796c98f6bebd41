"""The file that a backup is: a zip whose manifest says what is in it, to the byte.

It may come from a stranger: nothing in it is believed before it was held against its manifest.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

from agentctl.core.errors import InputHostile, InputMissing, InputUnreadable, StorageError
from agentctl.core.windows_paths import is_device

if TYPE_CHECKING:
    from zipfile import ZipFile

FORMAT = 1
"""Of the file; one that this program does not know is refused."""

MANIFEST = "manifest.json"
DATABASE = "data/agentctl.db"

# Bytes: read at once, of a manifest, of a zip's directory, and of contents that are always let
# in; above these, how many times larger than the file they may be.
PIECE = 1_000_000
_MANIFEST_LIMIT = 32_000_000
_DIRECTORY_LIMIT = 32_000_000
_ALWAYS_ALLOWED = 1_000_000_000
_LARGEST_RATIO = 200
_LONGEST_NAME = 1_000
_PLACES = re.compile(
    r"config/.+|data/agentctl\.db|data/runs/.+|data/models/[^/]+|state/last-report"
)
_NOT_PORTABLE = re.compile("[\x00-\x1f\x7f\\\\:\ud800-\udfff]")
# The end of a zip file that has no comment, and what stands before it in a large one.
_END, _END_MARK, _END_SIZE_AT = 22, b"PK\5\6", 12
_LOCATOR, _LOCATOR_MARK = 20, b"PK\6\7"
_END64, _END64_MARK, _END64_SIZE_AT = 56, b"PK\6\6", 40
_ANOTHER = "take another backup, or a copy of it that is whole"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much a database holds."""

    documents: int
    sessions: int
    runs: int
    tasks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where the home was that was backed up, as absolute paths."""

    config: str
    data: str
    cache: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file: `name` begins with the folder it belongs to, `size` is in bytes."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """`agentctl` is the version that wrote it, `schema` its database's; `created` ISO 8601, UTC."""

    format: int
    agentctl: str
    schema: int
    created: str
    folders: Folders
    counts: Counts
    members: tuple[Member, ...]

    @property
    def size(self) -> int:
        """Bytes of all that is in it."""
        return sum(member.size for member in self.members)


class BackupFile:
    """A backup that is open; use `open_backup`."""

    def __init__(self, path: Path, archive: "ZipFile", manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._archive = archive

    def unpack(self, member: Member, target: IO[bytes], tell: Callable[[int], None]) -> None:
        """Writes a member's bytes; `tell` hears how many as they come.

        Raises InputUnreadable when they are not those of the manifest.
        """
        import hashlib

        digest, size = hashlib.sha256(), 0
        with _understood(self.path), self._archive.open(member.name) as source:
            while piece := source.read(PIECE):
                size += len(piece)
                digest.update(piece)
                target.write(piece)
                tell(len(piece))
        if (size, digest.hexdigest()) != (member.size, member.sha256):
            raise InputUnreadable(f"{self.path} is damaged: {member.name} was changed", _ANOTHER)


@contextmanager
def open_backup(path: Path) -> Iterator[BackupFile]:
    """A backup whose directory is what its manifest says; what its members hold is not read yet.

    Raises:
        InputMissing: there is no such file, or it may not be read.
        InputUnreadable: it is no backup, is cut off, or was changed.
        InputHostile: it would write elsewhere, or would unpack to far more than it is.
    """
    from zipfile import ZipFile

    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise InputMissing(f"{path}: {reason}", "check the path and its rights") from None
    with file:
        with _understood(path):
            _check_directory(file, path)
            archive = ZipFile(file)
        with archive:
            with _understood(path):
                manifest = _read_manifest(archive, path)
                _check_members(archive, manifest, path)
            yield BackupFile(path, archive, manifest)


def is_safe(name: str) -> bool:
    """Whether a backup may have a member of that name: it stays in its folder everywhere."""
    parts = name.split("/")
    return (
        len(name) <= _LONGEST_NAME
        and _PLACES.fullmatch(name) is not None
        and not _NOT_PORTABLE.search(name)
        and all(part.strip(". ") for part in parts)
        and not (sys.platform == "win32" and any(map(is_device, parts)))
    )


def add_member(
    archive: "ZipFile", name: str, pieces: Iterable[bytes], tell: Callable[[int], None]
) -> Member:
    """Writes one member, and what the manifest will say of it."""
    import hashlib

    digest, size = hashlib.sha256(), 0
    with archive.open(name, "w", force_zip64=True) as target:
        for piece in pieces:
            size += len(piece)
            digest.update(piece)
            target.write(piece)
            tell(len(piece))
    return Member(name=name, size=size, sha256=digest.hexdigest())


def write_manifest(archive: "ZipFile", manifest: Manifest) -> None:
    import msgspec

    archive.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest), indent=1))


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Turns what zipfile raises into our errors: it says little of what it may."""
    import errno
    import struct
    import zlib
    from zipfile import BadZipFile

    try:
        yield
    except OSError as error:
        # One of zipfile's own seeks before the file's begin.
        if error.errno == errno.EINVAL:
            raise InputUnreadable(f"{path} is no backup of agentctl", _ANOTHER) from None
        raise StorageError(
            f"{path} cannot be unpacked: {error.strerror}", "free some disk space, then try again"
        ) from None
    except (BadZipFile, zlib.error, struct.error, EOFError) as error:
        raise InputUnreadable(f"{path} is damaged, or no backup: {error}", _ANOTHER) from None
    except (RuntimeError, ValueError, KeyError, OverflowError) as error:
        raise InputUnreadable(f"{path} is no backup of agentctl: {error}", _ANOTHER) from None


def _check_directory(file: BinaryIO, path: Path) -> None:
    """Before zipfile reads a zip's whole directory into memory: how large it claims to be."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(0, length - _END - _LOCATOR - _END64))
    tail = file.read().rjust(_END + _LOCATOR + _END64, b"\0")
    end, locator, end64 = tail[-_END:], tail[-_END - _LOCATOR : -_END], tail[:_END64]
    if not end.startswith(_END_MARK):
        raise InputUnreadable(f"{path} is no backup of agentctl, or is cut off", _ANOTHER)
    size = int.from_bytes(end[_END_SIZE_AT : _END_SIZE_AT + 4], "little")
    if locator.startswith(_LOCATOR_MARK) and end64.startswith(_END64_MARK):
        size = int.from_bytes(end64[_END64_SIZE_AT : _END64_SIZE_AT + 8], "little")
    if size > min(_DIRECTORY_LIMIT, length):
        raise InputHostile(f"{path} claims to have far too many members", "do not trust it")


def _read_manifest(archive: "ZipFile", path: Path) -> Manifest:
    import msgspec

    info = archive.NameToInfo.get(MANIFEST)
    if info is None:
        raise InputUnreadable(f"{path} is no backup of agentctl: it has no manifest", _ANOTHER)
    if info.file_size > _MANIFEST_LIMIT:
        raise InputHostile(f"{path} has a manifest that is far too large", "do not trust it")
    try:
        told = msgspec.json.decode(archive.read(info))
        version = told.get("format") if isinstance(told, dict) else None
        if isinstance(version, int) and version > FORMAT:
            raise newer(path, str(told.get("agentctl")), f"format {version}, this one {FORMAT}")
        return msgspec.convert(told, Manifest)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError) as error:
        raise InputUnreadable(f"{path} has a manifest of no use: {error}", _ANOTHER) from None


def newer(path: Path, version: str, what: str) -> StorageError:
    """The error for a backup that only a newer program understands."""
    is_version = re.fullmatch(r"\d[\w.+-]{0,40}", version) is not None
    wanted = f"'agentctl>={version}'" if is_version else "agentctl"
    told = f"agentctl {version}" if is_version else "a newer agentctl"
    return StorageError(
        f"{path} was written by {told} ({what}); nothing was changed",
        f"pip install --upgrade {wanted}",
    )


def _check_members(archive: "ZipFile", manifest: Manifest, path: Path) -> None:
    """The directory holds the manifest's members, each as large as it says, and nothing else."""
    listed = {member.name: member for member in manifest.members}
    for name in [*archive.NameToInfo, *listed]:
        if name != MANIFEST and not is_safe(name):
            raise InputHostile(f"{path} would write where it may not: {name!r:.100}", "remove it")
    names = [info.filename for info in archive.infolist()]
    wanted = [MANIFEST, *(member.name for member in manifest.members)]
    if sorted(names) != sorted(wanted) or len(listed) < len(manifest.members):
        raise InputUnreadable(f"{path} is damaged: it does not hold what it lists", _ANOTHER)
    if DATABASE not in listed:
        raise InputUnreadable(f"{path} is damaged: it holds no database", _ANOTHER)
    _check_kinds(archive, listed, path)
    packed = path.stat().st_size
    if manifest.size > max(_ALWAYS_ALLOWED, _LARGEST_RATIO * packed):
        raise InputHostile(
            f"{path} would unpack to {manifest.size:,} bytes, far more than it has",
            "do not trust it",
        )


def _check_kinds(archive: "ZipFile", listed: Mapping[str, Member], path: Path) -> None:
    from stat import S_IFMT, S_ISREG
    from zipfile import ZIP_DEFLATED, ZIP_STORED

    folders = {name.rpartition("/")[0] for name in listed}
    above = {folder[: match.start()] for folder in folders for match in re.finditer("/", folder)}
    for info in archive.infolist():
        mode = info.external_attr >> 16
        if S_IFMT(mode) and not S_ISREG(mode):
            raise InputHostile(f"{path} holds a link or worse: {info.filename!r:.100}", "remove it")
        is_ours = (
            info.compress_type in (ZIP_STORED, ZIP_DEFLATED)
            and not info.flag_bits & 1
            and info.filename not in folders | above
        )
        member = listed.get(info.filename)
        if not is_ours or (member is not None and member.size != info.file_size):
            raise InputUnreadable(f"{path} is damaged: {info.filename!r:.100}", _ANOTHER)
