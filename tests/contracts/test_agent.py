"""What every kind of agent keeps, whatever framework drives it."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from agentctl.core.agents.run_request import (
    ApprovalAnswer,
    LimitChanges,
    ResumeRequest,
)
from agentctl.core.agents.run_store import RunStore
from agentctl.core.agents.sandbox.sandbox import probe
from agentctl.core.config import default_settings
from agentctl.core.errors import NotFound, StorageError, UsageProblem
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ErrorRaised,
    Event,
    MessageFinished,
    RunStarted,
    TextArrived,
    ToolCallRequested,
    ToolFinished,
    UsageMeasured,
    WarningRaised,
)
from agentctl.core.storage import open_database
from tests.support import mcp_server
from tests.support import ollama_server as wire
from tests.support.agents import (
    CODE,
    GRAPH,
    KINDS,
    TEAM_KIND,
    Bench,
    Json,
    Kind,
    call,
    end_of,
    only,
    say,
)

SANDBOX = probe(os.environ)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


def test_a_run_is_told_from_its_start_to_its_end(bench: Bench, kind: Kind) -> None:
    (bench.folder / "note.md").write_text("The lamp is green.")

    events = bench.run(kind, kind.steps([call("read_file", path="note.md")], "It is green."))

    started, asked, finished = (
        only(each, events) for each in (RunStarted, ToolCallRequested, ToolFinished)
    )
    assert (events[0], started[0].agent) == (started[0], kind.name)
    assert "read_file" in [each.tool for each in asked]
    assert any("The lamp is green." in each.result for each in finished)
    assert only(UsageMeasured, events)
    assert (end_of(events).status, end_of(events).answer) == ("done", "It is green.")


def test_every_call_has_one_result_and_ids_of_their_own(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now"), call("list_files"), call("now")], "done")

    events = bench.run(kind, steps)

    asked = [each.call_id for each in only(ToolCallRequested, events)]
    assert sorted(asked) == sorted(each.call_id for each in only(ToolFinished, events))
    assert len(set(asked)) == len(asked)


def test_a_call_of_no_tool_is_answered_with_an_error_that_names_the_tools(
    bench: Bench, kind: Kind
) -> None:
    if kind in (CODE, TEAM_KIND):
        pytest.skip("Python and AutoGen answer this themselves, before it comes to the gate")
    events = bench.run(kind, kind.steps([call("read_fil", path="x")], "sorry"))

    (finished,) = only(ToolFinished, events)
    assert "read_file" in finished.error
    assert end_of(events).status == "done"


def test_wrong_arguments_go_back_to_the_model(bench: Bench, kind: Kind) -> None:
    events = bench.run(kind, kind.steps([call("read_file", path=7)], "sorry"))

    errors = [each.error for each in only(ToolFinished, events) if each.tool == "read_file"]
    assert "path: 7 is not of type 'string'" in errors[0]
    assert end_of(events).status == "done"


def test_a_call_that_nobody_may_approve_is_denied(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="x")], "I could not.")

    events = bench.run(kind, steps, approve="none")

    assert [each.approved for each in only(ApprovalGiven, events) if not each.approved] == [False]
    assert not (bench.folder / "new.txt").exists()
    assert (end_of(events).status, end_of(events).answer) == ("denied", "I could not.")


def test_a_call_that_needs_the_user_waits_and_goes_on_in_another_process(
    bench: Bench, kind: Kind
) -> None:
    steps = kind.steps([call("now"), call("write_file", path="new.txt", content="hello")], "Done.")

    before = bench.run(kind, steps)
    run = before[0].run_id
    waiting = asyncio.run(bench.workspace().show_run(run))
    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run, allow=True)))
    after = bench.resume(ResumeRequest(run=run))

    assert only(ApprovalRequired, before)[0].tool == "write_file"
    assert (end_of(before).status, waiting.run.status) == ("denied", "waiting")
    assert not waiting.is_live
    assert (bench.folder / "new.txt").read_text() == "hello"
    assert (end_of(after).status, end_of(after).answer) == ("done", "Done.")
    # What was done before was not done again.
    assert "now" not in [each.tool for each in only(ToolCallRequested, after)]


def test_a_denied_call_is_told_to_the_model_with_the_reason(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="x")], "I see.")
    run = bench.run(kind, steps)[0].run_id
    answer = ApprovalAnswer(run=run, allow=False, reason="not in this folder")

    asyncio.run(bench.workspace().answer_run(answer))
    events = bench.resume(ResumeRequest(run=run))

    errors = [each.error for each in only(ToolFinished, events) if each.error]
    assert "not in this folder" in errors[0]
    assert end_of(events).status == "denied"


def test_the_user_may_change_the_arguments(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="x")], "Done.")
    run = bench.run(kind, steps)[0].run_id
    args = {"path": "other.txt", "content": "y"}

    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run, allow=True, args=args)))
    bench.resume(ResumeRequest(run=run))

    assert not (bench.folder / "new.txt").exists()
    assert (bench.folder / "other.txt").read_text() == "y"


def test_an_answer_for_the_whole_run_is_asked_for_once(bench: Bench, kind: Kind) -> None:
    write = call("write_file", path="new.txt", content="x")
    again = call("write_file", path="new.txt", content="y")
    run = bench.run(kind, kind.steps([write, again], "Done."))[0].run_id

    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run, allow=True, scope="run")))
    events = bench.resume(ResumeRequest(run=run))

    assert (bench.folder / "new.txt").read_text() == "y"
    assert end_of(events).status == "done"


def test_the_round_limit_ends_a_run_and_keeps_what_it_had(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now"), call("list_files"), call("now")], "never")

    events = bench.run(kind, steps, limits=LimitChanges(rounds=2))

    assert end_of(events).status == "max_rounds"
    assert len(only(UsageMeasured, events)) == 2
    assert [each.code for each in only(WarningRaised, events)] == ["limit"]


def test_the_time_limit_holds_when_nothing_can_be_written_down_about_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = [say("word " * 10_000) | {"delay_s": 0.01}]
    append = RunStore.append_event

    def refuse(*_: object) -> bool:
        raise StorageError("no space left on the disk", "free some")

    def append_most(store: RunStore, event: Event) -> None:
        if isinstance(event, WarningRaised):
            refuse()
        append(store, event)

    monkeypatch.setattr(RunStore, "append_event", append_most)
    monkeypatch.setattr(RunStore, "is_cancelled", refuse)

    events = bench.run(GRAPH, steps, limits=LimitChanges(seconds=0.1))

    assert end_of(events).status == "timeout"


def test_the_last_round_is_for_the_answer(bench: Bench) -> None:
    events = bench.run(GRAPH, [call("now"), say("Noon.")], limits=LimitChanges(rounds=2))

    assert (end_of(events).status, end_of(events).answer) == ("max_rounds", "Noon.")


def test_a_run_that_was_cut_short_goes_on_where_it_was(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now"), call("list_files")], "Done.")
    before = bench.run(kind, steps, limits=LimitChanges(rounds=1))

    after = bench.resume(ResumeRequest(run=before[0].run_id))

    assert end_of(after).answer == "Done."
    calls = [each.call_id for each in only(ToolCallRequested, [*before, *after])]
    assert len(set(calls)) == len(calls)


def test_the_limits_of_calls_and_tokens_hold_inside_of_a_turn(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now"), call("list_files")], "a long answer " * 50)

    by_calls = bench.run(kind, steps, limits=LimitChanges(tool_calls=1))
    by_tokens = bench.run(kind, kind.steps([], "word " * 500), limits=LimitChanges(tokens=60))

    assert (end_of(by_calls).status, end_of(by_tokens).status) == ("max_rounds", "max_rounds")


def test_a_run_has_a_further_task_that_knows_the_first(bench: Bench, kind: Kind) -> None:
    first = bench.run(kind, kind.steps([call("now")], "It is noon."))
    request = ResumeRequest(run=first[0].run_id, task="And now?")

    events = bench.resume(request, kind.steps([], "Still noon."))
    shown = asyncio.run(bench.workspace().show_run(first[0].run_id))

    assert end_of(events).answer == "Still noon."
    assert shown.tasks == ("Do the task.", "And now?")


def test_a_backend_that_fails_keeps_its_error_and_the_transcript(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now")], "never")
    fault = {"error": {"slug": "backend-unreachable", "message": "the model server has left"}}

    events = bench.run(kind, [*steps[:-1], fault] if kind is not TEAM_KIND else [*steps[:2], fault])
    shown = asyncio.run(bench.workspace().show_run(events[0].run_id))

    (error,) = only(ErrorRaised, events)
    assert (error.code, error.exit_code) == ("backend-unreachable", 69)
    assert end_of(events).status == "failed"
    assert "now" in [each.tool for each in only(ToolFinished, list(shown.events))]


def test_the_same_call_for_ever_ends_the_run(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now")] * 12, "never")

    events = bench.run(kind, steps)

    made = [each for each in only(ToolFinished, events) if each.error is None]
    assert len([each for each in made if each.tool == "now"]) == 3
    assert any(
        "this same call 3 times over" in (each.error or "") for each in only(ToolFinished, events)
    )
    if kind is CODE:
        assert end_of(events).status == "done"
    else:
        assert only(ErrorRaised, events)[0].code == "agent-stuck"


def test_two_calls_that_take_turns_for_ever_end_the_run(bench: Bench) -> None:
    events = bench.run(GRAPH, [call("now"), call("list_files", path=".")] * 12)

    made = [each.tool for each in only(ToolFinished, events) if each.error is None]
    assert made == ["now", "list_files"] * 3
    assert only(ErrorRaised, events)[0].code == "agent-stuck"


def test_a_run_whose_lock_cannot_be_opened_is_told_as_a_problem_of_the_disk(bench: Bench) -> None:
    run = bench.run(GRAPH, [say("It is noon.")])[0].run_id
    (bench.paths.runs / f"{run}.lock").mkdir()

    with pytest.raises(StorageError, match=f"the run {run} cannot be held"):
        asyncio.run(bench.workspace().show_run(run))


def test_who_goes_round_in_circles_gets_no_more_tools(bench: Bench) -> None:
    events = bench.run(GRAPH, [*[call("now")] * 4, say("It is noon.")])

    assert (end_of(events).status, end_of(events).answer) == ("done", "It is noon.")


def test_a_call_that_was_under_way_when_the_program_died_is_not_made_again(bench: Bench) -> None:
    steps = [call("write_file", path="new.txt", content="x"), say("I looked.")]
    run = bench.run(GRAPH, steps, approve="all")[0].run_id
    store = RunStore(open_database(bench.paths.database))
    connection = store._connection
    connection.execute("DELETE FROM run_log WHERE type IN ('tool_result', 'task_done')")
    connection.execute("DELETE FROM run_log WHERE type = 'turn' AND body LIKE '%I looked%'")
    connection.execute("UPDATE runs SET status = 'running'")
    (bench.folder / "new.txt").unlink()

    listed = asyncio.run(bench.workspace().list_runs())
    events = bench.resume(ResumeRequest(run=run), [say("I looked.")])

    assert [each.status for each in listed] == ["interrupted"]
    assert "whether it took effect is not known" in only(ToolFinished, events)[0].error
    assert not (bench.folder / "new.txt").exists()
    assert end_of(events).answer == "I looked."


def test_cancelling_keeps_the_transcript_and_still_tells_the_end(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("now")], "x")
    steps[-1] = say("word " * 10_000) | {"delay_s": 0.01}
    if kind is TEAM_KIND:
        steps[2] = steps[-1]

    async def cancel() -> list[Event]:
        workspace = bench.workspace()
        seen: list[Event] = []

        async def read() -> None:
            async with aclosing(workspace.run_agent(bench.request(kind, steps))) as events:
                async for event in events:
                    seen.append(event)
                    if isinstance(event, ToolFinished):
                        cancelling.set()

        cancelling = asyncio.Event()
        reading = asyncio.ensure_future(read())
        await cancelling.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await workspace.close()
        return seen

    events = asyncio.run(cancel())

    shown = asyncio.run(bench.workspace().show_run(events[0].run_id))
    assert end_of(events).status == "cancelled"
    assert (shown.run.status, shown.is_live) == ("cancelled", False)
    assert only(ToolFinished, list(shown.events))


def test_a_run_is_cancelled_from_another_process(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("write_file", path="x", content="x")], "never")

    async def run() -> list[Event]:
        workspace, other = bench.workspace(), bench.workspace()
        seen = []
        request = bench.request(kind, steps, is_attended=True)
        async with aclosing(workspace.run_agent(request)) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ApprovalRequired):
                    await other.cancel_run(event.run_id)
        await workspace.close()
        await other.close()
        return seen

    assert end_of(asyncio.run(run())).status == "cancelled"


def test_a_cancelled_run_takes_no_answer_until_it_is_told_to_go_on(
    bench: Bench, kind: Kind
) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="x")], "Done.")
    run = bench.run(kind, steps)[0].run_id
    answer = ApprovalAnswer(run=run, allow=True)
    asyncio.run(bench.workspace().cancel_run(run))

    with pytest.raises(NotFound, match=r"no call of run .* waits"):
        asyncio.run(bench.workspace().answer_run(answer))
    again = bench.resume(ResumeRequest(run=run))
    asyncio.run(bench.workspace().answer_run(answer))
    after = bench.resume(ResumeRequest(run=run))

    assert [each.tool for each in only(ApprovalRequired, again)] == ["write_file"]
    assert end_of(after).status == "done"


def test_somebody_who_is_there_answers_at_once(bench: Bench, kind: Kind) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="hello")], "Done.")

    async def run() -> list[Event]:
        workspace = bench.workspace()
        seen = []
        request = bench.request(kind, steps, is_attended=True)
        async with aclosing(workspace.run_agent(request)) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ApprovalRequired):
                    answer = ApprovalAnswer(run=event.run_id, call_id=event.call_id, allow=True)
                    await workspace.answer_run(answer)
        await workspace.close()
        return seen

    events = asyncio.run(run())

    assert end_of(events).status == "done"
    assert (bench.folder / "new.txt").read_text() == "hello"


def test_an_answer_that_comes_while_a_run_is_about_to_wait_is_not_lost(
    bench: Bench, kind: Kind
) -> None:
    steps = kind.steps([call("write_file", path="new.txt", content="hello")], "Done.")

    events = asyncio.run(_with_an_answer_at_once(bench, kind, steps))

    assert (end_of(events).status, end_of(events).answer) == ("done", "Done.")
    assert (bench.folder / "new.txt").read_text() == "hello"


async def _with_an_answer_at_once(bench: Bench, kind: Kind, steps: list[Json]) -> list[Event]:
    """The events of a run at which nobody is there, and whose model goes on with its script."""
    workspace, seen = bench.workspace(), []
    async with aclosing(workspace.run_agent(bench.request(kind, steps))) as events:
        async for event in events:
            seen.append(event)
            if isinstance(event, ApprovalRequired):
                await workspace.answer_run(ApprovalAnswer(run=event.run_id, allow=True))
                bench.script(steps[len(only(UsageMeasured, seen)) :])
    await workspace.close()
    return seen


def test_a_run_that_is_cancelled_while_it_is_about_to_wait_is_over(bench: Bench) -> None:
    steps = [call("write_file", path="new.txt", content="x")]

    async def run() -> str:
        workspace = bench.workspace()
        async with aclosing(workspace.run_agent(bench.request(GRAPH, steps))) as events:
            async for event in events:
                if isinstance(event, ApprovalRequired):
                    await workspace.cancel_run(event.run_id)
        status = (await workspace.show_run("latest")).run.status
        await workspace.close()
        return status

    assert asyncio.run(run()) == "cancelled"


def test_python_runs_in_the_sandbox(bench: Bench, kind: Kind) -> None:
    code = "import os\nprint(sorted(os.environ.get('HOME', '')), 6 * 7)"

    events = bench.run(kind, kind.steps([call("run_python", code=code)], "42"))

    finished = only(ToolFinished, events)[0]
    assert finished.tool == "run_python"
    assert "42" in finished.result
    assert str(Path.home()) not in finished.result
    assert end_of(events).status == "done"


@pytest.mark.skipif(SANDBOX.kind == "none", reason=SANDBOX.detail)
def test_git_makes_nothing_unasked_of_what_a_strangers_folder_says(bench: Bench) -> None:
    path = bench.paths.agents / "graph.toml"
    path.write_text(path.read_text().replace('tools = ["now"', 'tools = ["run_shell", "now"'))
    subprocess.run(["git", "init", "-q", str(bench.folder)], check=True)
    with (bench.folder / ".git" / "config").open("a") as config:
        config.write(
            '[core]\n\tfsmonitor = "echo it runs; echo evil > .git/hooks/pre-commit; false"\n'
        )
    commands = [call("run_shell", command=each) for each in ("git status", "touch made.txt")]

    run = bench.run(GRAPH, [*commands, say("Done.")])[0].run_id
    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run, allow=True)))
    bench.resume(ResumeRequest(run=run))

    decided = asyncio.run(bench.workspace().show_run(run)).decisions
    assert [each.decided_by for each in decided] == ["policy", "user"]
    assert not (bench.folder / ".git" / "hooks" / "pre-commit").exists()
    assert (bench.folder / "made.txt").exists()


def test_variables_of_python_outlive_a_wait(bench: Bench, kind: Kind) -> None:
    steps = kind.steps(
        [
            call("run_python", code="import math\ndef double(x):\n    return 2 * x\nkept = 21"),
            call("write_file", path="new.txt", content="x"),
            call("run_python", code="print(double(kept), math.pi > 3)"),
        ],
        "42",
    )
    run = bench.run(kind, steps)[0].run_id

    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run, allow=True)))
    events = bench.resume(ResumeRequest(run=run))

    assert any("42 True" in each.result for each in only(ToolFinished, events))
    assert end_of(events).status == "done"


def test_a_question_to_the_user_is_answered_days_later(bench: Bench, kind: Kind) -> None:
    question = "Which colour?"
    run = bench.run(kind, kind.steps([call("ask_user", question=question)], "Green it is."))
    run_id = run[0].run_id
    answered = {"question": question, "answer": "green"}

    asyncio.run(bench.workspace().answer_run(ApprovalAnswer(run=run_id, allow=True, args=answered)))
    events = bench.resume(ResumeRequest(run=run_id))

    assert only(ApprovalRequired, run)[0].preview == question
    assert any("green" in each.result for each in only(ToolFinished, events))
    assert end_of(events).answer == "Green it is."


def test_every_decision_stands_in_the_table(bench: Bench, kind: Kind) -> None:
    calls = [call("now"), call("write_file", path="new.txt", content="x")]
    events = bench.run(kind, kind.steps(calls, "Done."), approve="none")

    decisions = asyncio.run(bench.workspace().show_run(events[0].run_id)).decisions

    made = {each.tool: each.decision for each in decisions if each.tool != "run_python"}
    assert made == {"now": "allow", "write_file": "deny"}
    assert all(each.reason for each in decisions)


def test_a_model_that_only_talks_has_answered(bench: Bench, kind: Kind) -> None:
    steps = [say(f"Talk {number}.") for number in range(40)]

    events = bench.run(kind, steps)

    assert end_of(events).status in ("done", "max_rounds", "failed")
    assert only(UsageMeasured, events)


def test_what_is_said_is_told_word_by_word_and_as_a_whole(bench: Bench) -> None:
    events = bench.run(GRAPH, [say("The answer is 42.", thinking="Hm.")])

    assert "".join(each.text for each in only(TextArrived, events)) == "The answer is 42."
    (message,) = only(MessageFinished, events)
    assert (message.agent, message.content) == ("graph", "The answer is 42.")


def test_a_team_speaks_in_its_order_and_ends_by_agreement(bench: Bench) -> None:
    events = bench.run(TEAM_KIND, TEAM_KIND.steps([call("now")], "It is noon."))

    speakers = [each.agent for each in only(MessageFinished, events)]
    assert speakers == ["planner", "executor", "critic"]
    assert end_of(events).answer == "It is noon."


def test_a_model_that_cannot_call_tools_is_held_to_a_schema(bench: Bench) -> None:
    path = bench.paths.agents / "graph.toml"
    path.write_text('tool_calls = "schema"\n' + path.read_text())
    asked = json.dumps({"thought": "I look.", "tool": "now", "args": {}})
    answer = json.dumps({"thought": "I know.", "final": "It is noon."})

    events = bench.run(GRAPH, [say(asked), say(answer)])

    assert [each.tool for each in only(ToolFinished, events)] == ["now"]
    assert end_of(events).answer == "It is noon."


def test_work_is_given_to_another_agent_in_the_same_run(bench: Bench) -> None:
    path = bench.paths.agents / "graph.toml"
    path.write_text('agents = ["tools"]\n' + path.read_text())
    given = call("delegate", agent="tools", task="Look at the clock.")

    events = bench.run(GRAPH, [given, call("now"), say("It is noon."), say("Noon, they say.")])

    asked = [(each.agent, each.tool) for each in only(ToolCallRequested, events)]
    results = {each.tool: each.result for each in only(ToolFinished, events)}
    assert asked == [("graph", "delegate"), ("tools", "now")]
    assert results["delegate"] == "It is noon."
    assert end_of(events).answer == "Noon, they say."


def test_who_was_given_work_gives_none_away(bench: Bench) -> None:
    for name in ("graph", "tools"):
        path = bench.paths.agents / f"{name}.toml"
        path.write_text('agents = ["tools"]\n' + path.read_text())
    given = call("delegate", agent="tools", task="Go on.")

    events = bench.run(GRAPH, [given, given, say("I cannot."), say("They could not.")])

    assert "there is no tool delegate" in (only(ToolFinished, events)[0].error or "")


def test_tools_of_an_mcp_server_pass_the_gate_like_any_other(bench: Bench, kind: Kind) -> None:
    if kind is CODE:
        pytest.skip("its functions are named in code: the next test")
    command = json.dumps([sys.executable, str(mcp_server.PROGRAM), "honest"])
    bench.paths.mcp_servers.write_text(f"[servers.sums]\ncommand = {command}\n")
    path = bench.paths.agents / f"{kind.name}.toml"
    path.write_text(path.read_text().replace('tools = ["now"', 'tools = ["mcp_sums_*", "now"'))
    steps = kind.steps([call("mcp_sums_add", a=2, b=3)], "It is 5.")

    denied = bench.run(kind, steps, approve="none")
    allowed = bench.run(kind, steps, approve="all")

    assert end_of(denied).status == "denied"
    assert [each.result for each in only(ToolFinished, allowed)] == ["5"]


def test_code_calls_tools_of_an_mcp_server(bench: Bench) -> None:
    command = json.dumps([sys.executable, str(mcp_server.PROGRAM), "honest"])
    bench.paths.mcp_servers.write_text(f"[servers.sums]\ncommand = {command}\n")
    path = bench.paths.agents / "code.toml"
    path.write_text(path.read_text().replace('tools = ["now"', 'tools = ["mcp_sums_*", "now"'))
    steps = CODE.steps([call("mcp_sums_add", a=2, b=3)], "It is 5.")

    events = bench.run(CODE, steps, approve="all")

    results = {each.tool: each.result for each in only(ToolFinished, events)}
    assert results["mcp_sums_add"] == "5"
    assert end_of(events).answer == "It is 5."


def test_cancelling_ends_the_code_that_runs(bench: Bench) -> None:
    steps = CODE.steps([call("run_python", code="open('/tmp/x', 'w')\nwhile True: pass")], "never")

    async def cancel() -> list[Event]:
        workspace, other = bench.workspace(), bench.workspace()
        seen: list[Event] = []
        async with aclosing(workspace.run_agent(bench.request(CODE, steps))) as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ApprovalGiven):
                    await other.cancel_run(event.run_id)
        await workspace.close()
        await other.close()
        return seen

    events = asyncio.run(cancel())

    assert end_of(events).status == "cancelled"
    assert not [each for each in psutil.process_iter(["cmdline"]) if _is_of(each, bench)]


def _is_of(process: psutil.Process, bench: Bench) -> bool:
    return str(bench.folder) in " ".join(process.info["cmdline"] or [])


def test_a_graph_agent_may_run_on_langchains_own_client(bench: Bench) -> None:
    path = bench.paths.agents / "graph.toml"
    path.write_text('client = "langchain-ollama"\n' + path.read_text())
    replies = [
        wire.Reply(text=(), tool_calls=[wire.Call("now", {})]),
        wire.Reply(text=("It is ", "noon.")),
    ]
    with wire.ScriptedOllama(replies) as server:
        settings = default_settings()
        ollama = replace(settings.ollama, host=server.url)
        own = Bench(bench.folder.parent, replace(settings, ollama=ollama), keeps_agents=True)

        events = own.run_request(replace(own.request(GRAPH, []), model="ollama:scripted:1b"))

    assert [each.tool for each in only(ToolFinished, events)] == ["now"]
    assert end_of(events).answer == "It is noon."


def test_an_answer_that_breaks_off_on_langchains_client_is_an_error(bench: Bench) -> None:
    path = bench.paths.agents / "graph.toml"
    path.write_text('client = "langchain-ollama"\n' + path.read_text())
    with wire.ScriptedOllama([wire.Reply(fault=wire.no_done(after=1))]) as server:
        settings = default_settings()
        ollama = replace(settings.ollama, host=server.url)
        own = Bench(bench.folder.parent, replace(settings, ollama=ollama), keeps_agents=True)

        events = own.run_request(replace(own.request(GRAPH, []), model="ollama:scripted:1b"))

    assert only(ErrorRaised, events)[0].code == "answer-interrupted"
    assert (end_of(events).status, end_of(events).answer) == ("failed", "Hello ")


def test_a_long_run_is_compacted_and_says_so(bench: Bench) -> None:
    for number in range(12):
        (bench.folder / f"{number}.txt").write_text(f"word{number} " * 1500)
    reads = [call("read_file", path=f"{number}.txt") for number in range(12)]

    events = bench.run(GRAPH, [*reads, say("I have read them.")])

    notes = [each.message for each in only(WarningRaised, events) if each.code == "compacted"]
    assert notes
    assert "to fit the context window" in notes[0]
    assert end_of(events).answer == "I have read them."
    # What is kept of the run is whole.
    assert len(only(ToolFinished, events)) == 12


def test_the_projects_notes_for_agents_are_read(bench: Bench) -> None:
    (bench.folder / "AGENTS.md").write_text("Write British English.")

    run = bench.run(GRAPH, [say("Colour.")])[0].run_id

    definition = asyncio.run(bench.workspace().show_run(run)).run.spec["definition"]
    assert isinstance(definition, dict)
    assert "Write British English." in str(definition["instructions"])


def test_a_request_without_a_task_is_refused(bench: Bench) -> None:
    with pytest.raises(UsageProblem):
        bench.run(GRAPH, [], task="  ")


def test_a_run_that_ended_needs_a_further_task_to_go_on(bench: Bench) -> None:
    run = bench.run(GRAPH, [say("Done.")])[0].run_id

    with pytest.raises(UsageProblem):
        bench.resume(ResumeRequest(run=run))


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right of their own there")
def test_a_link_to_the_work_folder_is_followed_once(bench: Bench, tmp_path: Path) -> None:
    (bench.folder / "note.md").write_text("The lamp is green.")
    (tmp_path / "link").symlink_to(bench.folder)
    calls = [call("read_file", path="note.md"), call("run_shell", command="cat note.md")]
    path = bench.paths.agents / "graph.toml"
    path.write_text(path.read_text().replace('tools = ["now"', 'tools = ["run_shell", "now"'))

    events = bench.run(GRAPH, [*calls, say("Green.")], folder=tmp_path / "link")

    assert end_of(events).status == "done"
    assert all("The lamp is green." in each.result for each in only(ToolFinished, events))
    assert asyncio.run(bench.workspace().show_run("latest")).run.folder == str(bench.folder)
