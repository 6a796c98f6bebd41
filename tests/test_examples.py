"""The examples run as they stand; where a model answers, it replays a script."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.paths import find_paths
from examples.add_screen import CollectionsScreen, MyDashboard
from tests.support.cli import environment, run
from tests.support.dashboard import make_dashboard, settings_with, until
from tests.test_house import ROOT

EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
LONGEST = 60
ANSWER = "It has 10 letters."
COUNT = {"tool_calls": [{"name": "word_length", "arguments": {"word": "lighthouse"}}]}
SHOWN = {
    "add_backend": "A lighthouse by the sea",
    "add_loader": "colour = green",
    "add_tool": f"word_length: 10 letters\n{ANSWER}",
    "add_trigger": "morning: Monday to Friday at 08:30",
    "autogen_team": ANSWER,
    "langchain_agent": ANSWER,
    "smolagents_agent": ANSWER,
}
"""What each prints; the others need a terminal."""


def scripted(folder: Path, *replies: dict[str, object]) -> str:
    path = folder / "script.jsonl"
    path.write_text("\n".join(map(json.dumps, replies)))
    return f"scripted:{path}"


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_prints_what_it_is_about(name: str, home: Path, tmp_path: Path) -> None:
    model = scripted(tmp_path, COUNT, {"text": ANSWER})

    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")],
        env=environment(home, AGENTCTL_MODEL=model),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert SHOWN[name] in done.stdout


def test_the_screen_is_shown_at_its_key(tmp_path: Path) -> None:
    settings = settings_with("auto")

    async def flow() -> None:
        app = MyDashboard(settings, make_dashboard(tmp_path / "home", settings).link)
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.link.is_open)
            await pilot.press("f8")
            await until(pilot, lambda: isinstance(app.screen, CollectionsScreen))
            shown = app.screen.query_one("#collections")
            await until(pilot, lambda: str(shown.render()) == "no collections yet")

    asyncio.run(flow())


def test_the_agent_mends_a_draft_without_asking(home: Path, tmp_path: Path) -> None:
    env = environment(home)
    agents = find_paths(env).agents
    agents.mkdir(parents=True)
    (agents / "proofreader.toml").write_text((EXAMPLES / "proofreader.toml").read_text())
    draft = tmp_path / "drafts" / "a.md"
    draft.parent.mkdir()
    draft.write_text("The lihgthouse.")
    mend = {"path": "drafts/a.md", "old_text": "lihgthouse", "new_text": "lighthouse"}
    model = scripted(
        tmp_path,
        {"tool_calls": [{"name": "read_file", "arguments": {"path": "drafts/a.md"}}]},
        {"tool_calls": [{"name": "edit_file", "arguments": mend}]},
        {"text": "lihgthouse: lighthouse"},
    )

    words = ("agents", "run", "proofreader", "Look through drafts/a.md", "-m", model)
    done = run(*words, env=env, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert draft.read_text() == "The lighthouse."


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_an_example_is_short_and_says_how_it_is_run(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= LONGEST
    assert f"`python examples/{path.name}`" in text.partition('"""\n')[0]


def test_no_example_is_left_out() -> None:
    tried = {*SHOWN, "add_screen", "proofreader"}

    assert {path.stem for path in EXAMPLES.glob("*.*")} == tried
