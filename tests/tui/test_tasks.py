"""The tasks' screen: adding with the words of when, running now, pausing, removing, results."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Select, Static, TextArea

from agentctl.core.automation.tasks import Action, TaskRequest, Trigger
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.tui import link
from agentctl.tui.agents_screen import AgentsScreen
from agentctl.tui.app import Dashboard
from agentctl.tui.dialogs import Confirm, TextDialog
from agentctl.tui.tasks_screen import TasksScreen
from agentctl.tui.widgets.keyed_table import KeyedTable
from agentctl.tui.widgets.run_view import Entry
from agentctl.tui.widgets.task_form import TaskForm
from tests.support.dashboard import (
    paths_of,
    running_dashboard,
    settings_with,
    until,
    write_script,
)

DAILY = Trigger(kind="cron", expression="0 3 * * *", timezone="UTC")


async def open_tasks(app: Dashboard, pilot: Pilot[None]) -> TasksScreen:
    await pilot.press("f4")
    await until(pilot, lambda: isinstance(app.screen, TasksScreen))
    screen = app.screen
    assert isinstance(screen, TasksScreen)
    return screen


async def open_form(app: Dashboard, pilot: Pilot[None]) -> TaskForm:
    await open_tasks(app, pilot)
    await pilot.press("a")
    await until(pilot, lambda: isinstance(app.screen, TaskForm))
    assert isinstance(app.screen, TaskForm)
    return app.screen


def add(home: Path, name: str, action: Action) -> None:
    """As another process does it."""

    async def done() -> None:
        workspace = LocalWorkspace(settings_with("auto"), paths_of(home), {})
        await workspace.add_task(TaskRequest(name=name, trigger=DAILY, action=action))
        await workspace.close()

    asyncio.run(done())


def run(home: Path, name: str, model: str) -> None:
    async def done() -> None:
        workspace = LocalWorkspace(settings_with(model), paths_of(home), {})
        async with aclosing(workspace.run_task(name)) as events:
            async for _ in events:
                pass
        await workspace.close()

    asyncio.run(done())


def rows(screen: TasksScreen, table: str) -> list[list[str]]:
    shown = screen.query_one(f"#{table}", KeyedTable)
    return [[cell.plain for cell in shown.get_row_at(at)] for at in range(shown.row_count)]


def text_of(screen: TasksScreen | TaskForm, name: str) -> str:
    return str(screen.query_one(f"#{name}", Static).content)


def label_of(screen: TasksScreen, key: str) -> str:
    return screen.active_bindings[key].binding.description


def test_an_empty_list_says_the_next_step_and_that_no_daemon_runs(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: text_of(screen, "state") == "No tasks yet. a adds one.")
            assert "agentctl daemon start" in text_of(screen, "no-daemon")
            await pilot.press("r", "p", "d", "i", "s")

    asyncio.run(flow())


def test_a_cron_expression_is_explained_while_it_is_typed(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            form = await open_form(app, pilot)
            form.query_one("#time").focus()
            await pilot.press(*"0 3 * * 8")
            await until(pilot, lambda: form.query_one("#words").has_class("-wrong"))
            await pilot.press("backspace", "1")
            await until(pilot, lambda: "every Monday at 03:00" in text_of(form, "words"))
            assert text_of(form, "words").count("Mon 20") == 3

    asyncio.run(flow())


def test_a_task_is_added_by_keyboard_and_runs_now(tmp_path: Path) -> None:
    model = write_script(tmp_path / "script", {"text": "It is [red]42[/red]."})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            form = await open_form(app, pilot)
            await pilot.press(*"nightly", "tab", "tab", *"0 3 * * *", "tab", "tab")
            assert isinstance(form.focused, TextArea)
            await pilot.press(*"What is it?", "ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, TasksScreen))
            screen = app.screen
            assert isinstance(screen, TasksScreen)
            await until(pilot, lambda: len(rows(screen, "tasks")) == 1)
            name, due, last, when, what = rows(screen, "tasks")[0]
            assert (name, last, what) == ("nightly", "-", "ask: What is it?")
            assert due.startswith("in ")
            assert when.startswith("every day at 03:00")

            await pilot.press("r")
            await until(pilot, lambda: rows(screen, "tasks")[0][2] == "done")
            await until(pilot, lambda: rows(screen, "history")[0][4] == "It is [red]42[/red].")
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, TextDialog))

    asyncio.run(flow())


def test_what_cannot_be_added_stays_in_the_form(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add(home, "nightly", Action(kind="ask", text="What?"))

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            form = await open_form(app, pilot)
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "has no name" in text_of(form, "problem"))
            form.query_one("#name", Input).value = "nightly"
            form.query_one("#time", Input).value = "0 3 * * *"
            form.query_one("#text", TextArea).text = "Why?"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "nightly" in text_of(form, "problem"))
            form.query_one("#retries", Input).value = "many"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "no number of retries" in text_of(form, "problem"))
            form.query_one("#what", Select).value = "ingest"
            form.query_one("#retries", Input).value = "1"
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "there is no" in text_of(form, "problem"))

    asyncio.run(flow())


def test_what_was_wrong_goes_with_the_next_letter(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            form = await open_form(app, pilot)
            form.query_one("#name", Input).value = "nightly"
            form.query_one("#time", Input).value = "99 * * * x"
            await until(pilot, lambda: form.query_one("#words").has_class("-wrong"))
            await pilot.press("ctrl+s")
            await until(pilot, lambda: bool(text_of(form, "problem")))
            for shown in ("words", "problem"):
                assert "minute, hour, day, month, weekday" in text_of(form, shown)
                assert "--" not in text_of(form, shown)
            form.query_one("#time", Input).value = "0 3 * * *"
            await until(pilot, lambda: "every day at 03:00" in text_of(form, "words"))
            assert text_of(form, "problem") == ""
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "what is to be done" in text_of(form, "problem"))
            form.query_one("#text", TextArea).text = "Why?"
            await until(pilot, lambda: text_of(form, "problem") == "")

    asyncio.run(flow())


def test_a_daemon_with_other_settings_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "runs_any_daemon", lambda: True)

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: "with other settings" in text_of(screen, "no-daemon"))
            await until(pilot, lambda: app.health.word == "ok, daemon not used")

    asyncio.run(flow())


def test_a_task_for_an_agent_has_a_folder_and_its_run_is_opened(tmp_path: Path) -> None:
    model = write_script(tmp_path / "script", {"text": "Counted."})

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", model) as (app, pilot):
            form = await open_form(app, pilot)
            form.query_one("#name", Input).value = "count"
            form.query_one("#when", Select).value = "every"
            form.query_one("#time", Input).value = "10m"
            form.query_one("#what", Select).value = "agent"
            await until(pilot, lambda: bool(form.query_one("#field-folder").display))
            form.query_one("#agent", Select).value = "assistant"
            form.query_one("#folder", Input).value = str(tmp_path)
            form.query_one("#text", TextArea).text = "Count."
            await pilot.press("ctrl+s")
            await until(pilot, lambda: isinstance(app.screen, TasksScreen))
            screen = app.screen
            assert isinstance(screen, TasksScreen)
            await until(pilot, lambda: len(rows(screen, "tasks")) == 1)
            task = await app.link.workspace.show_task("count")
            assert (task.action.folder, task.action.code_may_write) == (str(tmp_path), True)

            await pilot.press("r")
            await until(pilot, lambda: rows(screen, "tasks")[0][2] == "done")
            await until(pilot, lambda: len(rows(screen, "history")) == 1)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.screen, AgentsScreen))
            await until(
                pilot, lambda: any("Counted." in str(e.content) for e in app.screen.query(Entry))
            )

    asyncio.run(flow())


def test_a_task_is_paused_resumed_and_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add(home, "nightly", Action(kind="ask", text="What?"))

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: len(rows(screen, "tasks")) == 1)
            await pilot.press("p")
            await until(pilot, lambda: rows(screen, "tasks")[0][1] == "paused")
            await until(pilot, lambda: label_of(screen, "p") == "Resume")
            await pilot.press("p")
            await until(pilot, lambda: rows(screen, "tasks")[0][1] != "paused")
            await until(pilot, lambda: label_of(screen, "p") == "Pause")
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await until(pilot, lambda: rows(screen, "tasks") == [])

    asyncio.run(flow())


def test_what_another_process_does_is_seen(tmp_path: Path) -> None:
    home = tmp_path / "home"
    model = write_script(tmp_path / "script", {"text": "Because."})

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: "No tasks" in text_of(screen, "state"))
            await asyncio.to_thread(add, home, "one", Action(kind="ask", text="Why?"))
            await until(pilot, lambda: [row[0] for row in rows(screen, "tasks")] == ["one"])
            await asyncio.to_thread(run, home, "one", model)
            await until(pilot, lambda: [row[4] for row in rows(screen, "history")] == ["Because."])

    asyncio.run(flow())


def test_the_selected_task_stays_selected(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("b", "c"):
        add(home, name, Action(kind="ask", text="What?"))

    async def flow() -> None:
        async with running_dashboard(home) as (app, pilot):
            screen = await open_tasks(app, pilot)
            table = screen.query_one("#tasks", KeyedTable)
            await until(pilot, lambda: table.row_count == 2)
            table.select("c")
            await asyncio.to_thread(add, home, "a", Action(kind="ask", text="What?"))
            await until(pilot, lambda: table.row_count == 3)
            assert table.selected == "c"
            await until(pilot, lambda: text_of(screen, "about").startswith("c:"))

    asyncio.run(flow())


def test_a_running_task_is_stopped_and_leaving_meanwhile_is_no_crash(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add(home, "slow", Action(kind="ask", text="What?"))
    model = write_script(tmp_path / "script", {"text": "a b c d", "delay_s": 30})

    async def flow() -> None:
        async with running_dashboard(home, model) as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: len(rows(screen, "tasks")) == 1)
            await pilot.press("r")
            await until(pilot, lambda: rows(screen, "tasks")[0][2] == "running")
            await pilot.press("s")
            await until(pilot, lambda: rows(screen, "tasks")[0][2] == "cancelled")
            await until(pilot, lambda: text_of(screen, "state") == "")
            await pilot.press("r")
            await until(pilot, lambda: rows(screen, "tasks")[0][2] == "running")

    asyncio.run(flow())


def test_it_fits_small_and_tiny_terminals(tmp_path: Path) -> None:
    home = tmp_path / "home"
    add(home, "nightly", Action(kind="ask", text="What?"))

    async def flow(size: tuple[int, int]) -> None:
        async with running_dashboard(home, size=size) as (app, pilot):
            screen = await open_tasks(app, pilot)
            await until(pilot, lambda: len(rows(screen, "tasks")) == 1)
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, TaskForm))

    for size in ((160, 50), (60, 20), (20, 5)):
        asyncio.run(flow(size))
