"""Writing a prompt: keys, pastes, paths and earlier prompts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import OptionList

from agentctl.tui.mentions import best_matches, dropped_paths, find_paths_below, mentioned_files
from agentctl.tui.widgets.composer import Composer
from tests.support.dashboard import until


class Desk(App[None]):
    """Nothing but a composer."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.sent: list[Composer.Sent] = []

    def compose(self) -> ComposeResult:
        yield Composer(self.folder)

    def on_mount(self) -> None:
        self.composer.focus()

    def on_composer_sent(self, message: Composer.Sent) -> None:
        self.sent.append(message)

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    @property
    def shown(self) -> str:
        return self.composer.area.text

    def paste(self, text: str) -> None:
        self.composer.area.post_message(events.Paste(text))


@asynccontextmanager
async def desk(
    folder: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Desk, Pilot[None]]]:
    app = Desk(folder)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.composer.area.has_focus)
        yield app, pilot


Flow = Callable[[Desk, Pilot[None]], Awaitable[None]]


def play(folder: Path, flow: Flow, size: tuple[int, int] = (80, 24)) -> None:
    async def run() -> None:
        async with desk(folder, size) as (app, pilot):
            await flow(app, pilot)

    asyncio.run(run())


def test_enter_sends_and_leaves_an_empty_composer(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"Hello?", "enter")
        await until(pilot, lambda: bool(app.sent))

        assert [(each.text, each.files) for each in app.sent] == [("Hello?", ())]
        assert app.shown == ""

    play(tmp_path, flow)


def test_nothing_but_space_is_not_sent(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press("space", "ctrl+j", "enter", *"x", "enter")
        await until(pilot, lambda: bool(app.sent))

        assert [each.text.strip() for each in app.sent] == ["x"]

    play(tmp_path, flow)


@pytest.mark.parametrize("key", ["shift+enter", "ctrl+j", "alt+enter"])
def test_a_new_line_does_not_send_and_the_composer_grows(key: str, tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        low = app.composer.size.height
        await pilot.press("a", key, "b")
        await until(pilot, lambda: app.composer.size.height == low + 1)

        assert (app.shown, app.sent) == ("a\nb", [])

    play(tmp_path, flow)


def test_keys_that_come_all_at_once_keep_their_order(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        for key, character in (*((each, each) for each in "ab"), ("ctrl+j", "\n"), ("c", "c")):
            app.post_message(events.Key(key, character))
        app.post_message(events.Key("enter", "\r"))
        app.post_message(events.Key("d", "d"))
        await until(pilot, lambda: bool(app.sent) and bool(app.shown))

        assert (app.sent[0].text, app.shown) == ("ab\nc", "d")

    play(tmp_path, flow)


def test_its_keys_can_be_others(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        app.set_keymap({"composer.send": "ctrl+s"})
        await pilot.press(*"a", "ctrl+s")
        await until(pilot, lambda: bool(app.sent))

        assert app.sent[0].text == "a"

    play(tmp_path, flow)


def test_it_grows_to_eight_lines_and_no_further(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*["ctrl+j"] * 30)
        await until(pilot, lambda: app.composer.area.document.line_count == 31)

        assert app.composer.area.outer_size.height == 8

    play(tmp_path, flow)


def test_up_and_down_walk_through_earlier_prompts_and_keep_the_draft(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"one", "enter", *"two", "enter", *"dra")
        await pilot.press("up")
        assert app.shown == "two"
        await pilot.press("up", "up")
        assert app.shown == "one"
        await pilot.press("down", "down")
        assert app.shown == "dra"

    play(tmp_path, flow)


def test_up_moves_the_cursor_inside_of_a_prompt_of_lines(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"old", "enter", *"ab", "ctrl+j", *"cd", "up")

        assert (app.shown, app.composer.area.cursor_location) == ("ab\ncd", (0, 2))

    play(tmp_path, flow)


def test_each_session_has_prompts_of_its_own(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"first", "enter")
        app.composer.session = "a"
        await pilot.press("up")
        assert app.shown == "first"
        await pilot.press("ctrl+u")
        app.composer.session = "b"
        await pilot.press("up")
        assert app.shown == ""

    play(tmp_path, flow)


def test_ctrl_u_clears_all_of_it(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"ab", "ctrl+j", *"cd", "ctrl+u")
        assert app.shown == ""

    play(tmp_path, flow)


def test_a_long_paste_is_folded_and_sent_whole(tmp_path: Path) -> None:
    long = "\n".join(f"line {number}" for number in range(120))

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"See ")
        # Terminals send carriage returns between the lines of a paste.
        app.paste(long.replace("\n", "\r"))
        await until(pilot, lambda: app.shown == "See [paste 1: 120 lines]")
        await pilot.press("enter", "up")
        assert app.shown == "See [paste 1: 120 lines]"
        await pilot.press("enter")
        await until(pilot, lambda: len(app.sent) == 2)

        assert [each.text for each in app.sent] == [f"See {long}"] * 2

    play(tmp_path, flow)


def test_a_paste_that_looks_like_a_token_is_only_text(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        app.paste("x" * 3_000 + " [paste 1: 3 lines]")
        await until(pilot, lambda: app.shown.startswith("[paste 1"))
        await pilot.press(*" [paste 9: 3 lines]", "enter")
        await until(pilot, lambda: bool(app.sent))

        assert app.sent[0].text == "x" * 3_000 + " [paste 1: 3 lines] [paste 9: 3 lines]"

    play(tmp_path, flow)


def test_what_a_terminal_would_obey_is_not_taken_from_a_paste(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        app.paste("\x1b[31m[red]x[/red]\u202e🙂")
        await until(pilot, lambda: bool(app.shown))

        assert app.shown == "\ufffd[31m[red]x[/red]\u202e🙂"

    play(tmp_path, flow)


def test_an_at_offers_paths_and_tab_takes_one(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "release notes.md").write_text("notes")
    (tmp_path / ".hidden-notes.md").write_text("no")

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"Read @rnotes")
        await until(pilot, lambda: app.composer.completions.is_open)
        assert app.composer.completions.chosen == "docs/release notes.md"
        await pilot.press("tab")
        assert app.shown == 'Read @"docs/release notes.md" '
        assert not app.composer.completions.is_open
        await pilot.press("enter")
        await until(pilot, lambda: bool(app.sent))

        assert app.sent[0].files == (str(tmp_path / "docs" / "release notes.md"),)

    play(tmp_path, flow)


def test_the_arrows_choose_and_escape_closes_the_offers_only(tmp_path: Path) -> None:
    for name in ("a1.txt", "a2.txt"):
        (tmp_path / name).write_text("x")

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"@a")
        await until(pilot, lambda: app.composer.completions.is_open)
        await pilot.press("down", "enter")
        assert app.shown == "@a2.txt "
        await pilot.press(*"@a")
        await until(pilot, lambda: app.composer.completions.is_open)
        await pilot.press("escape")
        assert not app.composer.completions.is_open
        assert app.shown == "@a2.txt @a"

    play(tmp_path, flow)


def test_a_click_takes_a_path(tmp_path: Path) -> None:
    (tmp_path / "only.txt").write_text("x")

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"@o")
        await until(pilot, lambda: app.composer.completions.is_open)
        await pilot.click(OptionList, offset=(3, 0))
        await until(pilot, lambda: app.shown == "@only.txt ")

    play(tmp_path, flow)


def test_a_folder_is_gone_into(tmp_path: Path) -> None:
    (tmp_path / "my docs").mkdir()
    (tmp_path / "my docs" / "a.md").write_text("x")

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"@my")
        await until(pilot, lambda: app.composer.completions.chosen == "my docs/")
        await pilot.press("tab")
        await until(pilot, lambda: app.composer.completions.chosen == "my docs/a.md")
        await pilot.press("tab")
        assert app.shown == '@"my docs/a.md" '

    play(tmp_path, flow)


@pytest.mark.parametrize("form", ["{}", "'{}'", '"{}"', "file://{}"])
def test_a_file_that_is_dropped_becomes_a_mention(form: str, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")

    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        app.paste(form.format(file))
        await until(pilot, lambda: app.shown == "@a.txt ")

    play(tmp_path, flow)


def test_escaped_spaces_of_dropped_files_are_read(tmp_path: Path) -> None:
    for name in ("a b.txt", "c.txt"):
        (tmp_path / name).write_text("x")
    first = str(tmp_path / "a b.txt").replace(" ", "\\ ")

    assert dropped_paths(f"{first} {tmp_path}/c.txt ", tmp_path) == ["a b.txt", "c.txt"]
    assert dropped_paths("a b.txt", tmp_path) == []
    assert dropped_paths("it's no path", tmp_path) == []


def test_only_what_is_there_goes_along(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b c").mkdir()
    text = 'me@a.txt @nobody see @a.txt, @"b c" and (@a.txt) https @https://example.org/x.'

    assert mentioned_files(text, tmp_path) == (
        str(tmp_path / "a.txt"),
        str(tmp_path / "b c"),
        "https://example.org/x",
    )


def test_ignored_files_and_those_behind_the_bound_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("built/\n")
    for name in ("built/inside.txt", "kept/inside.txt", "last/inside.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    ticks = iter([0.0, 0.5, 99.0])

    found = find_paths_below(tmp_path, "i", lambda: next(ticks))

    assert "kept/inside.txt" in found
    assert not {"built/inside.txt", "last/inside.txt"} & {*found}


def test_the_closest_paths_come_first() -> None:
    paths = ["docs/aside.md", "src/main.py", "aXbXc.txt", "abc.txt", "src/"]

    assert best_matches("abc", paths) == ["abc.txt", "aXbXc.txt"]
    assert best_matches("ma", paths)[0] == "src/main.py"
    assert best_matches("", paths)[0] == "src/"


def test_a_busy_composer_says_that_prompts_are_queued(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        app.composer.is_busy = True
        await pilot.pause()
        assert "queued" in str(app.composer.area.placeholder)
        app.composer.is_busy = False
        await pilot.pause()
        assert "Ask anything" in str(app.composer.area.placeholder)

    play(tmp_path, flow)


def test_a_tiny_screen_has_room_for_it(tmp_path: Path) -> None:
    async def flow(app: Desk, pilot: Pilot[None]) -> None:
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: bool(app.sent))

        assert app.composer.size.height <= 2

    play(tmp_path, flow, size=(20, 5))
