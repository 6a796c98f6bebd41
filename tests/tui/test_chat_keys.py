"""Where keys go in the chat."""

import asyncio
from pathlib import Path

from agentctl.tui.app import Dashboard
from agentctl.tui.chat_screen import ChatScreen
from agentctl.tui.dialogs import Choose
from agentctl.tui.widgets.session_list import SessionList
from tests.support.dashboard import running_dashboard, until


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
