"""A child process that speaks on its standard streams, and its end, with all it has started."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.child_processes import APART

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from psutil import Process as Relative

# Seconds to leave by itself once its input is closed, and again once it is told to.
_GRACE_S = 2.0


async def spawn(
    command: Sequence[str], env: Mapping[str, str], folder: Path, line_bytes: int
) -> "Process":
    """Starts it away from the terminal, in a group of its own. Raises OSError or ValueError.

    Of its output about twice `line_bytes` are held at most.
    """
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env=dict(env),
        cwd=folder,
        limit=line_bytes,
        start_new_session=True,
        creationflags=APART,
    )


async def end_process(process: "Process", *, at_once: bool = False) -> int | None:
    """Closes its input, gives it time to leave, then ends its whole tree, however this ends.

    With `at_once` it gets no time. Its code when it left by itself, else None. Nobody may read its
    output any more.
    """
    # The number of a process that is gone may be another's.
    family = _descendants(process.pid) if process.returncode is None else []
    drain = asyncio.create_task(_drain(process.stdout))
    try:
        if process.stdin is not None:
            process.stdin.close()
        code = process.returncode if at_once else await _wait(process)
        if code is None and not at_once:
            _signal(process.pid, family, signal.SIGTERM)
            await _wait(process)
    finally:
        _signal(process.pid, family, getattr(signal, "SIGKILL", signal.SIGTERM))
    # The pipes close when the last who holds them is gone.
    await _wait(process)
    drain.cancel()
    return code


async def _wait(process: "Process") -> int | None:
    """Its code, None when it does not end in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_GRACE_S):
            await process.wait()
    return process.returncode


async def _drain(stream: asyncio.StreamReader | None) -> None:
    """A server that waits for its output to be read cannot leave."""
    while stream is not None and await stream.read(65_536):
        pass


def _descendants(pid: int) -> "list[Relative]":
    """Those that may have left the group of their ancestor, too."""
    import psutil

    try:
        ancestor = psutil.Process(pid)
        return [ancestor, *ancestor.children(recursive=True)]
    except psutil.Error:
        return []


def _signal(pid: int, family: "list[Relative]", number: int) -> None:
    import psutil

    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)
    for relative in family:
        with suppress(psutil.Error):
            relative.send_signal(number)
