"""One task, run: its attempts, its outcome, and who hears of it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.task_outcome import stamp
from agentctl.core.automation.task_runner import TaskRunner
from agentctl.core.automation.tasks import TaskOptions
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import BackendBusy, BackendUnreachable, NotFound, StorageError
from agentctl.core.events import (
    ApprovalRequired,
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    TextArrived,
    WarningRaised,
)
from agentctl.core.file_lock import locked
from agentctl.core.knowledge.library import Failure, IngestReport, IngestRequest
from tests.support.automation import AGENT, INGEST, Bench, Plan, answers, collected, never_ends

DUE = "2026-03-02T11:00:00Z"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def raises(error: Exception) -> Plan:
    async def plan(run: str) -> AsyncGenerator[Event, None]:
        raise error
        yield  # makes it a generator

    return plan


async def fails(run: str) -> AsyncGenerator[Event, None]:
    yield RunStarted(**stamp(run), model="m", backend="b")
    yield ErrorRaised(**stamp(run), code="x", message="it broke", hint="mend it", exit_code=1)
    yield RunFinished(**stamp(run), status="failed", answer="")


async def waits_for_approval(run: str) -> AsyncGenerator[Event, None]:
    yield RunStarted(**stamp(run), model="m", backend="b")
    yield ApprovalRequired(**stamp(run), call_id="1", tool="write_file", args={}, preview="")
    yield RunFinished(**stamp(run), status="denied", answer="")


def ends(events: list[Event]) -> list[str]:
    return [event.status for event in events if isinstance(event, RunFinished)]


# Outcomes


def test_an_answer_is_kept_with_its_conversation(bench: Bench) -> None:
    entry = bench.add()

    events = bench.run(entry, DUE)
    assert [event.type for event in events] == ["run_started", "text", "run_finished"]
    run = bench.last()
    assert (run.due, run.status, run.result, run.error) == (DUE, "done", "All is well.", None)
    assert (run.run_id, run.session) == ("run1", "session-run1")
    assert bench.journalled() == ["news: done: All is well."]
    request = bench.verbs.calls[0]
    assert isinstance(request, AskRequest)
    assert (request.prompt, request.model) == ("What is new?", None)


def test_an_agent_runs_unattended_in_its_folder(bench: Bench) -> None:
    bench.run(bench.add(action=AGENT))

    assert bench.verbs.calls == [
        AgentRequest(agent="assistant", task="Tidy up.", folder=Path("/work"))
    ]


def test_a_long_result_is_cut(bench: Bench) -> None:
    bench.verbs.plans = [lambda run: answers(run, "x" * 10_000)]

    bench.run(bench.add())
    assert bench.last().result == "x" * 3999 + "…"


def test_an_ingest_is_told_as_a_run(bench: Bench) -> None:
    bench.verbs.report = IngestReport(added=3, updated=1)

    events = bench.run(bench.add(action=INGEST))
    assert [event.type for event in events] == ["run_started", "message", "run_finished"]
    assert bench.verbs.calls == [IngestRequest(sources=("/notes",), prune=True)]
    assert (bench.last().status, bench.last().result) == ("done", "3 added, 1 updated")
    assert bench.last().run_id is None


def test_an_ingest_that_could_not_read_something_has_failed_but_did_the_rest(
    bench: Bench,
) -> None:
    failure = Failure("/notes/a.pdf", "input-encrypted", "a.pdf has a password", "remove it")
    bench.verbs.report = IngestReport(added=2, failed=(failure,))

    events = bench.run(bench.add(action=INGEST))
    assert ends(events) == ["failed"]
    assert bench.last().result == "2 added, 1 failed"
    assert bench.last().error == "a.pdf has a password (remove it)"


def test_an_agent_that_is_gone_fails_the_task_with_the_mend(bench: Bench) -> None:
    bench.verbs.plans = [raises(NotFound("no agent assistant", "agentctl agents list"))]

    events = bench.run(bench.add(action=AGENT, options=TaskOptions(retries=3)))
    assert [event.type for event in events] == ["run_started", "error", "run_finished"]
    assert bench.last().error == "no agent assistant (agentctl agents list)"
    assert len(bench.verbs.calls) == 1


def test_what_waits_for_approval_says_how_to_approve_it(bench: Bench) -> None:
    log = bench.home / "log"
    options = TaskOptions(notify=(f"file:{log}",), notify_on="failure", retries=2)
    bench.verbs.plans = [waits_for_approval]

    bench.run(bench.add(action=AGENT, options=options))
    assert (bench.last().status, bench.last().run_id) == ("denied", "run1")
    told = json.loads(log.read_text())
    assert told["title"] == "news: denied"
    assert "agentctl runs approve run1" in told["text"]


def test_an_agent_that_came_to_no_end_has_failed(bench: Bench) -> None:
    bench.verbs.plans = [lambda run: answers(run, status="max_rounds")]

    events = bench.run(bench.add(action=AGENT))
    assert ends(events) == ["max_rounds"]
    assert bench.last().status == "failed"
    assert "within its limits" in (bench.last().error or "")


def test_a_run_that_breaks_off_without_an_end_has_failed(bench: Bench) -> None:
    async def breaks_off(run: str) -> AsyncGenerator[Event, None]:
        yield RunStarted(**stamp(run), model="m", backend="b")

    bench.verbs.plans = [breaks_off]

    assert ends(bench.run(bench.add())) == ["failed"]
    assert bench.last().status == "failed"


# Time limits, retries


def test_a_run_that_takes_too_long_is_stopped_and_keeps_what_it_said(bench: Bench) -> None:
    bench.verbs.plans = [never_ends]

    events = bench.run(bench.add(options=TaskOptions(timeout_s=0.01)))
    assert ends(events) == ["timeout"]
    run = bench.last()
    assert (run.status, run.result) == ("timeout", "half an ans")
    assert run.error == "stopped after 0.01 seconds"


def test_a_failure_is_tried_again_with_growing_pauses(bench: Bench) -> None:
    unreachable = raises(BackendUnreachable("nobody answers"))
    bench.verbs.plans = [fails, unreachable, raises(ValueError("a mistake")), answers]

    events = bench.run(bench.add(options=TaskOptions(retries=5)), DUE)
    assert ends(events) == ["done"]
    assert events[-1].type == "run_finished"
    assert bench.pauses == [5.0, 10.0, 20.0]
    assert bench.outcomes() == [
        (DUE, 1, "failed"),
        (DUE, 2, "failed"),
        (DUE, 3, "failed"),
        (DUE, 4, "done"),
    ]
    assert [run.error for run in bench.store.history()][1] == (
        "ValueError: a mistake (agentctl doctor)"
    )
    assert len(bench.journalled()) == 1


def test_after_the_last_retry_it_has_failed(bench: Bench) -> None:
    bench.verbs.plans = [fails]

    events = bench.run(bench.add(options=TaskOptions(retries=1)), DUE)
    assert ends(events) == ["failed"]
    assert bench.outcomes() == [(DUE, 1, "failed"), (DUE, 2, "failed")]
    assert bench.journalled() == ["news: failed: it broke (mend it)"]


def test_a_stop_in_the_pause_before_a_retry_does_not_lose_the_retry(bench: Bench) -> None:
    async def is_stopped(seconds: float) -> None:
        raise asyncio.CancelledError

    bench.verbs.plans = [fails]
    entry = bench.add(options=TaskOptions(retries=1))
    locks = bench.home / "tasks"
    runner = TaskRunner(bench.store, bench.verbs, bench.journal, locks, sleep=is_stopped)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(collected(runner.run(entry, DUE, when_cut="interrupted")))
    assert bench.outcomes() == [(DUE, 1, "failed"), (DUE, 2, "interrupted")]
    assert [cut.attempt for _, cut in runner.recover()] == [2]


# Stopping


def test_a_reader_that_is_cancelled_stops_the_run_and_still_gets_its_end(bench: Bench) -> None:
    bench.verbs.plans = [never_ends]
    entry, seen = bench.add(options=TaskOptions(notify=(f"file:{bench.home / 'log'}",))), []

    async def read_and_cancel() -> None:
        async def read() -> None:
            async for event in bench.runner.run(entry):
                seen.append(event)
                begun.set()

        begun = asyncio.Event()
        reading = asyncio.create_task(read())
        await begun.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(read_and_cancel())
    assert ends(seen) == ["cancelled"]
    assert (bench.last().status, bench.last().result) == ("cancelled", "half an ans")
    assert not (bench.home / "log").exists()
    assert not bench.runner.is_held(entry)


def test_a_reader_that_leaves_stops_the_run(bench: Bench) -> None:
    bench.verbs.plans = [never_ends]
    entry = bench.add()

    async def leave() -> None:
        async with aclosing(bench.runner.run(entry)) as events:
            async for event in events:
                if isinstance(event, TextArrived):
                    break

    asyncio.run(leave())
    assert bench.last().status == "cancelled"
    assert not bench.runner.is_held(entry)


def test_a_task_does_not_overlap_with_itself(bench: Bench) -> None:
    entry = bench.add()

    bench.run(entry)
    with locked(bench.home / "tasks" / f"{entry.id}.lock", "task news"):
        assert bench.runner.is_held(entry)
        with pytest.raises(BackendBusy, match="news"):
            bench.run(entry)
    assert len(bench.store.history()) == 1


def test_an_occurrence_that_was_begun_is_not_run_again(bench: Bench) -> None:
    entry = bench.add()

    bench.run(entry, DUE)
    assert bench.run(entry, DUE) == []
    assert len(bench.verbs.calls) == 1


# Telling


@pytest.mark.parametrize(("when", "told"), [("always", 1), ("failure", 0)])
def test_success_is_told_as_the_task_wants_it(bench: Bench, when: str, told: int) -> None:
    log = bench.home / "log"
    options = TaskOptions(notify=(f"file:{log}",), notify_on=when)  # type: ignore[arg-type]

    bench.run(bench.add(options=options), DUE)
    lines = log.read_text().splitlines() if log.exists() else []
    assert len(lines) == told
    for line in lines:
        assert json.loads(line)["result"] == "All is well."
        assert json.loads(line)["due"] == DUE


def test_a_notification_that_fails_is_a_warning_and_no_failure(bench: Bench) -> None:
    folder = bench.home / "soon gone"
    folder.mkdir()
    entry = bench.add(options=TaskOptions(notify=(f"file:{folder / 'log'}",)))
    folder.rmdir()

    events = bench.run(entry)
    assert [event.code for event in events if isinstance(event, WarningRaised)] == ["notify"]
    assert (ends(events), bench.last().status) == (["done"], "done")


def test_a_journal_that_cannot_be_written_keeps_nobody_from_being_told(bench: Bench) -> None:
    class FullJournal(Journal):
        def write(self, *_: object) -> None:
            raise StorageError("no space left to store it")

    log = bench.home / "log"
    entry = bench.add(options=TaskOptions(notify=(f"file:{log}",)))
    journal = FullJournal(bench.connection)
    runner = TaskRunner(bench.store, bench.verbs, journal, bench.home / "tasks")

    events = asyncio.run(collected(runner.run(entry, DUE)))
    assert ends(events) == ["done"]
    assert json.loads(log.read_text())["status"] == "done"


# After a kill


def test_a_killed_run_by_hand_is_only_marked(bench: Bench) -> None:
    bench.killed(bench.add(), None)

    assert bench.runner.recover() == []
    assert bench.last().status == "interrupted"
    assert bench.journalled() == ["news was interrupted"]


def test_what_another_process_runs_is_not_marked(bench: Bench) -> None:
    entry = bench.add()
    bench.run(entry)
    bench.killed(entry, DUE)

    with locked(bench.home / "tasks" / f"{entry.id}.lock", "task news"):
        assert bench.runner.recover() == []
    assert bench.last().status == "running"


def test_an_agent_goes_on_with_its_run(bench: Bench) -> None:
    entry = bench.add(action=AGENT)
    bench.killed(entry, DUE, "r1")
    bench.verbs.runs["r1"] = "interrupted"

    ((_, cut),) = bench.runner.recover()
    asyncio.run(collected(bench.runner.go_on(entry, cut)))
    assert bench.verbs.calls == [ResumeRequest(run="r1")]
    assert bench.outcomes() == [(DUE, 1, "interrupted"), (DUE, 2, "done")]
    assert bench.runner.recover() == []


@pytest.mark.parametrize(("ended", "status"), [("done", "done"), ("waiting", "denied")])
def test_an_agent_that_had_ended_before_the_kill_is_only_noted(
    bench: Bench, ended: str, status: str
) -> None:
    entry = bench.add(action=AGENT)
    bench.killed(entry, DUE, "r1")
    bench.verbs.runs["r1"] = ended

    ((_, cut),) = bench.runner.recover()
    asyncio.run(collected(bench.runner.go_on(entry, cut)))
    assert bench.verbs.calls == []
    assert bench.outcomes() == [(DUE, 1, status)]


@pytest.mark.parametrize("run_id", [None, "gone"])
def test_an_agent_that_cannot_go_on_starts_again(bench: Bench, run_id: str | None) -> None:
    entry = bench.add(action=AGENT)
    bench.killed(entry, DUE, run_id)

    ((_, cut),) = bench.runner.recover()
    asyncio.run(collected(bench.runner.go_on(entry, cut)))
    assert isinstance(bench.verbs.calls[0], AgentRequest)
    assert bench.last().attempt == 2


def test_a_task_that_wants_to_be_left_is_left(bench: Bench) -> None:
    bench.killed(bench.add(options=TaskOptions(interrupted="leave")), DUE)

    assert bench.runner.recover() == []
    assert bench.outcomes() == [(DUE, 1, "interrupted")]


def test_an_occurrence_that_is_cut_again_and_again_is_left_at_last(bench: Bench) -> None:
    entry = bench.add()

    for attempt in range(1, 100):
        assert bench.store.begin(entry.id, DUE, attempt) is not None
        if not bench.runner.recover():
            break
    assert bench.last().attempt == 10
