"""What happened while the user was away, in about a dozen lines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentctl.core.agents.run_store import RunRow
from agentctl.core.automation.journal import EntryKind, JournalEntry, Level
from agentctl.core.automation.tasks import TaskRun

Importance: TypeAlias = Level
# Of a kind of trouble so many are told one by one, the newest; the rest are counted.
_TOLD_EACH = 3
_TROUBLES: tuple[EntryKind, ...] = (
    "daemon",
    "model",
    "machine",
    "knowledge",
    "settings",
    "watcher",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """`time` is ISO 8601 in UTC, empty for a sum; `fix` is the command that goes on from here."""

    level: Importance
    text: str
    time: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    since: str
    lines: tuple[ReportLine, ...]

    @property
    def is_quiet(self) -> bool:
        return not self.lines


def write_report(
    since: str,
    entries: Sequence[JournalEntry],
    task_runs: Sequence[TaskRun],
    runs: Sequence[RunRow],
) -> Report:
    """What needs the user first, then troubles, then what went well.

    Args:
        since: ISO 8601 in UTC, where it begins.
        entries: the journal from then on, the oldest first.
        task_runs: attempts at tasks from then on, the newest first.
        runs: runs of agents, of which only those that wait count.
    """
    lines = [
        *_waiting(runs),
        *_failed_tasks(task_runs),
        *(line for kind in _TROUBLES for line in _troubles(kind, entries)),
        *_sums(task_runs, entries),
    ]
    return Report(since=since, lines=tuple(lines))


def _waiting(runs: Sequence[RunRow]) -> Iterator[ReportLine]:
    for run in (each for each in runs if each.status == "waiting"):
        yield ReportLine(
            level="warning",
            text=f"{run.agent} waits for your answer: {run.task[:60]}",
            time=run.updated,
            fix=f"agentctl runs approve {run.id}",
        )


def _failed_tasks(task_runs: Sequence[TaskRun]) -> Iterator[ReportLine]:
    """Of each task its last failure, unless it went well since."""
    seen: set[str] = set()
    for run in task_runs:
        if run.task in seen or run.status == "running":
            continue
        seen.add(run.task)
        if run.status not in ("done", "skipped"):
            why = f": {run.error}" if run.error else ""
            yield ReportLine(
                level="error",
                text=f"task {run.task} {_OUTCOMES[run.status]}{why}",
                time=run.finished or run.started,
                fix=f"agentctl tasks history {run.task}",
            )


_OUTCOMES: dict[str, Literal["failed", "ran out of time", "was denied a call", "was cut short"]] = {
    "failed": "failed",
    "timeout": "ran out of time",
    "denied": "was denied a call",
    "cancelled": "was cut short",
    "interrupted": "was cut short",
}


def _troubles(kind: EntryKind, entries: Sequence[JournalEntry]) -> Iterator[ReportLine]:
    of_kind = [each for each in entries if each.kind == kind and each.level != "info"]
    hidden = len(of_kind) - _TOLD_EACH
    if hidden > 0:
        yield ReportLine(level="warning", text=f"{kind}: {hidden} earlier warnings")
    for each in of_kind[-_TOLD_EACH:]:
        yield ReportLine(level=each.level, text=each.message, time=each.time)


def _sums(task_runs: Sequence[TaskRun], entries: Sequence[JournalEntry]) -> Iterator[ReportLine]:
    done = [run for run in task_runs if run.status == "done"]
    if done:
        names = ", ".join(sorted({run.task for run in done})[:5])
        yield ReportLine(level="info", text=f"tasks done: {len(done)} ({names})")
    for kind, name in (("watcher", "watched folders"), ("model", "model server")):
        told = [each for each in entries if each.kind == kind and each.level == "info"]
        if told:
            last = told[-1]
            many = f"{len(told)} times, the last: " if len(told) > 1 else ""
            yield ReportLine(level="info", text=f"{name}: {many}{last.message}", time=last.time)
    starts = sum(each.detail.get("event") == "started" for each in entries)
    if starts:
        yield ReportLine(level="info", text=f"the daemon was started {_times(starts)}")


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"
