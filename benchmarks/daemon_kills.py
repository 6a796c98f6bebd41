"""The daemon killed in the middle of its jobs: `python -m benchmarks.daemon_kills [KILLS]`.

Tasks come due all the time, each an answer of a scripted model that takes a moment. The daemon is
killed (`kill -9`) at random moments and started again. At the end every occurrence was begun, none
of those that are to be left was begun twice, each that is to start again was done exactly once,
every conversation can be read, and no process is left.
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.tasks import Action, Interrupted, TaskOptions, TaskRequest, Trigger
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from benchmarks.crash import Program
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, none

# Seconds between two tasks that come due, and that an answer takes.
_EVERY_S, _WORD_S = 0.4, 0.05
KILLS = 25
_KINDS: tuple[Interrupted, ...] = ("leave", "restart")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kills", type=int, nargs="?", default=50)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        print(*run(kills, Path(folder)).cells(), sep="; ")


def rows(_: Equipment) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield run(KILLS, Path(folder))


def run(kills: int, folder: Path) -> Row:
    moments = random.Random(1)
    program = Program(folder / "home")
    program.run("sessions", "list")
    paths = find_paths({"AGENTCTL_HOME": str(folder / "home")})
    store = TaskStore(open_database(paths.database))
    count = _plan(store, folder, kills)
    left = 0
    for _ in range(kills):
        program.run("daemon", "start")
        pid = json.loads(paths.daemon_address.read_text())["pid"]
        time.sleep(moments.uniform(0.2, 2.5))
        daemon = psutil.Process(pid)
        children = daemon.children(recursive=True)
        daemon.kill()
        daemon.wait(30)
        _, alive = psutil.wait_procs(children, timeout=5)
        left += len(alive)
    program.run("daemon", "start")
    _wait_for_the_rest(store, count)
    program.run("daemon", "stop")
    return _verdict(store, count, kills, left)


def _plan(store: TaskStore, folder: Path, kills: int) -> int:
    """Adds a task for every moment of the time that the kills will take; how many."""
    script = folder / "script.jsonl"
    script.write_text(json.dumps({"text": "word " * 8, "delay_s": _WORD_S}) + "\n")
    count = int(kills * 3 / _EVERY_S)
    for number in range(count):
        due = datetime.now(UTC) + timedelta(seconds=2 + number * _EVERY_S)
        store.add(
            TaskRequest(
                name=f"task-{number}",
                trigger=Trigger(kind="once", expression=due.strftime("%Y-%m-%dT%H:%M:%SZ")),
                action=Action(kind="ask", text="count", model=f"scripted:{script}"),
                options=TaskOptions(interrupted=_KINDS[number % 2]),
            )
        )
    return count


def _wait_for_the_rest(store: TaskStore, count: int) -> None:
    for _ in range(1200):
        runs = store.history(limit=None)
        if len({run.task for run in runs if run.status != "running"}) == count and not (
            store.unfinished()
        ):
            return
        time.sleep(0.5)


def _verdict(store: TaskStore, count: int, kills: int, left: int) -> Row:
    runs = store.history(limit=None)
    begun = Counter(run.task for run in runs)
    done = Counter(run.task for run in runs if run.status == "done")
    kinds = {entry.name: entry.options.interrupted for entry in store.entries()}
    again = [name for name in begun if begun[name] > 1]
    wrong = (
        count - len(begun),
        sum(kinds[name] == "leave" for name in again) + sum(each > 1 for each in done.values()),
        sum(kinds[name] == "restart" and not done[name] for name in kinds),
        left,
    )
    return Row(
        name="the daemon killed: occurrences lost, run twice, not run again; processes left",
        figure=f"{', '.join(map(str, wrong))} ({kills} kills, {count} occurrences, {len(again)} "
        "run again as they should be)",
        bars=(none(sum(wrong)),),
    )


if __name__ == "__main__":
    main()
