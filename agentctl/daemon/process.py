"""The daemon as a process: whether one runs, where it listens, how it starts and stops.

One runs per user: it holds the lock `daemon.lock` for as long as it lives, and while it does,
`daemon.json` says where it listens and with which token. Both may only be read by their owner.
"""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl import __version__
from agentctl.core.child_processes import APART
from agentctl.core.config import Config
from agentctl.core.errors import BackendBusy, BackendFailed, StorageError
from agentctl.core.file_lock import locked, locked_past_lookers
from agentctl.core.open_files import move_over, remove
from agentctl.core.paths import Paths, make_private, owner_only

if TYPE_CHECKING:
    from subprocess import Popen

# Seconds that a start and a stop may take, and between two looks.
START_S = 30.0
STOP_S = 20.0
_LOOK_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonAddress:
    """Where a daemon listens. `settings` is the fingerprint of those that it works with."""

    pid: int
    url: str
    token: str
    socket: str
    version: str
    settings: str
    started: str


def fingerprint(config: Config, environ: Mapping[str, str]) -> str:
    """Tells two sets of settings apart, with what the environment adds to them.

    A command whose settings differ from the daemon's does its work itself.
    """
    key = environ.get(config.settings.openai.api_key_env, "")
    told = [__version__, repr(config.settings), environ.get("OLLAMA_HOST", ""), key]
    return hashlib.sha256("\0".join(told).encode()).hexdigest()


def is_running(paths: Paths) -> bool:
    """Whether some process holds the daemon's lock."""
    if not paths.daemon_lock.exists():
        return False
    with suppress(BackendBusy, StorageError, OSError), locked(paths.daemon_lock, "the daemon"):
        return False
    return True


@contextmanager
def only_daemon(paths: Paths) -> Iterator[None]:
    """Holds the lock. Raises BackendBusy while another daemon does."""
    make_private(paths.state)
    refusal = BackendBusy("a daemon runs already", "agentctl daemon status")
    with locked_past_lookers(paths.daemon_lock, refusal):
        remove(paths.daemon_address)
        try:
            yield
        finally:
            remove(paths.daemon_address)


def write_address(paths: Paths, address: DaemonAddress) -> None:
    """Replaces the file in one step; nobody else could ever read it."""
    new = paths.daemon_address.with_suffix(".new")
    remove(new)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with open(new, "w", encoding="utf-8", opener=lambda name, _: os.open(name, flags, 0o600)) as to:
        json.dump(asdict(address), to)
    move_over(new, paths.daemon_address)


def read_address(paths: Paths) -> DaemonAddress | None:
    """Where the running daemon listens; None when none runs, or it is only starting."""
    try:
        told = json.loads(paths.daemon_address.read_bytes())
        address = DaemonAddress(**told)
    except (OSError, ValueError, TypeError):
        return None
    return address if is_running(paths) else None


async def start(paths: Paths, environ: Mapping[str, str]) -> DaemonAddress:
    """Starts a daemon that outlives this process, and waits until it listens.

    Raises:
        BackendBusy: one runs already, or it is not ready within `START_S` seconds.
        BackendFailed: it ended at once; its log says why.
    """
    if is_running(paths):
        raise BackendBusy("a daemon runs already", "agentctl daemon status")
    make_private(paths.state)
    log = paths.daemon_log
    process = _spawn(log, environ)
    with suppress(TimeoutError):
        async with asyncio.timeout(START_S):
            while process.poll() is None:
                address = read_address(paths)
                if address is not None:
                    return address
                await asyncio.sleep(_LOOK_S)
    if process.poll() is None:
        raise BackendBusy(f"the daemon is not ready after {START_S:g} s", "agentctl daemon logs")
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
    raise BackendFailed(f"the daemon ended at once: {last[0]}", "agentctl daemon run")


def _spawn(log: Path, environ: Mapping[str, str]) -> "Popen[bytes]":
    import subprocess

    with open(log, "wb", opener=owner_only) as output:
        return subprocess.Popen(
            [*own_command(), "daemon", "run", "--plain"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=child_environment(environ),
            cwd=Path.home(),
            start_new_session=True,
            creationflags=APART,
        )


async def stop(paths: Paths, *, patience_s: float = STOP_S) -> bool:
    """Asks the daemon to end, and ends it when it does not; False when none ran.

    It finishes or stores what runs, and takes at most `patience_s` seconds for that.
    """
    import signal

    address = read_address(paths)
    if address is None and not is_running(paths):
        return False
    pid = address.pid if address is not None else None
    await _ask_to_end(address)
    if await _has_ended(paths, patience_s):
        return True
    if pid is not None:
        # Windows says otherwise than by this error that there is none.
        with suppress(OSError):
            os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    if not await _has_ended(paths, patience_s):
        raise BackendBusy("the daemon does not end", f"end it yourself: kill {pid or ''}".strip())
    return True


async def _has_ended(paths: Paths, patience_s: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while is_running(paths):  # noqa: ASYNC110 - it is another process that ends
                await asyncio.sleep(_LOOK_S)
    return not is_running(paths)


async def _ask_to_end(address: DaemonAddress | None) -> None:
    if address is None:
        return
    import signal

    from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json
    from agentctl.core.errors import AgentctlError

    headers = {"Authorization": f"Bearer {address.token}"}
    endpoint = Endpoint(address.url, 2.0, 5.0, 5.0, headers)
    try:
        await fetch_json(endpoint, "POST", "/shutdown", {})
    except (AgentctlError, StatusError):
        # One that hears nobody any more may still hear this. On Windows it would end at once.
        if sys.platform != "win32":
            with suppress(ProcessLookupError):
                os.kill(address.pid, signal.SIGTERM)


def own_command() -> list[str]:
    """How this program is started once more: from source, installed, or frozen."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    return [sys.executable, "-m", "agentctl"]


def lasting_command(environ: Mapping[str, str]) -> list[str]:
    """What a service starts: this program, or the launcher that has unpacked it.

    The launcher's file stays where the user has put it, also when it becomes a newer one.
    """
    launcher = environ.get("_AGENTCTL_LAUNCHER")
    if launcher and getattr(sys, "frozen", False):
        return [str(Path(launcher).absolute())]
    return own_command()


def child_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """For a child that must outlive a program that was unpacked to run."""
    changed = dict(environ)
    if getattr(sys, "frozen", False):
        changed["PYINSTALLER_RESET_ENVIRONMENT"] = "1"
    return changed
