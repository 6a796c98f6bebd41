"""`agentctl ask` on a real pseudo terminal: what is drawn, what is not obeyed, how it ends."""

import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import command, environment, run, with_ollama
from tests.support.ollama_server import Gate, Reply, ScriptedOllama, error_line

if sys.platform == "win32":
    pytest.skip("there are no pseudo terminals", allow_module_level=True)

from tests.support.terminal import Terminal

MARKDOWN = "# Title\n\nSome **bold** text.\n\n- one\n- two\n\n```python\nx = 1\n```\n"
RENDERED = ["Title", "", "Some bold text.", "", " • one", " • two", "", " x = 1"]
DIM, UNDIM = "\x1b[2m", "\x1b[0m"


def ask_model(home: Path, server: ScriptedOllama, **variables: str) -> dict[str, str]:
    """An environment in which no model has to be chosen, so that nothing is said about it."""
    return with_ollama(home, server, AGENTCTL_MODEL="ollama:scripted:1b", **variables)


def asked(home: Path, reply: Reply, *flags: str, columns: int = 80) -> tuple[int, Terminal]:
    """The exit code, and the terminal as it is when `ask` has ended."""
    with (
        ScriptedOllama([reply]) as server,
        Terminal(
            command("ask", "hi", *flags), ask_model(home, server), columns=columns
        ) as terminal,
    ):
        return terminal.finish(), terminal


def last_answer(env: dict[str, str]) -> Any:  # Any: JSON
    shown = run("sessions", "show", "latest", "--json", env=env)
    return json.loads(shown.stdout)["data"]["messages"][-1]


def test_an_answer_is_rendered_as_markdown(home: Path) -> None:
    code, terminal = asked(home, Reply(MARKDOWN))

    assert code == 0
    assert [terminal.lines[0].strip(), *terminal.lines[1:]] == RENDERED
    bold = terminal.screen.buffer[2][5]
    assert (bold.data, bold.bold) == ("b", True)


def test_plain_shows_it_as_it_came(home: Path) -> None:
    _, terminal = asked(home, Reply(MARKDOWN), "--plain")
    assert terminal.output.decode().replace("\r\n", "\n") == MARKDOWN


def test_the_final_screen_is_the_same_however_slowly_the_answer_came(home: Path) -> None:
    pieces = re.findall(r"\S+\s*", MARKDOWN)
    _, terminal = asked(home, Reply(pieces, piece_delay_s=0.03))

    assert [terminal.lines[0].strip(), *terminal.lines[1:]] == RENDERED


def test_the_first_words_are_shown_at_once(home: Path) -> None:
    gate = Gate(after=1)
    with (
        ScriptedOllama([Reply(("First ", "second"), gate=gate)]) as server,
        Terminal(command("ask", "hi"), ask_model(home, server)) as terminal,
    ):
        terminal.wait_for("First")
        gate.opened.set()
        terminal.finish()

    assert terminal.lines == ["First second"]


def test_thinking_is_dim_and_goes_to_stderr(home: Path) -> None:
    with (
        ScriptedOllama([Reply("42", thinking="let me see")]) as server,
        tempfile.TemporaryFile() as out,
    ):
        with Terminal(command("ask", "why?"), ask_model(home, server), stdout=out) as terminal:
            terminal.finish()
        out.seek(0)
        answer = out.read()

    assert answer == b"42\n"
    assert f"{DIM}let me see{UNDIM}" in terminal.output.decode()


def test_an_answer_follows_its_thinking_after_an_empty_line(home: Path) -> None:
    _, terminal = asked(home, Reply("42", thinking="let me see"))
    assert terminal.lines == ["let me see", "", "42"]


ATTACK = "safe \x1b[2J\x1b]0;owned\x07\x1b[31mred \x9b1;1Hmoved\x1b[?25l \x08\x7f done"
SHOWN = (
    "safe \ufffd[2J\ufffd]0;owned\ufffd\ufffd[31mred \ufffd1;1Hmoved\ufffd[?25l \ufffd\ufffd done"
)


@pytest.mark.parametrize("flags", [[], ["--plain"], ["-x"]])
def test_escape_sequences_of_a_model_are_shown_not_obeyed(flags: list[str], home: Path) -> None:
    reply = Reply(f"```\n{ATTACK}\n```\n" if "-x" in flags else ATTACK, thinking=ATTACK)
    _, terminal = asked(home, reply, *flags, columns=120)

    assert terminal.lines.count(SHOWN) == (1 if "-x" in flags else 2)
    assert terminal.screen.title == ""
    assert not terminal.screen.cursor.hidden


def test_escape_sequences_of_a_stored_answer_are_not_obeyed_later(home: Path) -> None:
    with ScriptedOllama([Reply(ATTACK)]) as server:
        env = ask_model(home, server)
        run("ask", "hi", env=env)
        for words in (["sessions", "show"], ["sessions", "list"], ["sessions", "export"]):
            with Terminal(command(*words), env, columns=120) as terminal:
                terminal.finish()
                assert terminal.screen.title == ""
                assert terminal.lines != [""]


def test_in_a_pipe_an_answer_keeps_every_byte(home: Path) -> None:
    with ScriptedOllama([Reply(ATTACK)]) as server:
        done = run("ask", "hi", env=ask_model(home, server))

    assert done.stdout == f"{ATTACK}\n"


@pytest.mark.parametrize("flags", [[], ["--plain"]])
def test_ctrl_c_keeps_what_was_said_and_gives_the_terminal_back(
    flags: list[str], home: Path
) -> None:
    with ScriptedOllama([Reply(("Said. ", "Unsaid."), gate=Gate(after=1))]) as server:
        env = ask_model(home, server)
        with Terminal(command("ask", "hi", *flags), env) as terminal:
            terminal.wait_for("Said.")
            terminal.type("\x03")
            assert terminal.finish() == 130
        answer = last_answer(env)

    # The terminal itself writes ^C where the cursor is.
    assert [line.removesuffix("^C").strip() for line in terminal.lines] == ["Said."]
    assert not terminal.screen.cursor.hidden
    assert (answer["content"], answer["status"]) == ("Said. ", "cancelled")


def test_ctrl_c_ends_an_ask_that_waits_for_its_input(home: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with Terminal(command("ask", "-f", str(pipe), "what?"), environment(home)) as terminal:
        # It has been opened for reading once it can be opened for writing.
        writer = os.open(pipe, os.O_WRONLY)
        terminal.type("\x03")
        assert terminal.finish() == 130
        os.close(writer)

    assert "Traceback" not in terminal.output.decode()


def test_a_failure_in_the_middle_is_told_below_what_was_said(home: Path) -> None:
    fault = error_line("the engine stopped", after=2)
    code, terminal = asked(home, Reply(("Half an ", "answer"), fault=fault))

    assert code == 1
    assert terminal.lines[0] == "Half an answer"
    assert terminal.lines[1].startswith("error: ")
    assert "the engine stopped" in terminal.lines[1]
    assert not terminal.screen.cursor.hidden
