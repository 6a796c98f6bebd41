"""This machine: `now`, `system_status` and `read_log`."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agentctl.core.agents.tools.arguments import text, whole
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import ToolFailed
from agentctl.core.files import well_formed
from agentctl.core.hardware import gpus, memory
from agentctl.core.jsontypes import JsonObject

_LEVELS = ("debug", "info", "warning", "error", "critical")
# Seconds over which the processors are measured.
_MEASURED_S = 0.2
_TOP = 5
# Of the log, and of one line of it.
_TAIL_BYTES = 1_000_000
_LONGEST_LINE = 2_000


class Now:
    """The time as `clock` tells it, which knows its zone."""

    spec = ToolSpec(
        "now", "Tells the date, the time, the time zone and the day of the week.", object_schema({})
    )
    risk: Risk = "harmless"
    timeout_s = 10.0

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        time = self._clock()
        return ToolOutput(f"{time:%A}, {time.isoformat(' ', 'seconds')} ({time.tzname()})")


class SystemStatus:
    """What the machine has, and how busy it is."""

    spec = ToolSpec(
        "system_status",
        "Tells how busy this machine is: processors, memory, disk, GPUs, and the programs that "
        "take the most memory.",
        object_schema({}),
    )
    risk: Risk = "harmless"
    timeout_s = 30.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        return ToolOutput(await run_in_thread(lambda: _status(place.folder)))


def _status(folder: Path) -> str:
    import psutil

    busy = psutil.cpu_percent(_MEASURED_S)
    load = ", ".join(f"{each:.2f}" for each in psutil.getloadavg())
    held = memory()
    lines = [
        f"processors: {psutil.cpu_count() or 1}, {busy:.0f}% busy; load of 1, 5, 15 min: {load}",
        f"memory: {_gb(held.total - held.available)} of {_gb(held.total)} used",
    ]
    try:
        disk = psutil.disk_usage(str(folder))
        lines.append(f"disk of the work folder: {_gb(disk.free)} of {_gb(disk.total)} free")
    except OSError as error:
        lines.append(f"disk of the work folder: {error.strerror}")
    for card in gpus():
        used = f"{_gb(card.memory_used)} of {_gb(card.memory_total)} used"
        load = "" if card.utilization_percent is None else f", {card.utilization_percent}% busy"
        lines.append(f"GPU {card.name}: memory {used}{load}")
    programs = "; ".join(f"{name} {_gb(size)}" for size, name in _largest_programs())
    return "\n".join([*lines, f"most memory: {programs}"])


def _largest_programs() -> list[tuple[int, str]]:
    """Bytes and names; never command lines, which may hold secrets."""
    import psutil

    found: list[tuple[int, str]] = []
    for process in psutil.process_iter(["name", "memory_info"]):
        held, name = process.info["memory_info"], process.info["name"]
        if held is not None and name:
            found.append((held.rss, " ".join(well_formed(name).split())))
    return sorted(found, reverse=True)[:_TOP]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


class ReadLog:
    """The end of agentctl's own log at `path`, in which there are no secrets."""

    spec = ToolSpec(
        "read_log",
        "Shows the last lines of agentctl's own log, the oldest first, to find out what went "
        'wrong. Example: {"lines": 20, "level": "warning"}',
        object_schema(
            {
                "lines": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 500,
                    "description": "how many; 50 if left out",
                },
                "level": {
                    "type": "string",
                    "enum": [*_LEVELS],
                    "description": "this level and what is worse; all if left out",
                },
            },
            optional=("lines", "level"),
        ),
    )
    risk: Risk = "read"
    timeout_s = 30.0

    def __init__(self, path: Path) -> None:
        self._path = path

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        count, level = whole(args, "lines", 50), text(args, "level", "debug")
        if level not in _LEVELS:
            raise ToolFailed(f"there is no level {level}; there are: {', '.join(_LEVELS)}")
        lines = await run_in_thread(lambda: _tail(self._path))
        kept = [line[:_LONGEST_LINE] for line in lines if _is_as_bad_as(line, level)][-count:]
        return ToolOutput("\n".join(kept) or "there is nothing of that in the log")


def _tail(path: Path) -> list[str]:
    """The last lines, without one that is cut off at the beginning."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL_BYTES, 0))
            tail = file.read(_TAIL_BYTES).decode(errors="replace")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ToolFailed(f"the log cannot be read: {error.strerror}") from None
    return tail.splitlines()[1 if size > _TAIL_BYTES else 0 :]


def _is_as_bad_as(line: str, level: str) -> bool:
    try:
        found = json.loads(line)["level"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
    return found in _LEVELS and _LEVELS.index(found) >= _LEVELS.index(level)
