"""Past sessions in the sidebar: found, chosen, renamed, copied, exported, removed."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from agentctl import tui
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.workspace import Workspace
from agentctl.tui.app import Dashboard
from agentctl.tui.dialogs import Ask, Confirm
from agentctl.tui.frame import Frame
from agentctl.tui.link import Link
from agentctl.tui.widgets.session_list import SessionList
from tests.support.dashboard import make_dashboard, settings_with, until, write_script


class Place(Frame):
    """Nothing but the list."""

    place = "chat"

    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str | None] = []
        self.removed: list[str] = []

    def body(self) -> ComposeResult:
        yield SessionList()

    async def refresh_data(self) -> None:
        await self.list.refresh_sessions(self.workspace)

    @property
    def list(self) -> SessionList:
        return self.query_one(SessionList)

    def on_session_list_chosen(self, message: SessionList.Chosen) -> None:
        self.chosen.append(message.session_id)

    def on_session_list_removed(self, message: SessionList.Removed) -> None:
        self.removed.append(message.session_id)


class Host(Dashboard):
    CSS_PATH = Path(tui.__file__).with_name("app.tcss")
    MODES: ClassVar = {"chat": Place}


Flow = Callable[[Place, Pilot[None], Workspace], Awaitable[None]]


def play(home: Path, prompts: list[str], flow: Flow) -> None:
    """One session for each prompt, the last one first in the list."""
    model = write_script(home, *({"text": "An answer."} for _ in range(3)))

    async def run() -> None:
        link: Link = make_dashboard(home, settings_with(model)).link
        app = Host(settings_with(model), link)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.link.is_open)
            for prompt in prompts:
                async for _ in app.link.workspace.ask(AskRequest(prompt=prompt)):
                    pass
            place = app.screen
            assert isinstance(place, Place)
            await until(pilot, lambda: shown(place) == ["+ New session", *reversed(prompts)])
            place.list.focus()
            await flow(place, pilot, app.link.workspace)

    asyncio.run(run())


def titles(place: Place) -> list[str]:
    options = place.query_one(OptionList)
    return [str(options.get_option_at_index(n).prompt) for n in range(options.option_count)]


def shown(place: Place) -> list[str]:
    return [title.partition("\n")[0].strip("▸ ") for title in titles(place)]


def test_without_sessions_it_says_the_next_step(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], _: Workspace) -> None:
        await until(pilot, lambda: place.list.has_class("empty"))

    play(tmp_path, [], flow)


def test_the_newest_is_first_with_its_age_and_model_and_enter_chooses(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        newest, _ = await workspace.list_sessions()
        assert titles(place)[1].endswith("s · script.jsonl")
        await pilot.press("home", "down", "enter", "n")
        await until(pilot, lambda: len(place.chosen) == 2)

        assert place.chosen == [newest.id, None]

    play(tmp_path, ["Tides", "Ships"], flow)


def test_the_session_in_the_chat_is_marked_by_a_sign(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        place.list.current = (await workspace.list_sessions())[0].id
        await until(pilot, lambda: titles(place)[1].startswith("▸ Ships"))
        assert titles(place)[2].startswith("  Tides")

    play(tmp_path, ["Tides", "Ships"], flow)


def test_keys_begin_at_the_session_that_is_open(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        await pilot.press("home", "down", "down")
        newest = (await workspace.list_sessions())[0].id
        place.list.current = newest
        await pilot.press("slash")
        place.list.focus()
        option = place.query_one(OptionList).highlighted_option

        assert option is not None
        assert option.id == newest

    play(tmp_path, ["Tides", "Ships"], flow)


def test_a_change_by_somebody_else_keeps_what_is_highlighted(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        await pilot.press("home", "down", "down")
        options = place.query_one(OptionList)
        chosen = options.highlighted_option
        assert chosen is not None
        await workspace.rename_session((await workspace.list_sessions())[0].id, "renamed")
        async for _ in workspace.ask(AskRequest(prompt="New", session="latest")):
            pass
        await workspace.fork_session("renamed", "copy")
        await until(pilot, lambda: "copy" in shown(place))

        assert options.highlighted_option is not None
        assert options.highlighted_option.id == chosen.id

    play(tmp_path, ["Tides", "Ships"], flow)


def test_the_search_looks_at_titles_and_at_what_was_said(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        async for _ in workspace.ask(AskRequest(prompt="In which harbour?", session="latest")):
            pass
        await pilot.press("slash", *"tid")
        await until(pilot, lambda: shown(place)[1:] == ["Tides"])
        place.query_one(Input).value = "which harbour"
        await until(pilot, lambda: shown(place)[1:] == ["Ships"])
        assert "In which harbour?" in titles(place)[1]
        place.query_one(Input).value = 'nothing" OR ('
        await until(pilot, lambda: place.list.has_class("empty"))
        await pilot.press("escape")
        await until(pilot, lambda: len(shown(place)) == 3)

    play(tmp_path, ["Tides", "Ships"], flow)


def test_r_renames(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        await pilot.press("home", "down", "r")
        await until(pilot, lambda: isinstance(place.app.screen, Ask))
        await pilot.press(*"voyage", "enter")
        await until(pilot, lambda: shown(place)[1] == "voyage")

        assert (await workspace.list_sessions())[0].name == "voyage"

    play(tmp_path, ["Ships"], flow)


def test_f_forks_and_goes_to_the_copy(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        await pilot.press("home", "down", "f")
        await until(pilot, lambda: len(shown(place)) == 3 and bool(place.chosen))
        copy = next(each for each in await workspace.list_sessions() if each.parent)

        assert place.chosen == [copy.id]

    play(tmp_path, ["Ships"], flow)


def test_d_asks_before_it_removes(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        (session,) = await workspace.list_sessions()
        await pilot.press("home", "down", "d")
        await until(pilot, lambda: isinstance(place.app.screen, Confirm))
        await pilot.press("n")
        assert len(await workspace.list_sessions()) == 1
        await pilot.press("delete")
        await until(pilot, lambda: isinstance(place.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: place.removed == [session.id])
        await until(pilot, lambda: len(shown(place)) == 1)

    play(tmp_path, ["Ships"], flow)


def test_x_exports_to_a_file_and_never_over_another(tmp_path: Path) -> None:
    file = tmp_path / "ships.md"

    async def flow(place: Place, pilot: Pilot[None], _: Workspace) -> None:
        for _again in range(2):
            await pilot.press("home", "down", "x")
            await until(pilot, lambda: isinstance(place.app.screen, Ask))
            place.app.screen.query_one(Input).value = str(file)
            await pilot.press("enter")
            await until(pilot, lambda: file.exists() and isinstance(place.app.screen, Place))
            text = file.read_text()
            file.write_text(text + "mine")

        await until(pilot, lambda: "mine" in file.read_text())
        assert "An answer." in file.read_text()

    play(tmp_path, ["Ships"], flow)


def test_a_file_without_a_suffix_is_markdown(tmp_path: Path) -> None:
    file = tmp_path / "ships.md"

    async def flow(place: Place, pilot: Pilot[None], _: Workspace) -> None:
        await pilot.press("home", "down", "x")
        await until(pilot, lambda: isinstance(place.app.screen, Ask))
        place.app.screen.query_one(Input).value = str(tmp_path / "ships")
        await pilot.press("enter")
        await until(pilot, file.exists)

    play(tmp_path, ["Ships"], flow)


def test_a_copy_tells_that_it_is_one(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        await workspace.fork_session("latest")
        await until(pilot, lambda: len(titles(place)) == 3)
        details = [title.partition("\n")[2].strip() for title in titles(place)[1:]]

        assert sorted(detail.startswith("branch · ") for detail in details) == [False, True]

    play(tmp_path, ["Ships"], flow)


def test_markup_and_escapes_in_a_title_are_shown_as_they_are(tmp_path: Path) -> None:
    async def flow(place: Place, pilot: Pilot[None], workspace: Workspace) -> None:
        async for _ in workspace.ask(
            AskRequest(prompt="[red]x[/red]\x1b[31m שלום 🙂", session="latest")
        ):
            pass
        copy = await workspace.fork_session("latest")
        await workspace.rename_session(copy.id, "[red]x[/red] שלום 🙂")
        await until(pilot, lambda: "[red]x[/red] שלום 🙂" in shown(place))

    play(tmp_path, ["Ships"], flow)
