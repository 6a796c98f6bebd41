"""A real pseudo terminal with a program in it: what it shows, and what is typed."""

import os
import subprocess
import sys
import termios
import threading
from collections.abc import Mapping, Sequence
from typing import IO, Self

import pyte

# The new process makes the terminal its own, so that Ctrl+C typed there becomes a signal.
_LAUNCH = (
    "import fcntl, os, sys, termios;"
    "fcntl.ioctl(2, termios.TIOCSCTTY, 0);"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)
LONGEST_S = 120.0


class Terminal:
    """Runs `command`; `output` is what it has written to the terminal so far.

    With `stdout` somewhere else, the terminal is its stdin and stderr only.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        stdout: IO[bytes] | None = None,
        columns: int = 80,
        rows: int = 24,
    ) -> None:
        self.output = b""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        self._process = subprocess.Popen(
            [sys.executable, "-S", "-c", _LAUNCH, *command],
            env={"TERM": "xterm-256color", **env},
            stdin=theirs,
            stdout=stdout or theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        # A program that waits for what never comes must fail its test, not hold up all others.
        self._guard = threading.Timer(LONGEST_S, self._process.kill)
        self._guard.daemon = True
        self._guard.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._guard.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, without the empty lines at its end."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip().split("\n")

    @property
    def screen(self) -> pyte.Screen:
        return self._screen

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> None:
        """Reads until `text` is on the screen. Raises EOFError when the program ends before."""
        while text not in "\n".join(self.lines):
            if not self._read():
                raise EOFError(f"no {text!r} in {self.output!r}")

    def wait_until_gone(self, text: str) -> None:
        """Reads until `text` is no longer on the screen. Raises EOFError as `wait_for`."""
        while text in "\n".join(self.lines):
            if not self._read():
                raise EOFError(f"{text!r} stayed in {self.output!r}")

    def finish(self) -> int:
        """Reads to the end; the exit code."""
        while self._read():
            pass
        return self._process.wait()

    def _read(self) -> bool:
        try:
            data = os.read(self._ours, 65_536)
        except OSError:  # Linux: nobody holds the other end any more
            data = b""
        self.output += data
        self._stream.feed(data)
        return bool(data)
