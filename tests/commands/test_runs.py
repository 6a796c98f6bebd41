"""`agentctl runs`: what was done, what waits, and going on in another process."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentctl.commands import runs
from agentctl.core.agents.run_request import ApprovalAnswer, ResumeRequest
from agentctl.core.config import default_settings
from agentctl.core.errors import BackendBusy
from agentctl.core.events import Event
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.render.output import Output
from tests.commands.test_completion import bash, completed, on_path
from tests.support.agent_runs import WRITE, Desk, call
from tests.support.agents import GRAPH, Bench
from tests.support.cli import TIMEOUT_S, command, with_ollama
from tests.support.ollama_server import Call, Gate, Reply, ScriptedOllama

READ = {"text": "Let me look.", "tool_calls": [call("read_file", path="notes.md")]}
ASK = {"tool_calls": [call("ask_user", question="Which file?")]}


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    made = Desk.make(home, tmp_path / "work")
    (made.folder / "notes.md").write_text("# Notes\nbuy milk\n")
    return made


def rules(desk: Desk) -> str:
    """The user's own permissions."""
    file = Path(desk.env["AGENTCTL_HOME"]) / "config" / "permissions.toml"
    return file.read_text() if file.exists() else ""


# Answering what waits


def test_an_approved_call_is_made_and_the_run_goes_on_to_its_end(desk: Desk) -> None:
    run = desk.waiting()
    desk.says("Written.")
    done = desk.run("runs", "approve", run)

    assert (done.returncode, done.stdout) == (0, "Written.\n")
    assert "allowed by the user" in done.stderr
    assert (desk.folder / "out.txt").read_text() == "hello\n"
    assert desk.data("runs", "list")[0]["status"] == "done"
    assert rules(desk) == ""


class Overtaken(LocalWorkspace):
    """Another process goes on with each of its runs before this one can."""

    async def resume_run(self, request: ResumeRequest) -> AsyncGenerator[Event, None]:
        raise BackendBusy(f"run {request.run} is in use", "wait")
        yield


def test_a_run_that_goes_on_by_itself_meanwhile_is_let_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = Bench(tmp_path)
    run = bench.run(GRAPH, [{"tool_calls": [WRITE]}])[0].run_id
    workspace = Overtaken(default_settings(), bench.paths, {})
    answer = ApprovalAnswer(run=run, allow=True)

    code = asyncio.run(
        runs._answer(workspace, answer, Output("runs approve"), resumes=True, usage=False)
    )

    assert code == 0
    assert "allowed write_file; its run goes on" in capsys.readouterr().err


def test_json_of_an_approval_is_that_of_a_run(desk: Desk) -> None:
    run = desk.waiting()
    desk.says("Written.")
    data = desk.data("runs", "approve", run)

    assert (data["run_id"], data["status"], data["answer"]) == (run, "done", "Written.")
    assert [each["approved"] for each in data["tool_calls"]] == [True]


def test_what_is_approved_may_be_edited(desk: Desk) -> None:
    run = desk.waiting()
    desk.says("Written.")
    args = json.dumps({"path": "else.txt", "content": "bye\n"})
    done = desk.run("runs", "approve", run, "--args", args)

    assert done.returncode == 0
    assert (desk.folder / "else.txt").read_text() == "bye\n"
    assert not (desk.folder / "out.txt").exists()


def test_calls_like_it_may_be_approved_for_the_run(desk: Desk) -> None:
    run = desk.waiting()
    desk.says({"tool_calls": [WRITE]}, "Written twice.")
    done = desk.run("runs", "approve", run, "--for-run")

    assert (done.returncode, done.stdout) == (0, "Written twice.\n")
    assert rules(desk) == ""


def test_without_that_the_next_call_waits_again(desk: Desk) -> None:
    run = desk.waiting()
    desk.says({"tool_calls": [WRITE]})
    done = desk.run("runs", "approve", run)

    assert done.returncode == 77
    assert f"try: agentctl runs approve {run}" in done.stderr


def test_calls_like_it_may_be_approved_for_good(desk: Desk) -> None:
    run = desk.waiting()
    desk.says("Written.")
    desk.run("runs", "approve", run, "--always")

    assert 'decision = "allow"' in rules(desk)
    desk.says({"tool_calls": [WRITE]}, "Once more.")
    assert desk.run("agents", "run", "assistant", "Write it.").returncode == 0


def test_an_answer_may_only_be_recorded(desk: Desk) -> None:
    run = desk.waiting()
    done = desk.run("runs", "approve", run, "--no-resume")

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"allowed write_file; to go on: agentctl runs resume {run}\n"
    desk.says("Written.")
    assert desk.run("runs", "resume", run).stdout == "Written.\n"
    assert (desk.folder / "out.txt").exists()


def test_a_denied_call_is_not_made_and_the_agent_is_told_why(desk: Desk) -> None:
    run = desk.waiting()
    desk.says("Then not.")
    done = desk.run("runs", "deny", run, "--reason", "keep the folder clean")

    assert (done.returncode, done.stdout) == (77, "Then not.\n")
    assert not (desk.folder / "out.txt").exists()
    (called,) = desk.data("runs", "show", run)["tool_calls"]
    assert called["approved"] is False
    assert "keep the folder clean" in called["error"]


def test_a_question_is_answered_not_approved(desk: Desk) -> None:
    desk.says(ASK)
    run = desk.data("agents", "run", "assistant", "Ask me.")["run_id"]
    approved = desk.run("runs", "approve", run)
    assert approved.returncode == 2
    assert approved.stderr.splitlines() == [
        "error: the agent asks: Which file?",
        f'  try: agentctl runs approve {run} --answer "…"',
    ]
    desk.says("Thanks.")
    done = desk.run("runs", "approve", run, "--answer", "notes.md")

    assert (done.returncode, done.stdout) == (0, "Thanks.\n")
    (called,) = desk.data("runs", "show", run)["tool_calls"]
    assert called["result"] == "notes.md"


def test_of_several_calls_one_is_named(desk: Desk) -> None:
    other = call("write_file", path="two.txt", content="2\n")
    desk.says({"tool_calls": [WRITE, other]})
    run = desk.data("agents", "run", "assistant", "Write both.")["run_id"]
    waiting = [each["call_id"] for each in desk.data("runs", "list")[0]["waits_for"]]

    if len(waiting) == 2:
        unnamed = desk.run("runs", "approve", run)
        assert unnamed.returncode == 2
        assert "--call ID" in unnamed.stderr
    desk.says()
    first = desk.run("runs", "approve", run, "--call", waiting[0])
    assert first.returncode == 77
    desk.says("Both.")
    assert desk.run("runs", "approve", run).stdout == "Both.\n"
    assert (desk.folder / "two.txt").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--args", "not JSON"),
        ("--args", "[]"),
        ("--args", "{}", "--answer", "yes"),
        ("--for-run", "--always"),
        ("--answer", "nobody asked"),
    ],
)
def test_an_approval_that_makes_no_sense_is_wrong_usage(
    arguments: tuple[str, ...], desk: Desk
) -> None:
    run = desk.waiting()
    assert desk.run("runs", "approve", run, *arguments).returncode == 2
    assert desk.data("runs", "list")[0]["status"] == "waiting"


def test_where_nothing_waits_nothing_is_approved(desk: Desk) -> None:
    desk.says("Hello.")
    run = desk.data("agents", "run", "assistant", "Say hello.")["run_id"]
    done = desk.run("runs", "approve", run)

    assert done.returncode == 1
    assert done.stderr == f"error: no call of run {run} waits\n  try: agentctl runs show {run}\n"


# Looking


def test_runs_are_listed_the_latest_first(desk: Desk) -> None:
    desk.says("Hello.")
    desk.run("agents", "run", "assistant", "Say\nhello.")
    run = desk.waiting()

    rows = [line.split("\t") for line in desk.run("runs", "list").stdout.splitlines()]
    assert [row[1:4] for row in rows] == [
        ["assistant", "waiting: write_file", "Write it."],
        ["assistant", "done", "Say hello."],
    ]
    assert len(desk.run("runs", "list", "-n", "1").stdout.splitlines()) == 1
    assert [each["id"] for each in desk.data("runs", "list", "--waiting")] == [run]


def test_json_of_the_list_says_what_waits(desk: Desk) -> None:
    desk.waiting()
    (listed,) = desk.data("runs", "list")

    assert list(listed) == [
        *("id", "agent", "kind", "task", "status", "answer", "created", "updated", "model"),
        "waits_for",
    ]
    (waiting,) = listed["waits_for"]
    assert list(waiting) == ["call_id", "tool", "preview"]
    assert (waiting["tool"], waiting["preview"]) == ("write_file", "new file out.txt\nhello\n")


def test_no_runs_are_an_empty_list(desk: Desk) -> None:
    done = desk.run("runs", "list")
    assert (done.returncode, done.stdout) == (0, "")


def test_a_run_is_shown_as_it_went(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    desk.run("agents", "run", "assistant", "What is in my notes?")
    lines = desk.run("runs", "show").stdout.splitlines()

    assert lines[lines.index("[task]") + 1] == "What is in my notes?"
    assert [line for line in lines if line.startswith(("[", "→"))] == [
        "[task]",
        "[assistant]",
        next(line for line in lines if line.startswith("→ read_file") and "allowed by" in line),
        "[assistant]",
    ]
    assert "    # Notes" in lines
    assert lines[-1] == "Buy milk."


def test_a_run_shows_what_waits_and_how_to_answer(desk: Desk) -> None:
    run = desk.waiting()
    done = desk.run("runs", "show", run[:5])

    assert "waits for your approval: write_file" in done.stderr
    assert f"agentctl runs approve {run}" in done.stderr


def test_the_calls_of_a_run_are_shown_whole(desk: Desk) -> None:
    (desk.folder / "notes.md").write_text("line\n" * 20)
    desk.says(READ, "Buy milk.")
    desk.run("agents", "run", "assistant", "What is in my notes?")
    shown = desk.run("runs", "show", "--calls").stdout

    assert '"path": "notes.md"' in shown
    assert shown.count("line\n") >= 20
    assert "Buy milk." not in shown


def test_a_run_is_exported(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    run = desk.data("agents", "run", "assistant", "What is in my notes?")["run_id"]
    document = desk.run("runs", "export", run).stdout
    written = desk.run("runs", "export", run, "--format", "json", "-o", "run.json")

    assert document.startswith(f"# What is in my notes?\n\nRun {run} of assistant, ")
    assert "## assistant\n\nBuy milk.\n" in document
    assert "### read_file (allowed by policy" in document
    assert (written.returncode, written.stdout) == (0, "")
    exported = json.loads((desk.folder / "run.json").read_text())
    assert exported == desk.data("runs", "show", run)
    assert exported["answer"] == "Buy milk."


def test_what_cannot_be_exported_there_is_told_how_to(desk: Desk) -> None:
    desk.says("Buy milk.")
    run = desk.data("agents", "run", "assistant", "What is in my notes?")["run_id"]
    nowhere = desk.run("runs", "export", run, "-o", "nowhere/run.md")
    in_the_way = desk.run("runs", "export", run, "-o", ".")

    assert (nowhere.returncode, in_the_way.returncode) == (66, 66)
    assert f"try: mkdir -p {desk.folder / 'nowhere'}\n" in nowhere.stderr
    assert f"try: agentctl runs export {run} -o ~/" in in_the_way.stderr


def test_an_unknown_run_is_not_found(desk: Desk) -> None:
    done = desk.run("runs", "show", "nothing")

    assert done.returncode == 1
    assert done.stderr == "error: no run nothing\n  try: agentctl runs list\n"


@bash
def test_agents_runs_and_kinds_are_completed(desk: Desk, tmp_path: Path) -> None:
    run = desk.waiting()
    offered = completed(
        "agentctl agents run re",
        "agentctl ask --agent co",
        f"agentctl runs show {run[:3]}",
        "agentctl runs approve ",
        "agentctl agents new mine --kind t",
        env=on_path(desk.env, tmp_path),
        folder=tmp_path,
    )

    assert offered == [["researcher"], ["coder"], [run], [run], ["team"]]


# Stopping, and going on


def test_a_run_that_waits_is_cancelled_at_once(desk: Desk) -> None:
    run = desk.waiting()
    done = desk.run("runs", "cancel", run)

    assert (done.returncode, done.stderr) == (0, f"run {run} is cancelled\n")
    assert desk.data("runs", "list")[0]["status"] == "cancelled"
    assert desk.run("runs", "cancel", run).returncode == 2


@contextmanager
def live(desk: Desk, server: ScriptedOllama, gate: Gate) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own, once its model has come to the gate."""
    env = with_ollama(Path(desk.env["HOME"]), server, AGENTCTL_MODEL="ollama:scripted:1b")
    process = subprocess.Popen(
        command("agents", "run", "assistant", "What is in my notes?"),
        env=env,
        cwd=desk.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert gate.reached.wait(TIMEOUT_S)
        yield process
    finally:
        gate.opened.set()
        process.kill()
        process.communicate()


def test_a_run_is_cancelled_from_another_process(desk: Desk) -> None:
    gate = Gate(after=1)
    with ScriptedOllama([Reply(("Buy ", "milk."), gate=gate)]) as server:
        with live(desk, server, gate) as process:
            assert desk.data("runs", "list")[0]["status"] == "running"
            done = desk.run("runs", "cancel", "latest")
            assert done.returncode == 0
            out, _ = process.communicate(timeout=TIMEOUT_S)
            assert (process.returncode, out) == (130, b"Buy \n")
    assert desk.data("runs", "list")[0]["status"] == "cancelled"


def test_a_run_that_another_process_has_is_left_to_it(desk: Desk) -> None:
    gate = Gate(after=1)
    with ScriptedOllama([Reply(("Buy ", "milk."), gate=gate)]) as server:
        with live(desk, server, gate):
            assert desk.run("runs", "resume", "latest").returncode == 75


@pytest.mark.skipif(os.name == "nt", reason="there are no signals")
def test_a_run_that_was_killed_goes_on_where_it_was(desk: Desk) -> None:
    gate = Gate(after=1)
    replies = [
        Reply("Let me look.", tool_calls=[Call("read_file", {"path": "notes.md"})]),
        Reply(("Buy ", "bread."), gate=gate),
        Reply("Buy milk."),
    ]
    with ScriptedOllama(replies) as server:
        with live(desk, server, gate) as process:
            process.kill()
            process.wait()
            assert desk.data("runs", "list")[0]["status"] == "interrupted"
        env = with_ollama(Path(desk.env["HOME"]), server, AGENTCTL_MODEL="ollama:scripted:1b")
        done = desk.run("runs", "resume", "latest", env=env)

    assert (done.returncode, done.stdout) == (0, "Buy milk.\n")
    sent = server.requests[-1]["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "assistant", "tool"]
    assert "buy milk" in sent[-1]["content"]
    shown = desk.data("runs", "show")
    assert [call["tool"] for call in shown["tool_calls"]] == ["read_file"]


def test_a_run_that_a_limit_stopped_goes_on(desk: Desk) -> None:
    desk.says(READ)
    desk.run("agents", "run", "assistant", "What is in my notes?", "--max-rounds", "1")
    desk.says("Buy milk.")
    done = desk.run("runs", "resume", "latest", "--max-rounds", "5", "--approve", "none", "-u")

    assert (done.returncode, done.stdout) == (0, "Buy milk.\n")
    assert "1 round · " in done.stderr


def test_a_run_that_is_done_takes_a_further_task_only(desk: Desk) -> None:
    desk.says("Hello.")
    run = desk.data("agents", "run", "assistant", "Say hello.")["run_id"]
    done = desk.run("runs", "resume", run)

    assert done.returncode == 2
    assert f"--resume {run}" in done.stderr
