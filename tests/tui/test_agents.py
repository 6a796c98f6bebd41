"""The agents' screen: who is there, giving a task, following, cancelling and keeping a run."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static, TextArea

from agentctl.core.agents.run_request import AgentRequest
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.tui.agents_screen import AgentsScreen
from agentctl.tui.app import Dashboard
from agentctl.tui.dialogs import Ask, TextDialog
from agentctl.tui.task_dialog import TaskDialog
from agentctl.tui.widgets.approval import ApprovalDialog
from agentctl.tui.widgets.keyed_table import KeyedTable
from agentctl.tui.widgets.run_view import Entry, RunView, Tail
from tests.support.dashboard import (
    paths_of,
    running_dashboard,
    settings_with,
    until,
    write_script,
)

WRITE = {"name": "write_file", "arguments": {"path": "out.txt", "content": "[red]hello[/red]\n"}}


async def open_agents(app: Dashboard, pilot: Pilot[None]) -> AgentsScreen:
    await pilot.press("f3")
    await until(pilot, lambda: isinstance(app.screen, AgentsScreen))
    screen = app.screen
    assert isinstance(screen, AgentsScreen)
    await until(pilot, lambda: screen.query_one("#agents", OptionList).option_count > 0)
    return screen


async def give_task(app: Dashboard, pilot: Pilot[None], text: str) -> None:
    await pilot.press("t")
    await until(pilot, lambda: isinstance(app.screen, TaskDialog))
    await pilot.press(*text)
    await pilot.press("ctrl+s")


def transcript(screen: AgentsScreen) -> str:
    entries = screen.query_one(RunView).query(Entry)
    return "\n".join(str(entry.content) for entry in entries)


def head(screen: AgentsScreen) -> str:
    return str(screen.query_one("#head", Static).content)


def run_elsewhere(home: Path, model: str, folder: Path) -> str:
    """A run that another process has begun, and that waits for the user."""

    async def run() -> str:
        workspace = LocalWorkspace(settings_with(model), paths_of(home), {})
        request = AgentRequest(agent="assistant", task="Write it.", folder=folder)
        async with aclosing(workspace.run_agent(request)) as events:
            ids = [event.run_id async for event in events]
        await workspace.close()
        return ids[0]

    return asyncio.run(run())


def test_an_empty_list_of_runs_says_the_next_step(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "t gives the selected agent a task" in head(screen))

    asyncio.run(flow())


def test_enter_on_an_agent_shows_its_tools(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            await open_agents(app, pilot)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TextDialog))
            text = str(app.screen.query("Static")[1].render())
            assert "read_file" in text
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, AgentsScreen))

    asyncio.run(flow())


def test_a_task_is_given_and_its_answer_arrives(tmp_path: Path) -> None:
    model = write_script(tmp_path / "script", {"text": "It is [red]done[/red]."})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            screen = await open_agents(app, pilot)
            await give_task(app, pilot, "Do it")
            await until(pilot, lambda: "done" in head(screen))
            assert "Do it" in transcript(screen)
            assert "It is [red]done[/red]." in transcript(screen)

            await pilot.press("y")
            await until(pilot, lambda: app.clipboard == "It is [red]done[/red].")

    asyncio.run(flow())


def test_a_call_is_asked_for_at_once_and_the_run_goes_on(tmp_path: Path) -> None:
    model = write_script(tmp_path / "script", {"tool_calls": [WRITE]}, {"text": "Written."})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            screen = await open_agents(app, pilot)
            await give_task(app, pilot, "Write it")
            await until(pilot, lambda: isinstance(app.screen, ApprovalDialog))
            dialog = app.screen
            assert isinstance(dialog, ApprovalDialog)
            await until(pilot, lambda: dialog.is_ready)
            await pilot.press("d")
            await pilot.press(*"no", "enter")
            await until(pilot, lambda: "Written." in transcript(screen))
            assert "denied by user: no" in transcript(screen)

    asyncio.run(flow())


def test_who_looks_elsewhere_is_called_for_an_approval_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = tmp_path / "told.txt"
    model = write_script(tmp_path / "script", {"tool_calls": [WRITE]}, {"text": "Written."})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            app.settings = replace(
                app.settings, daemon=replace(app.settings.daemon, notify=f"file:{told}")
            )
            await open_agents(app, pilot)
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, TaskDialog))
            await pilot.press(*"Write it")
            # A key would bring the focus back.
            app.app_focus = False
            await app.screen.run_action("start")
            await until(
                pilot, lambda: told.exists() and "assistant waits for you" in told.read_text()
            )
            await until(pilot, lambda: isinstance(app.screen, ApprovalDialog))
            dialog = app.screen
            assert isinstance(dialog, ApprovalDialog)
            await until(pilot, lambda: dialog.is_ready)
            await dialog.run_action("allow('once')")
            await until(pilot, lambda: "the agent's run ended: done" in told.read_text())

    asyncio.run(flow())


def test_a_run_of_another_process_is_answered_here(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run = run_elsewhere(home, write_script(tmp_path / "first", {"tool_calls": [WRITE]}), folder)
    model = write_script(tmp_path / "second", {"text": "Written."})

    async def flow() -> None:
        async with running_dashboard(home, model) as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "waiting for you" in head(screen))
            assert screen.query_one("#runs", KeyedTable).selected == run
            await pilot.press("tab", "enter")
            await until(pilot, lambda: isinstance(app.screen, ApprovalDialog))
            await pilot.press("a")
            await until(pilot, (folder / "out.txt").exists)

    asyncio.run(flow())


def test_a_waiting_run_is_told_once_on_every_screen(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run = run_elsewhere(home, write_script(tmp_path / "first", {"tool_calls": [WRITE]}), folder)

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            await until(pilot, lambda: app.waiting.told == {run})
            assert await app.waiting.news(app.link.workspace) == []

    asyncio.run(flow())


def test_a_call_is_folded_until_it_is_opened(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run_elsewhere(home, write_script(tmp_path / "first", {"tool_calls": [WRITE]}), folder)

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "write_file" in transcript(screen))
            assert '"content": "[red]hello' not in transcript(screen)
            screen.query_one(RunView).focus()
            await pilot.press("n", "enter")
            await until(pilot, lambda: '"content": "[red]hello' in transcript(screen))
            await pilot.press("enter")
            await until(pilot, lambda: '"content": "[red]hello' not in transcript(screen))

    asyncio.run(flow())


def test_a_waiting_run_is_cancelled(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run_elsewhere(home, write_script(tmp_path / "first", {"tool_calls": [WRITE]}), folder)

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "waiting for you" in head(screen))
            await pilot.press("c")
            await until(pilot, lambda: "cancelled" in head(screen))

    asyncio.run(flow())


def test_a_run_is_exported_to_a_file(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run_elsewhere(home, write_script(tmp_path / "first", {"text": "The answer."}), folder)

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "done" in head(screen))
            await pilot.press("x")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            app.screen.query_one("Input").value = str(folder / "run.md")
            await pilot.press("enter")
            await until(pilot, (folder / "run.md").exists)
            assert "The answer." in (folder / "run.md").read_text()

    asyncio.run(flow())


def test_a_task_without_words_or_folder_is_not_begun(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            await open_agents(app, pilot)
            await pilot.press("t")
            await until(pilot, lambda: isinstance(app.screen, TaskDialog))
            problem = app.screen.query_one("#problem", Static)
            await pilot.press("ctrl+s")
            assert str(problem.content) == "say what it is to do"
            app.screen.query_one(TextArea).text = "Do it."
            app.screen.query_one("Input").value = str(tmp_path / "nowhere")
            await pilot.press("ctrl+s")
            assert "there is no folder" in str(problem.content)

    asyncio.run(flow())


def test_what_a_model_says_is_seen_while_it_says_it_and_leaving_is_no_crash(
    tmp_path: Path,
) -> None:
    chunks = [f"line {number} [red]\n" for number in range(1000)]
    model = write_script(tmp_path / "script", {"chunks": chunks})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            screen = await open_agents(app, pilot)
            await give_task(app, pilot, "Say it")
            await until(pilot, lambda: "line 999 [red]" in transcript(screen))
            await until(pilot, lambda: "done" in head(screen))
            await until(pilot, lambda: len(screen.query(Tail)) == 0)
            # Each run reads the script anew.
            write_script(tmp_path / "script", {"text": "more and more", "delay_s": 30})
            await give_task(app, pilot, "Go on")
            await until(pilot, lambda: "working" in head(screen))

    asyncio.run(flow())


def test_a_long_message_is_drawn_in_short_pieces(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            screen = await open_agents(app, pilot)
            view = screen.query_one(RunView)
            text = "a line of words\n" * 2000
            for at in range(0, len(text), 1000):
                view.say(text[at : at + 1000])
            await until(pilot, lambda: len(view.query(Tail)) > 1)
            pieces = [str(tail.content) for tail in view.query(Tail)]
            assert max(map(len, pieces)) <= 4000
            assert "\n".join(pieces) == text
            view.end_saying()
            await until(pilot, lambda: len(view.query(Tail)) == 0)

    asyncio.run(flow())


def test_it_fits_small_and_tiny_terminals(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "desk"
    folder.mkdir()
    run_elsewhere(home, write_script(tmp_path / "first", {"text": "The answer."}), folder)

    async def flow(size: tuple[int, int]) -> None:
        async with running_dashboard(home, size=size) as (app, pilot):
            screen = await open_agents(app, pilot)
            await until(pilot, lambda: "The answer." in transcript(screen))

    for size in ((160, 50), (60, 20), (20, 5)):
        asyncio.run(flow(size))
