"""Telling somebody: on the desktop, in a file, or through a command of the user's.

What is told was written by models and documents: it is passed as arguments, environment or
standard input, never as code. A failure to tell is a warning, never an error.
"""

import asyncio
import html
import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from agentctl.core.backends.threads import run_in_thread
from agentctl.core.child_processes import (
    APART,
    command_words,
    find_program,
    kill_tree,
    system_program,
)
from agentctl.core.errors import UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.open_files import open_to_append
from agentctl.core.paths import expand

TIMEOUT_S = 30.0
"""How long a command may take."""
_HINT = "desktop, file:/full/path or command:WORDS"
_SHOW_ON_MAC = (
    "on run argv",
    "display notification (item 2 of argv) with title (item 1 of argv)",
    "end run",
)
# The text is set as text nodes, never parsed as XML; the id is that of PowerShell itself, for
# Windows shows nothing from programs that it does not know.
_SHOW_ON_WINDOWS = """
$ErrorActionPreference = 'Stop'
[void][Windows.UI.Notifications.ToastNotificationManager,Windows.UI.Notifications,ContentType=WindowsRuntime]
$kind = [Windows.UI.Notifications.ToastTemplateType]::ToastText02
$toast = [Windows.UI.Notifications.ToastNotificationManager]::GetTemplateContent($kind)
$lines = $toast.GetElementsByTagName('text')
[void]$lines.Item(0).AppendChild($toast.CreateTextNode($env:AGENTCTL_TITLE))
[void]$lines.Item(1).AppendChild($toast.CreateTextNode($env:AGENTCTL_TEXT))
$id = '{1AC14E77-02E7-4E5D-B744-2EB1AE5198B7}\\WindowsPowerShell\\v1.0\\powershell.exe'
[Windows.UI.Notifications.ToastNotificationManager]::CreateToastNotifier($id).Show($toast)
"""

logger = logging.getLogger(__name__)


def check_target(target: str) -> None:
    """Raises UsageProblem when `target` says nobody, or who cannot be told."""
    kind, _, rest = target.partition(":")
    if target == "desktop":
        return
    if kind == "file" and rest:
        path = expand(rest)
        if not path.is_absolute():
            raise UsageProblem(f"{rest} is no full path", f"file:{path.absolute()}")
        if path.is_dir() or not path.parent.is_dir():
            raise UsageProblem(f"{rest} cannot be a file", "name a file in a folder that exists")
    elif kind == "command" and rest.strip():
        words = _words(rest)
        if find_program(words[0], os.environ) is None:
            raise UsageProblem(f"there is no program {words[0]}", "name it by its full path")
    else:
        raise UsageProblem(f"{target!r} is nobody who can be told", _HINT)


async def notify(
    target: str,
    title: str,
    text: str,
    detail: JsonObject,
    *,
    platform: str = sys.platform,
    timeout_s: float = TIMEOUT_S,
) -> str | None:
    """Tells `target`; a warning when that failed. Silent where there is no desktop to tell."""
    kind, _, rest = target.partition(":")
    # No argument and no variable can hold a zero byte.
    title, text = title.replace("\0", ""), text.replace("\0", "")
    try:
        if kind == "file":
            line = {"title": title, "text": text, **detail}
            await run_in_thread(lambda: _append(expand(rest), line))
        elif kind == "command":
            await _run(_words(rest), title, text, detail, timeout_s)
        else:
            command = desktop_command(title, text, platform)
            if command is None:
                logger.info("no desktop to notify", extra={"target": target})
                return None
            await _run(command, title, text, {}, timeout_s)
    except (OSError, ValueError, UsageProblem, _CommandFailed) as error:
        warning = f"{kind} could not be told: {error}"
        logger.warning("not notified", extra={"target": target, "error": str(error)})
        return warning
    return None


def desktop_command(
    title: str,
    text: str,
    platform: str,
    which: Callable[[str], str | None] = shutil.which,
) -> list[str] | None:
    """What shows a notification on this platform; None where nothing can."""
    if platform == "darwin":
        script = [word for line in _SHOW_ON_MAC for word in ("-e", line)]
        command = ["osascript", *script, "--", title, text]
    elif platform == "win32":
        program = system_program("powershell", platform=platform)
        command = [program, "-NoProfile", "-NonInteractive", "-Command", _SHOW_ON_WINDOWS]
    else:
        # The body may hold markup, so that what looks like it is escaped.
        body = html.escape(text, quote=False)
        command = ["notify-send", "--app-name=agentctl", "--", title, body]
    return command if which(command[0]) else None


class _CommandFailed(Exception):
    """It ended with an error, or not in time."""


async def _run(
    command: Sequence[str], title: str, text: str, detail: JsonObject, timeout_s: float
) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "AGENTCTL_TITLE": title, "AGENTCTL_TEXT": text},
        start_new_session=True,
        creationflags=APART,
    )
    try:
        async with asyncio.timeout(timeout_s):
            await process.communicate(json.dumps(detail, ensure_ascii=False).encode() + b"\n")
    except TimeoutError:
        raise _CommandFailed(f"{command[0]} took more than {timeout_s:g} seconds") from None
    finally:
        if process.returncode is None:
            kill_tree(process.pid)
    if process.returncode:
        raise _CommandFailed(f"{command[0]} ended with exit code {process.returncode}")


def _append(path: Path, line: JsonObject) -> None:
    with os.fdopen(open_to_append(path), "a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _words(text: str) -> list[str]:
    try:
        words = command_words(text)
    except ValueError as error:
        raise UsageProblem(f"command:{text} cannot be read: {error}", _HINT) from error
    if not words:
        raise UsageProblem("the command is empty", _HINT)
    return words
