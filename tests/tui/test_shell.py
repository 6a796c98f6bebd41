"""What is around every screen: palette, help, health, themes, keys, sizes, the daemon's coming."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.automation.measurements import BackendState, DaemonUse
from agentctl.core.errors import BackendUnreachable, ConfigError
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.workspace import Workspace
from agentctl.daemon.client import daemon_endpoint, remote_workspace
from agentctl.daemon.process import is_running, read_address
from agentctl.tui import link as link_module
from agentctl.tui.app import Dashboard, read_keys
from agentctl.tui.dialogs import TextDialog
from agentctl.tui.frame import PLACES, Frame, HealthSign
from agentctl.tui.health import read_health
from agentctl.tui.link import Link
from agentctl.tui.tasks_screen import TasksScreen
from tests.support.daemon import daemon_paths, running_daemon
from tests.support.dashboard import make_dashboard, running_dashboard, settings_with, until
from tests.tui.test_monitor import STATS

SIZES = [(80, 24), (60, 20), (20, 5), (160, 50)]


def titles(app: Dashboard) -> set[str]:
    return {command.title for command in app.get_system_commands(app.screen)}


@pytest.mark.parametrize("mode", PLACES)
def test_the_palette_has_the_commands_of_the_screen_and_f1_its_keys(
    tmp_path: Path, mode: str
) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            key, name = PLACES[mode]
            await pilot.press(key)
            await until(pilot, lambda: getattr(app.screen, "place", "") == mode)
            screen = app.screen
            assert isinstance(screen, Frame)
            own = {command.title for command in screen.commands()}
            assert own
            assert own < titles(app)
            assert {"Quit", "Help", "Health", f"Go to {name}", "Theme: light"} <= titles(app)
            await pilot.press("f1")
            await until(pilot, lambda: isinstance(app.screen, TextDialog))
            assert screen.help_text.strip()
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen)

    asyncio.run(flow())


@pytest.mark.parametrize("size", SIZES)
def test_every_screen_stands_every_size_and_a_resize(tmp_path: Path, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home", size=size) as (app, pilot):
            for mode, (key, _) in PLACES.items():
                await pilot.press(key)
                await until(pilot, lambda mode=mode: getattr(app.screen, "place", "") == mode)
                await pilot.resize_terminal(100, 30)
                await until(pilot, lambda: app.screen.size == (100, 30))
                await pilot.resize_terminal(*size)
                await until(pilot, lambda: app.screen.size == size)
            assert app.is_running

    asyncio.run(flow())


def test_health_is_green_yellow_or_red_in_words_with_the_mend() -> None:
    down = BackendState(name="ollama", status="degraded", detail="gone", fix="ollama serve")
    mending = replace(down, status="retrying")
    alone = DaemonUse(status="stopped")

    well = read_health(STATS)
    red = read_health(replace(STATS, backend=down))
    yellow = read_health(replace(STATS, backend=mending))
    warned = read_health(replace(STATS, warnings=("the disk is full",)))
    lonely = read_health(replace(STATS, daemon=alone))
    left = read_health(replace(STATS, daemon=alone), is_unused=True)

    assert (well.level, well.word) == ("green", "ok")
    assert (red.level, red.word) == ("red", "model server down")
    assert "ollama serve" in red.advice
    assert yellow.level == "yellow"
    assert (warned.level, warned.word) == ("yellow", "the disk is full")
    assert (lonely.level, lonely.word) == ("green", "ok, no daemon")
    assert "agentctl daemon start" in lonely.advice
    assert (left.level, left.word) == ("green", "ok, daemon not used")
    assert "with other settings" in left.advice


def test_the_sign_of_health_is_on_every_screen_and_opens_its_advice(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            for key, _ in PLACES.values():
                await pilot.press(key)
                await until(pilot, lambda: bool(app.screen.query(HealthSign)))
                sign = app.screen.query_one(HealthSign)
                await until(pilot, lambda sign=sign: bool(str(sign.content)))
            await until(pilot, lambda: app.health.level != "unknown")
            await pilot.click(HealthSign)
            await until(pilot, lambda: isinstance(app.screen, TextDialog))

    asyncio.run(flow())


def test_themes_change_in_place(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            for name in ("light", "contrast", "dark"):
                command = next(
                    each
                    for each in app.get_system_commands(app.screen)
                    if each.title == f"Theme: {name}"
                )
                command.callback()
                await until(pilot, lambda name=name: app.theme == f"agentctl-{name}")

    asyncio.run(flow())


def test_without_colours_nothing_is_coloured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            await pilot.press("f6")
            await until(pilot, lambda: getattr(app.screen, "place", "") == "monitor")
            assert app.no_color
            for line in app.screen._compositor.render_strips():
                assert all(is_grey(segment.style) for segment in line)

    asyncio.run(flow())


def is_grey(style: object) -> bool:
    for name in ("color", "bgcolor"):
        colour = getattr(style, name, None)
        triplet = colour.get_truecolor() if colour is not None else (0, 0, 0)
        if len({*triplet}) > 1:
            return False
    return True


def test_keys_of_the_settings_take_the_place_of_ours(tmp_path: Path) -> None:
    settings = settings_with("auto")
    tui = replace(settings.tui, keys="app.monitor=f8, app.help=f9", theme="light")

    async def flow() -> None:
        app = make_dashboard(tmp_path / "home", replace(settings, tui=tui))
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.link.is_open)
            assert app.theme == "agentctl-light"
            await pilot.press("f8")
            await until(pilot, lambda: getattr(app.screen, "place", "") == "monitor")
            await pilot.press("f9")
            await until(pilot, lambda: isinstance(app.screen, TextDialog))

    asyncio.run(flow())


def test_keys_that_are_none_are_refused() -> None:
    assert read_keys(" app.quit = f10 ,, chat.stop=ctrl+x") == {
        "app.quit": "f10",
        "chat.stop": "ctrl+x",
    }
    with pytest.raises(ConfigError, match=r"'app\.quit' is no name and key"):
        read_keys("app.quit")


def test_it_changes_over_to_a_daemon_and_goes_on_alone_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "_LOOK_S", 0.05)
    home = tmp_path / "home"
    starts, stops, has_stopped = threading.Event(), threading.Event(), threading.Event()

    def live() -> None:
        starts.wait()
        with running_daemon(home):
            stops.wait()
        has_stopped.set()

    async def flow() -> None:
        app = Dashboard(settings_with("auto"), Link(lambda: opened(home), lambda: hears(home)))
        async with app.run_test() as pilot:
            await until(pilot, lambda: app.link.is_open)
            assert not app.link.with_daemon
            starts.set()
            await until(pilot, lambda: app.link.with_daemon and app.link.is_open)
            assert (await app.link.workspace.measure()).daemon.status == "running"
            await until(pilot, lambda: "a daemon runs" in notices(app))
            stops.set()
            await until(pilot, lambda: not app.link.with_daemon and app.link.is_open)
            assert await app.link.workspace.list_documents() == []
            await until(pilot, lambda: "going on alone" in notices(app))
            assert "nothing answers" not in notices(app)
            await until(pilot, has_stopped.is_set)

    daemon = threading.Thread(target=live, daemon=True)
    daemon.start()
    try:
        asyncio.run(flow())
    finally:
        starts.set()
        stops.set()
        daemon.join(60)


def test_a_look_at_a_daemon_that_is_gone_is_not_an_error_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(_: object) -> None:
        raise BackendUnreachable("nothing answers at http://127.0.0.1:1", "daemon restart")

    async def flow() -> None:
        async with running_dashboard(tmp_path / "home") as (app, pilot):
            await pilot.press("f4")
            await until(pilot, lambda: isinstance(app.screen, TasksScreen))
            monkeypatch.setattr(TasksScreen, "refresh_data", gone)
            app.link.with_daemon = True
            app.refresh_place()
            await app.workers.wait_for_complete(
                [each for each in app.workers if each.group == "refresh"]
            )
            assert "nothing answers" not in notices(app)
            app.link.with_daemon = False
            app.refresh_place()
            await until(pilot, lambda: "nothing answers" in notices(app))

    asyncio.run(flow())


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Workspace]:
    paths = daemon_paths(home)
    address = read_address(paths) if hears(home) else None
    workspace: Workspace = (
        remote_workspace(daemon_endpoint(address))
        if address is not None
        else LocalWorkspace(settings_with("auto"), paths, {"OLLAMA_HOST": "127.0.0.1:1"})
    )
    try:
        yield workspace
    finally:
        await workspace.close()


def hears(home: Path) -> bool:
    paths = daemon_paths(home)
    return is_running(paths) and paths.daemon_address.exists()


def notices(app: Dashboard) -> str:
    return "\n".join(each.message for each in app._notifications)
