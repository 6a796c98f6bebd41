"""Parsing in a process of its own, so that a hostile file costs an error and nothing else."""

import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import BinaryIO, Self

import agentctl
from agentctl.core.child_processes import APART
from agentctl.core.errors import InputHostile
from agentctl.core.files import well_formed
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import ReadLimits
from agentctl.core.knowledge.loaders.frames import LoadAnswer, LoadRequest, read_frame, write_frame
from agentctl.core.knowledge.loaders.reading import out_of_memory

# `__main__` looks for this word before it imports anything.
_SWITCH = "--load-worker"
# Parsers leak: a new process now and then costs less than to find out.
_FILES_PER_WORKER = 500
_SECONDS_BETWEEN_LOOKS = 0.05


class IsolatedLoader:
    """Reads files in one child process, which it replaces when a file was too much for it.

    To be used by one thread at a time.
    """

    def __init__(self, limits: ReadLimits) -> None:
        self._limits = limits
        self._worker: subprocess.Popen[bytes] | None = None
        self._files = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child process; a further `load` starts another."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.kill()
            worker.communicate()

    def load(self, data: bytes, name: str) -> Document:
        """What the loader for `name` makes of the file.

        Raises:
            InputUnreadable, InputEncrypted, InputTooLarge: as the loader says.
            InputHostile: it took more time or memory than is allowed, or crashed two processes.
        """
        name = well_formed(name)
        answer, verdict = self._read(data, name)
        if answer is None and not verdict:
            # Something else may have ended the process: only what happens twice is the file's.
            answer, verdict = self._read(data, name)
        if answer is None:
            raise self._hostile(name, verdict)
        if answer.document is None:
            raise answer.error()
        return answer.document

    def _read(self, data: bytes, name: str) -> tuple[LoadAnswer | None, str]:
        """The answer, None when the process ended; and the verdict of its `Watch`."""
        worker = self._ready_worker()
        with Watch(worker, self._limits) as watch:
            answer = self._ask(worker, data, name)
        if answer is None or watch.verdict or answer.slug == InputHostile.slug:
            self.close()
        return answer, watch.verdict

    def _ask(self, worker: subprocess.Popen[bytes], data: bytes, name: str) -> LoadAnswer | None:
        """None when the process ended, or said what makes no sense."""
        import msgspec

        stdin, stdout = _pipes(worker)
        try:
            write_frame(stdin, msgspec.json.encode(LoadRequest(name, self._limits)))
            write_frame(stdin, data)
            answer = read_frame(stdout, self._limits.memory_bytes)
            return None if answer is None else msgspec.json.decode(answer, type=LoadAnswer)
        except (OSError, msgspec.DecodeError):
            return None

    def _hostile(self, name: str, verdict: str) -> InputHostile:
        seconds = self._limits.seconds
        if verdict == "seconds":
            return InputHostile(
                f"reading {name} takes longer than {seconds:g} seconds",
                f"agentctl config set knowledge.file_seconds {2 * seconds:g}",
            )
        if verdict == "memory":
            return out_of_memory(name, self._limits)
        return InputHostile(
            f"reading {name} crashed its parser: it is damaged, or takes too much memory",
            "open it in the program that made it and save it again",
        )

    def _ready_worker(self) -> subprocess.Popen[bytes]:
        """A running process that is not too old."""
        if self._files >= _FILES_PER_WORKER or (self._worker and self._worker.poll() is not None):
            self.close()
        if self._worker is None:
            self._worker, self._files = _start(self._limits.memory_bytes), 0
        self._files += 1
        return self._worker


class Watch:
    """Ends a process that takes too long or too much memory while the context lasts.

    `verdict` is then "seconds" or "memory", and empty otherwise.
    """

    def __init__(self, worker: subprocess.Popen[bytes], limits: ReadLimits) -> None:
        self.verdict = ""
        self._worker = worker
        self._memory = limits.memory_bytes
        self._deadline = monotonic() + limits.seconds
        self._is_over = Event()
        self._thread = Thread(target=self._watch, name="load-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        left = self._deadline - monotonic()
        while not self._is_over.wait(max(0.0, min(left, _SECONDS_BETWEEN_LOOKS))):
            left = self._deadline - monotonic()
            if left <= 0:
                self.verdict = "seconds"
            elif _memory_of(self._worker.pid) > self._memory:
                self.verdict = "memory"
            if self.verdict:
                self._worker.kill()
                return


def _start(memory_bytes: int) -> subprocess.Popen[bytes]:
    """A process of this program, without its terminal, its standard streams and its Ctrl+C."""
    program = [] if getattr(sys, "frozen", False) else ["-m", "agentctl"]
    return subprocess.Popen(
        [sys.executable, *program, _SWITCH, str(memory_bytes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # `-m` looks in the current folder first: let that not be the user's.
        cwd=Path(agentctl.__file__).parents[1] if program else None,
        start_new_session=True,
        creationflags=APART,
    )


def _memory_of(pid: int) -> int:
    """Bytes in memory, 0 of a process that has ended."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _pipes(worker: subprocess.Popen[bytes]) -> tuple[BinaryIO, BinaryIO]:
    if worker.stdin is None or worker.stdout is None:
        raise OSError("the process was started without pipes")
    return worker.stdin, worker.stdout  # type: ignore[return-value]  # typed as IO[bytes]
