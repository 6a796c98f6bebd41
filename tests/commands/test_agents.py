"""`agentctl agents` as scripts and people use it: who there is, runs, exit codes."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.agent_runs import WRITE, Desk, call
from tests.support.cli import command

READ = {"text": "Let me look.", "tool_calls": [call("read_file", path="notes.md")]}
TEAM = ("1. Count the lines.", "There are two.", "APPROVED")


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    made = Desk.make(home, tmp_path / "work")
    (made.folder / "notes.md").write_text("# Notes\nbuy milk\n")
    return made


# Who there is


def test_the_shipped_agents_are_listed(desk: Desk) -> None:
    listed = desk.data("agents", "list")

    assert [each["name"] for each in listed] == ["assistant", "coder", "ops", "researcher", "team"]
    assert list(listed[0]) == ["name", "kind", "description", "model", "path", "is_own"]
    assert "coder\tcode\t-\tagentctl\t" in desk.run("agents", "list").stdout


def test_an_agent_is_shown_with_the_tools_it_has(desk: Desk) -> None:
    shown = desk.data("agents", "show", "researcher")

    assert {tool["name"] for tool in shown["tools"]} == {"knowledge_search", "read_file", "now"}
    assert "knowledge base" in desk.run("agents", "show", "researcher").stdout


@pytest.mark.parametrize("kind", ["graph", "code", "team"])
def test_a_new_agent_is_one_of_yours(kind: str, desk: Desk) -> None:
    done = desk.run("agents", "new", "reviewer", "--kind", kind)

    assert done.returncode == 0
    assert Path(done.stdout.strip()).is_file()
    mine = desk.data("agents", "show", "reviewer")
    assert (mine["kind"], mine["is_own"]) == (kind, True)


def test_a_new_agent_takes_no_name_that_is_taken(desk: Desk) -> None:
    desk.run("agents", "new", "reviewer")

    assert desk.run("agents", "new", "reviewer").returncode == 2
    assert desk.run("agents", "new", "No Name").returncode == 2


@pytest.mark.parametrize("arguments", [("show", "nobody"), ("run", "nobody", "Say hello.")])
def test_an_unknown_agent_is_not_found(arguments: tuple[str, ...], desk: Desk) -> None:
    done = desk.run("agents", *arguments)

    assert done.returncode == 1
    assert done.stderr == "error: no agent 'nobody'\n  try: agentctl agents list\n"


def test_a_mistake_in_an_agents_file_is_named_by_line_and_key(desk: Desk) -> None:
    file = Path(desk.run("agents", "new", "mine").stdout.strip())
    file.write_text('name = "mine"\nkind = "graph"\ntols = ["now"]\n')
    done = desk.run("agents", "run", "mine", "Say hello.")

    assert done.returncode == 78
    assert f"{file}:3: unknown key tols (did you mean tools?)" in done.stderr


# What is printed


def test_stdout_gets_the_answer_and_stderr_what_was_done(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    done = desk.run("agents", "run", "assistant", "What is in my notes?")

    assert (done.returncode, done.stdout) == (0, "Buy milk.\n")
    assert done.stderr.splitlines()[:2] == ["Let me look.", '→ read_file path="notes.md"']
    assert "    # Notes" in done.stderr


def test_a_team_speaks_in_order(desk: Desk) -> None:
    desk.says(*TEAM)
    done = desk.run("agents", "run", "team", "How many lines have my notes?")

    assert done.returncode == 0
    assert done.stdout == (
        "planner:\n1. Count the lines.\n\nexecutor:\nThere are two.\n\ncritic:\nAPPROVED\n"
    )


def test_a_failed_call_is_said_with_its_reason(desk: Desk) -> None:
    desk.says({"tool_calls": [call("read_file", path="no.md")]}, "There is no such file.")
    done = desk.run("agents", "run", "assistant", "Read no.md.")

    assert done.returncode == 0
    assert "← error" in done.stderr


def test_written_files_are_named(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]}, "Written.")
    done = desk.run("agents", "run", "assistant", "Write it.", "--approve", "all")

    assert (done.returncode, done.stdout) == (0, "Written.\n")
    assert "wrote out.txt" in done.stderr
    assert (desk.folder / "out.txt").read_text() == "hello\n"


def test_usage_is_a_line_with_the_run_on_stderr(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    done = desk.run("agents", "run", "assistant", "What is in my notes?", "-u")

    assert "2 rounds · " in done.stderr
    assert f"run {desk.data('runs', 'list')[0]['id']} · " in done.stderr


def test_json_is_one_object_of_the_contract(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    done = desk.run("agents", "run", "assistant", "What is in my notes?", "--json")

    document = json.loads(done.stdout)
    assert (document["schema_version"], document["command"]) == (1, "agents run")
    data = document["data"]
    run_id, usage = data.pop("run_id"), data.pop("usage")
    (called,) = data.pop("tool_calls")
    assert data == {
        "agent": "assistant",
        "status": "done",
        "answer": "Buy milk.",
        "rounds": 2,
        "messages": [
            {"agent": "assistant", "role": "assistant", "content": "Let me look."},
            {"agent": "assistant", "role": "assistant", "content": "Buy milk."},
        ],
    }
    assert run_id
    assert list(usage) == ["prompt_tokens", "completion_tokens", "total_ms", "tokens_per_s"]
    assert usage["completion_tokens"] == 5
    assert list(called) == ["tool", "args", "approved", "result", "error", "took_ms"]
    assert (called["tool"], called["approved"], called["error"]) == ("read_file", True, None)
    assert "buy milk" in called["result"]
    assert done.stderr == ""


@pytest.mark.parametrize("replies", [(READ, "Buy milk."), (), ({"tool_calls": [WRITE]},)])
def test_events_begin_with_the_start_and_end_with_one_end(
    replies: tuple[str, ...], desk: Desk
) -> None:
    desk.says(*replies)
    done = desk.run("agents", "run", "assistant", "Do it.", "--jsonl")

    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert types[0] == "run_started"
    assert types[-1] == "run_finished"
    assert (types.count("run_started"), types.count("run_finished")) == (1, 1)


# How runs end


def test_a_limit_of_rounds_ends_the_run_and_keeps_what_there_is(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    arguments = ("agents", "run", "assistant", "What is in my notes?", "--max-rounds", "1")
    done = desk.run(*arguments)

    assert (done.returncode, done.stdout) == (124, "Let me look.\n")
    assert "the run was stopped: it has taken its 1 rounds" in done.stderr


@pytest.mark.parametrize("limit", [("--max-tokens", "20"), ("--max-tool-calls", "1")])
def test_other_limits_end_the_run_likewise(limit: tuple[str, str], desk: Desk) -> None:
    desk.says(READ, READ, READ, "Buy milk.")
    data = desk.data("agents", "run", "assistant", "What is in my notes?", *limit)

    assert data["status"] == "max_rounds"


def test_a_run_that_a_limit_stopped_ends_with_the_next_command(desk: Desk) -> None:
    desk.says(READ)
    done = desk.run("agents", "run", "assistant", "What is in my notes?", "--max-rounds", "1")

    problem, mend = done.stderr.splitlines()[-2:]
    assert problem == "error: the run was stopped by one of its limits"
    assert mend.startswith("  try: agentctl runs resume ")


def test_a_time_limit_ends_the_run(desk: Desk) -> None:
    desk.says({"text": "It takes long.", "delay_s": 600})
    done = desk.run("agents", "run", "assistant", "Wait.", "--timeout", "0.2", "--json")

    assert done.returncode == 124
    data, error = json.loads(done.stdout)["data"], json.loads(done.stderr)["error"]
    assert data["status"] == "timeout"
    assert (error["code"], error["hint"]) == ("limit", f"agentctl runs resume {data['run_id']}")


def test_a_failed_run_gives_what_there_was_and_the_error(desk: Desk) -> None:
    desk.says(READ)
    done = desk.run("agents", "run", "assistant", "What is in my notes?", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["data"]["status"] == "failed"
    assert json.loads(done.stderr)["error"]["code"] == "backend-failed"


def test_a_missing_model_is_told_with_its_exit_code(desk: Desk) -> None:
    done = desk.run("agents", "run", "assistant", "Hello.", "-m", "embedded:nothing")

    assert done.returncode == 69
    assert done.stderr.startswith("error: ")


def test_without_approval_a_call_is_denied(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]}, "I may not write.")
    done = desk.run("agents", "run", "assistant", "Write it.", "--approve", "none")

    assert (done.returncode, done.stdout) == (77, "I may not write.\n")
    assert "error: write_file was denied by policy" in done.stderr
    assert not (desk.folder / "out.txt").exists()


def test_a_call_that_needs_the_user_waits_and_the_next_command_is_said(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]})
    done = desk.run("agents", "run", "assistant", "Write it.")

    run = desk.data("runs", "list")[0]["id"]
    assert (done.returncode, done.stdout) == (77, "")
    assert done.stderr.splitlines()[-4:] == [
        "    new file out.txt",
        "    hello",
        "error: the run waits for your approval of write_file",
        f"  try: agentctl runs approve {run}",
    ]


def test_json_says_that_a_call_waits(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]})
    done = desk.run("agents", "run", "assistant", "Write it.", "--json")

    data = json.loads(done.stdout)["data"]
    assert (data["status"], data["tool_calls"][0]["approved"]) == ("denied", None)
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "approval-required"
    assert error["hint"] == f"agentctl runs approve {data['run_id']}"


# Tasks


def task_of(desk: Desk) -> str:
    """The latest run's task."""
    return str(desk.data("runs", "show")["task"])


def test_what_is_piped_in_goes_along_in_a_fence(desk: Desk) -> None:
    desk.says("Two.")
    done = desk.run("agents", "run", "assistant", "How many lines?", stdin="alpha\nbeta\n")

    assert done.returncode == 0
    assert task_of(desk) == "How many lines?\n\nstdin:\n```\nalpha\nbeta\n```"


@pytest.mark.parametrize("task", [("-",), ()])
def test_what_is_piped_in_alone_is_the_task(task: tuple[str, ...], desk: Desk) -> None:
    desk.says("Two.")
    done = desk.run("agents", "run", "assistant", *task, stdin="How many?")

    assert done.returncode == 0
    assert task_of(desk) == "How many?"


def test_no_stdin_leaves_the_pipe_alone(desk: Desk) -> None:
    desk.says("Two.")
    desk.run("agents", "run", "assistant", "How many?", "--no-stdin", stdin="alpha")

    assert task_of(desk) == "How many?"


@pytest.mark.parametrize("arguments", [(), ("assistant",), ("assistant", " "), ("auto",)])
def test_a_task_is_needed(arguments: tuple[str, ...], desk: Desk) -> None:
    done = desk.run("agents", "run", *arguments)

    assert done.returncode == 2
    assert done.stderr.startswith("error: the task is missing\n  try: agentctl agents run ")


def test_without_a_name_the_agent_that_fits_is_taken_and_said(desk: Desk) -> None:
    desk.says("All is well.")
    done = desk.run("agents", "run", "How busy is the CPU of my machine?")

    assert (done.returncode, done.stdout) == (0, "All is well.\n")
    assert done.stderr.startswith("ops, ")
    assert "auto: it asks about this machine" in done.stderr


def test_auto_is_the_agent_that_fits(desk: Desk) -> None:
    desk.says("Hello.")
    assert desk.data("agents", "run", "auto", "Say hello to me.")["agent"] == "assistant"


def test_a_misspelt_name_is_no_task(desk: Desk) -> None:
    done = desk.run("agents", "run", "assistnt")

    assert done.returncode == 1
    assert "did you mean assistant?" in done.stderr


# Where it works


def test_it_works_in_the_folder_that_is_named(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "else").mkdir()
    desk.says({"tool_calls": [WRITE]}, "Written.")
    done = desk.run(
        *("agents", "run", "assistant", "Write it.", "--approve", "all", "--workdir", "../else")
    )

    assert done.returncode == 0
    assert (tmp_path / "else" / "out.txt").exists()


@pytest.mark.parametrize("name", ["missing", "notes.md"])
def test_the_folder_must_be_there(name: str, desk: Desk) -> None:
    assert desk.run("agents", "run", "assistant", "Go.", "--workdir", name).returncode == 66


# Further tasks


def test_a_run_takes_a_further_task_and_knows_the_first(desk: Desk) -> None:
    desk.says("Nice to meet you, Ada.")
    run = desk.data("agents", "run", "assistant", "I am Ada.")["run_id"]
    desk.says("You are Ada.")
    done = desk.run("agents", "run", "assistant", "Who am I?", "--resume", run[:4])

    assert (done.returncode, done.stdout) == (0, "You are Ada.\n")
    shown = desk.data("runs", "show", run)
    assert shown["tasks"] == ["I am Ada.", "Who am I?"]
    assert len(shown["messages"]) == 2


def test_a_further_task_needs_no_name(desk: Desk) -> None:
    desk.says("Nice to meet you, Ada.")
    run = desk.data("agents", "run", "assistant", "I am Ada.")["run_id"]
    desk.says("You are Ada.")

    assert desk.run("agents", "run", "Who am I?", "--resume", run).stdout == "You are Ada.\n"


def test_a_run_of_another_agent_takes_no_task(desk: Desk) -> None:
    desk.says("Hello.")
    run = desk.data("agents", "run", "assistant", "Say hello.")["run_id"]
    done = desk.run("agents", "run", "coder", "More.", "--resume", run)

    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"error: run {run} is assistant's, not coder's"


@pytest.mark.parametrize("option", [("-m", "other"), ("--workdir", ".")])
def test_a_run_keeps_its_model_and_folder(option: tuple[str, str], desk: Desk) -> None:
    done = desk.run("agents", "run", "assistant", "More.", "--resume", "latest", *option)
    assert done.returncode == 2


# On a terminal


def shown(desk: Desk, *arguments: str) -> list[str]:
    """The lines of the screen when the run has ended."""
    if sys.platform == "win32":
        pytest.skip("there are no pseudo terminals")
    from tests.support.terminal import Terminal

    with Terminal(command("agents", "run", *arguments), desk.env, columns=110) as terminal:
        assert terminal.finish() == 0
        return terminal.lines


def test_on_a_terminal_each_speaker_has_a_heading(desk: Desk) -> None:
    desk.says(*TEAM)
    lines = shown(desk, "team", "How many lines have my notes?")

    assert [line for line in lines if "──" in line] == [
        "── planner ──",
        "── executor ──",
        "── critic ──",
    ]
    assert lines[lines.index("── executor ──") + 1] == "There are two."


def test_plain_headings_are_words(desk: Desk) -> None:
    desk.says(*TEAM)
    lines = shown(desk, "team", "How many lines have my notes?", "--plain")

    assert [line for line in lines if line.endswith(":")] == ["planner:", "executor:", "critic:"]


def test_on_a_terminal_nothing_is_said_twice(desk: Desk) -> None:
    desk.says({"text": "Let me look.", "tool_calls": [call("now")]}, "It is *late*.")
    lines = shown(desk, "assistant", "What time is it?")

    assert (lines.count("Let me look."), lines.count("It is late.")) == (1, 1)
    assert "→ now" in lines
    assert "2 rounds · " in lines[-1]


def test_of_an_agent_that_writes_code_stdout_gets_the_answer(desk: Desk) -> None:
    step = {"thought": "I multiply.", "code": "final_answer(6 * 7)"}
    desk.says(json.dumps(step))
    done = desk.run("agents", "run", "coder", "6 * 7?")

    assert (done.returncode, done.stdout) == (0, "42\n")
    assert done.stderr.splitlines()[:2] == [
        "I multiply.",
        '→ run_python code="final_answer(6 * 7)"',
    ]
