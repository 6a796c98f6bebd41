"""How all is, in one word and one colour, and what to do when it is not well."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentctl.core.automation.measurements import SystemStats

Level: TypeAlias = Literal["unknown", "green", "yellow", "red"]


@dataclass(frozen=True, slots=True)
class Health:
    """`word` stands on every screen, `advice` says more: what is wrong, and the mend."""

    level: Level
    word: str
    advice: str


def read_health(stats: SystemStats, *, is_unused: bool = False) -> Health:
    """`is_unused`: a daemon runs, but not for who is asking."""
    backend = stats.backend
    if backend.status == "degraded":
        return Health("red", "model server down", f"{backend.detail}\n{backend.fix}")
    if backend.status == "retrying":
        return Health("yellow", "model server is being mended", backend.detail)
    if stats.warnings:
        return Health("yellow", stats.warnings[0], "\n".join(stats.warnings))
    if is_unused:
        advice = (
            "A daemon runs with other settings, so it is not used here. It sees to tasks and\n"
            "watched folders. Let it have these settings: agentctl daemon restart"
        )
        return Health("green", "ok, daemon not used", advice)
    if stats.daemon.status == "stopped":
        advice = (
            "No daemon runs: tasks, watched folders and the history of measurements rest.\n"
            "Start it: agentctl daemon start"
        )
        return Health("green", "ok, no daemon", advice)
    return Health("green", "ok", "The daemon and the models are well.")
