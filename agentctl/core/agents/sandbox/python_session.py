"""A Python in the sandbox that runs blocks of code one after the other, and may call tools.

What it says is taken for what the code says, whoever wrote it: a call goes to `call_tool` like any
other, a result is text, and what does not fit the protocol ends the process.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentctl.core.agents.sandbox.confinement import Confined, Output, SandboxLimits, Watch
from agentctl.core.agents.sandbox.file_changes import Growth, changed_files, look_at
from agentctl.core.agents.tools.base import Workplace, clip
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import ModelError
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject

_LONGEST_MESSAGE = 8_000_000
_LARGEST_STATE = 2_000_000
_LONGEST_TEXT = 25_000
_MOST_CALLS = 1_000
_MOST_NAMES = 100
_PATIENCE_S = 1.0
_NEW = "[Python was started anew: variables, functions and imports of before are gone]\n"

CallTool: TypeAlias = Callable[[str, JsonObject], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What a block came to.

    `output` is what was printed, `value` the last expression, `error` the traceback in the block's
    own lines, or why the process ended. `answer` is what `final_answer` was called with: text as it
    is, all else as JSON. `state` is what `PythonSession.restore` takes.
    """

    output: str
    value: str = ""
    error: str = ""
    answer: str | None = None
    files: tuple[str, ...] = ()
    timed_out: bool = False
    state: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _State:
    definitions: list[str] = field(default_factory=list)
    variables: dict[str, Any] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Message:
    kind: Literal["call", "result"]
    run: int
    name: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    value: str = ""
    error: str = ""
    answer: str | None = None
    state: _State = field(default_factory=_State)
    unrestored: list[str] = field(default_factory=list)


class _Ended(Exception):
    """The process has ended, or has to: why, as far as that is known."""


@dataclass(frozen=True, slots=True)
class _Worker:
    confined: Confined
    output: Output


class PythonSession:
    """To be used by one task at a time. A block that does not end well ends the process.

    Args:
        start: starts the worker, in the thread that awaits `run`.
        folders: what the code may write to.
        tools: what the code may call: names, and their parameters in order.
        packages: folders of installed packages.
    """

    def __init__(
        self,
        start: Callable[[], Awaitable[Confined]],
        place: Workplace,
        folders: Sequence[Path],
        tools: Sequence[tuple[str, tuple[str, ...]]],
        packages: Sequence[str],
        limits: SandboxLimits,
    ) -> None:
        self._start = start
        self._place = place
        self._folders = folders
        self._tools = dict(tools)
        self._packages = packages
        self._limits = limits
        self._worker: _Worker | None = None
        self._setup: JsonObject | None = None
        self._run = 0
        self._state = _State()
        self._to_restore: _State | None = None
        self._note = ""

    async def run(self, code: str, call_tool: CallTool, timeout_s: float) -> CodeResult:
        """Runs the code to its end, or for `timeout_s` seconds; what tools take is not counted.

        What `call_tool` raises is raised in the code when the model may mend it. All else is raised
        here and ends the process at once; so does cancelling.

        Raises SandboxMissing; ToolFailed when the folders cannot be shut in.
        """
        before = await run_in_thread(partial(look_at, self._folders))
        worker = await self._ready_worker()
        most = self._limits.file_bytes, self._limits.files
        growth = Growth(self._folders, before, most)
        self._run += 1
        mark = f"\0end of block {self._run}\0"
        message, reason, timed_out = None, "", False
        try:
            with Watch(worker.confined, self._limits, growth) as watch:
                async with asyncio.timeout(timeout_s) as deadline:
                    message = await self._converse(worker, code, mark, call_tool, deadline)
        except _Ended as ended:
            reason = str(ended)
        except BaseException as error:
            if not (isinstance(error, TimeoutError) and deadline.expired()):
                await self._end(worker)
                raise
            timed_out, reason = True, f"it took more than {timeout_s:g} seconds"
        if message is None:
            result = await self._died(worker, watch.verdict or reason, timed_out)
        else:
            result = await self._done(worker, message, mark)
        after = await run_in_thread(partial(look_at, self._folders))
        return replace(result, files=changed_files(before, after, self._place))

    async def snapshot(self) -> JsonObject:
        """What `restore` takes, in this process or another: as it was after the last block."""
        return asdict(self._to_restore or self._state)

    def restore(self, snapshot: JsonObject) -> None:
        """The next block begins with what of `snapshot` can be had again, and says what cannot."""
        import msgspec

        try:
            self._to_restore = msgspec.convert(snapshot, _State)
        except msgspec.ValidationError:
            self._to_restore = _State(lost=["everything"])

    async def close(self) -> None:
        """Ends the process and all that it started; a further `run` starts another."""
        if self._worker is not None:
            await self._end(self._worker)

    async def _ready_worker(self) -> _Worker:
        if self._worker is not None:
            has_died = self._worker.confined.process.poll() is not None
            if has_died or self._to_restore is not None:
                await self._end(self._worker)
        if self._worker is None:
            confined = await self._start()
            output = Output(confined.errors, self._limits.output_bytes, confined.kill)
            self._worker = _Worker(confined, output)
            self._setup = {
                "tools": [[name, [*parameters]] for name, parameters in self._tools.items()],
                "packages": [*self._packages],
                "restore": None if self._to_restore is None else asdict(self._to_restore),
            }
        return self._worker

    async def _converse(
        self,
        worker: _Worker,
        code: str,
        mark: str,
        call_tool: CallTool,
        deadline: asyncio.Timeout,
    ) -> _Message:
        if self._setup is not None:
            setup, self._setup = self._setup, None
            await _tell(worker, setup)
        block: JsonObject = {"run": self._run, "code": well_formed(code), "mark": mark}
        await _tell(worker, {**block, "cpu_s": self._limits.cpu_s})
        for _ in range(_MOST_CALLS):
            message = await self._hear(worker)
            if message.kind == "result":
                return message
            await _tell(worker, await self._answer(message, call_tool, deadline))
        raise _Ended(f"it called tools more than {_MOST_CALLS:,} times in one block")

    async def _hear(self, worker: _Worker) -> _Message:
        import msgspec

        _, stdout = worker.confined.pipes
        try:
            line = await run_in_thread(partial(stdout.readline, _LONGEST_MESSAGE))
        except (OSError, ValueError):
            line = b""
        if not line:
            raise _Ended
        try:
            message = msgspec.json.decode(line, type=_Message)
            size = len(msgspec.json.encode(message.state))
        except (msgspec.MsgspecError, RecursionError, ValueError):
            raise _Ended("it did not keep to the protocol") from None
        if not line.endswith(b"\n") or message.run != self._run or size > _LARGEST_STATE:
            raise _Ended("it did not keep to the protocol")
        return message

    async def _answer(
        self, message: _Message, call_tool: CallTool, deadline: asyncio.Timeout
    ) -> JsonObject:
        if message.name not in self._tools:
            return {"error": f"there is no tool {message.name[:100]!r}"}
        loop = asyncio.get_running_loop()
        left = (deadline.when() or loop.time()) - loop.time()
        deadline.reschedule(None)
        try:
            return {"text": well_formed(await call_tool(message.name, message.args))}
        except ModelError as error:
            return {"error": well_formed(error.message)}
        finally:
            deadline.reschedule(loop.time() + left)

    async def _done(self, worker: _Worker, message: _Message, mark: str) -> CodeResult:
        output = await run_in_thread(partial(worker.output.until, mark.encode(), _PATIENCE_S))
        self._state = message.state
        note = self._take_note(message.unrestored)
        return CodeResult(
            note + output,
            clip(message.value, _LONGEST_TEXT),
            clip(message.error, _LONGEST_TEXT),
            message.answer,
            state=asdict(message.state),
        )

    async def _died(self, worker: _Worker, reason: str, timed_out: bool) -> CodeResult:
        note = self._take_note([])
        code = await self._end(worker)
        output = await run_in_thread(partial(worker.output.rest, _PATIENCE_S))
        if worker.output.is_flood:
            reason = f"it printed more than {2 * self._limits.output_bytes:,} bytes"
        error = f"the Python process ended: {reason or self._ending(code)}"
        return CodeResult(
            note + output, error=error, timed_out=timed_out, state=asdict(self._state)
        )

    async def _end(self, worker: _Worker) -> int:
        """The exit code."""
        worker.confined.kill()
        self._worker = None
        self._note = _NEW
        self._state = _State(lost=[*self._state.variables, *self._state.lost])
        code = await run_in_thread(worker.confined.finish)
        with suppress(OSError):
            worker.confined.pipes[0].close()
        return code

    def _take_note(self, unrestored: Sequence[str]) -> str:
        """What the reader of the next output has to know about the process."""
        note, self._note = self._note, ""
        if self._to_restore is not None:
            lost = [*self._to_restore.lost, *unrestored][:_MOST_NAMES]
            self._to_restore = None
            names = clip(", ".join(lost), _LONGEST_TEXT)
            note = f"[Python was started anew; these could not be kept: {names}]\n" if lost else ""
        return note

    def _ending(self, code: int) -> str:
        number = -code if code < 0 else code - 128
        if number not in {each.value for each in signal.Signals}:
            return f"with exit code {code}"
        name = signal.Signals(number).name
        if name == "SIGXCPU":
            return f"it took more than {self._limits.cpu_s} seconds of processor time"
        return f"it was ended by {name}"


async def _tell(worker: _Worker, message: JsonObject) -> None:
    import msgspec

    line = msgspec.json.encode(message) + b"\n"
    stdin, _ = worker.confined.pipes

    def write() -> None:
        stdin.write(line)
        stdin.flush()

    try:
        await run_in_thread(write)
    except (OSError, ValueError):
        raise _Ended from None
