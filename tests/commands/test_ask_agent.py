"""`agentctl ask --agent`: asked like a question, answered with tools."""

import json
from pathlib import Path

import pytest

from tests.support.agent_runs import WRITE, Desk, call

READ = {"text": "Let me look.", "tool_calls": [call("read_file", path="notes.md")]}


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Desk:
    made = Desk.make(home, tmp_path / "work")
    (made.folder / "notes.md").write_text("# Notes\nbuy milk\n")
    return made


def test_the_answer_is_all_that_stdout_gets(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    done = desk.run("ask", "--agent", "assistant", "What is in my notes?")

    assert (done.returncode, done.stdout) == (0, "Buy milk.\n")
    assert "→ read_file" in done.stderr


def test_json_has_the_shape_of_ask(desk: Desk) -> None:
    desk.says(READ, "Buy milk.")
    data = desk.data("ask", "--agent", "assistant", "What is in my notes?")

    assert list(data) == [
        *("answer", "model", "backend", "session", "sources", "usage", "warnings"),
    ]
    assert (data["answer"], data["backend"], data["session"]) == ("Buy milk.", "scripted", None)
    assert data["usage"]["completion_tokens"] == 5


def test_files_and_stdin_go_along_before_the_question(desk: Desk) -> None:
    desk.says("Both.")
    desk.run("ask", "--agent", "assistant", "-f", "notes.md", "What is it?", stdin="alpha\n")

    file = desk.folder / "notes.md"
    assert desk.data("runs", "show")["task"] == (
        f"stdin:\n```\nalpha\n```\n\n{file}:\n```\n# Notes\nbuy milk\n```\n\nWhat is it?"
    )


def test_what_is_piped_in_alone_is_the_question(desk: Desk) -> None:
    desk.says("A monoid.")
    desk.run("ask", "--agent", "assistant", stdin="What is a monad?")

    assert desk.data("runs", "show")["task"] == "What is a monad?"


def test_code_alone_can_be_had_from_an_agent(desk: Desk) -> None:
    desk.says("Sure:\n\n```sh\nls\n```\n")
    done = desk.run("ask", "--agent", "assistant", "-x", "List the files, in sh")

    assert (done.returncode, done.stdout) == (0, "ls\n")


def test_events_are_those_of_the_run(desk: Desk) -> None:
    desk.says("Hello.")
    done = desk.run("ask", "--agent", "auto", "--jsonl", "Say hello.")

    types = [json.loads(line)["type"] for line in done.stdout.splitlines()]
    assert (types[0], types[-1]) == ("run_started", "run_finished")


def test_a_call_that_waits_is_told_like_in_a_run(desk: Desk) -> None:
    desk.says({"tool_calls": [WRITE]})
    done = desk.run("ask", "--agent", "assistant", "Write it.")

    assert done.returncode == 77
    assert "try: agentctl runs approve " in done.stderr


def test_the_time_may_be_limited(desk: Desk) -> None:
    desk.says({"text": "It takes long.", "delay_s": 600})
    done = desk.run("ask", "--agent", "assistant", "--timeout", "0.2", "Wait.")

    assert done.returncode == 124
    assert "try: agentctl runs resume " in done.stderr


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (("-c",), "--resume RUN"),
        (("-s", "notes"), "--resume RUN"),
        (("-t", "summary"), "leave one of them out"),
        (("--save", "mine"), "leave one of them out"),
        (("--dry-run",), "leave one of them out"),
        (("--no-log",), "leave one of them out"),
        (("-o", "seed", "1"), "agentctl agents new NAME"),
        (("--system", "Be brief."), "agentctl agents new NAME"),
        (("--knowledge=notes",), "--agent researcher"),
    ],
)
def test_what_a_run_has_not_is_refused_with_what_to_do(
    options: tuple[str, ...], hint: str, desk: Desk
) -> None:
    done = desk.run("ask", "--agent", "assistant", *options, "Hello.")

    assert done.returncode == 2
    assert hint in done.stderr
    assert desk.data("runs", "list") == []


def test_an_image_is_refused(desk: Desk) -> None:
    (desk.folder / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = desk.run("ask", "--agent", "assistant", "-f", "photo.png", "What is on it?")

    assert done.returncode == 2
    assert "agents read text" in done.stderr
