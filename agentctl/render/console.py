"""What the console of Windows can do. Those of other systems can do it unasked."""

import sys
from typing import TextIO

_OBEYS_SEQUENCES = 0x0004


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody may sit at the other end. Windows says so of its NUL, too."""
    return stream is not None and stream.isatty() and _mode(stream) is not None


def obeys_sequences(stream: TextIO) -> bool:
    """Whether a terminal shows colours for their sequences: one of before 2016 shows the sequences.

    A newer one obeys when it is asked to, which this does.
    """
    mode = _mode(stream)
    if mode is None or mode & _OBEYS_SEQUENCES or sys.platform != "win32":
        return mode is not None
    import ctypes
    import msvcrt

    handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
    return bool(ctypes.WinDLL("kernel32").SetConsoleMode(handle, mode | _OBEYS_SEQUENCES))


def code_page() -> str | None:
    """The encoding in which the old programs of Windows write to a pipe; None elsewhere."""
    if sys.platform != "win32":
        return None
    import ctypes

    kernel = ctypes.WinDLL("kernel32")
    return f"cp{kernel.GetConsoleOutputCP() or kernel.GetOEMCP()}"


def _mode(stream: TextIO) -> int | None:
    """How the console treats a terminal; None of what is no console."""
    if sys.platform != "win32":
        return _OBEYS_SEQUENCES
    import ctypes
    import msvcrt

    mode = ctypes.c_ulong()
    handle = ctypes.c_void_p(msvcrt.get_osfhandle(stream.fileno()))
    is_console = ctypes.WinDLL("kernel32").GetConsoleMode(handle, ctypes.byref(mode))
    return mode.value if is_console else None
