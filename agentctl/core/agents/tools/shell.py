"""`run_shell`: a command in the sandbox."""

import sys
from dataclasses import replace
from pathlib import Path

from agentctl.core.agents.sandbox.sandbox import Sandbox, SandboxLimits
from agentctl.core.agents.tools.arguments import text, whole
from agentctl.core.agents.tools.base import (
    Risk,
    ToolOutput,
    Touches,
    Workplace,
    clip,
    object_schema,
)
from agentctl.core.backends.base import ToolSpec
from agentctl.core.child_processes import system_program
from agentctl.core.errors import SandboxMissing, ToolFailed
from agentctl.core.jsontypes import JsonObject

_LONGEST_S = 600
_LONGEST_OUTPUT = 50_000
_BASH = Path("/bin/bash")


class RunShell:
    """Runs a command. Who has seen it, and allowed it, lets it write to the work folder; a rule for
    commands that only read does not, since what they read may make them do more: Git's settings
    name programs.

    `limits` are those of the sandbox; a call may ask for more time.
    """

    spec = ToolSpec(
        "run_shell",
        "Runs a shell command in the work folder, in a sandbox without network, and tells its "
        'exit code and what it printed. Example: {"command": "wc -l *.md | sort -n"}',
        object_schema(
            {
                "command": {"type": "string", "minLength": 1},
                "timeout_s": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": _LONGEST_S,
                    "description": "seconds it may take; 60 if left out",
                },
            },
            optional=("timeout_s",),
        ),
    )
    risk: Risk = "execute"
    # A little more than the sandbox has, which tells what the command printed.
    timeout_s = _LONGEST_S + 60.0

    def __init__(self, sandbox: Sandbox, limits: SandboxLimits | None = None) -> None:
        self._sandbox = sandbox
        self._limits = limits or SandboxLimits()

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(command=_command(args), is_posix=sys.platform != "win32")

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return _command(args)

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        command, seconds = _command(args), whole(args, "timeout_s", 60)
        limits = replace(
            self._limits, wall_s=float(seconds), cpu_s=max(self._limits.cpu_s, seconds)
        )
        try:
            done = await self._sandbox.run(
                _shell(command), place, may_write=not place.is_read_only, limits=limits
            )
        except SandboxMissing as error:
            raise ToolFailed(f"{error.message}; the user can: {error.hint}") from error
        told = "stopped" if done.exit_code is None else f"exit code {done.exit_code}"
        if done.files:
            told += f"\nfiles written: {', '.join(done.files)}"
        output = clip(done.output.rstrip(), _LONGEST_OUTPUT) or "(it printed nothing)"
        return ToolOutput(f"{told}\n{output}", done.files)


def _command(args: JsonObject) -> str:
    command = text(args, "command")
    if not command.strip() or "\0" in command:
        raise ToolFailed("command is empty, or holds a character that no command may have")
    if sys.platform == "win32" and "\n" in command.strip():
        raise ToolFailed("command has several lines, of which cmd runs the first: join them by &&")
    return command


def _shell(command: str) -> tuple[str, ...] | str:
    if sys.platform == "win32":
        # As it is: quotes in it would be written as programs in C read them, not as cmd does.
        return f'"{system_program("cmd")}" /d /s /c "{command.strip()}"'
    return (str(_BASH) if _BASH.exists() else "/bin/sh", "-c", command)
