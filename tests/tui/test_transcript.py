"""Long transcripts: only what is looked at is drawn, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.pilot import Pilot

from agentctl.core.chat.conversations import StoredMessage
from agentctl.tui.themes import THEMES
from agentctl.tui.widgets.message import Message
from agentctl.tui.widgets.message_parts import Prose
from agentctl.tui.widgets.message_text import GrowingMarkdown, Painter
from agentctl.tui.widgets.transcript import Transcript
from tests.support.dashboard import SOURCE, until

THEME = THEMES[0]


class Shell(App[None]):
    """A transcript and nothing else."""

    TITLE: ClassVar[str] = "shell"  # type: ignore[misc]  # Textual's is an instance's too

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(THEME)
        self.theme = THEME.name
        self.opened: list[object] = []

    def compose(self) -> ComposeResult:
        yield Transcript(empty="nothing yet")

    def on_transcript_opened(self, event: Transcript.Opened) -> None:
        self.opened.append(event.part)


@asynccontextmanager
async def transcript() -> AsyncIterator[tuple[Transcript, Pilot[None]]]:
    app = Shell()
    async with app.run_test(size=(60, 20)) as pilot:
        shown = app.query_one(Transcript)
        shown.focus()
        yield shown, pilot


def message(number: int, content: str = "") -> StoredMessage:
    return StoredMessage(
        id=number,
        role="user" if number % 2 else "assistant",
        content=content or f"message {number}\n\n" + "some more words " * (number % 7),
        thinking="",
        status="done",
        model="m",
        backend="b",
        created="",
        usage=None,
        error=None,
    )


def lines(shown: Transcript) -> str:
    return "\n".join(shown.render_line(y).text.rstrip() for y in range(shown.size.height))


def with_transcript(flow: Callable[[Transcript, Pilot[None]], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with transcript() as (shown, pilot):
            await flow(shown, pilot)

    asyncio.run(inside())


def test_a_part_that_was_not_measured_yet_is_at_the_end() -> None:
    assert Message("assistant", "model").place(3) == (0, 0)


def test_it_opens_at_the_end_and_draws_little() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        shown.show(map(message, range(10_000)))
        assert "message 9999" in lines(shown)
        assert sum(isinstance(entry, Message) for entry in shown.entries) < 20

    with_transcript(flow)


def test_scrolling_up_brings_everything_back_in_order() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        shown.show(map(message, range(300)))
        seen: list[int] = []
        while shown.row > 0:
            for line in reversed(lines(shown).splitlines()):
                word, _, number = line.strip().partition(" ")
                if word == "message" and number.isdigit() and int(number) not in seen:
                    seen.append(int(number))
            shown.scroll_lines(-5)
        assert seen == [*reversed(range(seen[-1], 300))]
        assert seen[-1] <= 1
        await pilot.press("end")
        assert "message 299" in lines(shown)

    with_transcript(flow)


def test_home_shows_the_first_message_and_what_is_far_is_let_go() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        shown.show(map(message, range(1_000)))
        await pilot.press("home")
        await until(pilot, lambda: "message 0" in lines(shown))
        await pilot.press("pagedown")
        await until(pilot, lambda: shown.row > 0)

    with_transcript(flow)


def test_it_stays_at_the_end_unless_the_user_has_scrolled_up() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        live = Message("assistant", "m", is_live=True)
        shown.show([*map(message, range(20)), live])
        live.say("first\n\n" * 30)
        shown.changed(live)
        await until(pilot, lambda: "first" in lines(shown))
        await pilot.press("pageup")
        where = lines(shown)
        live.say("last\n\n" * 30)
        shown.changed(live)
        before = shown.virtual_size.height
        await until(pilot, lambda: shown.virtual_size.height > before)
        assert lines(shown) == where
        await pilot.press("end")
        assert "last" in lines(shown)

    with_transcript(flow)


def test_another_width_and_back_leaves_the_same_words_at_the_top() -> None:
    words = " ".join(f"word{number}" for number in range(1_000))
    answer = f"# Head\n\n{words}\n\n| a | b |\n|---|---|\n| c | d |\n\n- {words}\n"

    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        live = Message("assistant", "m")
        live.say(answer)
        live.add_source(SOURCE)
        shown.show([*map(message, range(30)), live, *map(message, range(30, 35))])
        for _ in range(9):
            await pilot.press("pageup")
            at_first = shown.render_line(0).text
            top = first_word(shown)
            for columns, rows in ((33, 12), (100, 20), (60, 20)):
                await pilot.resize_terminal(columns, rows)
                await until(pilot, lambda columns=columns: shown.size.width == columns)
                assert not shown.is_following
                assert top in shown.render_line(0).text
            assert shown.render_line(0).text == at_first

    with_transcript(flow)


def first_word(shown: Transcript) -> str:
    return next(iter(shown.render_line(0).text.split()), "")


def test_a_huge_message_is_cut_and_goes_on_by_enter() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        text = "word " * 990_000
        shown.show([message(1, text)])
        await until(pilot, lambda: "more: enter shows some" in lines(shown))
        assert "4.9 MB more" in lines(shown)
        before = shown.virtual_size.height
        await pilot.press("up", "enter")
        await until(pilot, lambda: shown.virtual_size.height > before)
        assert shown.message(0).text == text

    with_transcript(flow)


def test_a_source_is_opened_elsewhere() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        answer = Message("assistant", "m")
        answer.say("So it is [1].")
        answer.add_source(SOURCE)
        shown.show([answer])
        await pilot.press("up", "enter")
        assert "[1] /docs/guide.md:3" in lines(shown)
        app = shown.app
        assert isinstance(app, Shell)
        await until(pilot, lambda: len(app.opened) == 1)

    with_transcript(flow)


def test_an_empty_one_says_so() -> None:
    async def flow(shown: Transcript, pilot: Pilot[None]) -> None:
        shown.show([])
        assert "nothing yet" in lines(shown)

    with_transcript(flow)


def test_what_streams_is_drawn_as_what_came_at_once() -> None:
    text = "# Head\n\nwords *here*\n\n```py\n" + "x = 1\n" * 100 + "```\n\n1. one\n2. two\n"
    painter = Painter(40, THEME)
    grown = GrowingMarkdown()
    for start in range(0, len(text), 7):
        grown.append(text[start : start + 7])
        grown.lines(painter)
    streamed = [line.text for line in grown.lines(painter)]
    assert streamed == [line.text for line in GrowingMarkdown(text).lines(painter)]


def test_a_paragraph_without_an_end_is_not_drawn_anew_each_time() -> None:
    painter = Painter(40, THEME)
    grown = GrowingMarkdown()
    for _ in range(1_000):
        grown.append("some words " * 5)
        grown.lines(painter)
    drawn = " ".join(line.text for line in grown.lines(painter))
    assert drawn.split() == ["some", "words"] * 5_000
    assert grown.redrawn < 8_000


def test_prose_that_grows_beyond_what_is_shown_is_kept_whole() -> None:
    prose = Prose("abc", 5, is_markdown=True)
    prose.append("defgh")
    assert (prose.text, prose.hidden) == ("abcdefgh", 3)
    prose.show_more(2)
    assert prose.hidden == 1
