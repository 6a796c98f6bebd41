"""What a shell completes: commands, options, models, sessions and templates, never an error."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.cli import COMMANDS
from tests.support.cli import command, environment, run, with_ollama
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

bash = pytest.mark.skipif(
    os.name != "posix" or shutil.which("bash") is None, reason="there is no bash"
)
# What bash does at the tab key, up to the function it calls.
_ASK_BASH = """
source "$1"; shift
for COMP_LINE in "$@"; do
    COMP_POINT=${#COMP_LINE}
    COMPREPLY=()
    _agentctl_completion agentctl "" ""
    (IFS=$'\\t'; echo "${COMPREPLY[*]}")
done
"""


@pytest.fixture
def env(home: Path, tmp_path: Path) -> dict[str, str]:
    """An environment with the program on PATH, as its users have it."""
    return on_path(environment(home), tmp_path)


def on_path(env: dict[str, str], folder: Path) -> dict[str, str]:
    program = folder / "bin" / "agentctl"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m agentctl "$@"\n')
    program.chmod(0o755)
    return {**env, "PATH": f"{program.parent}:{env['PATH']}"}


def completed(*lines: str, env: dict[str, str], folder: Path) -> list[list[str]]:
    """What bash offers at the end of each line; the shell must stay quiet."""
    script = folder / "completion.bash"
    script.write_text(run("completion", "bash", env=env).stdout)
    done = subprocess.run(
        ["bash", "--norc", "-c", _ASK_BASH, "bash", str(script), *lines],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return [line.split("\t") if line else [] for line in done.stdout.splitlines()]


@bash
def test_commands_and_options_are_completed(env: dict[str, str], tmp_path: Path) -> None:
    offered = completed(
        "agentctl ",
        "agentctl mod",
        "agentctl models ",
        "agentctl ask --no-",
        "agentctl config get ollama.h",
        env=env,
        folder=tmp_path,
    )

    assert offered == [
        list(COMMANDS),
        ["models"],
        ["list", "pull", "remove", "show", "use"],
        ["--no-knowledge", "--no-log", "--no-stdin"],
        ["ollama.host"],
    ]


@bash
def test_models_are_completed_up_to_and_behind_the_colon(home: Path, tmp_path: Path) -> None:
    models = [ScriptedModel("qwen3:4b"), ScriptedModel("qwen3:14b"), ScriptedModel("llama3.2:1b")]
    with ScriptedOllama(models=models) as server:
        offered = completed(
            "agentctl ask -m qw",
            "agentctl ask -m qwen3:",
            "agentctl ask 'two words' --model=qwen3:1",
            "agentctl models show llama3.2:1",
            "agentctl models pull smollm2",
            env=on_path(with_ollama(home, server), tmp_path),
            folder=tmp_path,
        )

    # Bash keeps what stands before the colon.
    assert offered == [
        ["qwen3:4b", "qwen3:14b"],
        ["4b", "14b"],
        ["14b"],
        ["1b"],
        ["smollm2-135m"],
    ]


@bash
def test_sessions_and_templates_are_completed(home: Path, tmp_path: Path) -> None:
    with ScriptedOllama() as server:
        env = on_path(with_ollama(home, server), tmp_path)
        run("ask", "-s", "notes", "hello", env=env)
        offered = completed(
            "agentctl ask -s ",
            "agentctl sessions show no",
            "agentctl ask -t su",
            "agentctl templates show ex",
            env=env,
            folder=tmp_path,
        )

    assert offered == [["notes"], ["notes"], ["summary"], ["explain"]]


@bash
def test_what_goes_wrong_completes_nothing_and_says_nothing(
    env: dict[str, str], home: Path, tmp_path: Path
) -> None:
    config = home / "agentctl" / "config"
    config.mkdir(parents=True)
    (home / "agentctl" / "data").touch()

    without = completed("agentctl ask -m x", "agentctl ask -s x", env=env, folder=tmp_path)
    (config / "config.toml").write_text("this is no TOML")
    broken = completed(
        "agentctl ask -m x", "agentctl ask -t s", "agentctl mod", env=env, folder=tmp_path
    )

    assert without == [[], []]
    assert broken == [[], [], ["models"]]


@bash
def test_the_tab_key_completes_a_model_in_a_real_shell(home: Path, tmp_path: Path) -> None:
    from tests.support.terminal import Terminal

    with ScriptedOllama(models=[ScriptedModel("qwen3:4b")]) as server:
        env = on_path(with_ollama(home, server, PS1="> "), tmp_path)
        with Terminal(["bash", "--norc", "--noprofile", "-i"], env) as terminal:
            terminal.wait_for(">")
            terminal.type('eval "$(agentctl completion bash)"; echo rea"dy"\n')
            terminal.wait_for("ready")
            terminal.type("agentctl models show qwen3:\t")
            terminal.wait_for("qwen3:4b")
            terminal.type("\n")
            terminal.wait_for("32,768 tokens")


@pytest.mark.parametrize("shell", ["zsh", "fish", "powershell"])
def test_every_shell_gets_a_script_of_its_own(shell: str, home: Path) -> None:
    done = run("completion", shell, "--json", env=environment(home))

    data = json.loads(done.stdout)["data"]
    assert data["shell"] == shell
    assert f"complete_{shell}" in data["script"]


def test_an_unknown_shell_is_wrong_usage(home: Path) -> None:
    done = run("completion", "tcsh", env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert "one of: bash, zsh, fish, powershell" in done.stderr


@pytest.mark.parametrize(
    ("protocol", "variables", "expected"),
    [
        ("complete_zsh", {"_TYPER_COMPLETE_ARGS": "agentctl mod"}, "models"),
        (
            "complete_fish",
            {"_TYPER_COMPLETE_ARGS": "agentctl mod", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
            "models",
        ),
    ],
)
def test_zsh_and_fish_are_answered_too(
    protocol: str, variables: dict[str, str], expected: str, home: Path
) -> None:
    env = environment(home, _AGENTCTL_COMPLETE=protocol, **variables)
    done = subprocess.run(command(), env=env, capture_output=True, text=True, check=True)

    assert expected in done.stdout
    assert done.stderr == ""
