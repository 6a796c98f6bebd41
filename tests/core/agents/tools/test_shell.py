"""`run_shell`: what a command comes to, and what the user and the gate are told of it."""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.agents.sandbox.sandbox import Sandbox, SandboxLimits
from agentctl.core.agents.tools.base import ToolOutput, Touches, Workplace
from agentctl.core.agents.tools.shell import RunShell
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import Json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are those of POSIX")
SANDBOX = Sandbox({"PATH": os.environ["PATH"]}, SandboxLimits(), consent=True)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    folder, scratch = tmp_path.resolve() / "work", tmp_path.resolve() / "scratch"
    folder.mkdir()
    scratch.mkdir()
    return Workplace(folder=folder, scratch=scratch)


def run(place: Workplace, command: str, **args: Json) -> ToolOutput:
    return asyncio.run(RunShell(SANDBOX).run({"command": command, **args}, place))


def test_exit_code_and_output_come_back(place: Workplace) -> None:
    assert run(place, "echo one; echo two >&2; exit 3") == ToolOutput("exit code 3\none\ntwo")
    assert run(place, "true").text == "exit code 0\n(it printed nothing)"


def test_a_command_works_in_the_work_folder_and_its_files_are_told(place: Workplace) -> None:
    output = run(place, "echo x > made && cat made")

    assert output == ToolOutput("exit code 0\nfiles written: made\nx", ("made",))
    assert (place.folder / "made").read_text() == "x\n"


@pytest.mark.skipif(SANDBOX.state().kind == "none", reason=SANDBOX.state().detail)
def test_a_command_that_is_to_read_alone_cannot_write_to_the_work_folder(place: Workplace) -> None:
    output = run(replace(place, is_read_only=True), "echo x > made || echo y > $HOME/made && pwd")

    assert output.text.splitlines()[-1] == str(place.folder)
    assert [*place.folder.iterdir()] == []


def test_a_command_is_a_whole_line_for_the_shell(place: Workplace) -> None:
    assert run(place, 'for n in 1 2; do printf "$n\'"; done | wc -c').text.split() == [
        *("exit", "code", "0", "4")
    ]


def test_a_command_that_takes_too_long_is_stopped(
    place: Workplace,
) -> None:
    output = run(place, "exec tail -f /dev/null", timeout_s=1)

    assert output.text.startswith("stopped\n")
    assert output.text.endswith("[stopped: it took more than 1 seconds]")


def test_very_much_output_is_clipped_in_the_middle(place: Workplace) -> None:
    text = run(place, "echo begin; seq 100000; echo end").text

    assert len(text) < 51_000
    assert text.startswith("exit code 0\nbegin\n1\n")
    assert "characters left out" in text
    assert text.endswith("\nend")


def test_there_is_nothing_to_read_for_a_command(place: Workplace) -> None:
    assert run(place, "cat").text == "exit code 0\n(it printed nothing)"


@pytest.mark.parametrize("command", ["", " \n", "a\0b", "\ud800"])
def test_what_is_no_command_is_told_before_the_user_is_asked(
    command: str, place: Workplace
) -> None:
    tool = RunShell(SANDBOX)
    for look in (tool.touches, tool.preview):
        with pytest.raises(ToolFailed, match="command"):
            look({"command": command}, place)


def test_a_command_that_no_system_can_start_is_told(place: Workplace) -> None:
    with pytest.raises(ToolFailed, match=r"cannot be started: .*too long"):
        run(place, f"echo {'x' * 10_000_000}")


def test_without_a_sandbox_and_consent_nothing_runs(place: Workplace, tmp_path: Path) -> None:
    sandbox = Sandbox({"PATH": str(tmp_path)}, SandboxLimits())
    with pytest.raises(ToolFailed, match="no sandbox"):
        asyncio.run(RunShell(sandbox).run({"command": "echo x > made"}, place))
    assert [*place.folder.iterdir()] == []


def test_the_user_and_the_gate_see_the_command_itself(place: Workplace) -> None:
    args = {"command": "rm -rf build && make"}

    assert RunShell(SANDBOX).preview(args, place) == args["command"]
    assert RunShell(SANDBOX).touches(args, place) == Touches(command=args["command"])
