"""The sandbox: the one way in which code or a command that a model wrote is run.

On Linux bubblewrap shuts it in (see `bubblewrap`). Where there is none nothing runs, unless the
user has consented to run it without: then in a process of its own, with an environment of its own
and what limits the system has, which keeps mistakes in bounds, but no malice.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

from agentctl.core.agents.sandbox.bubblewrap import Bubblewrap, SandboxState, find_bubblewrap
from agentctl.core.agents.sandbox.confinement import (
    PLAIN_VARIABLES,
    Confined,
    Output,
    SandboxLimits,
    Watch,
)
from agentctl.core.agents.sandbox.file_changes import Growth, changed_files, look_at
from agentctl.core.agents.sandbox.interpreter import find_interpreter
from agentctl.core.agents.sandbox.python_session import CodeResult, PythonSession
from agentctl.core.agents.tools.base import Workplace
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.child_processes import APART
from agentctl.core.errors import SandboxMissing, ToolFailed

__all__ = [
    "CodeResult",
    "Finished",
    "PythonSession",
    "Sandbox",
    "SandboxLimits",
    "SandboxState",
    "probe",
]

_NO_PLACES = tuple(map(Path, ("/proc", "/sys", "/dev")))
# Blocks have each their own share of processor time; a session has this many of them.
_BLOCKS_OF_CPU = 20
_PATIENCE_S = 1.0
# SIGXCPU, as bubblewrap tells it and as it is.
_OUT_OF_CPU = (128 + 24, -24)
_KEPT_VARIABLES = ("PATH", "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "PATHEXT", "WINDIR")


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command came to.

    `output` is stdout and stderr as they came; what was too long or ended the command is said in
    it. `exit_code` is None when the sandbox ended it. `files` were made or written meanwhile.
    """

    exit_code: int | None
    output: str
    timed_out: bool = False
    files: tuple[str, ...] = ()


def probe(environ: Mapping[str, str], deadline_s: float = 10.0) -> SandboxState:
    """Whether there is a sandbox, and what would give one; looks for at most so many seconds."""
    state, _ = find_bubblewrap(environ, deadline_s)
    return state


class Sandbox:
    """Runs what a model wrote. `consent` is the user's, to run it where there is no sandbox."""

    def __init__(
        self, environ: Mapping[str, str], limits: SandboxLimits, *, consent: bool = False
    ) -> None:
        self._environ = environ
        self._limits = limits
        self._consent = consent
        self._interpreter = find_interpreter()
        self._found: tuple[SandboxState, Bubblewrap | None] | None = None

    def state(self) -> SandboxState:
        """Looks once, which takes a moment."""
        if self._found is None:
            self._found = find_bubblewrap(self._environ)
        return self._found[0]

    async def run(
        self,
        command: Sequence[str] | str,
        place: Workplace,
        *,
        may_write: bool,
        stdin: bytes = b"",
        limits: SandboxLimits | None = None,
    ) -> Finished:
        """Runs a command in the work folder, which it `may_write` to. Cancelling ends it at once.

        A command in one text is for Windows alone, where each program takes it apart by itself.

        Raises:
            SandboxMissing: there is no sandbox, and no consent.
            ToolFailed: the command cannot be started, or not in this folder.
        """
        limits = limits or self._limits
        _check(place)
        await self._require()
        folders = _writable(place, may_write)
        before = await run_in_thread(partial(look_at, folders))
        program = command if isinstance(command, str) else [*self._launcher(limits), *command]
        confined = self._start(program, place, limits, may_write, subprocess.STDOUT)
        into, out_of = confined.pipes
        output = Output(out_of, limits.output_bytes, confined.kill)
        Thread(target=_feed, args=(into, stdin), name="sandbox-input", daemon=True).start()
        timed_out = False
        growth = Growth(folders, before, (limits.file_bytes, limits.files))
        with Watch(confined, limits, growth) as watch:
            try:
                async with asyncio.timeout(limits.wall_s):
                    await run_in_thread(confined.process.wait)
            except TimeoutError:
                timed_out = True
            finally:
                confined.kill()
                code = await run_in_thread(confined.finish)
        text = await run_in_thread(partial(output.rest, _PATIENCE_S))
        reason = watch.verdict
        if timed_out:
            reason = f"it took more than {limits.wall_s:g} seconds"
        elif output.is_flood:
            reason = f"it printed more than {2 * limits.output_bytes:,} bytes"
        elif code in _OUT_OF_CPU:
            reason = f"it took more than {limits.cpu_s} seconds of processor time"
        after = await run_in_thread(partial(look_at, folders))
        return Finished(
            None if reason else code,
            f"{text}\n[stopped: {reason}]\n" if reason else text,
            timed_out,
            changed_files(before, after, place),
        )

    def python(
        self,
        place: Workplace,
        tools: Sequence[ToolSpec] = (),
        *,
        limits: SandboxLimits | None = None,
    ) -> PythonSession:
        """A Python that may call `tools` as functions; it starts with the first block.

        The code may write to the work folder when `place.code_may_write`.
        """
        limits = limits or self._limits
        may_write = place.code_may_write

        async def start() -> Confined:
            _check(place)
            await self._require()
            cpu_s = limits.cpu_s * _BLOCKS_OF_CPU
            own = limits.for_process(cpu_s=cpu_s, counts_processes=self._counts_processes())
            program = (*self._interpreter.command, own, "--serve")
            return self._start(program, place, limits, may_write, subprocess.PIPE)

        return PythonSession(
            start,
            place,
            _writable(place, may_write),
            [(each.name, _parameters(each)) for each in tools],
            self._interpreter.packages,
            limits,
        )

    async def _require(self) -> None:
        state = await run_in_thread(self.state)
        if state.kind == "none" and not self._consent:
            raise SandboxMissing(f"no sandbox for what a model wrote: {state.detail}", state.fix)

    def _launcher(self, limits: SandboxLimits) -> tuple[str, ...]:
        """What sets the limits of a command and becomes it."""
        if sys.platform == "win32":
            return ()
        own = limits.for_process(cpu_s=limits.cpu_s, counts_processes=self._counts_processes())
        return (*self._interpreter.command, own, "--")

    def _counts_processes(self) -> bool:
        """Whether the system counts those of the sandbox alone, not all that the user has."""
        if self._bubblewrap is None or sys.platform == "win32":
            return False
        version = re.match(r"(\d+)\.(\d+)", os.uname().release)
        return version is not None and (int(version[1]), int(version[2])) >= (5, 14)

    @property
    def _bubblewrap(self) -> Bubblewrap | None:
        return None if self._found is None else self._found[1]

    def _start(
        self,
        program: Sequence[str] | str,
        place: Workplace,
        limits: SandboxLimits,
        may_write: bool,
        stderr: int,
    ) -> Confined:
        """To be called in a thread that lasts: when it ends, the kernel ends the sandbox."""
        if self._bubblewrap is None:
            return Confined(_popen(program, stderr, cwd=place.folder, env=self._variables(place)))
        words = [program] if isinstance(program, str) else program
        shut_in = self._bubblewrap.shut_in(
            words, self._interpreter, place, limits, may_write=may_write
        )
        try:
            # The first process inside has this environment, and shows it to the others.
            process = _popen(shut_in.command, stderr, env={}, pass_fds=shut_in.descriptors)
        except ToolFailed:
            os.close(shut_in.report)
            raise
        finally:
            shut_in.close()
        return Confined(process, shut_in.report)

    def _variables(self, place: Workplace) -> dict[str, str]:
        kept = {name: self._environ[name] for name in _KEPT_VARIABLES if name in self._environ}
        scratch = dict.fromkeys(("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP"), place.scratch)
        own = {name: str(path) for name, path in scratch.items()}
        return {**kept, **own, **PLAIN_VARIABLES}


def _parameters(tool: ToolSpec) -> tuple[str, ...]:
    properties = tool.parameters.get("properties")
    return tuple(properties) if isinstance(properties, dict) else ()


def _popen(
    program: Sequence[str] | str,
    stderr: int,
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """In a session and group of its own, without a terminal."""
    try:
        return subprocess.Popen(
            program,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=cwd,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,
            creationflags=APART,
        )
    except (OSError, ValueError) as error:
        raise ToolFailed(f"this cannot be started: {error}") from None


def _writable(place: Workplace, may_write: bool) -> tuple[Path, ...]:
    return (place.scratch, place.folder) if may_write else (place.scratch,)


def _check(place: Workplace) -> None:
    """Raises ToolFailed for folders that cannot be shut in.

    A link would be followed outside: code that may write could have put it there.
    """
    for folder in (place.folder, place.scratch):
        if folder == folder.parent or any(each in (folder, *folder.parents) for each in _NO_PLACES):
            raise ToolFailed(f"code cannot be shut in {folder}: work in a folder of your own")
        if not folder.is_dir() or folder.resolve() != folder:
            raise ToolFailed(f"{folder} is no folder, or a link to one")
    if place.folder == place.scratch:
        raise ToolFailed(f"{place.folder} cannot be both the work folder and the run's own")


def _feed(stream: IO[bytes], data: bytes) -> None:
    with suppress(OSError, ValueError), stream:
        stream.write(data)
