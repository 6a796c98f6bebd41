"""Child processes away from the terminal: how they are started, found and ended on each system."""

import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PureWindowsPath

if sys.platform == "win32":
    import subprocess

    APART = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    APART = 0
"""`creationflags` that are to Windows what `start_new_session` is elsewhere.

The child has a console that nobody sees, which its own children share: none of them opens a window,
closing ours ends none of them, and Ctrl+C does not reach them.
"""


def kill_tree(pid: int) -> None:
    """Kills a child that was started apart, with what it has started. Its end is not waited for."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        return
    import psutil

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            with suppress(psutil.Error):
                each.kill()


def find_program(name: str, environ: Mapping[str, str], platform: str = sys.platform) -> str | None:
    """Where a program of PATH is; one with a folder in its name is where it says.

    Never in the current folder, where Windows looks first: that may be a stranger's.
    """
    import shutil

    path = environ.get("PATH", os.defpath)
    if platform != "win32" or os.path.dirname(name):  # noqa: PTH120 - `.\\x` is to stay so
        return shutil.which(name, path=path)
    endings = environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").split(";")
    names = [name, *(f"{name}{each}" for each in endings)]
    if not any(name.casefold().endswith(each.casefold()) for each in endings if each):
        names = names[1:]
    folders = [Path(each.strip('"')) for each in path.split(os.pathsep)]
    found = (folder / each for folder in folders if folder.is_absolute() for each in names)
    return next((str(file) for file in found if file.is_file()), None)


def system_program(
    name: str, environ: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> str:
    """A program of Windows by its full path, for the same reason; elsewhere its name."""
    if platform != "win32":
        return name
    folder = PureWindowsPath(environ.get("SYSTEMROOT", "C:/Windows"), "System32")
    if name == "powershell":
        folder = folder / "WindowsPowerShell" / "v1.0"
    return str(folder / f"{name}.exe")


def command_words(text: str, platform: str = sys.platform) -> list[str]:
    """The words of a command as a user writes it; on Windows a backslash is one.

    Raises ValueError for a quote without its other end.
    """
    import shlex

    if platform != "win32":
        return shlex.split(text)
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace_split, reader.escape, reader.commenters, reader.quotes = True, "", "", '"'
    return list(reader)
