"""What each command does not load: start-up is part of the product."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment, with_ollama
from tests.support.ollama_server import ScriptedOllama

HEAVY = {
    "anyio",
    "autogen_agentchat",
    "autogen_core",
    "faiss",
    "httpx",
    "jsonschema",
    "langchain",
    "langchain_core",
    "langgraph",
    "markdownify",
    "mcp",
    "numpy",
    "pathspec",
    "pydantic",
    "pygments",
    "requests",
    "rich.markdown",
    "smolagents",
    "sqlite_utils",
    "textual",
    "tomlkit",
    "torch",
    "xllamacpp",
}


def loaded_by(arguments: list[str], env: dict[str, str]) -> set[str]:
    """The modules a finished command has loaded."""
    program = (
        "import sys; from agentctl.__main__ import main; code = main();"
        "sys.stderr.write('\\nMODULES ' + ' '.join(sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.rpartition("MODULES ")[2].split())


def test_importing_the_package_imports_nothing(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys, agentctl; print(*sys.modules)"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    assert {name for name in done.stdout.split() if name.startswith("agentctl")} == {"agentctl"}


def test_version_loads_no_command_line(home: Path) -> None:
    assert "typer" not in loaded_by(["--version"], environment(home))


@pytest.mark.parametrize(
    "arguments", [["--help"], ["ask", "--help"], ["models", "--help"], ["tui", "--help"]]
)
def test_help_loads_nothing_heavy(arguments: list[str], home: Path) -> None:
    loaded = loaded_by(arguments, environment(home))

    assert loaded & (HEAVY | {"asyncio", "msgspec"}) == set()


def test_the_root_help_loads_no_command(home: Path) -> None:
    loaded = loaded_by(["--help"], environment(home))

    assert not [name for name in loaded if name.startswith("agentctl.commands.")]


def test_ask_loads_only_the_backend_it_uses(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        loaded_by(["ask", "makes the database"], env)
        loaded = loaded_by(["ask", "hello"], env)

    assert loaded & HEAVY == set()
    assert "agentctl.core.backends.llama_cpp" not in loaded
    assert "agentctl.core.backends.openai_compatible" not in loaded


def test_a_search_loads_only_what_it_needs(home: Path, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("The lamp of the lighthouse is green.")
    env = environment(home)
    loaded_by(["ingest", str(tmp_path / "note.md")], env)

    assert loaded_by(["search", "lamp"], env) & HEAVY == {"numpy", "xllamacpp"}
    assert loaded_by(["search", "lamp", "--mode", "keyword"], env) & HEAVY == set()


def test_an_unchanged_file_is_passed_over_without_an_embedder(home: Path, tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("The lamp of the lighthouse is green.")
    env = environment(home)
    loaded_by(["ingest", str(tmp_path / "note.md")], env)

    assert loaded_by(["ingest", str(tmp_path / "note.md")], env) & HEAVY == set()


def test_ask_looks_into_no_knowledge_base_that_is_empty(home: Path) -> None:
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        loaded_by(["ask", "makes the database"], env)
        loaded = loaded_by(["ask", "-k", "hello"], env)

    assert loaded & HEAVY == set()
    assert "agentctl.core.knowledge.store" not in loaded


def test_an_agent_loads_only_the_framework_of_its_kind(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.jsonl"
    script.write_text('{"text": "Hello."}\n')
    env = environment(home, AGENTCTL_MODEL=f"scripted:{script}")
    loaded_by(["agents", "list"], env)

    frameworks = {"autogen_agentchat", "langchain", "smolagents"}
    loaded = loaded_by(["agents", "run", "assistant", "Hello."], env)

    assert loaded & frameworks == {"langchain"}
    assert loaded & {"faiss", "mcp", "torch", "xllamacpp"} == set()


def test_agents_and_runs_are_listed_without_any_framework(home: Path) -> None:
    env = environment(home)
    loaded_by(["agents", "list"], env)

    for command in ("agents", "runs"):
        assert loaded_by([command, "list"], env) & HEAVY == set()


def test_the_dashboard_is_drawn_with_nothing_heavy_but_textual(home: Path) -> None:
    program = (
        "import sys; from agentctl.commands.tui import make_dashboard;"
        "from agentctl.commands.common import load_config; import agentctl.tui.chat_screen;"
        "make_dashboard(load_config(), None, None); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )

    assert set(done.stdout.split()) & HEAVY == {"textual"}
