"""Which lines of a text match: a plain text here, a regular expression in a child process.

A regular expression can take for ever, and holds up every thread while it does: so one that a
model wrote runs where it can be killed.
"""

import faulthandler
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Event, Thread
from typing import BinaryIO, Protocol, TypeAlias, cast

import agentctl
from agentctl.core.child_processes import APART
from agentctl.core.errors import ToolFailed
from agentctl.core.knowledge.loaders.frames import read_frame, write_frame

# `__main__` looks for this word before it imports anything.
SWITCH = "--match-worker"
MOST_LINES = 100
_LARGEST_FRAME = 1 << 30
_MEMORY_BYTES = 1_000_000_000

Found: TypeAlias = list[tuple[int, int]]
"""Line numbers from 0, and where in the line a match begins."""


class LineMatcher(Protocol):
    def find(self, text: str) -> Found:
        """The first `MOST_LINES` lines that match. Raises ToolFailed when it cannot tell."""
        ...


class PlainMatcher:
    """Looks for a text. One without capitals is also found in capitals."""

    def __init__(self, text: str) -> None:
        flags = re.IGNORECASE if text == text.lower() else re.NOFLAG
        self._pattern = re.compile(re.escape(text), flags)

    def find(self, text: str) -> Found:
        return _matching_lines(self._pattern, text) if self._pattern.search(text) else []


@contextmanager
def regex_matcher(pattern: str, seconds: float, stopped: Event) -> Iterator[LineMatcher]:
    """Looks for a regular expression until so many seconds have passed, or `stopped` is set.

    Raises ToolFailed when it is none.
    """
    matcher = _RegexMatcher(pattern, seconds, stopped)
    try:
        # What is no expression is told even when there are no files.
        matcher.find("")
        yield matcher
    finally:
        matcher.close()


class _RegexMatcher:
    def __init__(self, pattern: str, seconds: float, stopped: Event) -> None:
        self._pattern = pattern
        self._seconds = seconds
        self._stopped = stopped
        self._is_late = False
        self._worker = _start(seconds)
        Thread(target=self._watch, name="agentctl-regex-watch", daemon=True).start()

    def _watch(self) -> None:
        self._is_late = not self._stopped.wait(self._seconds)
        self._worker.kill()

    def close(self) -> None:
        self._worker.kill()
        self._worker.communicate()

    def find(self, text: str) -> Found:
        answer = self._ask(text)
        if answer is None and self._is_late:
            raise ToolFailed(
                f"the search took longer than {self._seconds:g} seconds: write a simpler "
                "expression, without a repetition inside of another, or name a smaller folder"
            )
        if answer is None:
            raise ToolFailed("the search was stopped")
        decoded = json.loads(answer)
        if isinstance(decoded, str):
            raise ToolFailed(f"{self._pattern!r} cannot be searched for: {decoded}")
        return [(line, start) for line, start in decoded]

    def _ask(self, text: str) -> bytes | None:
        """None when the child has ended."""
        stdin, stdout = cast("BinaryIO", self._worker.stdin), cast("BinaryIO", self._worker.stdout)
        try:
            write_frame(stdin, self._pattern.encode())
            write_frame(stdin, text.encode())
            return read_frame(stdout, _LARGEST_FRAME)
        except (OSError, ValueError):
            return None


def serve(seconds: float) -> int:
    """The child: answers expression after expression, text after text, until stdin ends."""
    # A parent that was killed cannot stop it.
    faulthandler.dump_traceback_later(seconds + 1, exit=True)
    _limit_memory()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while (pattern := _read(requests)) is not None and (text := _read(requests)) is not None:
        write_frame(answers, json.dumps(_answer(pattern, text)).encode())
    return 0


def _read(requests: BinaryIO) -> str | None:
    frame = read_frame(requests, _LARGEST_FRAME)
    return None if frame is None else frame.decode()


def _answer(pattern: str, text: str) -> Found | str:
    """The lines, or why there are none to be had."""
    try:
        return _matching_lines(re.compile(pattern), text)
    except MemoryError:
        return "it takes too much memory"
    except (re.error, RecursionError, OverflowError) as error:
        return str(error)


def _matching_lines(pattern: re.Pattern[str], text: str) -> Found:
    matches = ((n, pattern.search(line)) for n, line in enumerate(text.split("\n")))
    found = ((n, match.start()) for n, match in matches if match is not None)
    return [*islice(found, MOST_LINES)]


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))


def _start(seconds: float) -> subprocess.Popen[bytes]:
    # A frozen program starts at `__main__` whatever it is told; else a module is told.
    program = [SWITCH] if getattr(sys, "frozen", False) else ["-m", __name__]
    return subprocess.Popen(
        [sys.executable, *program, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # `-m` looks in the current folder first: let that not be the user's.
        cwd=Path(agentctl.__file__).parents[1],
        # Ctrl+C is for the parent, which ends it.
        start_new_session=True,
        creationflags=APART,
    )


if __name__ == "__main__":
    sys.exit(serve(float(sys.argv[1])))
