"""Asking the user about a tool call: shows exactly what will run, then reads the answer.

Lines are read from the terminal itself, not through Python's buffer: what was typed before the
question is thrown away, and a question that nobody answers can be left.
"""

import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from agentctl.core.agents.run_request import ApprovalAnswer, Scope
from agentctl.core.child_processes import command_words
from agentctl.core.events import ApprovalRequired
from agentctl.core.jsontypes import JsonObject
from agentctl.render import console_keys
from agentctl.render.argument_text import file_ending, read_arguments, write_arguments
from agentctl.render.output import Output
from agentctl.render.tool_calls import ASK_USER

_SHELL, _PYTHON = "run_shell", "run_python"
_SCOPES: dict[str, Scope] = {"y": "once", "r": "run", "a": "always"}
_HELP = """\
y  allow this call
r  allow this and all like it until the run ends
a  allow this and all like it from now on: a rule is written to your permissions.toml
n  deny it, with a reason for the model if you like
e  edit what it is called with, then decide
v  show all of it
Ctrl+C cancels the run; what it has done so far is kept"""
# Rows of the screen that are left for the question, and shown at least.
_OTHER_ROWS, _LEAST_ROWS = 8, 8
# Seconds between looks at whether the question is still open.
_LOOK_S = 0.1
_BOLD, _RED, _GREEN, _CYAN, _YELLOW = "1", "31", "32", "36", "1;33"
# What changes the order or the look of a line without being seen.
_UNSEEN = {
    code: f"<U+{code:04X}>"
    for code in (*range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070), 0xFEFF)
}


class Line(NamedTuple):
    text: str
    style: str = ""


async def ask_approval(output: Output, asked: ApprovalRequired) -> ApprovalAnswer | None:
    """The user's answer; None when the terminal was closed (Ctrl+D)."""
    if asked.tool == ASK_USER:
        return await _ask_for_words(output, asked)
    shown = asked
    args: JsonObject | None = None
    is_whole = _show(output, asked.tool, request_lines(shown))
    _forget_what_was_typed()
    while (typed := await _read_line(output, _menu(is_whole=is_whole))) is not None:
        key = typed.strip().lower()[:1]
        if key in _SCOPES:
            return ApprovalAnswer(
                run=asked.run_id, allow=True, call_id=asked.call_id, scope=_SCOPES[key], args=args
            )
        if key == "n":
            reason = await _read_line(output, "Why not (Enter for no reason): ")
            if reason is None:
                return None
            return ApprovalAnswer(
                run=asked.run_id, allow=False, call_id=asked.call_id, reason=reason.strip()
            )
        if key == "e":
            edited = await _edit(output, asked.tool, shown.args)
            if edited is not None:
                # The preview was that of the arguments as they were.
                shown, args = replace(asked, args=edited, preview=""), edited
                is_whole = _show(output, f"{asked.tool}, as edited,", request_lines(shown))
        elif key == "v":
            is_whole = _show(output, asked.tool, request_lines(shown), is_whole=True)
        else:
            output.note(_HELP)
    return None


def request_lines(asked: ApprovalRequired) -> list[Line]:
    """What will run, as it is: code and commands from the arguments, else the tool's preview."""
    code, command = asked.args.get("code"), asked.args.get("command")
    if asked.tool == _PYTHON and isinstance(code, str):
        numbered = enumerate(code.rstrip("\n").split("\n"), 1)
        return [Line(f"{number:>4}  {visible(line)}") for number, line in numbered]
    if asked.tool == _SHELL and isinstance(command, str):
        first, *rest = visible(command).split("\n")
        others = {name: value for name, value in asked.args.items() if name != "command"}
        shown = [Line(f"$ {first}", _BOLD), *(Line(f"  {line}", _BOLD) for line in rest)]
        return shown + (argument_lines(others) if others else [])
    if not asked.preview.strip():
        return argument_lines(asked.args)
    lines = visible(asked.preview).rstrip("\n").split("\n")
    is_diff = any(line.startswith("@@ ") for line in lines)
    return [Line(line, _diff_style(line) if is_diff else "") for line in lines]


def argument_lines(args: JsonObject) -> list[Line]:
    text = json.dumps(args, ensure_ascii=False, indent=2)
    return [Line(line) for line in visible(text).split("\n")]


def visible(text: str) -> str:
    """With what hides, moves or turns text round written out."""
    text = text.replace("\r\n", "\n").replace("\r", "<U+000D>")
    return text.translate(_UNSEEN)


def _diff_style(line: str) -> str:
    if line.startswith(("+++", "---")):
        return _BOLD
    return {"+": _GREEN, "-": _RED, "@": _CYAN}.get(line[:1], "")


def _show(output: Output, title: str, lines: list[Line], *, is_whole: bool = False) -> bool:
    """As much as a screen holds, unless `is_whole`; whether that was all of it."""
    size = shutil.get_terminal_size()
    room = max(size.lines - _OTHER_ROWS, _LEAST_ROWS)
    output.to_stderr(f"{title} needs your approval:", _YELLOW)
    for number, line in enumerate(lines):
        room -= 1 + (len(line.text) + 2) // max(size.columns, 20)
        if room < 0 and not is_whole:
            more = len(lines) - number
            output.note(f"  … {more:,} more {'line' if more == 1 else 'lines'}: v shows all")
            return False
        output.to_stderr(f"  {line.text}", line.style)
    return True


def _menu(*, is_whole: bool) -> str:
    more = "" if is_whole else "[v] view all  "
    return f"[y] once  [r] for this run  [a] always  [n] no  [e] edit  {more}[?] "


async def _ask_for_words(output: Output, asked: ApprovalRequired) -> ApprovalAnswer | None:
    question = asked.args.get("question")
    output.to_stderr(visible(str(question)), _YELLOW)
    _forget_what_was_typed()
    answer = await _read_line(output, "> ")
    if answer is None:
        return None
    return ApprovalAnswer(
        run=asked.run_id,
        allow=True,
        call_id=asked.call_id,
        args={"question": question, "answer": answer.strip()},
    )


async def _edit(output: Output, tool: str, args: JsonObject) -> JsonObject | None:
    """The new arguments; None, and the reason said, when they stay."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if editor:
        text = await _in_editor(editor, args)
    elif tool == _SHELL:
        line = await _read_line(output, "Command (Enter leaves it): ")
        return {**args, "command": line.rstrip("\n")} if line and line.strip() else None
    else:
        what = "Arguments as JSON" if file_ending(args) == ".json" else "Code"
        text = await _read_line(output, f"{what} (Enter leaves it): ")
    if text is None or not text.strip():
        output.note("nothing was changed")
        return None
    try:
        return read_arguments(text, args)
    except ValueError as error:
        output.note(str(error))
        return None


async def _in_editor(editor: str, args: JsonObject) -> str | None:
    from agentctl.core.backends.threads import run_in_thread

    with _interrupts_ignored():
        return await run_in_thread(lambda: _edited(editor, args))


def _edited(editor: str, args: JsonObject) -> str | None:
    """The text as the editor left it; None when the editor failed."""
    import subprocess
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", suffix=file_ending(args), encoding="utf-8", delete=False, prefix="agentctl-"
    ) as file:
        file.write(write_arguments(args) + "\n")
    path = Path(file.name)
    try:
        subprocess.run([*command_words(editor), str(path)], check=True)
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl+C is the editor's while it is open."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _forget_what_was_typed() -> None:
    """Keys that were hit while something else was on the screen are no answer."""
    with suppress(OSError):
        if sys.platform == "win32":
            console_keys.forget()
        else:
            import termios

            termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


async def _read_line(output: Output, prompt: str) -> str | None:
    """What is typed, without blocking the event loop; None at the end of the input."""
    from agentctl.core.backends.threads import run_in_thread

    output.to_stderr(prompt, _BOLD, end="")
    is_left = threading.Event()
    try:
        return await run_in_thread(lambda: _typed_line(is_left.is_set))
    finally:
        is_left.set()


def _typed_line(is_left: Callable[[], bool]) -> str | None:
    """Leaves the terminal alone once nobody waits for the line."""
    if sys.platform == "win32":
        return console_keys.read_line(console_keys.Console(), is_left)
    import select

    descriptor, is_ready = sys.stdin.fileno(), False
    while not is_ready:
        is_ready = bool(select.select([descriptor], [], [], _LOOK_S)[0])
        # What comes now is for the next question.
        if is_left():
            return None
    data = os.read(descriptor, 65_536)
    return data.decode(sys.stdin.encoding or "utf-8", errors="replace") if data else None
