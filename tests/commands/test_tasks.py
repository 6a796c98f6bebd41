"""`agentctl tasks` as scripts and people use it: adding, looking, running, pausing, removing."""

import json
import re
from pathlib import Path

import pytest

from tests.commands.test_completion import bash, completed, on_path
from tests.support.agent_runs import WRITE, Desk
from tests.support.cli import command
from tests.support.terminal import Terminal

NIGHTLY = ("--cron", "0 3 * * *", "--timezone", "Asia/Tokyo")
NO_DAEMON = "no daemon runs, so nothing is started by itself; start it: agentctl daemon start"


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    made = Desk.make(home, tmp_path / "work")
    (made.folder / "notes.md").write_text("# Notes\nbuy milk\n")
    return Desk({**made.env, "TZ": "Asia/Tokyo"}, made.folder)


def added(desk: Desk, *arguments: str) -> None:
    done = desk.run("tasks", "add", *arguments)
    assert done.returncode == 0, done.stderr


# Adding


def test_a_task_is_added_and_listed(desk: Desk) -> None:
    done = desk.run("tasks", "add", "nightly", *NIGHTLY, "--ask", "What is due?")

    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "added nightly, every day at 03:00 (Asia/Tokyo): ask: What is due?"
    assert re.fullmatch(r"next run: \w{3} \d{4}-\d\d-\d\d 03:00 \(in \d+ (d|h|min|s)\)", lines[1])
    assert lines[2:] == [NO_DAEMON]
    listed = desk.run("tasks", "list")
    assert listed.stdout.startswith("nightly\tevery day at 03:00 (Asia/Tokyo)\task: What is due?\t")
    assert listed.stdout.endswith("\t-\n")
    assert listed.stderr == f"{NO_DAEMON}\n"


def test_json_of_a_task_has_its_trigger_and_its_action_as_objects(desk: Desk) -> None:
    made = desk.data("tasks", "add", "notes", "--every", "10m", "--ingest", "notes.md")

    (listed,) = desk.data("tasks", "list")
    assert listed == made == desk.data("tasks", "show", "notes")
    assert listed["trigger"] == {"kind": "interval", "expression": "600", "timezone": "UTC"}
    assert listed["action"]["kind"] == "ingest"
    assert listed["action"]["text"] == str(desk.folder / "notes.md")
    assert (listed["enabled"], listed["last_run"]) == (True, None)
    assert listed["next_run"].endswith("Z")


def test_a_task_may_be_an_agents(desk: Desk) -> None:
    (desk.folder / "inside").mkdir()
    made = desk.data(
        *("tasks", "add", "count", "--at", "tomorrow 09:00", "--agent", "coder", "Count lines."),
        *("-m", "small", "--workdir", "inside", "--retries", "2", "--timeout", "30m"),
        *("--missed", "skip", "--interrupted", "leave", "--notify", "file:told.jsonl"),
        *("--notify-on", "failure"),
    )

    assert made["action"] == {
        "kind": "agent",
        "text": "Count lines.",
        "agent": "coder",
        "model": "small",
        "collection": None,
        "folder": str((desk.folder / "inside").resolve()),
        "code_may_write": True,
    }
    assert made["options"] == {
        "missed": "skip",
        "interrupted": "leave",
        "timeout_s": 1800.0,
        "retries": 2,
        "notify": [f"file:{desk.folder / 'told.jsonl'}"],
        "notify_on": "failure",
    }
    assert (made["trigger"]["kind"], made["trigger"]["timezone"]) == ("once", "Asia/Tokyo")


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--ask", "Hello?"), "when? say one of --cron, --every and --at", "tasks add nightly"),
        (NIGHTLY, "what? say one of --agent, --ask and --ingest", "tasks add nightly"),
        ((*NIGHTLY, "--every", "1h", "--ask", "?"), "--cron and --every exclude each other", ""),
        ((*NIGHTLY, "--ask", "?", "--ingest", "."), "--ask and --ingest exclude each other", ""),
        ((*NIGHTLY, "--agent", "coder"), "what is coder to do?", '--agent coder "the task"'),
        ((*NIGHTLY, "--ask", " "), "the prompt is empty", "tasks add nightly"),
        (("A task.", *NIGHTLY, "--ask", "?"), "TASK does not go with --ask", ""),
        ((*NIGHTLY, "--ingest", ".", "-m", "small"), "--model does not go with --ingest", ""),
        ((*NIGHTLY, "--ask", "?", "--workdir", "."), "--workdir does not go with --ask", ""),
        (("--every", "1h", "--timezone", "UTC", "--ask", "?"), "an interval has no time zone", ""),
        (("--every", "1s", "--ask", "?"), "'1s' is too short", "--every 10s"),
        (("--at", "today", "--ask", "?"), "'today' names no time of day", '--at "today 09:00"'),
        (("--cron", "0 25 * * *", "--ask", "?"), "'25' is no hour", "five fields"),
        (
            ("--cron", "@daily", "--timezone", "Europe/Berln", "--ask", "?"),
            "no time zone",
            "Berlin",
        ),
        ((*NIGHTLY, "--ask", "?", "--timeout", "soon"), "'soon' is no length of time", "30s"),
        ((*NIGHTLY, "--ask", "?", "--timeout", "0s"), "--timeout takes", "--timeout 1h"),
        ((*NIGHTLY, "--ask", "?", "--notify", "mum"), "'mum' is nobody", "desktop"),
    ],
)
def test_wrong_usage_is_refused_with_the_mend(
    arguments: tuple[str, ...], message: str, hint: str, desk: Desk
) -> None:
    done = desk.run("tasks", "add", "nightly", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    error, mend = done.stderr.splitlines()
    assert message in error
    assert hint in mend


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--agent", "nobody", "Hello."), 1, "nobody"),
        (("--ingest", "missing.md"), 66, "missing.md"),
        (("--agent", "coder", "Hello.", "--workdir", "missing"), 66, "missing"),
    ],
)
def test_what_a_task_needs_must_be_there(
    arguments: tuple[str, ...], code: int, message: str, desk: Desk
) -> None:
    done = desk.run("tasks", "add", "nightly", *NIGHTLY, *arguments)

    assert done.returncode == code
    assert message in done.stderr
    assert desk.data("tasks", "list") == []


def test_a_name_is_taken_once(desk: Desk) -> None:
    added(desk, "nightly", *NIGHTLY, "--ask", "Hello?")

    assert desk.run("tasks", "add", "nightly", *NIGHTLY, "--ask", "Hello?").returncode == 2


def test_a_dry_run_shows_the_next_times_and_adds_nothing(desk: Desk) -> None:
    arguments = ("tasks", "add", "nightly", *NIGHTLY, "--ask", "Hello?", "--dry-run")
    done = desk.run(*arguments)
    data = desk.data(*arguments)

    words, *times = done.stdout.splitlines()
    assert words == data["explanation"] == "every day at 03:00 (Asia/Tokyo)"
    assert len(times) == len(data["next"]) == 5
    assert all(time.endswith(" 03:00") for time in times)
    assert all(time.endswith("T18:00:00Z") for time in data["next"])
    assert data["trigger"]["expression"] == "0 3 * * *"
    assert desk.data("tasks", "list") == []


# Looking


def test_a_task_is_shown_in_full(desk: Desk) -> None:
    added(desk, "count", "--every", "2 hours", "--agent", "coder", "Count.\nAll of them.")
    shown = desk.run("tasks", "show", "count").stdout

    assert "task\tcount (1)\nwhen\tevery 2 hours\nnext run\t" in shown
    assert "timeout\t1 hour\n" in shown
    assert shown.endswith("\n[coder]\nCount.\nAll of them.\n")


def test_a_task_whose_time_is_over_ends_with_the_next_command(desk: Desk) -> None:
    desk.says({"text": "It takes long.", "delay_s": 600})
    added(desk, "slow", *NIGHTLY, "--ask", "Hello?", "--timeout", "1s")
    done = desk.run("tasks", "run", "slow")

    assert done.returncode == 124
    problem, mend = done.stderr.splitlines()[-2:]
    assert problem == "error: the run was stopped: its time is over"
    assert mend == "  try: agentctl tasks run slow"


def test_an_unknown_task_is_not_found(desk: Desk) -> None:
    added(desk, "nightly", *NIGHTLY, "--ask", "Hello?")
    for verb in ("show", "run", "pause", "resume", "history"):
        done = desk.run("tasks", verb, "nightli")
        assert done.returncode == 1, verb
        assert "agentctl tasks list" in done.stderr


def test_nothing_to_list_says_how_to_begin(desk: Desk) -> None:
    assert desk.run("tasks", "list").stderr.startswith("no tasks yet; add one: agentctl tasks add")
    assert desk.run("tasks", "history").stderr == "nothing was run yet: agentctl tasks run NAME\n"


def test_on_a_terminal_there_are_headings(desk: Desk) -> None:
    added(desk, "nightly", *NIGHTLY, "--ask", "Hello?")
    with Terminal(command("tasks", "list"), desk.env, columns=160) as terminal:
        terminal.wait_for("next run")
        terminal.wait_for("nightly")


# Running


def test_a_question_is_asked_now(desk: Desk) -> None:
    script = f"scripted:{desk.folder / 'script.jsonl'}"
    added(desk, "ask", *NIGHTLY, "--ask", "What is due?", "-m", script)
    desk.says("Milk.", "Bread.")
    done = desk.run("tasks", "run", "ask")

    assert (done.returncode, done.stdout) == (0, "Milk.\n")
    (run,) = desk.data("tasks", "history", "ask")
    assert (run["status"], run["result"], run["due"]) == ("done", "Milk.", None)
    assert desk.data("tasks", "show", "ask")["last_run"] == run


def test_an_agent_works_now(desk: Desk) -> None:
    added(desk, "hello", *NIGHTLY, "--agent", "assistant", "Say hello.")
    desk.says("Hello.")
    done = desk.run("tasks", "run", "hello")

    assert (done.returncode, done.stdout) == (0, "Hello.\n")
    data = desk.data("tasks", "run", "hello")
    assert (data["status"], data["answer"]) == ("done", "Hello.")
    assert data["run_id"] == desk.data("tasks", "history")[0]["run_id"]
    events = [
        json.loads(line)["type"]
        for line in desk.run("tasks", "run", "hello", "--jsonl").stdout.splitlines()
    ]
    assert (events[0], events[-1]) == ("run_started", "run_finished")


def test_a_run_that_needs_approval_is_denied_and_says_how_to_go_on(desk: Desk) -> None:
    added(desk, "write", *NIGHTLY, "--agent", "assistant", "Write it.")
    desk.says({"tool_calls": [WRITE]})
    done = desk.run("tasks", "run", "write")

    assert done.returncode == 77
    assert "try: agentctl runs approve " in done.stderr
    assert desk.data("tasks", "history")[0]["status"] == "denied"


def test_a_folder_is_taken_in_now(desk: Desk) -> None:
    added(desk, "notes", "--every", "1h", "--ingest", ".", "--collection", "own")
    done = desk.run("tasks", "run", "notes")

    assert (done.returncode, done.stdout) == (0, "1 added\n")
    assert desk.data("docs", "list")[0]["collection"] == "own"


def test_a_failed_run_says_why_and_is_kept(desk: Desk) -> None:
    added(desk, "ask", *NIGHTLY, "--ask", "Hello?", "-m", "no-such-model")
    done = desk.run("tasks", "run", "ask")

    assert done.returncode == 69
    assert "no-such-model" in done.stderr
    (line,) = desk.run("tasks", "history").stdout.splitlines()
    task, due, _, _, status, result = line.split("\t")
    assert (task, due, status) == ("ask", "by hand", "failed")
    assert "no-such-model" in result


def test_the_latest_runs_come_first(desk: Desk) -> None:
    added(desk, "notes", "--every", "1h", "--ingest", ".")
    for _ in range(3):
        desk.run("tasks", "run", "notes")

    assert [run["result"] for run in desk.data("tasks", "history")][-1] == "1 added"
    assert len(desk.data("tasks", "history", "notes", "-n", "2")) == 2


# Pausing and removing


def test_a_paused_task_is_not_due_until_it_is_resumed(desk: Desk) -> None:
    added(desk, "nightly", *NIGHTLY, "--ask", "Hello?")
    paused = desk.run("tasks", "pause", "nightly")

    assert paused.stderr == "nightly is paused; go on: agentctl tasks resume nightly\n"
    assert "\tpaused\t" in desk.run("tasks", "list").stdout
    assert desk.data("tasks", "show", "nightly")["next_run"] is None
    resumed = desk.run("tasks", "resume", "nightly")
    assert resumed.stderr.startswith("nightly goes on: ")
    assert desk.data("tasks", "show", "nightly")["enabled"] is True


def test_a_removed_task_is_gone_with_its_history(desk: Desk) -> None:
    added(desk, "notes", "--every", "1h", "--ingest", ".")
    desk.run("tasks", "run", "notes")
    refused = desk.run("tasks", "remove", "notes")
    done = desk.run("tasks", "remove", "notes", "--yes")

    assert refused.returncode == 2
    assert "try: add --yes" in refused.stderr
    assert (done.returncode, done.stderr) == (0, "removed notes\n")
    assert desk.data("tasks", "list") == desk.data("tasks", "history") == []
    assert [each["title"] for each in desk.data("docs", "list")] == ["Notes"]


@bash
def test_tasks_are_completed(desk: Desk, tmp_path: Path) -> None:
    added(desk, "nightly", *NIGHTLY, "--ask", "Hello?")
    offered = completed(
        "agentctl tasks run ni",
        "agentctl tasks history ",
        "agentctl tasks add x --agent co",
        "agentctl tasks add x --missed s",
        env=on_path(desk.env, tmp_path),
        folder=tmp_path,
    )

    assert offered == [["nightly"], ["nightly"], ["coder"], ["skip"]]
