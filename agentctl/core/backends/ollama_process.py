"""Starting and ending `ollama serve`, and knowing again the one that agentctl started.

A server outlives the process that started it. So its process id and birth are kept in a file: the
next agentctl takes it for its own, and nothing else is ever ended in its place.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from agentctl.core.addresses import stays_here
from agentctl.core.backends.ollama_server import OllamaServer
from agentctl.core.backends.transport import Endpoint
from agentctl.core.child_processes import APART, find_program, kill_tree
from agentctl.core.errors import BackendUnreachable, RetryError
from agentctl.core.open_files import move_over, remove
from agentctl.core.paths import Paths, make_private, owner_only

if TYPE_CHECKING:
    from subprocess import Popen

    import psutil

Starter: TypeAlias = Literal["command", "daemon"]

_LOG_BYTES = 5_000_000
# Seconds a server has to end by itself: it unloads its models then.
_GRACE_S = 2.0
_GLANCE_S = 0.02
_BIRTH_S = 1.0


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server of ours: `born` is the birth of its process, in seconds since 1970."""

    pid: int
    born: float
    address: str
    starter: Starter


async def start_server(
    server: OllamaServer,
    paths: Paths,
    environ: Mapping[str, str],
    *,
    starter: Starter = "command",
    deadline_s: float = 15.0,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Runs `ollama serve` until it answers.

    What a command started is the user's from then on: nothing ends it, though the daemon may
    restart it when it is silent. What the daemon started ends with the daemon.

    Raises:
        BackendUnreachable: there is no `ollama` here, the server is another machine's, or it did
            not answer in time; then its processes are ended and its log says more.
    """
    try:
        process = _spawn(server.endpoint, paths.ollama_log, environ)
    except OSError as error:
        raise BackendUnreachable(
            f"ollama serve does not start: {error}", "start it yourself: ollama serve"
        ) from None
    # Kept before it answers: a server that is starting must not be lost when this process ends.
    _remember(paths, process.pid, server.endpoint.address, starter)
    try:
        async with asyncio.timeout(deadline_s):
            await _wait_for_answer(server, process, paths.ollama_log, sleep)
    except BaseException as error:
        kill_tree(process.pid)
        process.wait()
        _forget(paths, process.pid)
        if isinstance(error, TimeoutError):
            raise BackendUnreachable(
                f"ollama serve did not answer within {deadline_s:g} s",
                f"its log says why: {paths.ollama_log}",
            ) from None
        raise
    if process.poll() is not None:
        # Another one, started in the same moment, got the port and answers.
        _forget(paths, process.pid)


def find_started(paths: Paths, address: str) -> StartedServer | None:
    """The server of ours for `address`, when it still runs; whoever of agentctl started it."""
    started = _recall(paths)
    if started is None or started.address != address:
        return None
    process = _process(started)
    return started if process is not None and _runs(process) else None


def end_started(paths: Paths, address: str) -> None:
    """Ends the server of ours for `address` with the engines it started, or what is left of it.

    Harmless when there is none. Blocks for as long as it takes, at most some seconds.
    """
    started = _recall(paths)
    if started is not None and started.address == address:
        end_all(_members(started))
        _forget(paths, started.pid)


def end_all(processes: "list[psutil.Process]") -> None:
    """First asked to end, then made to."""
    import psutil

    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.Error):
                end(process)
        processes = _wait(processes, _GRACE_S)


def _wait(processes: "list[psutil.Process]", seconds: float) -> "list[psutil.Process]":
    """Those that still run after at most so many seconds."""
    import psutil

    deadline = time.monotonic() + seconds
    while True:
        _, left = psutil.wait_procs(processes, 0)
        # One that ended may stay listed for as long as its parent does not ask for it.
        processes = [each for each in left if _runs(each)]
        if not processes or time.monotonic() > deadline:
            return processes
        time.sleep(_GLANCE_S)


def with_children(process: "psutil.Process") -> "list[psutil.Process]":
    import psutil

    with suppress(psutil.Error):
        return [process, *process.children(recursive=True)]
    return []


def find_listener(port: int) -> "psutil.Process | None":
    """The process that listens at `port` of this machine, where the system tells us."""
    import psutil

    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            is_listening = connection.status == psutil.CONN_LISTEN and connection.pid is not None
            if is_listening and connection.laddr[1:] == (port,):
                return psutil.Process(connection.pid)
    return None


def is_ollama(process: "psutil.Process") -> bool:
    import psutil

    with suppress(psutil.Error):
        return process.name().removesuffix(".exe").casefold() == "ollama"
    return False


async def _wait_for_answer(
    server: OllamaServer,
    process: "Popen[bytes]",
    log: Path,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    pause_s = 0.05
    while True:
        # Asked before the server is: the port may have gone to one that started meanwhile.
        ended = process.poll()
        try:
            await server.version()
        except RetryError:
            if ended is not None:
                raise BackendUnreachable(
                    f"ollama serve ended with code {ended}", f"its log says why: {log}"
                ) from None
        else:
            return
        await sleep(pause_s)
        pause_s = min(2 * pause_s, 0.5)


def _spawn(endpoint: Endpoint, log: Path, environ: Mapping[str, str]) -> "Popen[bytes]":
    import subprocess

    if not stays_here(endpoint.address):
        raise BackendUnreachable(f"nothing answers at {endpoint.address}", "start Ollama there")
    program = find_program("ollama", environ)
    if program is None:
        raise BackendUnreachable(
            "Ollama is not installed: no `ollama` on PATH", "https://ollama.com/download"
        )
    make_private(log.parent)
    _rotate(log)
    # Written to by the server itself: no pipe that somebody would have to drain.
    with open(log, "ab", opener=owner_only) as output:
        return subprocess.Popen(
            [program, "serve"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**environ, "OLLAMA_HOST": endpoint.address},
            start_new_session=True,
            creationflags=APART,
        )


def _rotate(log: Path) -> None:
    with suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_BYTES:
            move_over(log, log.with_name(f"{log.name}.1"))


def _record(paths: Paths) -> Path:
    return paths.state / "ollama.json"


def _remember(paths: Paths, pid: int, address: str, starter: Starter) -> None:
    import psutil

    try:
        born = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return
    text = json.dumps(asdict(StartedServer(pid, born, address, starter)))
    fresh = _record(paths).with_name(f"ollama.{os.getpid()}.json")
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    move_over(fresh, _record(paths))


def _recall(paths: Paths) -> StartedServer | None:
    import msgspec

    try:
        return msgspec.json.decode(_record(paths).read_bytes(), type=StartedServer)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _forget(paths: Paths, pid: int) -> None:
    started = _recall(paths)
    if started is not None and started.pid == pid:
        remove(_record(paths))


def _process(started: StartedServer) -> "psutil.Process | None":
    """None when it is gone, even when another process has its number by now."""
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(started.pid)
        if abs(process.create_time() - started.born) < _BIRTH_S:
            return process
    return None


def _runs(process: "psutil.Process") -> bool:
    import psutil

    with suppress(psutil.Error):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _members(started: StartedServer) -> "list[psutil.Process]":
    """The server, what it started, and what of that outlived it."""
    import psutil

    process = _process(started)
    if process is not None:
        members = with_children(process)
    elif psutil.pid_exists(started.pid):
        return []
    else:
        members = []
    if sys.platform == "win32":
        return members
    for each in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            # Without the server only what is its engine by name: its group's number may be old.
            is_ours = os.getpgid(each.pid) == started.pid and each.create_time() >= started.born
            if is_ours and each not in members and (process is not None or is_ollama(each)):
                members.append(each)
    return members
