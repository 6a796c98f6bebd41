"""`agentctl tui` from outside: where it refuses, what it leaves behind, the chat of plain lines."""

import json
import os
from pathlib import Path

import pytest

from agentctl import cli
from tests.support.cli import command, environment, run
from tests.support.dashboard import write_script

if os.name != "posix":
    pytest.skip("needs a POSIX terminal", allow_module_level=True)

from tests.support.terminal import Terminal

ALTERNATE_SCREEN, USUAL_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
CTRL_C, CTRL_D, CTRL_Q, ENTER = "\x03", "\x04", "\x11", "\r"


@pytest.fixture
def env(home: Path, tmp_path: Path) -> dict[str, str]:
    """A model that answers; the tour was seen."""
    model = write_script(tmp_path / "script", {"text": "It is green."}, {"text": "It was red."})
    state = home / "agentctl" / "state"
    state.mkdir(parents=True)
    (state / "tour-seen").touch()
    return environment(home, AGENTCTL_MODEL=model)


# Where it refuses


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ([], 'agentctl ask "your question"'),
        (["--plain"], 'agentctl ask "your question"'),
        (["--json"], 'agentctl ask --json "your question"'),
        (["--port", "8422"], "agentctl tui --web --port 8422"),
        (["--web", "--plain"], "agentctl tui --plain"),
    ],
)
def test_it_refuses_where_it_cannot_be(arguments: list[str], hint: str, home: Path) -> None:
    done = run("tui", *arguments, env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert hint in done.stderr.replace('\\"', '"')


def test_a_port_that_is_taken_is_told(home: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run("tui", "--web", "--port", port, env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert f"port {port}" in done.stderr


# In a terminal


def test_bare_agentctl_opens_the_dashboard_and_ctrl_q_gives_the_terminal_back(
    env: dict[str, str],
) -> None:
    with Terminal(command(), env) as terminal:
        terminal.wait_for("F2 Chat")
        terminal.wait_for("Ask anything")
        terminal.type(CTRL_Q)
        assert terminal.finish() == 0

        assert ALTERNATE_SCREEN in terminal.output
        assert terminal.output.rindex(USUAL_SCREEN) > terminal.output.rindex(ALTERNATE_SCREEN)


def test_the_tour_comes_at_the_first_start_only(env: dict[str, str], home: Path) -> None:
    (home / "agentctl" / "state" / "tour-seen").unlink()
    for is_first in (True, False):
        with Terminal(command("tui"), env) as terminal:
            terminal.wait_for("Welcome to agentctl" if is_first else "Ask anything")
            terminal.type(CTRL_Q)
            assert terminal.finish() == 0
            assert (b"Welcome" in terminal.output) == is_first


def test_a_crash_gives_the_terminal_back_and_is_one_line(
    env: dict[str, str], home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "def break_it(event, arguments):\n"
        "    if event == 'sqlite3.connect':\n"
        "        raise LookupError('nobody has foreseen this')\n"
        "sys.addaudithook(break_it)\n"
    )
    path = os.pathsep.join([str(folder), str(Path.cwd())])
    with Terminal(command("tui"), env | {"PYTHONPATH": path}) as terminal:
        assert terminal.finish() == 1

        after = terminal.output.rpartition(USUAL_SCREEN)[2].decode()
        assert "error: LookupError: nobody has foreseen this" in after
        assert "Traceback" not in after
    log = (home / "agentctl" / "state" / "agentctl.log").read_text().splitlines()
    assert any("Traceback" in json.loads(line).get("exception", "") for line in log)


# Plain lines


def test_plain_is_a_talk_by_lines_without_any_escape_sequence(env: dict[str, str]) -> None:
    with Terminal(command("tui", "--plain"), env) as terminal:
        terminal.wait_for("You:")
        terminal.type("Which colour is it?\n")
        terminal.wait_for("It is green.\nYou:")
        terminal.type("/sessions\n")
        terminal.wait_for("Which colour is it? (this one)")
        terminal.type("/nothing\n")
        terminal.wait_for("no command /nothing")
        # Ctrl+C throws away what was typed after it.
        terminal.type(CTRL_C)
        terminal.wait_for("^C\nYou:")
        terminal.type(CTRL_D)
        assert terminal.finish() == 0

        assert b"agentctl (" in terminal.output
        assert b"\x1b" not in terminal.output


def test_ctrl_c_stops_a_plain_answer_and_the_talk_goes_on(home: Path) -> None:
    from tests.support.cli import with_ollama
    from tests.support.ollama_server import Gate, Reply, ScriptedOllama

    gate = Gate(after=1)
    with ScriptedOllama([Reply(("one ", "two "), gate=gate), Reply("Again.")]) as server:
        env = with_ollama(home, server, AGENTCTL_MODEL="ollama:scripted:1b")
        with Terminal(command("tui", "--plain"), env) as terminal:
            terminal.wait_for("You:")
            terminal.type("Count.\n")
            terminal.wait_for("one")
            terminal.type(CTRL_C)
            terminal.wait_for("(the answer ended: cancelled)")
            gate.opened.set()
            terminal.type("And now?\n")
            terminal.wait_for("Again.")
            terminal.type("/quit\n")
            assert terminal.finish() == 0


def test_the_table_of_commands_names_it() -> None:
    assert "tui" in cli.COMMANDS
