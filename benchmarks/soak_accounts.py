"""The books of a soak: what became of each occurrence of each task, and what grew."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations, pairwise, takewhile

from agentctl.core.automation.schedule import next_times
from agentctl.core.automation.tasks import TaskEntry, TaskRun

# Why an occurrence has no attempt of its own, as `docs/daemon.md` has it.
_STILL_RUNNING = "it was still running"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing could be started, in simulated time, and why."""

    begin: datetime
    end: datetime
    reason: str


@dataclass(slots=True)
class Books:
    """`outcomes` counts occurrences; `breaches` are those that nothing explains."""

    occurrences: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    breaches: list[str] = field(default_factory=list)


def account(
    entries: Sequence[TaskEntry],
    runs: Sequence[TaskRun],
    gaps: Sequence[Gap],
    end: datetime,
    slack: timedelta,
) -> Books:
    """Of all tasks, until `end`; so much later than its gap's end one may still be explained."""
    books = Books()
    of_task: dict[str, list[TaskRun]] = defaultdict(list)
    for run in sorted(runs, key=lambda each: each.id):
        of_task[run.task].append(run)
    for entry in entries:
        by_due: dict[str, list[TaskRun]] = defaultdict(list)
        for run in of_task[entry.name]:
            if run.due is not None:
                by_due[run.due].append(run)
        for due, attempts in sorted(by_due.items()):
            _count(books, entry, due, attempts)
        own = [
            Gap(_moment(run.started), _moment(run.finished), _STILL_RUNNING)
            for run in of_task[entry.name]
            if run.finished is not None
        ]
        for missed, covered in _without_attempt(entry, sorted(by_due), end):
            reason = reason_for(missed, [*gaps, *own], slack)
            if reason is None or not covered:
                why = "nothing came of it" if not covered else "nothing explains it"
                books.breaches.append(f"{entry.name} lost {missed.isoformat()}: {why}")
                reason = "lost"
            books.occurrences += 1
            books.outcomes[f"left out: {reason}" if reason != "lost" else reason] += 1
    return books


def _count(books: Books, entry: TaskEntry, due: str, attempts: Sequence[TaskRun]) -> None:
    """One occurrence that was begun, or left out with a row of its own."""
    books.occurrences += 1
    last = attempts[-1]
    done = [each for each in attempts if each.status == "done"]
    name = f"{entry.name} of {due}"
    if len(done) > 1:
        books.breaches.append(f"{name} was done {len(done)} times")
    if any(each.status in ("done", "denied", "skipped") for each in attempts[:-1]):
        books.breaches.append(f"{name} was begun again after its end")
    if last.status == "running":
        books.breaches.append(f"{name} never ended")
    again = entry.options.interrupted != "leave" and entry.enabled
    if last.status == "interrupted" and again:
        books.breaches.append(f"{name} was interrupted and did not go on")
    if last.status not in ("done", "skipped") and last.error is None and not last.result:
        is_told = last.status in ("denied", "interrupted", "cancelled")
        if not is_told:
            books.breaches.append(f"{name} {last.status} without a word")
    if last.status == "skipped":
        books.outcomes[f"left out: {last.error}"] += 1
    elif last.status == "interrupted":
        books.outcomes["interrupted, and left as the task says"] += 1
    elif last.status == "done" and len(attempts) > 1:
        books.outcomes["done at a further attempt"] += 1
    else:
        books.outcomes[last.status] += 1


def _without_attempt(
    entry: TaskEntry, dues: Sequence[str], end: datetime
) -> Iterator[tuple[datetime, bool]]:
    """Occurrences without a row, and whether a later row stands for them."""
    marks = [_moment(entry.created), *map(_moment, dues)]
    for before, after in pairwise(marks):
        for time in takewhile(lambda each: each < after, next_times(entry.trigger, before)):  # noqa: B023 - used at once
            yield time, True
    for time in takewhile(lambda each: each <= end, next_times(entry.trigger, marks[-1])):
        yield time, False


def reason_for(missed: datetime, gaps: Sequence[Gap], slack: timedelta) -> str | None:
    """That of the gap in which this moment lies, or nearly so."""
    for gap in gaps:
        if gap.begin - slack <= missed <= gap.end + slack:
            return gap.reason
    return None


def _moment(text: str | None) -> datetime:
    return datetime.fromisoformat(text or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the daemon holds at one moment; `time_s` is real, sizes are in MB."""

    time_s: float
    pid: int
    memory: float
    files: float
    threads: float
    processes: float
    temporary: float
    logs: float


BOUNDS = {
    "memory": 30.0,
    "files": 12.0,
    "threads": 8.0,
    "processes": 2.0,
    "temporary": 6.0,
}
"""What each may grow by over the second half, by the slope of a straight line through it."""
# Real seconds between two samples of which a slope is taken.
_APART_S = (20.0, 40.0)
# Real seconds after its start in which a daemon loads what it needs.
_WARM_UP_S = 60.0
MOST_LOGS_MB = 1.2
"""Four files of `log.max_bytes`, and the daemon's own output."""


@dataclass(frozen=True, slots=True)
class Growth:
    """`grown` is judged. `steady` goes by the median slope over half a minute, which leaves single
    steps out: it tells a leak from them, and excuses nothing.
    """

    name: str
    first: float
    last: float
    most: float
    grown: float
    steady: float
    bound: float

    @property
    def is_within(self) -> bool:
        return self.grown <= self.bound


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Over the second half, of the daemon that lived longest in it."""
    second = samples[len(samples) // 2 :]
    if not second:
        return []
    pid = Counter(each.pid for each in second).most_common(1)[0][0]
    born = next(each.time_s for each in samples if each.pid == pid)
    lived = [each for each in second if each.pid == pid]
    warm = [each for each in lived if each.time_s - born > _WARM_UP_S]
    lived = warm if len(warm) > 1 else lived
    return [_growth(name, lived, bound) for name, bound in BOUNDS.items()]


def _growth(name: str, samples: Sequence[Sample], bound: float) -> Growth:
    values = [float(getattr(each, name)) for each in samples]
    times = [each.time_s for each in samples]
    points = list(zip(times, values, strict=True))
    slopes = [
        (later - earlier) / (end - begin)
        for (begin, earlier), (end, later) in combinations(points, 2)
        if _APART_S[0] <= end - begin <= _APART_S[1]
    ]
    lasted = times[-1] - times[0]
    line = statistics.linear_regression(times, values).slope if lasted > 0 else 0.0
    steady = statistics.median(slopes) if slopes else 0.0
    return Growth(name, values[0], values[-1], max(values), line * lasted, steady * lasted, bound)
