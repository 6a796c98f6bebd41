"""Unpacks the program that the single file carries, once, into the user's cache.

On Windows it then runs the program. Elsewhere a few lines of shell do (`launcher.sh`), which call
this only when there is something to unpack.

The payload is a tar archive, compressed by lzma, behind `MARK`. In the cache it becomes the folder
`program/VERSION-HASH`; the file `.unpacked`, written last, says that it is whole. Each program that
runs from there holds that file, so that no newer version takes the folder away.
"""

import errno
import hashlib
import lzma
import mmap
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

# Stands before the payload, and nowhere else: here is only what it is made of.
MARK = hashlib.sha256(b"agentctl: the payload begins here").digest()
MARKER = ".unpacked"
_LOCK = "unpacking.lock"
_NEW, _OLD = ".new-", ".old-"
_PIECE = 1 << 20


class Payload(NamedTuple):
    """What is carried: `size` bytes with that SHA-256."""

    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """Of the folder."""
        return f"{self.version}-{self.sha256[:12]}"


class Damaged(Exception):
    """The single file is not what was built."""


def cache_folder(environ: Mapping[str, str], platform: str, home: Path) -> Path:
    """Where the program keeps what it can make anew."""
    if own := environ.get("AGENTCTL_HOME"):
        return Path(os.path.expanduser(own)).absolute() / "cache"  # noqa: PTH111 - as the program
    if platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "agentctl" / "Cache"
    if platform == "darwin":
        return home / "Library" / "Caches" / "agentctl"
    shared = environ.get("XDG_CACHE_HOME", "").strip()
    return (Path(shared) if shared else home / ".cache") / "agentctl"


def is_whole(folder: Path) -> bool:
    """Whether nothing has changed since it was unpacked, by the times of files and folders."""
    try:
        finished = (folder / MARKER).stat().st_mtime_ns
        if folder.stat().st_mtime_ns > finished:
            return False
        changed = (entry.stat(follow_symlinks=False).st_mtime_ns for entry in _everything(folder))
        return all(time <= finished for time in changed)
    except OSError:
        return False


def unpack(payload: Payload, carrier: Path, cache: Path) -> Path:
    """The folder with the program, unpacked if it is not there or not whole.

    Raises:
        Damaged: `carrier` does not hold the payload.
        OSError: the cache cannot be written to.
    """
    programs = make_private(cache / "program")
    folder = programs / payload.name
    if is_whole(folder):
        return folder
    with _locked(programs / _LOCK):
        # Another one may have unpacked it meanwhile.
        if is_whole(folder):
            return folder
        _remove_leavings(programs)
        new = Path(tempfile.mkdtemp(prefix=_NEW, dir=programs))
        try:
            _extract(payload, carrier, new)
            if folder.exists():
                _set_aside(folder)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        _sync(programs)
        for other in programs.iterdir():
            if other.is_dir() and other != folder and not is_in_use(other):
                _set_aside(other)
        _remove_leavings(programs)
    return folder


def is_in_use(folder: Path) -> bool:
    """Whether a program runs from it."""
    marker = folder / MARKER
    try:
        if sys.platform == "win32":
            # Python opens files so that they cannot be renamed meanwhile.
            marker.rename(marker)
            return False
        import fcntl

        with marker.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def make_private(folder: Path) -> Path:
    """Makes a folder that only its owner may enter, and so each one above it that is missing."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def run(program: Path, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs it as a child that ends with this process; its exit code.

    What the child itself starts goes its own way, as a daemon must.
    """
    import signal

    # Ctrl+C reaches the child as well, and the child says what it means.
    for name in ("SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    # The bootloader is to forget that it is one already.
    child_environ = {**environ, "PYINSTALLER_RESET_ENVIRONMENT": "1"}
    process = subprocess.Popen([program, *arguments], env=child_environ)
    job = None
    if sys.platform == "win32":
        job = _bind(process.pid)
        # The bootloader's process is the one that users see, and end.
        threading.Thread(target=_follow, args=(os.getppid(), process), daemon=True).start()
    code = process.wait()
    del job
    # Windows' codes have no sign; what Python ends with has one.
    return code - (1 << 32) if code >= 1 << 31 else code


def explain(problem: OSError, cache: Path) -> str:
    """Two lines: what is wrong, and what mends it."""
    reason = problem.strerror or str(problem)
    mend = "free some disk space (300 MB), or set AGENTCTL_HOME to a folder on a larger disk"
    if problem.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}:
        mend = "set AGENTCTL_HOME to a folder that you may write to"
    return f"error: agentctl cannot unpack itself in {cache}: {reason}\n  try: {mend}\n"


def main() -> int:
    """Prints where the program is, or on Windows runs it."""
    import carried  # type: ignore[import-not-found]  # made when the single file is built

    payload = Payload(carried.VERSION, carried.SHA256, carried.SIZE)
    carrier = Path(sys.executable if sys.platform == "win32" else sys.argv[1])
    cache = cache_folder(os.environ, sys.platform, Path.home())
    if sys.stderr.isatty() and not is_whole(cache / "program" / payload.name):
        sys.stderr.write("agentctl unpacks itself, this once ...\n")
        sys.stderr.flush()
    try:
        folder = unpack(payload, carrier, cache)
    except Damaged as damaged:
        sys.stderr.write(f"error: {damaged}\n  try: download agentctl again\n")
        return 1
    except OSError as problem:
        sys.stderr.write(explain(problem, cache))
        return 1
    if sys.platform != "win32":
        sys.stdout.write(f"{folder / 'agentctl'}\n")
        return 0
    environ = {**os.environ, "_AGENTCTL_LAUNCHER": str(carrier)}
    return run(folder / "agentctl.exe", sys.argv[1:], environ)


def _extract(payload: Payload, carrier: Path, new: Path) -> None:
    with carrier.open("rb") as file:
        file.seek(_find(payload, file))
        with lzma.open(file) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            archive.extractall(new, filter="data")
    for entry in _everything(new):
        if entry.is_file(follow_symlinks=False):
            _sync(Path(entry.path))
    (new / MARKER).touch(mode=0o600)
    # Later than the change of the folder that it stands in.
    os.utime(new / MARKER)
    _sync(new)


def _find(payload: Payload, file: IO[bytes]) -> int:
    """Where the payload begins, when it is the right one. Raises Damaged."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(MARK) + len(MARK)
        digest = hashlib.sha256()
        for start in range(place, place + payload.size, _PIECE):
            digest.update(data[start : min(start + _PIECE, place + payload.size)])
    if digest.hexdigest() != payload.sha256:
        raise Damaged("this file of agentctl is damaged")
    return place


def _everything(folder: Path) -> Iterator[os.DirEntry[str]]:
    """All that is in it, except for the marker."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name != MARKER:
                yield entry
            if entry.is_dir(follow_symlinks=False):
                yield from _everything(Path(entry.path))


def _set_aside(folder: Path) -> None:
    """Takes it out of the way in one step, to be removed at leisure."""
    folder.rename(folder.with_name(f"{_OLD}{folder.name}-{os.getpid()}"))


def _remove_leavings(programs: Path) -> None:
    """What was set aside, and what others were unpacking when they were killed."""
    for folder in programs.iterdir():
        if folder.name.startswith((_NEW, _OLD)):
            shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    """Waits until it is on the disk."""
    is_folder = path.is_dir()
    if sys.platform == "win32" and is_folder:
        return
    with suppress(PermissionError):
        descriptor = os.open(path, os.O_RDONLY if is_folder or os.name == "posix" else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Waits for the lock, and holds it; the end of this process releases it."""
    with path.open("ab") as file:
        if sys.platform == "win32":
            import msvcrt

            # It gives up after ten seconds.
            while True:
                with suppress(OSError):
                    msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                    break
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bind(pid: int) -> int:
    """A job of Windows: when its handle is closed, be it by a kill, the process ends."""
    import ctypes
    import struct

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]  # of Windows only
    kernel.CreateJobObjectW.restype = kernel.OpenProcess.restype = ctypes.c_void_p
    # JOBOBJECT_EXTENDED_LIMIT_INFORMATION of 64 bits: its flags are the fifth 32-bit number.
    kill_on_close, silent_breakaway = 0x2000, 0x1000
    limits = bytearray(144)
    struct.pack_into("<I", limits, 16, kill_on_close | silent_breakaway)
    buffer = (ctypes.c_char * len(limits)).from_buffer(limits)
    job = kernel.CreateJobObjectW(None, None)
    may_set_quota_and_terminate = 0x0101
    process = kernel.OpenProcess(may_set_quota_and_terminate, False, pid)
    kernel.SetInformationJobObject(ctypes.c_void_p(job), 9, buffer, len(limits))
    kernel.AssignProcessToJobObject(ctypes.c_void_p(job), ctypes.c_void_p(process))
    kernel.CloseHandle(ctypes.c_void_p(process))
    return int(job or 0)


def _follow(pid: int, process: subprocess.Popen[bytes]) -> None:
    """Ends `process` when that other one of Windows has ended."""
    import ctypes

    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]  # of Windows only
    kernel.OpenProcess.restype = ctypes.c_void_p
    may_be_waited_for, for_ever = 0x0010_0000, 0xFFFF_FFFF
    other = kernel.OpenProcess(may_be_waited_for, False, pid)
    if other and kernel.WaitForSingleObject(ctypes.c_void_p(other), for_ever) == 0:
        process.kill()


if __name__ == "__main__":
    sys.exit(main())
