"""Names and texts of strangers are shown, and offered by shells: nothing in them is carried out."""

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from tests.commands.test_completion import completed, on_path
from tests.support.backups import add_sessions
from tests.support.cli import command, environment
from tests.support.ollama_server import Reply, ScriptedModel, ScriptedOllama
from tests.support.terminal import Terminal

if os.name != "posix":
    pytest.skip("these shells and terminals are POSIX's", allow_module_level=True)

# A new title for the window, an empty screen, and red, as 7 and as 8 bits.
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b31m"
TRACES = (b"\x1b]0;", b"\x07", b"\x1b[2J", "\x9b".encode())

SHOWN: Sequence[Sequence[str]] = (
    ["ingest", "."],
    ["search", "lamp"],
    ["docs", "list"],
    ["docs", "show", f"a{EVIL}.md"],
    ["docs", "import", f"a{EVIL}.md"],
    ["models", "list"],
    ["models", "show", f"m{EVIL}:1b"],
    ["ask", "-f", f"a{EVIL}.md", f"q{EVIL}"],
    ["ask", "-m", f"none{EVIL}", "x"],
    ["sessions", "list"],
    ["sessions", "show", "latest"],
    ["agents", "run", "assistant", f"t{EVIL}"],
    ["runs", "list"],
    ["runs", "show", "latest"],
    ["tasks", "add", f"n{EVIL}", "--every", "10m", "--ask", "x"],
    ["config", "set", f"k{EVIL}", "1"],
    ["restore", f"a{EVIL}.md", "--check"],
    [f"none{EVIL}"],
)
"""In an order in which each has something to show."""


def test_nothing_that_strangers_wrote_reaches_the_terminal_as_a_command(
    home: Path, tmp_path: Path
) -> None:
    work = tmp_path / f"w{EVIL}"
    work.mkdir()
    (work / f"a{EVIL}.md").write_text(f"# A title {EVIL}\n\nThe lamp {EVIL} is green.\n")
    models = [ScriptedModel(f"m{EVIL}:1b")]
    with ScriptedOllama([Reply(f"An answer {EVIL}")], models=models) as server:
        env = environment(home, AGENTCTL_OLLAMA_HOST=server.url)
        for words in SHOWN:
            with Terminal(["env", "-C", str(work), *command(*words)], env) as terminal:
                terminal.finish()
            assert terminal.output
            assert [each for each in TRACES if each in terminal.output] == [], words


# What a shell does with its answer: zsh's _arguments evaluates what stands between the brackets.
_EVALUATE = """
_files() { :; }
_arguments() { local action="${1#*: :}"; eval "ws=( ${action:2:${#action}-4} )"; echo "${ws[@]}"; }
eval "$(agentctl)"
"""
COMMANDS = [
    "$(touch owned)",
    r"\$(touch owned)",
    r"\`touch owned`",
    "';touch owned;'",
    '");touch owned;("',
    "x;touch owned",
    "x\ntouch owned",
    "--approve=all",
]


@pytest.fixture
def offering(home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a user whose sessions are called like commands."""
    env = on_path(environment(home), tmp_path)
    with closing(open_database(find_paths(env).database)) as connection:
        add_sessions(connection, *COMMANDS, "harmless")
    return env


def test_a_shell_that_evaluates_what_it_is_offered_runs_nothing(
    offering: dict[str, str], tmp_path: Path
) -> None:
    line = {"_TYPER_COMPLETE_ARGS": "agentctl sessions show "}
    done = subprocess.run(
        ["bash", "--norc", "-c", _EVALUATE],
        env={**offering, **line, "_AGENTCTL_COMPLETE": "complete_zsh"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "harmless" in done.stdout
    assert not (tmp_path / "owned").exists()


def test_no_name_that_a_shell_would_run_is_offered(
    offering: dict[str, str], tmp_path: Path
) -> None:
    (offered,) = completed("agentctl sessions show ", env=offering, folder=tmp_path)

    assert offered == ["harmless"]
