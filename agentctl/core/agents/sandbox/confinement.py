"""A process that runs what a model wrote: held within limits, ended with all that it started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Condition, Event, Lock, Thread
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING, Self

from agentctl.core.agents.sandbox.file_changes import Growth

if TYPE_CHECKING:
    import psutil

# What every such program is told, with or without a sandbox. One thread for a library's sums:
# those of numpy reserve memory for each processor, which counts.
PLAIN_VARIABLES = {
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONNOUSERSITE": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
_SECONDS_BETWEEN_LOOKS = 0.2
_LOOKS_BETWEEN_DISK_LOOKS = 5
_SECONDS_BETWEEN_POLLS = 0.002
_PATIENCE_S = 5.0
_CHUNK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """What code may use; `cpu_s` are seconds of one process, `wall_s` of all.

    `memory_bytes` and `file_bytes` limit one process and one file, and what all of them take
    together; `files` are files and folders that may be added.
    """

    wall_s: float = 60.0
    cpu_s: int = 60
    memory_bytes: int = 1_000_000_000
    output_bytes: int = 1_000_000
    file_bytes: int = 200_000_000
    files: int = 10_000
    processes: int = 64

    def for_process(self, *, cpu_s: int, counts_processes: bool) -> str:
        """As `python_worker` reads them, which sets them for itself and its children."""
        sizes = {"AS": self.memory_bytes, "CPU": cpu_s, "FSIZE": self.file_bytes, "CORE": 0}
        if counts_processes:
            # The sandbox's first process, and the command itself.
            sizes["NPROC"] = self.processes + 2
        return ",".join(f"{name}={size}" for name, size in sizes.items())


class Confined:
    """A started process with all that it starts.

    `report` is where bubblewrap tells of the sandbox's first process: when that ends, the kernel
    ends all others in there. Without a sandbox it is the process group, and whoever was seen.
    """

    def __init__(self, process: subprocess.Popen[bytes], report: int | None = None) -> None:
        self.process = process
        self._first = None if report is None else _first_process(report)
        self._is_alone = report is None
        self._seen: frozenset[psutil.Process] = frozenset()
        self._has_finished = False

    @property
    def pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        """stdin and stdout."""
        if self.process.stdin is None or self.process.stdout is None:
            raise OSError("the process was started without pipes")
        return self.process.stdin, self.process.stdout

    @property
    def errors(self) -> IO[bytes]:
        """stderr, when that has a pipe of its own."""
        if self.process.stderr is None:
            raise OSError("the process was started without a pipe for errors")
        return self.process.stderr

    def processes(self) -> "list[psutil.Process]":
        """All that run in it."""
        import psutil

        if self.process.poll() is not None:
            # Its number may be another's by now.
            return []
        try:
            own = psutil.Process(self.process.pid)
            found = own.children(recursive=True)
        except psutil.Error:
            return []
        if self._is_alone:
            self._seen |= {*found}
            return [own, *found]
        return [each for each in found if each != self._first]

    def kill(self) -> None:
        """At once; a second time does no harm."""
        import psutil

        if self._first is not None:
            # bubblewrap then buries it, and ends. Killed itself it could leave a child behind.
            with suppress(psutil.Error):
                self._first.kill()
        elif not self._has_finished:
            if self._is_alone:
                self.processes()
                self._kill_others()
            self.process.kill()

    def finish(self) -> int:
        """Ends what the process left behind, and waits until all are gone; its exit code."""
        code = self.process.wait()
        if self._first is not None:
            self.kill()
            _wait_for(self._first)
        elif self._is_alone:
            self._kill_others()
            for each in self._seen:
                _wait_for(each)
        self._has_finished = True
        return code

    def _kill_others(self) -> None:
        import psutil

        for each in self._seen:
            with suppress(psutil.Error):
                each.kill()
        if sys.platform != "win32":
            with suppress(OSError):
                os.killpg(self.process.pid, signal.SIGKILL)


def _first_process(report: int) -> "psutil.Process | None":
    """None when bubblewrap failed before there was one."""
    import psutil

    with open(report, "rb") as file:
        told = file.read()
    try:
        return psutil.Process(json.loads(told)["child-pid"])
    except (ValueError, KeyError, psutil.Error):
        return None


def _wait_for(process: "psutil.Process") -> None:
    """Until it is dead; whether its parent buries it is not our concern."""
    import psutil

    deadline = monotonic() + _PATIENCE_S
    with suppress(psutil.Error):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if monotonic() > deadline:
                return
            sleep(_SECONDS_BETWEEN_POLLS)


class Watch:
    """Ends a process that takes too much while the context lasts; `verdict` then says of what."""

    def __init__(self, confined: Confined, limits: SandboxLimits, growth: Growth) -> None:
        self.verdict = ""
        self._confined = confined
        self._limits = limits
        self._growth = growth
        self._is_over = Event()
        self._deciding = Lock()

    def __enter__(self) -> Self:
        Thread(target=self._watch, name="sandbox-watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._deciding:
            self._is_over.set()

    def _end(self, verdict: str) -> None:
        with self._deciding:
            if not self._is_over.is_set():
                self._is_over.set()
                self.verdict = f"it took {verdict}"
                self._confined.kill()

    def _watch(self) -> None:
        looks = 0
        while not self._is_over.wait(_SECONDS_BETWEEN_LOOKS):
            looks += 1
            if self._confined.process.poll() is not None:
                # Without a sandbox children may be left, and keep the pipes open.
                self._confined.kill()
                return
            processes = self._confined.processes()
            if len(processes) > self._limits.processes:
                self._end(f"more than {self._limits.processes} processes")
            elif self._takes_too_much_memory(processes):
                self._end(f"more than {self._limits.memory_bytes / 1e6:,.0f} MB of memory")
            elif looks % _LOOKS_BETWEEN_DISK_LOOKS == 0 and self._growth.is_over():
                size = f"{self._limits.file_bytes / 1e6:,.0f} MB"
                self._end(f"more than {size} or {self._limits.files:,} files of the disk")

    def _takes_too_much_memory(self, processes: "list[psutil.Process]") -> bool:
        """Counts what forked processes share once, if counting it for each is too much."""
        limit = self._limits.memory_bytes
        return sum(map(_resident, processes)) > limit and sum(map(_own_share, processes)) > limit


def _resident(process: "psutil.Process") -> int:
    import psutil

    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _own_share(process: "psutil.Process") -> int:
    import psutil

    try:
        memory = process.memory_full_info()
        return int(getattr(memory, "pss", memory.rss))
    except psutil.Error:
        return _resident(process)


class Output:
    """What a process prints, read as it comes; `on_flood` is called past twice the limit."""

    def __init__(self, stream: IO[bytes], limit: int, on_flood: Callable[[], None]) -> None:
        self._stream = stream
        self._limit = limit
        self._on_flood = on_flood
        self.is_flood = False
        self._data = bytearray()
        self._left_out = 0
        self._has_ended = False
        self._changed = Condition()
        Thread(target=self._read, name="sandbox-output", daemon=True).start()

    def until(self, mark: bytes, patience_s: float) -> str:
        """What came before `mark`; all there is when that does not come, or the output ended."""
        with self._changed:
            self._changed.wait_for(lambda: mark in self._data or self._has_ended, patience_s)
            end = self._data.find(mark)
            return self._take(end if end >= 0 else len(self._data), len(mark))

    def rest(self, patience_s: float) -> str:
        """All of it, once it has ended or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended, patience_s)
            return self._take(len(self._data), 0)

    def _take(self, end: int, mark: int) -> str:
        text = _within(bytes(self._data[:end]), self._limit, self._left_out)
        del self._data[: end + mark]
        self._left_out = 0
        return text

    def _read(self) -> None:
        with suppress(OSError, ValueError), self._stream:
            while chunk := os.read(self._stream.fileno(), _CHUNK_BYTES):
                with self._changed:
                    if len(self._data) + len(chunk) > 2 * self._limit:
                        self.is_flood = True
                        self._left_out += len(chunk)
                    else:
                        self._data += chunk
                    self._changed.notify_all()
                if self.is_flood:
                    self._on_flood()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()


def _within(data: bytes, limit: int, left_out: int) -> str:
    """The beginning and the end as text, and how much lies between."""
    if len(data) + left_out <= limit:
        return data.decode("utf-8", "replace")
    head, tail = data[: limit // 2], data[max(len(data) - limit // 2, limit // 2) :]
    left_out += len(data) - len(head) - len(tail)
    note = f"\n[… {left_out:,} bytes left out …]\n"
    return head.decode("utf-8", "replace") + note + tail.decode("utf-8", "replace")
