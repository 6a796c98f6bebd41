"""The books of the soak: what is lost or done twice is found, and what is explained is not."""

from datetime import UTC, datetime, timedelta

import pytest

from agentctl.core.automation.tasks import (
    Action,
    Interrupted,
    TaskEntry,
    TaskOptions,
    TaskRun,
    TaskStatus,
    Trigger,
)
from benchmarks.soak_accounts import Books, Gap, Sample, account, growths
from benchmarks.soak_clock import FastClock
from benchmarks.soak_faults import FAULTS, choose, find_sign

NINE = datetime(2026, 10, 24, 9, tzinfo=UTC)
END = NINE + timedelta(hours=4, minutes=30)
SLACK = timedelta(minutes=5)


def hourly(interrupted: Interrupted = "resume") -> TaskEntry:
    return TaskEntry(
        id=1,
        name="news",
        trigger=Trigger(kind="cron", expression="0 * * * *"),
        action=Action(kind="ask", text="What is new?"),
        options=TaskOptions(interrupted=interrupted),
        enabled=True,
        created="2026-10-24T09:30:00Z",
        next_run=None,
        last_run=None,
    )


def run(hour: int, status: TaskStatus = "done", attempt: int = 1, minutes: int = 1) -> TaskRun:
    """Of that hour's occurrence, begun at once."""
    due = NINE.replace(hour=hour)
    return TaskRun(
        id=10 * hour + attempt,
        task="news",
        due=due.strftime("%Y-%m-%dT%H:%M:%SZ"),
        status=status,
        attempt=attempt,
        started=due.isoformat(),
        finished=None if status == "running" else (due + timedelta(minutes=minutes)).isoformat(),
        run_id=None,
        session=None,
        result="",
        error="it broke" if status == "failed" else None,
    )


def books(*runs: TaskRun, gaps: tuple[Gap, ...] = (), entry: TaskEntry | None = None) -> Books:
    return account([entry or hourly()], runs, gaps, END, SLACK)


def test_a_day_on_which_all_was_done_has_no_breach() -> None:
    told = books(run(10), run(11), run(12), run(13))

    assert (told.occurrences, told.breaches, dict(told.outcomes)) == (4, [], {"done": 4})


def test_an_occurrence_that_left_no_trace_is_lost() -> None:
    told = books(run(10), run(12), run(13))

    assert told.breaches == ["news lost 2026-10-24T11:00:00+00:00: nothing explains it"]
    assert told.outcomes["lost"] == 1


def test_nothing_explains_that_nothing_came_at_all() -> None:
    gap = Gap(NINE.replace(hour=12), END, "no daemon ran")

    told = books(run(10), run(11), gaps=(gap,))
    assert [each.partition(": ")[2] for each in told.breaches] == ["nothing came of it"] * 2


def test_what_was_due_while_no_daemon_ran_is_explained_by_the_next_run() -> None:
    gap = Gap(NINE.replace(hour=10, minute=50), NINE.replace(hour=12), "no daemon ran")

    told = books(run(10), run(12), run(13), gaps=(gap,))
    assert (told.breaches, told.outcomes["left out: no daemon ran"]) == ([], 1)


def test_what_was_due_during_a_long_run_is_explained_by_it() -> None:
    told = books(run(10, minutes=90), run(12), run(13))

    assert (told.breaches, told.outcomes["left out: it was still running"]) == ([], 1)


def test_what_was_done_twice_is_a_breach() -> None:
    told = books(run(10), run(10, attempt=2), run(11), run(12), run(13))

    assert len(told.breaches) == 2
    assert "done 2 times" in told.breaches[0]


@pytest.mark.parametrize(("interrupted", "breaches"), [("restart", 1), ("leave", 0)])
def test_what_was_interrupted_goes_on_unless_it_is_to_be_left(
    interrupted: Interrupted, breaches: int
) -> None:
    rest = (run(11), run(12), run(13))

    told = books(run(10, "interrupted"), *rest, entry=hourly(interrupted))
    assert len(told.breaches) == breaches
    assert not books(run(10, "interrupted"), run(10, attempt=2), *rest).breaches


def test_what_runs_for_ever_is_a_breach() -> None:
    told = books(run(10), run(11), run(12), run(13, "running"))

    assert "news of 2026-10-24T13:00:00Z never ended" in told.breaches


# What grows


def sample(second: int, memory: float, pid: int = 1) -> Sample:
    return Sample(
        time_s=float(second),
        pid=pid,
        memory=memory,
        files=30,
        threads=20,
        processes=0,
        temporary=0,
        logs=0.1,
    )


def test_what_only_warms_up_has_not_grown() -> None:
    samples = [sample(second, 100 + min(second, 60)) for second in range(400)]

    assert all(each.is_within for each in growths(samples))


def test_what_leaks_is_found_beneath_what_swings() -> None:
    samples = [sample(second, 100 + second / 2 + 20 * (second % 2)) for second in range(400)]

    (memory,) = [each for each in growths(samples) if not each.is_within]
    assert memory.name == "memory"
    assert memory.grown == pytest.approx(100, rel=0.1)


def test_a_step_counts_as_growth_and_is_told_from_a_leak() -> None:
    samples = [sample(second, 100 + 50 * (second > 300)) for second in range(400)]

    (memory,) = [each for each in growths(samples) if not each.is_within]
    assert memory.grown > 50
    assert memory.steady == pytest.approx(0)


def test_another_life_of_the_daemon_is_left_aside() -> None:
    before = [sample(second, 500, pid=1) for second in range(100)]
    after = [sample(second, 100, pid=2) for second in range(100, 400)]

    assert growths([*before, *after])[0].grown == pytest.approx(0)


# What goes wrong, and by which clock


def test_each_kind_of_fault_comes_once_and_kills_come_early() -> None:
    kinds = {fault.kind for fault in FAULTS}

    for seed in range(20):
        chosen = choose(seed, 20)
        assert chosen == choose(seed, 20)
        assert len(chosen) == 20
        assert {fault.kind for fault in chosen} == kinds
        assert not any(fault.kills for fault in chosen[10:])
    assert choose(1, 20) != choose(2, 20)


def test_a_sign_is_looked_for_in_every_line() -> None:
    lines = ["status: all is well", "journal: the disk is at 100%"]

    assert find_sign("DISK", lines) == lines[1]
    assert find_sign("memory", lines) is None


def test_the_clock_runs_fast_jumps_and_is_one_for_all(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("clock") / "clock.json"
    clock = FastClock.make(file, NINE, rate=3600.0)
    other = FastClock(file)

    before = other.now()
    clock.jump(timedelta(days=-2))
    assert before >= NINE
    assert other.now() < NINE
    assert other.rate == 3600.0
