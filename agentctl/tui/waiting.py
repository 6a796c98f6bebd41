"""Which runs wait for the user, whoever has begun them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from agentctl.core.agents.run_store import Decision, RunRow
from agentctl.core.workspace import Workspace

_STATUS_WORDS = {
    "running": "working",
    "waiting": "waiting for you",
    "max_rounds": "out of rounds",
}


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run as the list of them shows it; `is_waiting` for the user, here or anywhere."""

    run: RunRow
    is_waiting: bool

    @property
    def status(self) -> str:
        """In words."""
        status = "waiting" if self.is_waiting else self.run.status
        return _STATUS_WORDS.get(status, status)


@dataclass(slots=True)
class WaitingRuns:
    """Tells each run that begins to wait once."""

    told: frozenset[str] = frozenset()
    waiting: list[SeenRun] = field(default_factory=list)

    def note(self, run: str) -> None:
        """The user sees it already: nobody need tell."""
        self.told |= {run}

    async def news(self, workspace: Workspace, limit: int = 50) -> list[SeenRun]:
        """What waits and did not at the last look. Raises what the workspace raises."""
        self.waiting = [each for each in await list_seen(workspace, limit) if each.is_waiting]
        told, self.told = self.told, frozenset(each.run.id for each in self.waiting)
        return [each for each in self.waiting if each.run.id not in told]


async def list_seen(workspace: Workspace, limit: int) -> list[SeenRun]:
    """The latest runs, those that wait for the user before all others."""
    seen = [
        SeenRun(run, run.status == "waiting" or await _is_asking(workspace, run))
        for run in await workspace.list_runs(limit)
    ]
    return sorted(seen, key=lambda each: not each.is_waiting)


async def pending(workspace: Workspace, run: str) -> list[Decision]:
    """The calls of a run that nobody has answered."""
    details = await workspace.show_run(run)
    return [each for each in details.decisions if each.decision == "pending"]


async def _is_asking(workspace: Workspace, run: RunRow) -> bool:
    """A run that some process holds goes on running while its user is asked."""
    return run.status == "running" and bool(await pending(workspace, run.id))


def age(moment: str, now: datetime) -> str:
    """How long ago a moment (ISO 8601) was: `now`, `5 min`, `3 h`, `2 d`."""
    seconds = (now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return "now"
