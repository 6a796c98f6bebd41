"""What code in a sandbox is not to reach, how it may try, and how the host sees that it did."""

import os
import platform
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from agentctl.core.agents.tools.base import Workplace
from tests.test_house import ROOT

MARKER = "ESCAPED"
_SYSTEM_CALLS = {
    "unshare": (272, 97),
    "setns": (308, 268),
    "clone": (56, 220),
    "clone3": (435, 435),
    "mount": (165, 40),
    "chroot": (161, 51),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "open_by_handle_at": (304, 265),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
}
_PREAMBLE = """\
import ctypes, os, signal, socket, subprocess, sys, threading, time

if IN_SANDBOX and socket.gethostname() != "sandbox":
    raise SystemExit("this is no sandbox: what comes could end all processes of the user")

def escaped(how=""):
    print("ESC" + "APED", how, flush=True)

def system_call(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    words = [each if isinstance(each, bytes) else ctypes.c_long(each) for each in arguments]
    if (result := library.syscall(ctypes.c_long(NUMBERS[name]), *words)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escape:
    """One way out, in Python.

    It succeeded when `Bait.found` finds something; `expects` is a pattern of what it prints or the
    sandbox says when it was tried and did not. Some need a `PythonSession`, where code talks to the
    host. Time is short where it has to run out.
    """

    name: str
    tries: str
    stopped_by: str
    expects: str
    code: str
    path: Literal["any", "session"] = "any"
    wall_s: float = 30.0
    cpu_s: int = 30


class Bait:
    """A secret file, a secret variable, listeners and a process; none of them in the sandbox.

    `place` is where the code works: read-only, unless a test says otherwise. In it lie a file, a
    link to the secret, a link to the folder outside, and a socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.secret = f"secret-{uuid4().hex}"
        self.environ = {**os.environ, "AGENTCTL_SECRET": self.secret}
        self.outside, work, scratch = (folder / name for name in ("outside", "work", "scratch"))
        for each in (self.outside, work, scratch):
            each.mkdir(parents=True)
        self.place = Workplace(folder=work, scratch=scratch)
        self._secret_file = self.outside / "secret.txt"
        self._secret_file.write_text(self.secret)
        (work / "file.txt").write_text("as it was")
        (work / "link.txt").symlink_to(self._secret_file)
        (work / "link").symlink_to(self.outside)
        self._victim = subprocess.Popen(["sleep", "600"], start_new_session=True)
        self._abstract = f"agentctl-{uuid4().hex}"
        self._listeners = list(self._listen())
        self._before = self._files()

    def _listen(self) -> Iterator[socket.socket]:
        yield socket.create_server(("127.0.0.1", 0))
        if sys.platform == "linux":
            # A path as long as those of pytest does not fit into an address.
            here = Path.cwd()
            os.chdir(self.place.folder)
            for address in ("\0" + self._abstract, "host.socket"):
                listener = socket.socket(socket.AF_UNIX)
                listener.bind(address)
                listener.listen()
                yield listener
            os.chdir(here)

    def code(self, code: str, *, in_sandbox: bool = True) -> str:
        """The code with what it may know of the host: where things are, not what they hold.

        It refuses to run outside of a sandbox, where it could do harm, unless told otherwise.
        """
        column = 0 if platform.machine() == "x86_64" else 1
        names = {
            "IN_SANDBOX": in_sandbox,
            "NUMBERS": {name: pair[column] for name, pair in _SYSTEM_CALLS.items()},
            "SECRET_FILE": str(self._secret_file),
            "OUTSIDE": str(self.outside),
            "WORK": str(self.place.folder),
            "SCRATCH": str(self.place.scratch),
            "PROJECT": str(ROOT),
            "HOST_PID": self._victim.pid,
            "PORT": self._listeners[0].getsockname()[1],
            "ABSTRACT": "\0" + self._abstract,
        }
        settings = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        return f"{settings}{_PREAMBLE}{code}"

    def found(self, text: str) -> list[str]:
        """What got out, going by what the code said and by what is so now; nothing, it is hoped."""
        proofs = {
            "the code says so": MARKER in text,
            "the secret was told": self.secret in text,
            "a connection arrived": any(map(_has_caller, self._listeners)),
            "a process of the host was ended": self._victim.poll() is not None,
            "files changed": self._files() != self._before,
            "a program became set-user-ID": any(map(_is_set_id, self.place.scratch.rglob("*"))),
            "processes were left behind": bool(left_behind(self.folder)),
        }
        return [proof for proof, is_so in proofs.items() if is_so]

    def _files(self) -> dict[str, tuple[int, bytes]]:
        """All that may not change: what is outside, and the work folder."""
        files = [*self.outside.rglob("*"), *self.place.folder.rglob("*")]
        return {
            str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in files
        }

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._victim.kill()
        self._victim.wait()
        for process in left_behind(self.folder):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.place.scratch, ignore_errors=True)


@contextmanager
def laid_out(folder: Path) -> Iterator[Bait]:
    bait = Bait(folder)
    try:
        yield bait
    finally:
        bait.close()


def left_behind(folder: Path) -> list[int]:
    """Processes that know of the folder: the sandbox's own have it in their command line, and
    when they are gone the kernel has ended all that were in it. Others have it in their variables.
    """
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            known = [(process / name).read_bytes() for name in ("cmdline", "environ")]
            if any(os.fsencode(folder) in each for each in known) and process.name.isdigit():
                found.append(int(process.name))
    return found


def _has_caller(listener: socket.socket) -> bool:
    listener.setblocking(False)
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _is_set_id(path: Path) -> bool:
    return bool(path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID))
