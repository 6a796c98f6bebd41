"""Being asked about a tool call: what is shown, which keys decide, what is no answer."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentctl.core.events import ApprovalRequired
from agentctl.render.approval import request_lines, visible
from tests.support.agent_runs import WRITE, Desk, Json, call

if sys.platform == "win32":
    pytest.skip("there are no pseudo terminals", allow_module_level=True)

from tests.support.cli import command
from tests.support.terminal import Terminal

MENU = "[y] once"
SHELL = call("run_shell", command="touch made.txt")


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    return Desk.make(home, tmp_path / "work")


@contextmanager
def asked(desk: Desk, *replies: str | Json, rows: int = 24, **variables: str) -> Iterator[Terminal]:
    """A run on a terminal that has come to its first question."""
    desk.says(*replies)
    arguments = ("agents", "run", "assistant", "Do it.", "--workdir", str(desk.folder))
    env = {**desk.env, **variables}
    with Terminal(command(*arguments), env, columns=110, rows=rows) as terminal:
        terminal.wait_for(MENU)
        yield terminal


def rules(desk: Desk) -> Path:
    return Path(desk.env["AGENTCTL_HOME"]) / "config" / "permissions.toml"


def statuses(desk: Desk) -> list[str]:
    return [run["status"] for run in desk.data("runs", "list")]


# Keys


def test_once_allows_one_call(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, {"tool_calls": [WRITE]}, "Written.") as terminal:
        assert "write_file needs your approval:" in terminal.lines
        assert "  new file out.txt" in terminal.lines
        terminal.type("y\n")
        terminal.wait_for(f"out.txt: same text\n{MENU}")
        assert (desk.folder / "out.txt").read_text() == "hello\n"
        terminal.type("Y\n")
        assert terminal.finish() == 0
    assert "Written." in terminal.lines
    assert not rules(desk).exists()


def test_for_the_run_allows_the_next_call_too(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, {"tool_calls": [WRITE]}, "Written.") as terminal:
        terminal.type("r\n")
        assert terminal.finish() == 0
    assert not rules(desk).exists()


def test_always_writes_a_rule_and_says_where(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, "Written.") as terminal:
        terminal.type("a\n")
        terminal.wait_for("allowed from now on:")
        assert terminal.finish() == 0
    assert 'decision = "allow"' in rules(desk).read_text()


def test_no_denies_the_call_and_tells_the_agent_why(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, "Then not.") as terminal:
        terminal.type("n\n")
        terminal.wait_for("Why not")
        terminal.type("keep the folder clean\n")
        assert terminal.finish() == 77
    assert not (desk.folder / "out.txt").exists()
    assert "keep the folder clean" in desk.data("runs", "show")["tool_calls"][0]["error"]


def test_an_empty_line_and_other_keys_decide_nothing(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, "Written.") as terminal:
        terminal.type("\n")
        terminal.wait_for("Ctrl+C cancels the run")
        terminal.type("x\n")
        assert not (desk.folder / "out.txt").exists()
        terminal.type("y\n")
        assert terminal.finish() == 0


# Editing


def test_arguments_are_edited_in_the_users_editor_and_shown_again(desk: Desk) -> None:
    program = (
        "import json, sys, pathlib; path = pathlib.Path(sys.argv[1]);"
        "args = json.loads(path.read_text()); args['content'] = 'edited\\n';"
        "path.write_text(json.dumps(args))"
    )
    editor = shlex.join([sys.executable, "-c", program])
    with asked(desk, {"tool_calls": [WRITE]}, "Written.", EDITOR=editor) as terminal:
        terminal.type("e\n")
        terminal.wait_for('"content": "edited\\n"')
        terminal.type("y\n")
        assert terminal.finish() == 0
    assert (desk.folder / "out.txt").read_text() == "edited\n"


def test_without_an_editor_a_command_is_typed_anew(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [SHELL]}, "Made.") as terminal:
        assert "  $ touch made.txt" in terminal.lines
        terminal.type("e\n")
        terminal.wait_for("Command (Enter leaves it):")
        terminal.type("touch other.txt\n")
        terminal.wait_for(f"  $ touch other.txt\n{MENU}")
        terminal.type("n\n")
        terminal.wait_for("Why not")
        terminal.type("\n")
        assert terminal.finish() == 77
    assert not (desk.folder / "made.txt").exists()


@pytest.mark.parametrize(("typed", "said"), [("[1]", "a JSON object"), ("{", "not JSON")])
def test_what_is_no_object_changes_nothing(typed: str, said: str, desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, "Written.") as terminal:
        terminal.type("e\n")
        terminal.wait_for("Arguments as JSON")
        terminal.type(f"{typed}\n")
        terminal.wait_for(said)
        terminal.type("y\n")
        assert terminal.finish() == 0
    assert (desk.folder / "out.txt").read_text() == "hello\n"


# What is shown


def test_what_is_too_long_for_the_screen_can_be_seen_whole(desk: Desk) -> None:
    text = "".join(f"line {number}\n" for number in range(1, 61))
    write = call("write_file", path="long.txt", content=text)
    with asked(desk, {"tool_calls": [write]}, "Written.") as terminal:
        assert "v shows all" in "\n".join(terminal.lines)
        assert "line 60" not in "\n".join(terminal.lines)
        terminal.type("v\n")
        terminal.wait_for(f"line 60\n{MENU}")
        terminal.type("y\n")
        assert terminal.finish() == 0


def test_escape_sequences_are_shown_and_not_obeyed(desk: Desk) -> None:
    write = call("write_file", path="out.txt", content="safe \x1b[2J\x1b]0;owned\x07 done\n")
    with asked(desk, {"tool_calls": [write]}, "Written.") as terminal:
        assert "  safe \ufffd[2J\ufffd]0;owned\ufffd done" in terminal.lines
        assert terminal.screen.title == ""
        terminal.type("y\n")
        assert terminal.finish() == 0


def required(tool: str, args: Json, preview: str = "") -> ApprovalRequired:
    return ApprovalRequired(run_id="1", time="", call_id="1", tool=tool, args=args, preview=preview)


def test_what_turns_a_line_round_or_hides_in_it_is_written_out() -> None:
    assert visible("a\u202eb\u200bc") == "a<U+202E>b<U+200B>c"
    assert visible("ls\rrm -rf ~\r\n") == "ls<U+000D>rm -rf ~\n"


def test_code_has_line_numbers() -> None:
    lines = request_lines(required("run_python", {"code": "x = 1\nprint(x)\n"}))
    assert [line.text for line in lines] == ["   1  x = 1", "   2  print(x)"]


def test_a_command_is_shown_as_it_is_with_its_other_arguments() -> None:
    lines = request_lines(required("run_shell", {"command": "ls \\\n -l", "timeout_s": 5}))
    assert [line.text for line in lines[:2]] == ["$ ls \\", "   -l"]
    assert '  "timeout_s": 5' in [line.text for line in lines]


def test_a_diff_has_colours() -> None:
    diff = "--- a\n+++ b\n@@ -1 +1 @@\n-old\n+new\n same\n"
    lines = request_lines(required("edit_file", {}, diff))
    assert [line.style for line in lines] == ["1", "1", "36", "31", "32", ""]


def test_without_a_preview_the_arguments_are_shown() -> None:
    lines = request_lines(required("mcp_files_delete", {"path": "a"}))
    assert json.loads("".join(line.text for line in lines)) == {"path": "a"}


# Questions of the agent


def test_a_question_takes_a_line_as_its_answer(desk: Desk) -> None:
    desk.says({"tool_calls": [call("ask_user", question="Which file?")]}, "Thanks.")
    with Terminal(command("agents", "run", "assistant", "Ask me."), desk.env) as terminal:
        terminal.wait_for("\n>")
        assert "Which file?" in terminal.lines
        terminal.type("notes.md\n")
        assert terminal.finish() == 0
    (asked_call,) = desk.data("runs", "show")["tool_calls"]
    assert asked_call["result"] == "notes.md"


# What is no answer


def test_what_was_typed_before_the_question_is_no_answer(desk: Desk) -> None:
    desk.says({"thinking": "hm", "text": "Wait.", "tool_calls": [WRITE]}, "Written.")
    arguments = ("agents", "run", "assistant", "Do it.", "--workdir", str(desk.folder))
    with Terminal(command(*arguments), desk.env, columns=110) as terminal:
        terminal.type("y\n")
        terminal.wait_for(MENU)
        assert not (desk.folder / "out.txt").exists()
        terminal.type("n\n")
        terminal.wait_for("Why not")
        terminal.type("\n")
        assert terminal.finish() == 77
    assert not (desk.folder / "out.txt").exists()


def test_ctrl_c_cancels_the_run_and_keeps_what_it_has_done(desk: Desk) -> None:
    with asked(desk, {"text": "I write.", "tool_calls": [WRITE]}) as terminal:
        terminal.type("\x03")
        assert terminal.finish() == 130
    (run,) = desk.data("runs", "list")
    assert run["status"] == "cancelled"
    assert desk.data("runs", "show")["messages"][0]["content"] == "I write."


def test_the_end_of_the_input_cancels_the_run(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}) as terminal:
        terminal.type("\x04")
        assert terminal.finish() == 130
    assert statuses(desk) == ["cancelled"]


def test_an_answer_from_another_process_ends_the_question(desk: Desk) -> None:
    with asked(desk, {"tool_calls": [WRITE]}, {"tool_calls": [SHELL]}, "Done.") as terminal:
        done = desk.run("runs", "approve", "latest")
        assert done.returncode == 0
        assert "its run goes on" in done.stderr
        terminal.wait_for(f"$ touch made.txt\n{MENU}")
        terminal.type("n\n")
        terminal.wait_for("Why not")
        terminal.type("\n")
        assert terminal.finish() == 77
    assert (desk.folder / "out.txt").exists()


def test_programs_that_read_json_are_never_asked(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]})
    arguments = ("agents", "run", "assistant", "Do it.", "--json")
    with Terminal(command(*arguments), desk.env) as terminal:
        assert terminal.finish() == 77
    assert statuses(desk) == ["waiting"]


def test_what_waits_elsewhere_is_approved_here_and_the_next_call_asked_for(desk: Desk) -> None:
    run = desk.waiting()
    desk.says({"tool_calls": [SHELL]}, "Done.")
    with Terminal(command("runs", "approve", run), desk.env, columns=110) as terminal:
        terminal.wait_for(MENU)
        terminal.type("n\n")
        terminal.wait_for("Why not")
        terminal.type("\n")
        assert terminal.finish() == 77
    assert (desk.folder / "out.txt").exists()
