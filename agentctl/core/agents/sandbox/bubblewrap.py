"""Bubblewrap: whether it works here, and the command line that shuts a program in.

Inside there are the system's programs and this Python to read, the work folder and the scratch
folder at their own paths, an empty /tmp, and nothing else: no other file, process, network or
variable of the host. The program is user 1000 there, without capabilities. To the host's files it
is whoever started it, so that they are read and written as that user could. When that is root, it
is a root who can do nothing but read and write what is mounted; /proc is mounted read-only because
its switches ask for root alone, not for a capability.
"""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentctl.core.agents.sandbox.confinement import PLAIN_VARIABLES, SandboxLimits
from agentctl.core.agents.sandbox.interpreter import Interpreter, find_interpreter
from agentctl.core.agents.sandbox.seccomp import seccomp_filter
from agentctl.core.agents.tools.base import Workplace

_INSTALL = {
    "apt-get": "install",
    "dnf": "install",
    "zypper": "install",
    "pacman": "-S",
    "apk": "add",
}
_APPARMOR_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_APPARMOR_PROFILE = "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict"

_USER = "1000"
_ISOLATION = (
    *("--unshare-all", "--unshare-user", "--uid", _USER, "--gid", _USER, "--hostname", "sandbox"),
    *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
    *("--proc", "/proc", "--dev", "/dev"),
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
_SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache")
_FILES = {
    "/etc/passwd": f"sandbox:x:{_USER}:{_USER}::/tmp:/bin/sh\n",
    "/etc/group": f"sandbox:x:{_USER}:\n",
    "/etc/hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
}
# A virtual environment of this Python, where nobody works.
_PYTHON = Path("/.agentctl")
_VARIABLES = {
    "PATH": f"{_PYTHON}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/tmp",  # noqa: S108 - the sandbox's own
    "USER": "sandbox",
    **PLAIN_VARIABLES,
}
# Of the host's /proc: what its root may read, and what tells of the machine.
_MASKED = ("kcore", "kmsg", "keys", "cmdline", "kpagecount", "kpageflags", "kpagecgroup")
_SHARED_MEMORY_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class SandboxState:
    """What was found; `fix` is the command or action that gives a sandbox, else empty."""

    kind: Literal["bubblewrap", "none"]
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class ShutIn:
    """A program in the sandbox, to be started without the host's environment.

    What bubblewrap says of its first process comes from `report`, which the caller closes.
    """

    command: list[str]
    descriptors: tuple[int, ...]
    report: int

    def close(self) -> None:
        """When it was started: `descriptors` are for the child alone."""
        for descriptor in self.descriptors:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Bubblewrap:
    """The program; `has_sizes` when it can limit a folder in memory (0.7 and later)."""

    program: Path
    has_sizes: bool

    def shut_in(
        self,
        program: Sequence[str],
        interpreter: Interpreter,
        place: Workplace | None,
        limits: SandboxLimits,
        *,
        may_write: bool,
    ) -> ShutIn:
        """`may_write` is for the work folder. Without a place there is none, and no scratch."""
        report, reported = os.pipe()
        descriptors = [reported]
        options = [*_ISOLATION, "--info-fd", str(reported)]
        for name, value in _VARIABLES.items():
            options += ["--setenv", name, value]
        mounts = [*self._memory(limits), *_folders(place, may_write), *_system(interpreter)]
        # What lies deeper comes later; of two at one path the system's own.
        for path, mount in sorted(mounts, key=lambda each: len(each[0].parts)):
            options += [*mount, str(path)]
        for name, text in {**_FILES, **_environment(interpreter)}.items():
            descriptors.append(_readable(text.encode()))
            options += ["--ro-bind-data", str(descriptors[-1]), name]
        if rules := seccomp_filter(platform.machine()):
            descriptors.append(_readable(rules))
            options += ["--seccomp", str(descriptors[-1])]
        for name in ("/proc", "/dev", "/"):
            options += ["--remount-ro", name]
        options += ["--chdir", "/" if place is None else str(place.folder)]
        return ShutIn([str(self.program), *options, "--", *program], tuple(descriptors), report)

    def _memory(self, limits: SandboxLimits) -> Iterator[tuple[Path, list[str]]]:
        sizes = {"/tmp": limits.file_bytes, "/dev/shm": _SHARED_MEMORY_BYTES}  # noqa: S108 - likewise
        for path, size in sizes.items():
            limit = ["--size", str(size)] if self.has_sizes else []
            yield Path(path), [*limit, "--tmpfs"]


def _folders(place: Workplace | None, may_write: bool) -> Iterator[tuple[Path, list[str]]]:
    if place is not None:
        yield place.folder, ["--bind" if may_write else "--ro-bind", str(place.folder)]
        yield place.scratch, ["--bind", str(place.scratch)]


def _system(interpreter: Interpreter) -> Iterator[tuple[Path, list[str]]]:
    for path in map(Path, (*_SYSTEM, *_SETTINGS)):
        if path.is_symlink() and path.is_dir():
            yield path, ["--symlink", str(path.readlink())]
        elif path.exists():
            yield path, ["--ro-bind", str(path)]
    for path in dict.fromkeys(interpreter.parts):
        if path.exists():
            yield path, ["--ro-bind", str(path)]
    if interpreter.python is not None:
        for name in ("python", "python3"):
            yield _PYTHON / "bin" / name, ["--symlink", str(interpreter.python)]
    for path in (Path("/proc") / name for name in _MASKED):
        if path.exists():
            yield path, ["--ro-bind", os.devnull]


def _environment(interpreter: Interpreter) -> dict[str, str]:
    """For whoever calls `python3`: other Pythons are not to find packages that are not theirs."""
    if interpreter.python is None:
        return {}
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return {
        f"{_PYTHON}/pyvenv.cfg": f"home = {interpreter.python.parent}\n",
        f"{_PYTHON}/lib/{version}/site-packages/installed.pth": "\n".join(interpreter.packages),
    }


def _readable(data: bytes) -> int:
    """A descriptor to read `data` from: less than a pipe holds (64 kB)."""
    reader, writer = os.pipe()
    try:
        os.write(writer, data)
    finally:
        os.close(writer)
    return reader


def find_bubblewrap(
    environ: Mapping[str, str], deadline_s: float = 10.0
) -> tuple[SandboxState, Bubblewrap | None]:
    """Looks for it and runs one command in it, within `deadline_s` seconds."""
    if sys.platform != "linux":
        detail = "none on this platform: code that a model wrote will need your consent to run"
        fix = "nothing to install: read such code before you consent"
        return SandboxState("none", detail, fix), None
    name = _find_program("bwrap", environ)
    if name is None:
        tool = next((each for each in _INSTALL if _find_program(each, environ)), "apt-get")
        fix = f"sudo {tool} {_INSTALL[tool]} bubblewrap"
        return SandboxState("none", "bubblewrap is not installed", fix), None
    try:
        found = _look_at(Path(name).absolute(), deadline_s / 3)
        problem = _problem(found, find_interpreter(), deadline_s / 3)
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    else:
        if not problem:
            return SandboxState("bubblewrap", f"{name} works"), found
    return SandboxState("none", f"bubblewrap does not work: {problem}", _permit()), None


def _find_program(name: str, environ: Mapping[str, str]) -> str | None:
    return shutil.which(name, path=environ.get("PATH", os.defpath))


def _look_at(program: Path, deadline_s: float) -> Bubblewrap:
    told = subprocess.run(
        [str(program), "--help"], check=False, capture_output=True, env={}, timeout=deadline_s
    )
    return Bubblewrap(program, b"--size" in told.stdout)


def _problem(found: Bubblewrap, interpreter: Interpreter, deadline_s: float) -> str:
    """Why nothing can be run in it, in one line; empty when it works."""
    shut_in = found.shut_in(["true"], interpreter, None, SandboxLimits(), may_write=False)
    try:
        result = subprocess.run(
            shut_in.command,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env={},
            pass_fds=shut_in.descriptors,
            timeout=deadline_s,
        )
    finally:
        shut_in.close()
        os.close(shut_in.report)
    if result.returncode == 0:
        return ""
    return next(iter(result.stderr.strip().splitlines()), f"exit code {result.returncode}")


def _permit() -> str:
    """What lets bubblewrap work here."""
    if _APPARMOR_SWITCH.is_file() and _APPARMOR_SWITCH.read_text().strip() == "1":
        return (
            f"sudo apt-get install apparmor-profiles && sudo cp {_APPARMOR_PROFILE}"
            " /etc/apparmor.d/ && sudo systemctl reload apparmor"
        )
    return "allow user namespaces: sudo sysctl -w user.max_user_namespaces=15000"
