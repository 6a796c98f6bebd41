"""Where keys go in the chat."""

import asyncio
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from agentctl.tui.app import Dashboard
from agentctl.tui.chat_screen import ChatScreen
from agentctl.tui.dialogs import Ask, Choose, Confirm
from agentctl.tui.widgets.session_list import SessionList
from agentctl.tui.widgets.source_pane import SourcePane
from tests.support.dashboard import SOURCE, running_dashboard, until, write_script


def chat(app: Dashboard) -> ChatScreen:
    screen = app.screen_stack[0]
    assert isinstance(screen, ChatScreen)
    return screen


def test_after_an_agent_is_chosen_the_next_thing_is_a_prompt(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path) as (app, pilot):
            chat(app).transcript.focus()
            await pilot.press("ctrl+g")
            await until(pilot, lambda: isinstance(app.screen, Choose))
            await pilot.press("down", "enter")
            await until(pilot, lambda: app.screen is chat(app))
            await until(pilot, lambda: chat(app).composer.has_focus_within)
            assert chat(app).conversation.agent == "assistant"

    asyncio.run(flow())


def test_one_key_goes_to_the_sessions_and_again_hides_them(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 30)) as (app, pilot):
            await until(pilot, lambda: chat(app).has_class("sessions"))
            await pilot.press("f7")
            await until(pilot, lambda: chat(app).query_one(SessionList).has_focus_within)
            assert chat(app).has_class("sessions")
            await pilot.press("f7")
            await until(pilot, lambda: not chat(app).has_class("sessions"))
            await until(pilot, lambda: chat(app).composer.has_focus_within)

    asyncio.run(flow())


def test_what_is_done_with_the_session_is_done_with_the_one_that_is_open(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "An answer."})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model, size=(120, 30)) as (app, pilot):
            await ask(app, pilot, "old")
            older = chat(app).conversation.session
            await pilot.press("ctrl+n")
            await until(pilot, lambda: chat(app).conversation.session is None)
            await ask(app, pilot, "new")
            newer = chat(app).conversation.session
            await pilot.press("ctrl+e")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            assert app.screen.query_one(Input).value == f"{newer}.md"
            await pilot.press("escape")
            await chat(app).open_session(older)
            command(app, "Remove session")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await until(pilot, lambda: chat(app).conversation.session is None)

            assert [each.id for each in await app.link.workspace.list_sessions()] == [newer]

    asyncio.run(flow())


def test_in_a_new_chat_no_other_session_is_removed(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "An answer."})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model, size=(120, 30)) as (app, pilot):
            await ask(app, pilot, "old")
            options = chat(app).query_one(OptionList)
            await until(pilot, lambda: options.option_count == 2)
            await pilot.press("ctrl+n")
            await until(pilot, lambda: chat(app).conversation.session is None)
            command(app, "Remove session")
            await pilot.press("f7", "d")
            await pilot.pause()

            assert app.screen is chat(app)

    asyncio.run(flow())


def test_tab_goes_to_the_transcript_and_back(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 30)) as (app, pilot):
            await until(pilot, lambda: chat(app).has_class("sessions"))
            await pilot.press("tab")
            await until(pilot, lambda: chat(app).transcript.has_focus)
            await pilot.press("tab")
            await until(pilot, lambda: chat(app).composer.has_focus_within)

    asyncio.run(flow())


@pytest.mark.parametrize("columns", [60, 80])
def test_a_list_with_the_keys_is_seen_when_there_is_no_room_any_more(
    tmp_path: Path, columns: int
) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 36)) as (app, pilot):
            sessions = chat(app).query_one(SessionList)
            await until(pilot, lambda: chat(app).has_class("sessions"))
            sessions.focus()
            await until(pilot, lambda: sessions.has_focus_within)
            await pilot.resize_terminal(columns, 20)
            await until(pilot, lambda: app.size.width == columns)
            assert sessions.size.height > 0
            await pilot.press("escape")
            await until(pilot, lambda: chat(app).composer.has_focus_within)
            await until(pilot, lambda: not sessions.display)
            assert chat(app).transcript.size.height > 0

    asyncio.run(flow())


def test_a_list_never_covers_where_the_keys_go(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 36)) as (app, pilot):
            sessions = chat(app).query_one(SessionList)
            for key in ("f7", "f7", "f7"):
                await pilot.press(key)
            await until(pilot, lambda: sessions.has_focus_within)
            chat(app).transcript.focus()
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: not sessions.display)
            assert chat(app).transcript.size.height > 0
            await pilot.press("f7")
            await until(pilot, lambda: sessions.size.width == 60)
            await pilot.press("ctrl+n")
            await until(pilot, lambda: not sessions.display)

    asyncio.run(flow())


def test_a_source_beside_the_chat_takes_the_keys_when_it_covers_it(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 36)) as (app, pilot):
            pane = chat(app).query_one(SourcePane)
            await chat(app).show_source(SOURCE)
            await until(pilot, lambda: pane.has_focus_within)
            chat(app).composer.focus()
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: pane.has_focus_within and pane.size.width >= 58)
            await pilot.press("escape")
            await until(pilot, lambda: chat(app).transcript.has_focus)
            assert chat(app).transcript.size.height > 0
            await chat(app).show_source(SOURCE)
            await until(pilot, lambda: pane.has_focus_within and pane.size.width >= 58)

    asyncio.run(flow())


def test_what_is_searched_for_is_seen_while_it_is_typed(tmp_path: Path) -> None:
    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 36)) as (app, pilot):
            search = chat(app).query_one(SessionList).query_one(Input)
            await pilot.press("f7", "slash", *"zzz")
            await until(pilot, lambda: "zzz" in search.render_line(0).text)
            assert search.has_focus
            assert (search.content_size.height, search.outer_size.height) == (1, 1)

    asyncio.run(flow())


async def ask(app: Dashboard, pilot: Pilot[None], text: str) -> None:
    """Types the first prompt of a session and waits for its answer."""
    chat(app).composer.focus()
    await pilot.press(*text, "enter")
    await until(pilot, lambda: len(chat(app).transcript.entries) == 2)
    await until(pilot, lambda: not chat(app).conversation.is_busy)


def command(app: Dashboard, title: str) -> None:
    """What the palette does by that name."""
    next(each for each in chat(app).commands() if each.title == title).callback()
