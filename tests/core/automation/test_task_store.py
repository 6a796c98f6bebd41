"""Tasks as they are kept."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.tasks import Action, TaskOptions, TaskRequest, Trigger
from agentctl.core.errors import NotFound, UsageProblem
from tests.support.automation import AGENT, ASK, HOURLY, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    "trigger",
    [
        Trigger(kind="once", expression="soon"),
        Trigger(kind="once", expression="2999-01-01T00:00:00"),
        Trigger(kind="interval", expression="0"),
        Trigger(kind="interval", expression="-60"),
        Trigger(kind="cron", expression="61 * * * *"),
        Trigger(kind="cron", expression="0 3 * * *", timezone="Nowhere/City"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(bench: Bench, trigger: Trigger) -> None:
    with pytest.raises(UsageProblem):
        bench.add(trigger=trigger)


def test_a_task_is_found_as_it_was_added_by_name_and_by_id(bench: Bench) -> None:
    options = TaskOptions(missed="skip", retries=2, notify=("desktop",))
    entry = bench.add("tidy", action=AGENT, options=options)

    assert (entry.trigger, entry.action, entry.options) == (HOURLY, AGENT, options)
    assert entry.enabled
    assert entry.created == "2026-03-02T10:30:00Z"
    assert entry.next_run == "2026-03-02T11:00:00Z"
    assert entry.last_run is None
    assert bench.store.find("tidy") == entry
    assert bench.store.find(str(entry.id)) == entry
    assert bench.store.entries() == [entry]


@pytest.mark.parametrize("name", ["", "  ", "42", "x" * 65, "two\nlines", "-c", " padded"])
def test_a_name_that_would_be_no_use_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(UsageProblem):
        bench.add(name)


def test_a_name_is_taken_once(bench: Bench) -> None:
    bench.add("news")

    with pytest.raises(UsageProblem, match="news already") as refused:
        bench.add("news")
    assert "agentctl tasks remove news" in refused.value.hint


def test_what_is_never_due_and_who_cannot_be_told_is_refused(bench: Bench) -> None:
    past = Trigger(kind="once", expression="2020-01-01T00:00:00Z")
    with pytest.raises(UsageProblem, match="never be due"):
        bench.add(trigger=past)
    with pytest.raises(UsageProblem, match="nobody"):
        bench.add(options=TaskOptions(notify=("pigeon",)))


def test_an_unknown_task_is_missed_with_the_one_that_was_meant(bench: Bench) -> None:
    bench.add("nightly")

    with pytest.raises(NotFound, match="did you mean nightly") as missed:
        bench.store.find("nigthly")
    assert missed.value.hint == "agentctl tasks list"
    with pytest.raises(NotFound):
        bench.store.history("weekly")


def test_what_passes_while_a_task_is_paused_is_not_due_later(bench: Bench) -> None:
    bench.add("news")

    paused = bench.store.set_enabled("news", is_enabled=False)
    assert (paused.enabled, paused.next_run) == (False, None)
    bench.clock.moves(hours=5)
    resumed = bench.store.set_enabled("news", is_enabled=True)
    assert resumed.next_run == "2026-03-02T16:00:00Z"


def test_resuming_what_is_not_paused_loses_nothing(bench: Bench) -> None:
    bench.add("news")
    bench.clock.moves(hours=1)

    assert bench.store.set_enabled("news", is_enabled=True).next_run == "2026-03-02T11:00:00Z"


def test_an_occurrence_is_begun_once_and_is_handled_from_then_on(bench: Bench) -> None:
    entry = bench.add()
    due = "2026-03-02T11:00:00Z"

    first = bench.store.begin(entry.id, due)
    assert first is not None
    assert bench.store.begin(entry.id, due) is None
    assert bench.store.begin(entry.id, due, 2) is not None
    assert bench.store.find("news").next_run == "2026-03-02T12:00:00Z"


def test_runs_by_hand_are_any_number_and_handle_nothing(bench: Bench) -> None:
    entry = bench.add()

    assert bench.store.begin(entry.id, None) != bench.store.begin(entry.id, None)
    assert bench.store.find("news").next_run == "2026-03-02T11:00:00Z"


def test_nothing_of_a_task_that_is_gone_is_begun(bench: Bench) -> None:
    entry = bench.add()
    bench.store.begin(entry.id, None)

    assert bench.store.remove("news").name == "news"
    assert bench.store.entries() == []
    assert bench.store.history() == []
    assert bench.store.begin(entry.id, "2026-03-02T11:00:00Z") is None


def test_the_history_tells_how_each_attempt_went(bench: Bench) -> None:
    entry = bench.add("news")
    bench.add("other")
    row = bench.store.begin(entry.id, "2026-03-02T11:00:00Z")
    assert row is not None
    bench.store.note(row, run_id="r1", session="s1")
    bench.clock.moves(seconds=90)
    bench.store.finish(row, "failed", result="half", error="it broke")

    (run,) = bench.store.history("news")
    assert (run.task, run.due, run.attempt) == ("news", "2026-03-02T11:00:00Z", 1)
    assert (run.started, run.finished) == ("2026-03-02T10:30:00Z", "2026-03-02T10:31:30Z")
    assert (run.status, run.result, run.error) == ("failed", "half", "it broke")
    assert (run.run_id, run.session) == ("r1", "s1")
    assert bench.store.find("news").last_run == run
    assert bench.store.history("other") == []
    assert bench.store.history(limit=0) == []


def test_what_was_left_out_is_in_the_history_but_is_no_last_run(bench: Bench) -> None:
    entry = bench.add()

    bench.store.skip(entry.id, "2026-03-02T11:00:00Z", "it was due while nothing ran")
    assert bench.last().status == "skipped"
    assert bench.store.find("news").last_run is None
    assert bench.store.find("news").next_run == "2026-03-02T12:00:00Z"


def test_only_the_last_occurrence_of_a_task_counts_as_interrupted(bench: Bench) -> None:
    entry = bench.add()
    for due in ("2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z"):
        row = bench.store.begin(entry.id, due)
        assert row is not None
        bench.store.finish(row, "interrupted")
    bench.store.skip(entry.id, "2026-03-02T13:00:00Z", "it was still running")

    assert [run.due for run in bench.store.interrupted()] == ["2026-03-02T12:00:00Z"]


def test_what_has_ended_by_itself_is_not_interrupted(bench: Bench) -> None:
    row = bench.store.begin(bench.add().id, None)
    assert row is not None
    bench.store.finish(row, "done")

    assert not bench.store.interrupt(row)
    assert bench.last().status == "done"


def test_old_outcomes_are_forgotten_but_not_what_runs(bench: Bench) -> None:
    entry = bench.add()
    done = bench.store.begin(entry.id, None)
    assert done is not None
    bench.store.finish(done, "done")
    bench.store.begin(entry.id, None)

    assert bench.store.prune("2026-03-02T10:30:00Z") == 0
    assert bench.store.prune("2027-01-01T00:00:00Z") == 1
    assert [run.status for run in bench.store.history()] == ["running"]


@given(text=st.text(min_size=1), retries=st.integers(0, 9), timeout=st.floats(1, 1e6))
def test_any_task_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, text: str, retries: int, timeout: float
) -> None:
    bench = Bench(tmp_path_factory.mktemp("home"))
    text = text.encode(errors="replace").decode()
    request = TaskRequest(
        name="any",
        trigger=HOURLY,
        action=Action(kind="ask", text=text, model=text),
        options=TaskOptions(retries=retries, timeout_s=timeout),
    )

    entry = bench.store.add(request)
    assert (entry.action, entry.options) == (request.action, request.options)
    bench.connection.close()


def test_a_long_history_is_not_gone_through_for_the_last_run(bench: Bench) -> None:
    entry = bench.add(action=ASK)
    bench.connection.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)"
        " INSERT INTO task_runs (task, due, status, attempt, started)"
        " SELECT ?, i, 'done', 1, '' FROM n",
        (entry.id,),
    )

    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    bench.connection.set_progress_handler(count, 1)
    bench.store.find("news")
    assert steps < 1000
