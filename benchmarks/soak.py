"""A day of the daemon in ten minutes, with faults: `python -m benchmarks.soak --seed 1`.

The real daemon, in a process of its own, over a home on a small disk, with a scripted `ollama` and
a clock that runs fast. Users ask, search, approve and change files all day; twenty things go wrong.
At the end each occurrence of each task is accounted for, each fault was seen and is over, documents
equal the folders, the database is whole, and nothing has grown. The report is written to
docs/soak.md. It mounts a small disk of its own, which needs root on Linux. Exit 1: a breach.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from benchmarks.soak_accounts import (
    MOST_LOGS_MB,
    Books,
    Gap,
    Growth,
    Sample,
    account,
    growths,
    reason_for,
)
from benchmarks.soak_clock import FastClock
from benchmarks.soak_faults import Fault, choose, find_sign
from benchmarks.soak_load import Load, add_tasks, watch_folders
from benchmarks.soak_report import report
from benchmarks.soak_world import ROOT, World, documents_differ, until

# The clocks of Europe are put back in the night of this day.
BEGIN = datetime(2026, 10, 24, 10, tzinfo=UTC)
# Real seconds: that a fault may take to be seen and to be over, that what runs may take to end,
# and between two samples.
_SEEN_S, _HEALED_S, _ENDING_S, _SAMPLE_S = 20.0, 60.0, 60.0, 1.0
# Real seconds after the end of a gap in which an occurrence may still be late because of it.
_SLACK_S = 4.0
_ORPHANS = {
    "runs of no task": "SELECT count(*) FROM task_runs WHERE task NOT IN (SELECT id FROM tasks)",
    "messages of no session": (
        "SELECT count(*) FROM messages WHERE session NOT IN (SELECT id FROM sessions)"
    ),
    "parts of ended messages": (
        "SELECT count(*) FROM message_parts p JOIN messages m ON m.id = p.message"
        " WHERE m.status != 'partial'"
    ),
    "chunks of no document": (
        "SELECT count(*) FROM chunks WHERE document NOT IN (SELECT id FROM documents)"
    ),
    "vectors of no chunk": (
        "SELECT count(*) FROM vectors WHERE chunk NOT IN (SELECT id FROM chunks)"
    ),
    "agents' runs that never ended": "SELECT count(*) FROM runs WHERE status = 'running'",
}


@dataclass(slots=True)
class Seen:
    """What became of one fault; times are simulated, `healed_s` is real, None for never.

    `memory` is what the daemon held afterwards, in MB.
    """

    fault: Fault
    at: datetime
    sign: str = ""
    healed_s: float | None = None
    problems: str = ""
    memory: float = 0.0


@dataclass(slots=True)
class Day:
    """All that a report tells."""

    seed: int
    minutes: float
    hours: float
    seen: list[Seen] = field(default_factory=list)
    books: Books = field(default_factory=Books)
    growths: list[Growth] = field(default_factory=list)
    most_logs: float = 0.0
    samples: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    checks: list[tuple[str, str]] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)


class Sampler(threading.Thread):
    """Looks what the daemon holds, and keeps it running as its service does."""

    def __init__(self, world: World) -> None:
        super().__init__(daemon=True)
        self._world = world
        self._is_over = threading.Event()
        self.samples: list[Sample] = []

    def run(self) -> None:
        while not self._is_over.wait(_SAMPLE_S):
            self._world.keep_daemon()
            with suppress(psutil.Error, OSError):
                self.samples.append(self._sample())

    def stop(self) -> None:
        self._is_over.set()
        self.join()

    def _sample(self) -> Sample:
        world = self._world
        assert world.daemon is not None
        process = psutil.Process(world.daemon.pid)
        return Sample(
            time_s=time.monotonic(),
            pid=process.pid,
            memory=process.memory_info().rss / 1e6,
            files=process.num_fds(),
            threads=process.num_threads(),
            processes=len(process.children(recursive=True)),
            temporary=sum(1 for _ in (world.disk / "tmp").rglob("*")),
            logs=sum(each.stat().st_size for each in _logs(world)) / 1e6,
        )


def _logs(world: World) -> list[Path]:
    return [each for each in find_paths(world.environ).state.glob("*.log*") if each.is_file()]


def run(seed: int, minutes: float, hours: float, faults: Sequence[Fault], folder: Path) -> Day:
    """One day. The folder must be empty."""
    day = Day(seed, minutes, hours)
    rate = hours * 60 / minutes
    world = World(folder, FastClock.make(folder / "clock.json", BEGIN, rate))
    try:
        world.furnish()
        draw = random.Random(seed)
        world.run("sessions", "list")
        add_tasks(world, draw, hours, one_shots=round(24 * hours / 24))
        watch_folders(world)
        world.start_daemon()
        load, sampler = Load(world, seed), Sampler(world)
        sampler.start()
        load.start()
        try:
            _live(world, day, faults, minutes * 60, draw)
            load.stop()
            _settle(world, day)
        finally:
            load.stop()
            sampler.stop()
        day.outcomes = dict(sorted(load.outcomes.items()))
        day.samples, day.growths = len(sampler.samples), growths(sampler.samples)
        day.most_logs = max((each.logs for each in sampler.samples), default=0.0)
        _judge(world, day, rate)
    finally:
        world.clear()
    return day


def _live(
    world: World, day: Day, faults: Sequence[Fault], seconds: float, draw: random.Random
) -> None:
    """The faults, one after the other, spread over the day."""
    began = time.monotonic()
    slot = seconds / (len(faults) + 1)
    for number, fault in enumerate(faults):
        moment = began + slot * (number + draw.uniform(0.3, 0.7))
        time.sleep(max(0.0, moment - time.monotonic()))
        seen = _suffer(world, fault)
        day.seen.append(seen)
        _say(world, f"{fault.kind} ({fault.way}): {seen.sign or '-'}; {seen.healed_s}")
        if fault.sign is not None and not seen.sign:
            day.breaches.append(f"{fault.kind} ({fault.way}) was not seen")
        if seen.healed_s is None:
            day.breaches.append(f"{fault.kind} ({fault.way}) was not over: {seen.problems}")
    time.sleep(max(0.0, began + seconds - time.monotonic()))


def _suffer(world: World, fault: Fault) -> Seen:
    seen = Seen(fault, world.now())
    last = max((each.id for each in world.journal().since("")), default=0)
    last_run = max((each.id for each in world.store().history(limit=1)), default=0)
    lines: list[str] = []
    fault.begin(world)
    ending = time.monotonic() + fault.lasts_s
    while time.monotonic() < ending:
        lines += _problems(world)
        time.sleep(0.25)
    fault.end(world)
    if fault.stops:
        world.gaps.append(Gap(seen.at, world.now(), fault.kind))

    def is_seen() -> bool:
        told = [*lines, *_journalled(world, last), *_failed(world, last_run)]
        seen.sign = find_sign(fault.sign, told) or "" if fault.sign else ""
        return not fault.sign or bool(seen.sign)

    began = time.monotonic()
    healed = until(lambda: _is_healthy(world, seen) and fault.is_over(world), _HEALED_S)
    seen.healed_s = None if healed is None else time.monotonic() - began
    until(is_seen, _SEEN_S)
    with suppress(psutil.Error):
        assert world.daemon is not None
        seen.memory = psutil.Process(world.daemon.pid).memory_info().rss / 1e6
    return seen


def _is_healthy(world: World, seen: Seen) -> bool:
    health = world.health()
    backend = health.get("backend", {})
    seen.problems = str([backend.get("status"), backend.get("detail"), health.get("problems")])
    return bool(health.get("status") == "healthy" and backend["status"] == "healthy")


def _problems(world: World) -> list[str]:
    health = world.health()
    backend = health.get("backend", {})
    told = [*health.get("problems", ()), backend.get("detail", "")]
    return [f"status: {each}" for each in told if each]


def _journalled(world: World, after: int) -> list[str]:
    entries = world.journal().since("")
    return [f"journal: {each.message}" for each in entries if each.id > after]


def _failed(world: World, after: int) -> list[str]:
    runs = world.store().history(limit=200)
    return [f"task {run.task}: {run.error}" for run in runs if run.id > after and run.error]


def _settle(world: World, day: Day) -> None:
    """What runs ends; what was changed last is taken in."""
    if until(lambda: not world.store().unfinished(), _ENDING_S) is None:
        names = [each.task for each in world.store().unfinished()]
        day.breaches.append(f"still running at the end of the day: {names}")
    differences = [f"{folder}: not looked at" for folder in world.watched]

    def are_equal() -> bool:
        differences[:] = [
            each for folder in world.watched for each in documents_differ(world, folder)
        ]
        return not differences

    until(are_equal, _ENDING_S)
    day.checks.append(("documents equal the watched folders", _verdict(differences)))
    for reply in (world.health(),):
        day.checks.append(("healthy at the end of the day", _verdict(reply.get("problems", ()))))
    done = world.run("docs", "verify")
    day.checks.append(
        ("`docs verify`", "yes" if done.returncode == 0 else done.stdout + done.stderr)
    )


def _judge(world: World, day: Day, rate: float) -> None:
    """The books, after the daemon was stopped."""
    world.stop_daemon()
    end = world.now()
    left = [
        each for each in world.left_over() if each.pid != (s.pid if (s := world.server()) else 0)
    ]
    day.checks.append(("no process is left", _verdict([" ".join(each.cmdline()) for each in left])))
    slack = timedelta(seconds=_SLACK_S * rate)
    _judge_database(world, day, slack)
    store = world.store()
    runs = store.history(limit=None)
    day.books = account(store.entries(), runs, world.gaps, end - slack, slack)
    told = {each.detail.get("id") for each in world.journal().since("", 100_000)}
    last = {(run.task, run.due): run for run in sorted(runs, key=lambda each: each.id)}
    silent = [
        f"{run.task} of {run.due}: {run.status}"
        for run in last.values()
        if run.status in ("failed", "timeout", "denied") and run.id not in told
    ]
    day.checks.append(("each failure is in the journal", _verdict(silent)))
    day.breaches += [*world.breaches, *day.books.breaches]
    day.breaches += [f"{name}: {found}" for name, found in day.checks if found != "yes"]
    for growth in day.growths:
        if not growth.is_within:
            day.breaches.append(f"{growth.name} grew by {growth.grown:.1f}")
    if day.most_logs > MOST_LOGS_MB:
        day.breaches.append(f"the logs took {day.most_logs:.1f} MB")


def _judge_database(world: World, day: Day, slack: timedelta) -> None:
    with closing(open_database(find_paths(world.environ).database)) as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
        found += [str(tuple(row)) for row in connection.execute("PRAGMA foreign_key_check")]
        day.checks.append(("the database is whole", _verdict(found)))
        orphans = [
            f"{count} {what}"
            for what, statement in _ORPHANS.items()
            if (count := connection.execute(statement).fetchone()[0])
        ]
        day.checks.append(("no orphan rows", _verdict(orphans)))
        # An answer stays partial for good only where its process, or the disk, was gone.
        partial = connection.execute("SELECT created FROM messages WHERE status = 'partial'")
        broken = [
            f"an answer of {created}"
            for (created,) in partial
            if reason_for(datetime.fromisoformat(created), world.gaps, slack) is None
        ]
        day.checks.append(("each answer has an end, or a reason for none", _verdict(broken)))


def _verdict(problems: Sequence[str]) -> str:
    return "; ".join(problems[:5]) or "yes"


def _say(world: World, text: str) -> None:
    print(f"{world.now():%a %H:%M} {text}", file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="real ones")
    parser.add_argument("--hours", type=float, default=24.0, help="simulated ones")
    parser.add_argument("--faults", type=int, default=20)
    parser.add_argument("--report", type=Path, default=ROOT / "docs" / "soak.md")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        faults = choose(told.seed, told.faults)
        day = run(told.seed, told.minutes, told.hours, faults, Path(folder))
    told.report.write_text(report(day))
    print(f"{len(day.breaches)} breaches, see {told.report}")
    for breach in day.breaches:
        print(f"- {breach}")
    return 1 if day.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
