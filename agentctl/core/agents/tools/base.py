"""What a tool is: `Tool`, and the values that pass between it and the gate.

A tool decides nothing about itself: it says what a call would touch (`Touches`) and shows it
(`preview`), the gate decides, and only the gate calls `run`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from agentctl.core.agents.base import CallTool
from agentctl.core.backends.base import ToolSpec
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.windows_paths import why_ambiguous

Risk: TypeAlias = Literal["harmless", "read", "write", "execute", "network"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where a run works.

    Relative paths of tools mean `folder`, absolute and without links. Code that a model wrote sees
    it as it is, may change it only when `code_may_write`, and has `scratch`, the run's own folder,
    to write to. `call_id` is the call that the gate is making now, `call_tool` the gate for what
    that call calls itself. When `is_read_only`, the call is allowed by a rule for what only reads.
    """

    folder: Path
    scratch: Path
    code_may_write: bool = False
    call_id: str = ""
    call_tool: CallTool | None = None
    is_read_only: bool = False

    def resolve(self, name: str) -> Path:
        """The absolute path that a tool's argument means, links followed: what is really touched.

        Raises ToolFailed for a name that no file can have.
        """
        if not name or "\0" in name:
            raise ToolFailed(f"{name!r} is no path")
        try:
            path = Path(name).expanduser()
            if sys.platform == "win32" and (reason := why_ambiguous(str(path), self.folder)):
                raise ToolFailed(f"{name!r} is no path here: {reason}")
            return (self.folder / path).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise ToolFailed(f"{name!r} is no path: {error}") from None

    def holds(self, path: Path) -> bool:
        """Whether a resolved path lies in the folder."""
        return path == self.folder or self.folder in path.parents

    def name_of(self, path: Path) -> str:
        """A resolved path as a tool shows it: relative below the folder, with forward slashes."""
        return path.relative_to(self.folder).as_posix() if self.holds(path) else str(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touches:
    """What a call would touch, for the gate to judge: resolved paths, a shell command, a host.

    `is_posix` says whether the shell that reads the command is one that POSIX describes.
    """

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    command: str | None = None
    is_posix: bool = True
    host: str | None = None


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """What a tool answers the model; `files` were written meanwhile, as the user names them.

    `data` is kept with the run for whoever made the call, and is not shown to the model.
    """

    text: str
    files: tuple[str, ...] = ()
    data: JsonObject | None = None


class Tool(Protocol):
    """A tool. One object serves many runs and calls at once: it keeps nothing of a call.

    `spec.parameters` is a JSON Schema of type object with `additionalProperties` false; the gate
    has checked `args` against it before it calls anything here.
    """

    spec: ToolSpec
    risk: Risk
    timeout_s: float

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        """Raises ToolFailed when the call can be nothing at all. Changes nothing."""
        ...

    def preview(self, args: JsonObject, place: Workplace) -> str:
        """What the user sees before answering: a diff, a command, code; else "". Changes nothing.

        Raises ToolFailed when the call cannot succeed, such as an edit of text that is not there.
        """
        ...

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        """Does it. Raises ToolFailed with what the model may mend; cancelling it stops it."""
        ...


def object_schema(properties: JsonObject, *, optional: tuple[str, ...] = ()) -> JsonObject:
    """A JSON Schema for a tool's arguments: all required but the `optional` ones."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def clip(text: str, limit: int) -> str:
    """`text` within `limit` characters: its beginning and its end, and how much lies between."""
    if len(text) <= limit:
        return text
    kept = limit // 2
    return f"{text[:kept]}\n[… {len(text) - 2 * kept:,} characters left out …]\n{text[-kept:]}"
