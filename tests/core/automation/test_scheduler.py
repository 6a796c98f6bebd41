"""What is due is run: once, whatever happens to the clock, the machine and the process."""

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.run_request import ResumeRequest
from agentctl.core.automation import scheduler
from agentctl.core.automation.periodic_jobs import PeriodicJobs
from agentctl.core.automation.schedule import next_times
from agentctl.core.automation.scheduler import last_time
from agentctl.core.automation.tasks import TaskOptions, Trigger
from agentctl.core.events import Event, TextArrived
from agentctl.core.file_lock import locked
from tests.support.automation import (
    AGENT,
    INGEST,
    Bench,
    KeptRuns,
    Plan,
    answers,
    never_ends,
)

KILLS = int(os.environ.get("TEST_KILLS", "4"))
TEN, ELEVEN, NOON, ONE = (f"2026-03-02T{hour}:00:00Z" for hour in (10, 11, 12, 13))
EVERY_HOUR = Trigger(kind="interval", expression="3600")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# Occurrences


def test_nothing_runs_before_it_is_due(bench: Bench) -> None:
    bench.add()

    bench.clock.moves(minutes=29)
    bench.run_due()
    assert bench.outcomes() == []


def test_an_occurrence_runs_once(bench: Bench) -> None:
    bench.add()

    bench.clock.moves(minutes=30)
    bench.run_due()
    bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "done")]


def test_an_interval_counts_from_the_last_occurrence_and_not_from_the_start(bench: Bench) -> None:
    bench.add(trigger=EVERY_HOUR)

    bench.clock.moves(minutes=95)
    bench.run_due()
    assert [due for due, _, _ in bench.outcomes()] == ["2026-03-02T11:30:00Z"]
    assert bench.store.find("news").next_run == "2026-03-02T12:30:00Z"


def test_what_was_missed_is_run_once_for_all_of_it(bench: Bench) -> None:
    bench.add()

    bench.clock.moves(hours=2)
    bench.run_due()
    assert bench.outcomes() == [(NOON, 1, "done")]


def test_what_was_missed_is_left_out_when_the_task_wants_that(bench: Bench) -> None:
    bench.add(options=TaskOptions(missed="skip"))

    bench.clock.moves(hours=2)
    bench.run_due()
    assert bench.outcomes() == [(NOON, 1, "skipped")]
    assert bench.journalled() == ["news was left out: it was due while nothing ran"]
    bench.clock.moves(minutes=30, seconds=5)
    bench.run_due()
    assert bench.outcomes()[1:] == [(ONE, 1, "done")]


def test_one_time_is_one_time_even_when_it_is_missed(bench: Bench) -> None:
    bench.add(trigger=Trigger(kind="once", expression=NOON))

    bench.clock.moves(days=3)
    bench.run_due()
    bench.run_due()
    assert bench.outcomes() == [(NOON, 1, "done")]
    assert bench.store.find("news").next_run is None


def test_a_paused_task_does_not_run(bench: Bench) -> None:
    bench.add()
    bench.store.set_enabled("news", is_enabled=False)

    bench.clock.moves(hours=2)
    bench.run_due()
    assert bench.outcomes() == []


def test_what_passes_during_a_run_is_left_out(bench: Bench) -> None:
    async def takes_hours(run: str) -> AsyncGenerator[Event, None]:
        bench.clock.moves(hours=2, minutes=30)
        async for event in answers(run):
            yield event

    bench.verbs.plans = [takes_hours]
    bench.add()

    bench.clock.moves(minutes=30)
    bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "done"), (ONE, 1, "skipped")]
    assert bench.journalled()[-1] == "news was left out: it was still running"


def test_a_task_that_runs_elsewhere_is_left_out(bench: Bench) -> None:
    entry = bench.add()
    bench.run(entry)

    bench.clock.moves(minutes=30)
    with locked(bench.home / "tasks" / f"{entry.id}.lock", "task news"):
        bench.run_due()
    assert bench.outcomes()[1:] == [(ELEVEN, 1, "skipped")]


def test_tasks_do_not_wait_for_each_other(bench: Bench) -> None:
    met = asyncio.Barrier(2)

    async def meets(run: str) -> AsyncGenerator[Event, None]:
        await met.wait()
        async for event in answers(run):
            yield event

    bench.verbs.plans = [meets]
    bench.add("a")
    bench.add("b")

    bench.clock.moves(minutes=30)
    bench.run_due()
    assert [run.status for run in bench.store.history()] == ["done", "done"]


def test_a_failing_database_stops_nothing(bench: Bench) -> None:
    bench.add()
    bench.clock.moves(minutes=30)
    bench.connection.execute(
        "CREATE TRIGGER full BEFORE INSERT ON task_runs BEGIN SELECT RAISE(ABORT, 'full'); END"
    )

    bench.run_due()
    assert bench.outcomes() == []
    bench.connection.execute("DROP TRIGGER full")
    bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "done")]


# Clocks


def test_a_clock_that_goes_back_runs_nothing_twice(bench: Bench) -> None:
    bench.add()

    for minutes in (30, -45, 20, 30, 0, 60):
        bench.clock.moves(minutes=minutes)
        bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "done"), (NOON, 1, "done")]


def test_a_clock_that_was_years_ahead_does_not_silence_a_task(bench: Bench) -> None:
    bench.add(trigger=EVERY_HOUR)
    bench.clock.moves(days=3650)
    bench.run_due()
    bench.clock.moves(days=-3650)

    async def start_and_stop() -> None:
        bench.scheduler.start()
        await bench.scheduler.stop(1)

    asyncio.run(start_and_stop())
    assert bench.store.find("news").next_run == "2026-03-02T11:30:00Z"
    assert "the clock went back" in bench.journalled()[-1]


@given(
    moves=st.lists(st.integers(-7200, 7200), max_size=12),
    expression=st.sampled_from(["*/7 * * * *", "0 * * * *", "30 11 * * *"]),
)
def test_however_the_clock_moves_no_occurrence_runs_twice(
    tmp_path_factory: pytest.TempPathFactory, moves: list[int], expression: str
) -> None:
    bench = Bench(tmp_path_factory.mktemp("home"))
    bench.add(trigger=Trigger(kind="cron", expression=expression))

    for seconds in moves:
        bench.clock.moves(seconds=seconds)
        bench.run_due()
    dues = [due for due, _, _ in bench.outcomes()]
    assert dues == sorted(set(dues))
    # Nothing is overdue.
    entry = bench.store.find("1")
    assert entry.next_run is None or datetime.fromisoformat(entry.next_run) > bench.clock()
    bench.connection.close()


@given(
    expression=st.sampled_from(["* * * * *", "*/5 3 * * *", "0 0 1 * *", "0 0 29 2 *"]),
    minutes=st.integers(0, 4000),
)
def test_the_last_time_is_the_last_of_the_next_times(expression: str, minutes: int) -> None:
    trigger = Trigger(kind="cron", expression=expression)
    after = datetime(2026, 2, 27, 1, 2, 3, tzinfo=UTC)
    until = after + timedelta(minutes=minutes)

    last = None
    for due in next_times(trigger, after):
        if due > until:
            break
        last = due
    assert last_time(trigger, after, until) == last


def test_the_last_time_of_many_years_is_found_at_once() -> None:
    after, until = datetime(1990, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 5, tzinfo=UTC)

    for trigger in (
        Trigger(kind="cron", expression="* * * * *"),
        Trigger(kind="interval", expression="10"),
    ):
        assert last_time(trigger, after, until) == until.replace(second=0)


# Heavy tasks


def test_a_heavy_task_waits_for_room_and_says_so_once(bench: Bench) -> None:
    bench.held = ["memory is at 96%"] * 3
    bench.add(action=INGEST)

    bench.clock.moves(minutes=30)
    bench.run_due()
    assert bench.pauses == [30.0] * 3
    assert bench.journalled() == ["news waits: memory is at 96%", "news: done: no changes"]


def test_a_heavy_task_waits_an_hour_at_most(bench: Bench) -> None:
    bench.held = ["memory is at 96%"] * 1000
    bench.add(action=INGEST)

    bench.clock.moves(minutes=30)
    bench.run_due()
    assert sum(bench.pauses) == 3600
    assert bench.outcomes() == [(ELEVEN, 1, "done")]


def test_a_light_task_does_not_wait(bench: Bench) -> None:
    bench.held = ["memory is at 96%"]
    bench.add()

    bench.clock.moves(minutes=30)
    bench.run_due()
    assert bench.pauses == []


# Kills and stops


def test_a_task_that_was_killed_starts_again_then_runs_what_was_missed(bench: Bench) -> None:
    bench.killed(bench.add(), ELEVEN)
    bench.clock.moves(hours=3)

    bench.recovered()
    assert bench.outcomes() == [
        (ELEVEN, 1, "interrupted"),
        (ELEVEN, 2, "done"),
        (ONE, 1, "done"),
    ]


def test_a_task_whose_end_could_not_be_stored_goes_on_at_the_next_look(bench: Bench) -> None:
    async def ends_on_a_full_disk(run: str) -> AsyncGenerator[Event, None]:
        async for event in answers(run):
            yield event
        bench.connection.execute("PRAGMA query_only = ON")

    async def look() -> None:
        bench.scheduler.look()
        await bench.scheduler.run_due()

    bench.verbs.plans = [ends_on_a_full_disk, answers]
    bench.add()
    bench.clock.moves(minutes=30)
    bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "running")]

    asyncio.run(look())
    bench.connection.execute("PRAGMA query_only = OFF")
    asyncio.run(look())
    assert bench.outcomes() == [(ELEVEN, 1, "interrupted"), (ELEVEN, 2, "done")]


def test_a_look_that_fails_is_not_the_last(bench: Bench) -> None:
    async def look() -> None:
        bench.scheduler.look()
        await bench.scheduler.run_due()

    entry = bench.add()
    bench.killed(entry, ELEVEN)
    in_the_way = bench.home / "tasks" / f"{entry.id}.lock"
    in_the_way.mkdir(parents=True)

    asyncio.run(look())
    assert bench.outcomes() == [(ELEVEN, 1, "running")]
    in_the_way.rmdir()
    asyncio.run(look())
    assert bench.outcomes() == [(ELEVEN, 1, "interrupted"), (ELEVEN, 2, "done")]


def test_a_look_leaves_alone_what_runs(bench: Bench) -> None:
    async def looks(run: str) -> AsyncGenerator[Event, None]:
        bench.scheduler.look()
        async for event in answers(run):
            yield event

    bench.verbs.plans = [looks]
    bench.add()
    bench.clock.moves(minutes=30)

    bench.run_due()
    assert bench.outcomes() == [(ELEVEN, 1, "done")]


def start_and_stop(bench: Bench, plan: Plan, patience_s: float) -> None:
    """Stops while the first run is on."""
    begun = asyncio.Event()

    async def begins(run: str) -> AsyncGenerator[Event, None]:
        async for event in plan(run):
            if isinstance(event, TextArrived):
                begun.set()
            yield event

    async def start() -> None:
        bench.scheduler.start()
        async with asyncio.timeout(30):
            await begun.wait()
        await bench.scheduler.stop(patience_s)

    bench.verbs.plans = [begins]
    asyncio.run(start())


def test_a_stop_lets_what_runs_end(bench: Bench) -> None:
    bench.add()
    bench.clock.moves(minutes=30)

    start_and_stop(bench, answers, patience_s=30)
    assert bench.outcomes() == [(ELEVEN, 1, "done")]


def test_a_stop_without_patience_cuts_short_what_goes_on_later(bench: Bench) -> None:
    bench.add(action=AGENT)
    bench.clock.moves(minutes=30)

    start_and_stop(bench, never_ends, patience_s=0)
    assert bench.outcomes() == [(ELEVEN, 1, "interrupted")]

    again = Bench(bench.home, bench.clock)
    again.verbs.runs["run1"] = "cancelled"
    again.recovered()
    assert again.verbs.calls == [ResumeRequest(run="run1")]
    assert again.outcomes()[1:] == [(ELEVEN, 2, "done")]


# The real alarms


def test_the_alarm_of_a_task_wakes_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda: datetime.now(UTC))
    done = asyncio.Event()

    async def says_so(run: str) -> AsyncGenerator[Event, None]:
        async for event in answers(run):
            yield event
        done.set()

    async def wait_for_it() -> None:
        soon = datetime.now(UTC) + timedelta(seconds=1.1)
        bench.scheduler.start()
        bench.add(trigger=Trigger(kind="once", expression=soon.isoformat(timespec="seconds")))
        bench.scheduler.sync()
        bench.scheduler.sync()
        async with asyncio.timeout(30):
            await done.wait()
        await bench.scheduler.stop(10)

    bench.verbs.plans = [says_so]
    asyncio.run(wait_for_it())
    assert [run.status for run in bench.store.history()] == ["done"]


def test_a_job_that_fails_is_told_once_and_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda: datetime.now(UTC))
    calls, enough = 0, asyncio.Event()

    async def fails_twice() -> None:
        nonlocal calls
        calls += 1
        if calls > 3:
            enough.set()
        if calls < 3:
            raise ValueError(f"no {calls}")

    async def wait_for_it() -> None:
        bench.scheduler.every("look", 0.02, fails_twice)
        bench.scheduler.daily("tidy", 3, fails_twice)
        assert [job.last_run for job in bench.scheduler.jobs()] == [None, None]
        bench.scheduler.start()
        async with asyncio.timeout(30):
            await enough.wait()
        await bench.scheduler.stop(10)

    asyncio.run(wait_for_it())
    look, tidy = bench.scheduler.jobs()
    assert (look.name, look.every, look.last_error) == ("look", "0.02 s", None)
    assert look.last_run is not None
    assert (tidy.every, tidy.last_run) == ("day at 03:00", None)
    assert tidy.next_run is not None
    assert bench.journalled() == ["look fails: ValueError: no 1", "look works again"]


def test_a_stop_leaves_behind_what_does_not_even_end_when_it_is_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def holds_on() -> None:
        begun.set()
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()

    async def has_stopped() -> bool:
        bench = Bench(tmp_path, lambda: datetime.now(UTC))
        bench.scheduler.every("look", 0.02, holds_on)
        bench.scheduler.start()
        async with asyncio.timeout(30):
            await begun.wait()
        stopping = asyncio.ensure_future(bench.scheduler.stop(0))
        done, _ = await asyncio.wait((stopping,), timeout=30)
        may_end.set()
        await stopping
        return bool(done)

    monkeypatch.setattr(scheduler, "_CUT_S", 0.0)
    assert asyncio.run(has_stopped())


def test_a_job_that_fails_while_nothing_can_be_written_is_told_of_afterwards(
    bench: Bench,
) -> None:
    outcomes = ["fails", "works", "works", "works"]

    async def look() -> None:
        if outcomes.pop(0) == "fails":
            raise ValueError("no space")

    async def run(times: int) -> None:
        for _ in range(times):
            jobs.launch("look", lambda: None)
            await asyncio.gather(*jobs.running())

    jobs = PeriodicJobs(bench.journal, bench.clock)
    jobs.every("look", 5, look)
    bench.connection.execute("PRAGMA query_only = ON")
    asyncio.run(run(2))
    bench.connection.execute("PRAGMA query_only = OFF")
    asyncio.run(run(2))

    assert bench.journalled() == ["look had failed: ValueError: no space"]


# Kills of a real process


@pytest.mark.parametrize("kind", ["resume", "restart", "leave"])
def test_a_loop_that_is_killed_anywhere_loses_nothing_and_runs_nothing_twice(
    tmp_path: Path, kind: str
) -> None:
    (tmp_path / "epoch").write_text(str(time.time()))
    random = Random(kind)
    command = [sys.executable, "-m", "tests.support.automation", str(tmp_path), kind, "100"]
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as loop:
            assert loop.stdout is not None
            assert loop.stdout.readline()
            try:
                loop.wait(timeout=random.uniform(0, 0.5))
            except subprocess.TimeoutExpired:
                loop.kill()
    assert loop.returncode != 0
    loop_time = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=1)
    bench = Bench(tmp_path, lambda: loop_time, KeptRuns(tmp_path))
    bench.recovered()

    attempts = bench.store.history()
    acted = Counter((tmp_path / "actions").read_text().split())
    # No run acted twice, and one that is said to be done has acted.
    assert set(acted.values()) == {1}
    assert all(acted[run.run_id or ""] for run in attempts if run.status == "done")
    by_due = {due: [run for run in attempts if run.due == due] for due in {r.due for r in attempts}}
    for runs in by_due.values():
        if kind == "leave":
            assert len(runs) == 1
        else:
            assert runs[0].status in ("done", "skipped")
        if kind == "resume":
            # Also over several attempts.
            acts = {run.run_id for run in runs if acted[run.run_id or ""]}
            assert len(acts) == (runs[0].status == "done")
    assert bench.store.find("news").next_run is not None
