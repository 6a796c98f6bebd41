"""A line typed at the console of Windows, key by key: only so can a question there be left again.

Its own reading of lines waits for Enter whatever happens, and knows no other alphabets.
"""

import sys
import time
from collections.abc import Callable
from typing import Protocol

# Seconds between looks at whether a key was pressed.
_LOOK_S = 0.05
_ENTER, _BACKSPACE, _INTERRUPT, _END, _ESCAPE = "\r", "\b", "\x03", "\x1a", "\x1b"
# What comes before the code of a key that is no character. The second is à, too.
_SPECIAL = ("\0", "\xe0")


class Keys(Protocol):
    """The keyboard and the screen. A key comes as UTF-16, in two parts if need be."""

    def is_pressed(self) -> bool: ...
    def next(self) -> str: ...
    def show(self, text: str) -> None: ...
    def interrupt(self) -> None: ...


def read_line(
    keys: Keys, is_left: Callable[[], bool], sleep: Callable[[float], object] = time.sleep
) -> str | None:
    """The line with its end; None at the end of the input (Ctrl+Z), after Ctrl+C, or once left."""
    line: list[str] = []
    while True:
        while not keys.is_pressed():
            if is_left():
                return None
            sleep(_LOOK_S)
        key = keys.next()
        if key in _SPECIAL and keys.is_pressed():
            keys.next()
        elif key in (_ENTER, "\n"):
            keys.show("\n")
            return _whole(line) + "\n"
        elif key == _INTERRUPT:
            keys.interrupt()
            return None
        elif key == _END and not line:
            keys.show("\n")
            return None
        else:
            _edit(line, key, keys)


def _edit(line: list[str], key: str, keys: Keys) -> None:
    if key in (_BACKSPACE, _ESCAPE):
        removed = line[-1:] if key == _BACKSPACE else line
        keys.show("\b \b" * len(_whole(removed)))
        del line[len(line) - len(removed) :]
    elif key >= " " and key != "\x7f":
        if line and _is_half(line[-1]):
            line[-1] += key
        else:
            line.append(key)
        if not _is_half(line[-1]):
            keys.show(_whole(line[-1:]))


def _is_half(key: str) -> bool:
    return len(key) == 1 and "\ud800" <= key <= "\udbff"


def _whole(line: list[str]) -> str:
    return "".join(line).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


if sys.platform == "win32":
    import msvcrt
    import signal

    class Console:
        """The real ones."""

        def is_pressed(self) -> bool:
            return msvcrt.kbhit()

        def next(self) -> str:
            return msvcrt.getwch()

        def show(self, text: str) -> None:
            sys.stderr.write(text)
            sys.stderr.flush()

        def interrupt(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def forget() -> None:
        """Throws away what was typed and not read yet."""
        while msvcrt.kbhit():
            msvcrt.getwch()
