"""A pseudo terminal with a program in it, for systems that have such things."""

import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from typing import Self


class Terminal:
    """Runs `command` in a terminal of 120 by 40 cells."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        self._command = command
        self._environ = {**environ, "TERM": "xterm-256color"}
        self._folder = folder
        self._written = b""

    def __enter__(self) -> Self:
        self._pid, self._ours = pty.fork()
        if self._pid == 0:
            # The child: nothing of Python's may come back from here.
            try:
                os.chdir(self._folder)
                os.execve(self._command[0], self._command, self._environ)  # noqa: S606 - no shell
            finally:
                os._exit(127)
        ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self._code: int | None = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._ours)

    def wait_for(self, what: bytes, seconds: float) -> None:
        """Until it was written. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while what not in self._written:
            if time.monotonic() > deadline or not self._read(0.1):
                raise TimeoutError(f"{what!r} is not shown: {self.text()[-500:]}")

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def ended(self, seconds: float) -> int | None:
        """The exit code; None when it goes on."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read(0.1)
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
                return self._code
        return None

    def text(self) -> str:
        return self._written.decode(errors="replace")

    def _read(self, seconds: float) -> bool:
        """False when the program has closed its end."""
        ready, _, _ = select.select([self._ours], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._ours, 1 << 16)
        except OSError:
            data = b""
        self._written += data
        return bool(data)
