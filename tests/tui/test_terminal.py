"""The dashboard in a real terminal: keys in, a screen out, and the shell as it was before."""

import json
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo terminals are POSIX", allow_module_level=True)

from tests.support.cli import command, environment
from tests.support.terminal import Terminal

F3, F4, CTRL_Q = "\x1bOR", "\x1bOS", "\x11"
LEFT_THE_SCREEN = b"\x1b[?1049l"


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    script = home / "script.jsonl"
    script.write_text(json.dumps({"text": "The lamp is lit at dusk."}) + "\n")
    return environment(home, AGENTCTL_MODEL=f"scripted:{script}", AGENTCTL_DAEMON_NOTIFY="")


def test_a_first_start_a_question_other_screens_and_the_end(env: dict[str, str]) -> None:
    with Terminal(command("tui"), env, columns=100, rows=30) as terminal:
        terminal.wait_for("Welcome to agentctl")
        terminal.type("\r")
        terminal.wait_until_gone("Welcome")
        terminal.type("When is the lamp lit?\r")
        terminal.wait_for("The lamp is lit at dusk.")
        terminal.type(F3)
        terminal.wait_for("researcher")
        terminal.type(F4)
        terminal.wait_for("No tasks yet. a adds one.")
        terminal.type(CTRL_Q)

        assert terminal.finish() == 0
        assert LEFT_THE_SCREEN in terminal.output


def test_the_tour_comes_once(env: dict[str, str]) -> None:
    for is_first in (True, False):
        with Terminal(command("tui"), env, columns=100, rows=30) as terminal:
            terminal.wait_for("Welcome to agentctl" if is_first else "Ask anything")
            if is_first:
                terminal.type("\r")
                terminal.wait_until_gone("Welcome")
            else:
                assert "Welcome" not in "\n".join(terminal.lines)
            terminal.wait_for("ok, no daemon")
            terminal.type(CTRL_Q)
            assert terminal.finish() == 0


def test_alone_in_a_terminal_the_program_is_the_dashboard(env: dict[str, str]) -> None:
    with Terminal(command(), env, columns=100, rows=30) as terminal:
        terminal.wait_for("F2 Chat")
        terminal.wait_for("Welcome to agentctl")
        terminal.wait_for("ok, no daemon")
        terminal.type("\r")
        terminal.wait_until_gone("Welcome")
        terminal.type(CTRL_Q)
        assert terminal.finish() == 0


def test_a_coloured_log_that_is_pasted_sends_nothing(env: dict[str, str]) -> None:
    log = "\r".join(f"\x1b[31mline\x1b[0m {number}" for number in range(120))
    with Terminal(command("tui"), env, columns=100, rows=30) as terminal:
        terminal.wait_for("Welcome to agentctl")
        terminal.type("\r")
        terminal.wait_until_gone("Welcome")
        terminal.type(f"\x1b[200~{log}\x1b[201~")
        terminal.wait_for("[paste 1: 120 lines]")
        assert "You" not in "\n".join(terminal.lines)
        terminal.type(CTRL_Q)
        assert terminal.finish() == 0
