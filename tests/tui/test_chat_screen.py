"""The chat as a user has it: keys in, words out."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.conversations import StoredMessage
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.moments import utc_now
from agentctl.core.sources import Source
from agentctl.core.storage import open_database
from agentctl.tui import frame
from agentctl.tui.app import Dashboard
from agentctl.tui.chat_screen import ChatScreen
from agentctl.tui.dialogs import Choose
from agentctl.tui.widgets.approval import ApprovalDialog
from agentctl.tui.widgets.message import Message
from agentctl.tui.widgets.session_list import SessionList
from agentctl.tui.widgets.source_pane import SourcePane
from agentctl.tui.widgets.status_line import StatusLine
from agentctl.tui.widgets.transcript import Transcript
from tests.support.dashboard import paths_of, running_dashboard, until, write_script

SLOW = {"text": "word " * 5_000, "delay_s": 0.01}


def run(flow: Coroutine[Any, Any, None]) -> None:
    asyncio.run(flow)


def chat(app: Dashboard) -> ChatScreen:
    return next(screen for screen in app.screen_stack if isinstance(screen, ChatScreen))


def shown(app: Dashboard) -> str:
    """What stands in the transcript, as far as it is in sight."""
    transcript = chat(app).query_one(Transcript)
    return "\n".join(transcript.render_line(y).text.rstrip() for y in range(transcript.size.height))


def said(app: Dashboard) -> list[tuple[str, str]]:
    """All that is in the transcript, in sight or not: who, and what."""
    entries = chat(app).transcript.entries
    return [
        (entry.role, entry.text if isinstance(entry, Message) else entry.content)
        for entry in entries
    ]


async def ask(app: Dashboard, pilot: Pilot[None], text: str) -> None:
    """Types a prompt and waits for its answer."""
    await send(app, pilot, text)
    await until(pilot, lambda: is_done(app))


async def send(app: Dashboard, pilot: Pilot[None], text: str) -> None:
    chat(app).composer.focus()
    await pilot.press(*("space" if letter == " " else letter for letter in text), "enter")
    await until(pilot, lambda: ("user", text) in said(app))


def answer_with(app: Dashboard, folder: Path, text: str) -> None:
    """The next answers are this: a script begins anew at each of them."""
    chat(app).conversation.model = write_script(folder / "other", {"text": text})


def is_done(app: Dashboard) -> bool:
    conversation = chat(app).conversation
    return not conversation.is_busy and not conversation.queue


async def stored(app: Dashboard, session: str | None) -> list[StoredMessage]:
    assert session is not None
    return (await app.link.workspace.show_session(session))[1]


def test_an_answer_arrives_in_the_transcript(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "It is **forty-two**.", "thinking": "let me see now"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "what is it")
            await until(pilot, lambda: "forty-two" in shown(app))
            assert "what is it" in shown(app)
            assert "thought 4 words" in shown(app)
            assert "**" not in shown(app)
            assert "tok/s" in app.screen.query_one(StatusLine).text

    run(flow())


def test_thinking_unfolds_by_enter(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "Yes.", "thinking": "let me see now"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "is it")
            chat(app).transcript.focus()
            await pilot.press("up", "up", "enter")
            await until(pilot, lambda: "let me see now" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: "let me see now" not in shown(app))

    run(flow())


def test_escape_stops_and_keeps_what_arrived(tmp_path: Path) -> None:
    model = write_script(tmp_path, SLOW)

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await send(app, pilot, "talk")
            await until(pilot, lambda: "word" in shown(app))
            await pilot.press("escape")
            await until(pilot, lambda: is_done(app))
            kept = (await stored(app, chat(app).conversation.session))[1]
            assert kept.status == "cancelled"
            assert 0 < kept.content.count("word") < 5_000
            await until(pilot, lambda: "stopped" in shown(app) or "word" in shown(app))
            assert said(app)[1][1].strip() == kept.content.strip()

    run(flow())


def test_a_prompt_sent_while_busy_is_queued_and_sent_after(tmp_path: Path) -> None:
    model = write_script(tmp_path, SLOW)

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await send(app, pilot, "first")
            await until(pilot, lambda: chat(app).conversation.is_busy)
            await send(app, pilot, "second")
            await until(pilot, lambda: "queued" in shown(app))
            assert "1 queued" in app.screen.query_one(StatusLine).text
            await pilot.press("escape")
            await until(pilot, lambda: not chat(app).conversation.queue)
            await until(pilot, lambda: len(said(app)) == 4 and "word" in said(app)[3][1])
            await pilot.press("escape")
            await until(pilot, lambda: is_done(app))
            kept = await stored(app, chat(app).conversation.session)
            assert [each.content for each in kept if each.role == "user"] == ["first", "second"]
            assert [each.status for each in kept if each.role != "user"] == ["cancelled"] * 2
            await until(pilot, lambda: "queued" not in shown(app))

    run(flow())


def test_answering_again_is_a_branch(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "first")
            await ask(app, pilot, "second")
            before = chat(app).conversation.session
            await until(pilot, lambda: chat(app).transcript.message(2).stored_id is not None)
            answer_with(app, tmp_path, "other")
            await pilot.press("ctrl+r")
            await until(pilot, lambda: ("assistant", "other") in said(app) and is_done(app))
            assert chat(app).conversation.session != before
            assert [text for _, text in said(app)] == ["first", "one", "second", "other"]
            assert [each.content for each in await stored(app, before)][-1] == "one"

    run(flow())


def test_an_edited_message_is_sent_as_a_branch(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "first")
            await ask(app, pilot, "second")
            before = chat(app).conversation.session
            await until(pilot, lambda: chat(app).transcript.message(2).stored_id is not None)
            chat(app).transcript.focus()
            await pilot.press("up", "up", "e")
            assert chat(app).composer.text == "second"
            assert "branch" in app.screen.query_one(StatusLine).text
            answer_with(app, tmp_path, "new")
            await pilot.press("exclamation_mark", "enter")
            await until(pilot, lambda: ("assistant", "new") in said(app) and is_done(app))
            assert [text for _, text in said(app)] == ["first", "one", "second!", "new"]
            assert chat(app).conversation.session != before

    run(flow())


def test_messages_and_code_are_copied(tmp_path: Path) -> None:
    text = "Do this:\n\n```sh\nls -l\n```\n\nor\n\n```sh\nls -a\n```\n"
    model = write_script(tmp_path, {"text": text})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "how")
            chat(app).transcript.focus()
            await pilot.press("up", "y")
            assert app.clipboard == text
            await pilot.press("c")
            await until(pilot, lambda: isinstance(app.screen, Choose))
            await pilot.press("down", "enter")
            await until(pilot, lambda: app.clipboard == "ls -a\n")

    run(flow())


def test_words_are_found_and_gone_through(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "- x\n" * 30})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            for number in range(3):
                await ask(app, pilot, f"question {number}")
            await pilot.press("ctrl+f", *"question")
            await until(pilot, lambda: "question 2" in shown(app))
            await pilot.press("up", "up")
            await until(pilot, lambda: "question 0" in shown(app))
            await pilot.press("enter")
            await until(pilot, lambda: chat(app).transcript.has_focus)
            await pilot.press("n")
            await until(pilot, lambda: "question 1" in shown(app))
            await pilot.press("N")
            await until(pilot, lambda: "question 0" in shown(app))

    run(flow())


def test_a_backend_that_dies_keeps_what_arrived_and_can_be_asked_again(tmp_path: Path) -> None:
    error = {"slug": "answer-interrupted", "message": "the server went away"}
    model = write_script(tmp_path, {"text": "half an", "error": error})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "tell")
            await until(pilot, lambda: "the server went away" in shown(app))
            assert "half an" in shown(app)
            assert "ctrl+r tries again" in shown(app)
            chat(app).transcript.focus()
            answer_with(app, tmp_path, "whole answer")
            await pilot.press("up", "r")
            await until(pilot, lambda: "whole answer" in shown(app))

    run(flow())


def test_text_of_models_is_shown_never_interpreted(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "[red]x[/red] \x1b[31mred \x07 שלום 😀 <b>b</b>"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "[bold]who")
            await until(pilot, lambda: "[red]x[/red]" in shown(app))
            assert "\x1b" not in shown(app)
            assert "\x07" not in shown(app)
            assert "[bold]who" in shown(app)
            assert "<b>b</b>" in shown(app)
            assert "😀" in shown(app)

    run(flow())


def test_what_others_store_in_the_session_is_shown(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await ask(app, pilot, "first")
            session = chat(app).conversation.session
            request = AskRequest(prompt="from elsewhere", session=session)
            async for _ in app.link.workspace.ask(request):
                pass
            await until(pilot, lambda: "from elsewhere" in shown(app) and len(said(app)) == 4)
            assert [text for _, text in said(app)] == ["first", "one", "from elsewhere", "one"]

    run(flow())


def test_the_prompts_of_a_session_that_is_opened_again_are_recalled(tmp_path: Path) -> None:
    store = SessionStore(open_database(paths_of(tmp_path).database))
    session = store.create("old")
    long = "line\n" * 30
    for asked in (long, "second"):
        store.add_message(session, "user", asked)
        store.finish_answer(store.begin_answer(session, "m", "b"), "yes", "", "done")
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await chat(app).open_session(session)
            await ask(app, pilot, "third")
            area = chat(app).composer.area
            seen = []
            for _ in range(3):
                await pilot.press("up")
                seen.append(area.text)
            assert seen == ["third", "second", "[paste 1: 30 lines]"]
            assert chat(app).composer.text == long

    run(flow())


def test_ages_go_on_when_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "_CLOCK_S", 0.05)
    SessionStore(open_database(paths_of(tmp_path).database)).create("old")

    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 30)) as (app, pilot):
            sessions = chat(app).query_one(SessionList)
            options = sessions.query_one(OptionList)
            await until(pilot, lambda: options.option_count == 2)
            sessions._now = lambda: utc_now() + timedelta(days=3)
            await until(pilot, lambda: "3d" in str(options.get_option_at_index(1).prompt))

    run(flow())


def test_a_source_opens_beside_the_chat_and_closes_by_escape(tmp_path: Path) -> None:
    store = SessionStore(open_database(paths_of(tmp_path).database))
    session = store.create("sourced")
    store.add_message(session, "user", "where from")
    answer = store.begin_answer(session, "m", "b")
    source = Source(
        n=1,
        score=1.0,
        path="/docs/guide.md",
        title="[red]Guide[/red]",
        collection="default",
        page=None,
        line_start=3,
        line_end=9,
        text="as it was cited",
        chunk_id=1,
        document_id=1,
    )
    store.finish_answer(answer, "From there [1].", "", "done", sources=[source])

    async def flow() -> None:
        async with running_dashboard(tmp_path, size=(120, 30)) as (app, pilot):
            await chat(app).open_session(session)
            chat(app).transcript.focus()
            await pilot.press("1")
            pane = app.screen.query_one(SourcePane)
            await until(pilot, lambda: pane.is_open)
            texts = " ".join(str(each.render()) for each in pane.query(Static))
            assert "as it was cited" in texts
            assert "[red]Guide[/red]" in texts
            assert "lines 3-9" in texts
            await pilot.press("escape")
            assert not pane.is_open
            assert chat(app).transcript.has_focus

    run(flow())


def test_a_model_is_chosen_in_place(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            await pilot.press("ctrl+o")
            await until(pilot, lambda: isinstance(app.screen, Choose))
            assert app.screen.query_one(OptionList).option_count >= 1
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is chat(app))

    run(flow())


def test_an_agent_asks_before_it_acts_and_its_calls_are_folded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "new.txt"
    call = {"name": "write_file", "arguments": {"path": "new.txt", "content": "hello"}}
    model = write_script(tmp_path, {"text": "", "tool_calls": [call]}, {"text": "It is written."})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model) as (app, pilot):
            chat(app).conversation.agent = "assistant"
            await send(app, pilot, "write it")
            await until(pilot, lambda: isinstance(app.screen, ApprovalDialog))
            dialog = app.screen
            assert isinstance(dialog, ApprovalDialog)
            assert "waits for you" in shown(app)
            await until(pilot, lambda: dialog.is_ready)
            await pilot.press("d", "enter")
            await until(pilot, lambda: is_done(app))
            await until(pilot, lambda: "▸ → write_file" in shown(app))
            assert not target.exists()

    run(flow())


def test_it_folds_on_small_terminals(tmp_path: Path) -> None:
    model = write_script(tmp_path, {"text": "one"})

    async def flow() -> None:
        async with running_dashboard(tmp_path, model, size=(120, 30)) as (app, pilot):
            await until(pilot, lambda: chat(app).has_class("sessions"))
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: not chat(app).has_class("sessions"))
            await ask(app, pilot, "hello")
            await until(pilot, lambda: "one" in shown(app))
            await pilot.press("f7")
            await until(pilot, lambda: chat(app).has_class("sessions"))
            await pilot.press("f7")
            await pilot.resize_terminal(20, 5)
            await until(pilot, lambda: app.size.width == 20)
            await ask(app, pilot, "more")

    run(flow())
