"""The knowledge screen, as a user drives it: keys in, documents and text out."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from agentctl.core.knowledge.library import DocumentEntry, IngestRequest, IngestStep, Passage
from agentctl.tui.app import Dashboard
from agentctl.tui.dialogs import Confirm, TextDialog
from agentctl.tui.knowledge_screen import KnowledgeScreen
from agentctl.tui.widgets.add_documents import AddDocuments, completions
from agentctl.tui.widgets.document_table import DocumentTable
from agentctl.tui.widgets.hit_list import HitList
from agentctl.tui.widgets.job_line import JobLine
from agentctl.tui.widgets.knowledge_side import KnowledgeSide
from agentctl.tui.widgets.passage_view import PassageView
from tests.support.dashboard import running_dashboard, until

LIGHTHOUSE = "# The [red]lighthouse[/red]\n\nIt warns ships\x1b[31m of rocks.\n"
SEXTANT = "# Sextant\n\nIt measures the angle of a star.\n"


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "lighthouse.md").write_text(LIGHTHOUSE)
    (folder / "sextant.md").write_text(SEXTANT)
    return folder


@asynccontextmanager
async def knowledge(
    home: Path, *sources: Path, size: tuple[int, int] = (80, 24), collection: str = "default"
) -> AsyncIterator[tuple[Dashboard, KnowledgeScreen, Pilot[None]]]:
    """The screen with these files taken in."""
    async with running_dashboard(home, size=size) as (app, pilot):
        if sources:
            await take_in(app, *sources, collection=collection)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, KnowledgeScreen))
        screen = app.screen
        assert isinstance(screen, KnowledgeScreen)
        if sources:
            await until(pilot, lambda: table(screen).current is not None)
        else:
            await until(pilot, lambda: screen.has_class("empty"))
        yield app, screen, pilot


async def take_in(app: Dashboard, *sources: Path, collection: str = "default") -> None:
    request = IngestRequest(sources=tuple(map(str, sources)), collection=collection)
    async for _ in app.link.workspace.ingest(request):
        pass


def table(screen: KnowledgeScreen) -> DocumentTable:
    return screen.query_one(DocumentTable)


def passage(screen: KnowledgeScreen) -> PassageView:
    return screen.query_one(PassageView)


def told(screen: KnowledgeScreen) -> str:
    return str(screen.query_one("#told", Static).content)


def name(document: DocumentEntry | None) -> str:
    return Path(document.path).name if document is not None else ""


def notices(app: Dashboard) -> str:
    return "\n".join(each.message for each in app._notifications)


def test_an_empty_library_says_how_to_fill_it(tmp_path: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (_, screen, _pilot):
            shown = screen.query_one("#empty", Static)
            assert shown.display
            assert "a adds a file" in str(shown.content)

    asyncio.run(flow())


def test_a_folder_is_added_by_its_path_with_completion(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (app, screen, pilot):
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, AddDocuments))
            path = app.screen.query_one("#path", Input)
            path.value = f"{tmp_path}/no"
            path.action_end()
            await until(pilot, lambda: len(path._suggestion) > len(path.value))
            await pilot.press("tab")
            assert path.value == f"{notes}/"
            await pilot.press("enter")
            await until(pilot, lambda: table(screen).counts == (2, 2))

            assert "2 added" in notices(app)
            assert not screen.query_one(JobLine).is_busy
            assert told(screen) == "2 documents"

    asyncio.run(flow())


def test_what_is_not_there_is_told_in_the_dialog(tmp_path: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (app, _, pilot):
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, AddDocuments))
            await pilot.press(*"nowhere", "enter")
            problem = app.screen.query_one("#problem", Static)
            await until(pilot, lambda: "There is no nowhere." in str(problem.content))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, KnowledgeScreen))

    asyncio.run(flow())


def test_a_search_shows_hits_and_the_passage_with_the_words_marked(
    tmp_path: Path, notes: Path
) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (_, screen, pilot):
            hits = screen.query_one(HitList)
            await pilot.press("slash", *"ships rocks")
            await until(pilot, lambda: bool(hits.hits))
            assert told(screen).startswith(f"{len(hits.hits)} hit")
            await pilot.press("enter", "enter")
            await until(pilot, lambda: passage(screen).passage is not None)

            assert "It warns ships\ufffd[31m of rocks." in passage(screen).shown
            assert "[red]lighthouse[/red]" in passage(screen).shown
            assert passage(screen).marked_lines == (1, 3)
            assert screen.focused is passage(screen)
            await pilot.press("escape", "escape")
            await until(pilot, lambda: screen.focused is table(screen))
            assert told(screen) == "2 documents"

    asyncio.run(flow())


def test_the_marked_hit_stays_marked_when_others_add_documents(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (app, screen, pilot):
            hits = screen.query_one(HitList)
            await pilot.press("slash", *"angle of a star")
            await until(pilot, lambda: len(hits.hits) == 2)
            await pilot.press("enter", "down")
            marked = hits.hit
            (notes / "star.md").write_text("# An angle of a star\n\nThe angle of a star.\n")
            await take_in(app, notes)
            await until(pilot, lambda: len(hits.hits) == 3)

            assert marked is not None
            assert hits.hit is not None
            assert hits.hit.chunk_id == marked.chunk_id

    asyncio.run(flow())


def test_the_list_is_filtered_and_sorted(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (_, screen, pilot):
            await pilot.press("o", "o")
            assert (name(table(screen).current), table(screen).order) == (
                "lighthouse.md",
                "largest",
            )
            await pilot.press("f", *"SEXT")
            await until(pilot, lambda: told(screen) == "1 of 2 documents, largest first")
            assert name(table(screen).current) == "sextant.md"
            await pilot.press("escape")
            await until(pilot, lambda: table(screen).counts == (2, 2))

    asyncio.run(flow())


def test_a_document_is_removed_after_a_question_and_its_file_stays(
    tmp_path: Path, notes: Path
) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (app, screen, pilot):
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("n")
            await until(pilot, lambda: app.screen is screen)
            assert table(screen).counts == (2, 2)
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Confirm))
            await pilot.press("y")
            await until(pilot, lambda: table(screen).counts == (1, 1))

            assert name(table(screen).current) == "sextant.md"
            assert (notes / "lighthouse.md").exists()

    asyncio.run(flow())


def test_a_collection_is_chosen_and_shows_only_its_own(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (app, screen, pilot):
            await take_in(app, notes / "sextant.md", collection="tools")
            await until(pilot, lambda: table(screen).counts == (3, 3))
            await pilot.press("c", "end", "enter")
            await until(pilot, lambda: told(screen) == "1 document in tools")
            assert screen.query_one(KnowledgeSide).collection == "tools"

    asyncio.run(flow())


def test_what_others_store_shows_and_the_cursor_stays_on_its_document(
    tmp_path: Path, notes: Path
) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (app, screen, pilot):
            await pilot.press("end")
            (notes / "a-first.md").write_text("# First\n")
            await take_in(app, notes)
            await until(pilot, lambda: table(screen).counts == (3, 3))

            assert name(table(screen).current) == "sextant.md"

    asyncio.run(flow())


def test_a_folder_is_followed_and_followed_no_longer(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (app, screen, pilot):
            folders = screen.query_one("#folders", OptionList)
            await pilot.press("w")
            await until(pilot, lambda: isinstance(app.screen, AddDocuments))
            app.screen.query_one("#path", Input).value = str(notes)
            await pilot.press("enter")
            await until(pilot, lambda: table(screen).counts == (2, 2))
            await until(pilot, lambda: folders.option_count == 1)
            assert "no daemon" in str(folders.get_option_at_index(0).prompt)
            assert "agentctl daemon start" in notices(app)

            await pilot.press("u")
            await until(pilot, lambda: app.screen is not screen)
            await pilot.press("enter")
            await until(pilot, lambda: folders.option_count == 0)
            assert table(screen).counts == (2, 2)

    asyncio.run(flow())


def test_documents_are_verified_exported_and_reindexed(tmp_path: Path, notes: Path) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes) as (app, screen, pilot):
            (notes / "sextant.md").unlink()
            await pilot.press("v")
            await until(pilot, lambda: isinstance(app.screen, TextDialog))
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is screen and not busy(screen))

            target = tmp_path / "export.jsonl"
            await pilot.press("e")
            await until(pilot, lambda: app.screen is not screen)
            app.screen.query_one(Input).value = str(target)
            await pilot.press("enter")
            await until(pilot, lambda: "2 documents in" in notices(app))
            assert len([json.loads(line) for line in target.read_text().splitlines()]) == 3

            await until(pilot, lambda: not busy(screen))
            await pilot.press("R", "down", "enter")
            await until(pilot, lambda: "2 documents reindexed" in notices(app))

    asyncio.run(flow())


def busy(screen: KnowledgeScreen) -> bool:
    return screen.query_one(JobLine).is_busy


def test_escape_stops_an_ingest_and_what_is_done_stays(tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        (many / f"{number}.md").write_text(f"# Note {number}\n\nIt is note number {number}.\n")

    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (app, screen, pilot):
            await pilot.press("a")
            await until(pilot, lambda: isinstance(app.screen, AddDocuments))
            app.screen.query_one("#path", Input).value = str(many)
            await pilot.press("enter")
            await until(pilot, lambda: table(screen).counts[1] > 0)
            assert busy(screen)
            await pilot.press("escape")
            await until(pilot, lambda: not busy(screen))
            await until(pilot, lambda: not screen._is_loading)

            assert 0 < table(screen).counts[1] < 3000
            assert "what is done stays" in notices(app)

    asyncio.run(flow())


def test_a_hundred_thousand_documents_draw_only_what_is_in_sight(tmp_path: Path) -> None:
    drawn: list[int] = []

    async def flow() -> None:
        async with knowledge(tmp_path / "home") as (_, screen, pilot):
            some = table(screen)
            screen.remove_class("empty")
            screen._is_loading = True  # nothing else is read meanwhile
            some.show([entry(number) for number in range(100_000)])
            draw = some.line
            some.line = lambda number: (drawn.append(number), draw(number))[1]  # type: ignore[method-assign]
            some.focus()
            await pilot.press("end")
            await until(pilot, lambda: 99_999 in drawn)
            assert name(some.current) == "99999.md"
            some.narrow("/77777")
            assert some.counts == (1, 100_000)
            assert len({*drawn}) < 100

    asyncio.run(flow())


def test_a_long_text_is_read_part_by_part(tmp_path: Path) -> None:
    lines = [f"line {number} of the text" for number in range(20_000)]

    async def flow() -> None:
        async with knowledge(tmp_path / "home", size=(100, 30)) as (_, screen, pilot):
            view = passage(screen)
            screen.add_class("reading")
            await until(pilot, lambda: view.size.width > 0)
            whole = text_passage("\n".join(lines) + "\n")
            view.show(whole, "long.txt", found="line 9000 of the text")
            view.focus()
            assert view.marked_lines == (9001, 9001)
            assert "line 9000 of" in view.shown
            assert "line 1 of" not in view.shown
            before = view.shown
            await pilot.press("n", "n")
            assert "line 9000 of" not in view.shown
            await pilot.press("p", "p")
            assert view.shown.splitlines()[5] in lines
            assert len(view.shown) < 100_000
            assert before

    asyncio.run(flow())


@pytest.mark.parametrize("size", [(60, 20), (20, 5), (160, 50)])
def test_every_size_of_terminal_will_do(tmp_path: Path, notes: Path, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with knowledge(tmp_path / "home", notes, size=size) as (_, screen, pilot):
            await pilot.press("enter")
            await until(pilot, lambda: passage(screen).passage is not None)
            await pilot.resize_terminal(80, 24)
            await until(pilot, lambda: screen.has_class("-medium"))
            await pilot.press("escape")
            await until(pilot, lambda: screen.focused is table(screen))
            assert screen.query_one(KnowledgeSide).display

    asyncio.run(flow())


def test_the_time_left_is_told_once_it_can_be_known() -> None:
    clock = iter([0.0, 1.0, 10.0])
    line = JobLine(now=lambda: next(clock))
    line.begin("adding notes")
    line.show_ingest(IngestStep(status="added", done=1, total=100))
    early = line.text
    line.show_ingest(
        IngestStep(
            status="embedding", done=20, total=100, files=10, chunks=7, embedded=1, pending=2
        )
    )

    assert early == "adding notes: 1 of 100 files"
    assert line.text == "adding notes: 20 of 100 files, 7 chunks, 30 s left"


def test_paths_complete_without_hidden_ones_and_with_folders_marked(tmp_path: Path) -> None:
    for each in ("Notes", ".hidden"):
        (tmp_path / each).mkdir()
    (tmp_path / "notice.txt").touch()

    assert completions("no", tmp_path) == ["Notes/", "notice.txt"]
    assert completions("no", tmp_path, only_folders=True) == ["Notes/"]
    assert completions(".h", tmp_path) == [".hidden/"]
    assert completions(f"{tmp_path}/N", tmp_path) == [
        f"{tmp_path}/Notes/",
        f"{tmp_path}/notice.txt",
    ]
    assert completions("nowhere/x", tmp_path) == []
    assert completions("https://example.org/", tmp_path) == []


def entry(number: int) -> DocumentEntry:
    return DocumentEntry(
        id=number,
        collection="default",
        path=f"/library/{number}.md",
        title=f"Document {number}",
        media_type="text/markdown",
        size=1000,
        hash="",
        modified="2026-01-02T03:04:05Z",
        ingested="2026-01-02T03:04:05Z",
        chunks=3,
    )


def text_passage(text: str) -> Passage:
    return Passage(
        document=replace(entry(1), media_type="text/plain"),
        text=text,
        heading="",
        page=None,
        line_start=1,
        line_end=text.count("\n"),
        chunk_id=None,
    )
