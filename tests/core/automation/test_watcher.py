"""The watcher: whatever happens in a folder, its collection ends up equal to it."""

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agentctl.core.automation import settling
from agentctl.core.automation.folder_events import NoEvents, open_events, relevant
from agentctl.core.automation.followed_folder import (
    CHECK_S,
    LOOK_S,
    POLL_S,
    SWEEP_S,
    FollowedFolder,
    Ingest,
    OpenEvents,
    Surroundings,
    globs_of,
)
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.watcher import Watcher
from agentctl.core.automation.watching import FolderStatus, WatchedFolder
from agentctl.core.errors import AgentctlError, EmbedderChanged, StorageError
from agentctl.core.knowledge.library import Failure, IngestReport, IngestRequest, IngestStep
from agentctl.core.knowledge.sources import find_candidates, selects
from agentctl.core.storage import open_database
from tests.support.knowledge import Library

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
PATIENCE_S = 30


class Index:
    """A knowledge base that holds nothing but each file's text; finds files as the real one."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.requests: list[IngestRequest] = []
        self.error: AgentctlError | None = None
        self.changed = asyncio.Event()

    async def ingest(
        self, request: IngestRequest
    ) -> AsyncGenerator[IngestStep | IngestReport, None]:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        failed: list[Failure] = []
        candidates = find_candidates(
            request, lambda path, e: failed.append(Failure(path, e.slug, e.message, e.hint))
        )
        yield IngestStep(status="found", total=len(candidates))
        texts = {each.path: each.file.read_text() for each in candidates if each.file is not None}
        added = len(texts.keys() - self.texts.keys())
        updated = sum(self.texts.get(path, text) != text for path, text in texts.items())
        is_selected = selects(request)
        [root] = request.sources
        gone = {
            path
            for path in self.texts.keys() - texts.keys()
            if request.prune and not failed and is_selected(path.removeprefix(root).lstrip(os.sep))
        }
        self.texts = {path: text for path, text in self.texts.items() if path not in gone} | texts
        self.changed.set()
        yield IngestReport(added=added, updated=updated, removed=len(gone), failed=tuple(failed))

    @property
    def names(self) -> list[str]:
        return sorted(Path(path).name for path in self.texts)


class HandMadeEvents:
    """Events that a test tells itself."""

    def __init__(self, problem: NoEvents | None = None) -> None:
        self.problem = problem
        self.tell: Callable[[str], None] = lambda _path: None
        self.is_alive = False
        self.opened = 0

    def open(self, _root: str, tell: Callable[[str], None]) -> "HandMadeEvents":
        if self.problem is not None:
            raise self.problem
        self.tell = tell
        self.is_alive = True
        self.opened += 1
        return self

    def close(self) -> None:
        self.is_alive = False


class Following:
    """One followed folder whose time passes when a test says so."""

    def __init__(
        self,
        root: Path,
        problem: NoEvents | None = None,
        ingest: Ingest | None = None,
        own: Sequence[Path] = (),
    ) -> None:
        self.root = root
        self.index = Index()
        self.events = HandMadeEvents(problem)
        self.time = 0.0
        self.held: str | None = None
        self.told: list[tuple[str, str]] = []
        self.folder = FollowedFolder(
            WatchedFolder(
                path=str(root), collection="default", include=(), exclude=("*.log",), added=""
            ),
            Surroundings(
                ingest=ingest or self.index.ingest,
                turn=asyncio.Lock(),
                hold=lambda: self.held,
                tell=lambda level, _folder, message, _rest: self.told.append((level, message)),
                own=tuple(map(str, own)),
                clock=lambda: self.time,
                open_events=self.events.open,
            ),
        )

    def status(self) -> FolderStatus:
        return self.folder.status

    async def settle(self, looks: int = 8) -> None:
        for _ in range(looks):
            await self.folder.step()
            self.time += LOOK_S

    async def wait(self, seconds: float) -> None:
        self.time += seconds
        await self.settle()

    def write(self, name: str, text: str = "text") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.events.tell(str(path))

    def fresh(self) -> dict[str, str]:
        """What an ingest from nothing would hold."""
        index = Index()
        index.requests = []

        async def sweep() -> None:
            async for _ in index.ingest(self.index.requests[0]):
                pass

        asyncio.run(sweep())
        return index.texts


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("A")
    return folder


def move(old: Path, new: Path) -> None:
    old.replace(new)


def make(folder: Path) -> None:
    folder.mkdir()


def run(test: Coroutine[None, None, None]) -> None:
    async def within_time() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await test

    asyncio.run(within_time())


# One folder, its time in our hands


def test_a_sweep_at_the_start_finds_what_happened_meanwhile(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.folder.step()

        assert following.index.names == ["a.md"]
        assert following.status() == "watching"
        assert following.told == [("info", "notes: 1 added")]

    run(test())


def test_a_change_is_taken_in_when_it_is_at_rest(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        following.write("b.md")
        await following.settle(1)
        assert following.index.names == ["a.md"]
        await following.settle(1)

        assert following.index.names == ["a.md", "b.md"]
        assert following.told[-1] == ("info", "notes: 1 added")

    run(test())


def test_an_editor_that_replaces_its_file_makes_one_update(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        following.write(".a.md.swp", "AA")
        move(notes / ".a.md.swp", notes / "a.md")
        following.events.tell(str(notes / ".a.md.swp"))
        following.events.tell(str(notes / "a.md"))
        await following.settle()

        assert following.told[1:] == [("info", "notes: 1 updated")]
        assert len(following.index.requests) == 2

    run(test())


def test_a_file_that_is_still_written_to_is_left_out_until_it_is_whole(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        following.write("b [1].md", "whole")
        for size in range(1, 9):
            following.write("film * [x].md", "x" * size)
            await following.settle(1)

        assert following.index.names == ["a.md", "b [1].md"]
        await following.settle()
        assert following.index.texts[str(notes / "film * [x].md")] == "x" * 8

    run(test())


def test_a_thousand_files_at_once_are_one_batch(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        for number in range(1000):
            following.write(f"{number}.txt")
        await following.settle()

        assert following.told[1:] == [("info", "notes: 1,000 added")]
        assert len(following.index.requests) == 2

    run(test())


def test_ten_thousand_events_are_a_sweep_and_not_ten_thousand_paths(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        (notes / "b.md").write_text("B")
        for number in range(10_000):
            following.events.tell(str(notes / f"{number}.txt"))
        await following.settle()

        assert following.index.names == ["a.md", "b.md"]
        assert len(following.index.requests) == 2

    run(test())


def test_what_no_event_told_of_is_found_by_the_next_sweep(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        (notes / "b.md").write_text("B")
        await following.wait(SWEEP_S / 2)
        assert following.index.names == ["a.md"]
        await following.wait(SWEEP_S / 2)

        assert following.index.names == ["a.md", "b.md"]

    run(test())


def test_without_events_it_is_looked_at_again_and_again(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes, NoEvents("too many folders", "sudo mend"))
        await following.settle()
        (notes / "b.md").write_text("B")
        await following.wait(POLL_S)

        assert following.status() == "polling"
        assert following.index.names == ["a.md", "b.md"]
        assert following.told[0] == (
            "warning",
            "notes: too many folders; looked at every 30 s instead",
        )

    run(test())


def test_events_that_died_are_opened_anew(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        following.events.is_alive = False
        (notes / "b.md").write_text("B")
        await following.wait(CHECK_S)

        assert following.events.opened == 2
        assert following.index.names == ["a.md", "b.md"]

    run(test())


def test_a_folder_that_vanishes_keeps_its_documents_and_is_followed_when_it_is_back(
    notes: Path,
) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        move(notes, notes.with_name("away"))
        await following.wait(CHECK_S)
        assert following.status() == "missing"
        assert following.index.names == ["a.md"]
        assert not following.events.is_alive
        (notes.with_name("away") / "b.md").write_text("B")
        move(notes.with_name("away"), notes)
        await following.wait(CHECK_S)

        assert following.status() == "watching"
        assert following.index.names == ["a.md", "b.md"]
        assert following.told[1:] == [
            ("warning", "notes: the folder is gone; its documents stay until it is back"),
            ("info", "notes: the folder is back"),
            ("info", "notes: 1 added"),
        ]

    run(test())


def test_a_folder_in_the_place_of_another_is_taken_in_anew(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        move(notes, notes.with_name("old"))
        make(notes)
        (notes / "b.md").write_text("B")
        await following.wait(CHECK_S)

        assert following.index.names == ["b.md"]
        assert following.events.opened == 2

    run(test())


def test_an_empty_folder_in_the_place_of_a_full_one_removes_nothing(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        move(notes, notes.with_name("unmounted"))
        make(notes)
        await following.wait(CHECK_S)

        assert following.index.names == ["a.md"]

    run(test())


def test_the_last_file_of_a_folder_can_be_removed(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        await following.settle()
        (notes / "a.md").unlink()
        following.events.tell(str(notes / "a.md"))
        await following.settle()

        assert following.index.names == []

    run(test())


def test_a_failure_is_told_once_and_tried_again_with_growing_pauses(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        following.index.error = EmbedderChanged("embedded by another model")
        await following.settle(400)
        tries = len(following.index.requests)
        following.index.error = None
        await following.wait(300)

        assert 4 <= tries <= 8
        assert following.index.names == ["a.md"]
        assert following.told == [
            (
                "warning",
                "notes: cannot be taken in, and is tried again: embedded by another model",
            ),
            ("info", "notes: 1 added"),
        ]

    run(test())


def test_while_heavy_work_is_held_back_changes_wait(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes)
        following.held = "the memory is full"
        await following.settle()
        assert following.index.requests == []
        following.held = None
        await following.settle()

        assert following.index.names == ["a.md"]

    run(test())


def test_a_file_that_fails_is_named_once(notes: Path) -> None:
    async def failing(_: IngestRequest) -> AsyncGenerator[IngestStep | IngestReport, None]:
        failure = Failure(str(notes / "a.pdf"), "input-encrypted", "it has a password", "")
        yield IngestReport(failed=(failure,))

    async def test() -> None:
        following = Following(notes, ingest=failing)
        await following.settle()
        following.write("b.md")
        await following.settle()

        assert following.told == [("warning", "notes: failed: a.pdf (it has a password)")]

    run(test())


def test_events_of_hidden_files_and_of_agentctls_own_make_no_work(tmp_path: Path) -> None:
    root, own = str(tmp_path), [str(tmp_path / "home" / "data")]

    def matters(name: str) -> bool:
        return relevant(root, own, str(tmp_path / name)) is not None

    assert matters("a.md")
    assert matters("sub/.gitignore")
    assert matters("home/database.md")
    assert not matters(".git/index")
    assert not matters("sub/.a.md.swp")
    assert not matters("home/data/agentctl.db-wal")
    assert relevant(root, own, "/private" + root) == root


def test_agentctls_own_folders_are_not_taken_in(notes: Path) -> None:
    async def test() -> None:
        following = Following(notes, own=[notes / "home [1]" / "data"])
        following.write("home [1]/data/agentctl.log")
        following.write("home [1]/data/log.md")
        following.write("home [1]/b.md")
        await following.settle()

        assert following.index.names == ["a.md", "b.md"]

    run(test())


# Any history


NAMES = st.sampled_from(["a.md", "b.md", "c.log", "sub/a.md", "sub/deep/b.md", "new/a.md", ".h/a"])
FOLDERS = st.sampled_from(["sub", "sub/deep", "new", "other"])
CHANGES = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(["1", "22", "333"])),
    st.tuples(st.just("delete"), NAMES, st.just("")),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("mkdir"), FOLDERS, st.just("")),
    st.tuples(st.just("rename folder"), FOLDERS, FOLDERS),
    st.tuples(st.just("remove folder"), FOLDERS, st.just("")),
    st.tuples(st.just("pass"), st.just(""), st.just("")),
)


def change(root: Path, kind: str, name: str, other: str) -> list[Path]:
    """Does it when it can be done; the paths that events name."""
    path, target = root / name, root / other
    if kind == "write" and not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(other)
    elif kind == "delete" and path.is_file():
        path.unlink()
    elif kind == "mkdir":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "remove folder" and path.is_dir():
        shutil.rmtree(path)
    elif kind.startswith("rename") and path.exists() and not target.exists():
        if path in target.parents:
            return []
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        return [path, target]
    return [path]


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1))
@example(" !#*?[a]\\ ")
@example("**")
def test_the_glob_of_one_path_means_just_that_path(name: str) -> None:
    assume(name not in (".", "..", "other.md"))
    globs = tuple(globs_of([f"/notes/sub/{name}", "/notes", "/elsewhere"], "/notes"))
    is_selected = selects(IngestRequest(exclude=globs))

    assert not is_selected(f"sub/{name}")
    assert is_selected("sub/other.md")
    assert is_selected(f"other/sub/{name}")


@given(st.lists(CHANGES, max_size=25), st.sampled_from([2, 1000]))
@example([("write", "sub/a.md", "1"), ("pass", "", ""), ("rename folder", "sub", "new")], 1000)
def test_after_any_history_the_index_is_that_of_a_fresh_sweep(
    changes: list[tuple[str, str, str]], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(settling, "PENDING_PATHS", limit)
        following = Following(Path(name))
        (following.root / "kept.md").write_text("kept")

        async def test() -> None:
            await following.settle(2)
            for kind, first, second in changes:
                for path in change(following.root, kind, first, second):
                    following.events.tell(str(path))
                if kind == "pass":
                    await following.settle(1)
            await following.settle(10)

        run(test())
        assert following.index.texts == following.fresh()


# The whole of it, with the system's own events


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_database(tmp_path / "data" / "agentctl.db")
    yield connection
    connection.close()


def watched(*roots: Path) -> list[WatchedFolder]:
    return [
        WatchedFolder(path=str(root), collection="default", include=(), exclude=(), added="")
        for root in roots
    ]


def watch(
    connection: sqlite3.Connection,
    folders: list[WatchedFolder],
    index: Index,
    use: Callable[[Watcher, Callable[[Callable[[], bool]], Awaitable[None]]], Awaitable[None]],
    events: OpenEvents = open_events,
) -> None:
    """Runs `use` while the watcher runs; the function it gets waits until something holds."""

    async def test() -> None:
        index.changed = asyncio.Event()
        watcher = Watcher(
            lambda: folders, index.ingest, Journal(connection), now=lambda: NOON, open_events=events
        )

        async def until(holds: Callable[[], bool]) -> None:
            while not holds():
                await index.changed.wait()
                index.changed.clear()

        watcher.start()
        try:
            await use(watcher, until)
        finally:
            await watcher.stop()

    run(test())


def test_what_happens_in_a_folder_happens_in_the_index(
    connection: sqlite3.Connection, notes: Path, tmp_path: Path
) -> None:
    index = Index()

    async def use(watcher: Watcher, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        await until(lambda: index.names == ["a.md"])
        assert watcher.states() == {str(notes): "watching"}
        (notes / "sub").mkdir()
        (notes / "sub" / "b.md").write_text("B")
        await until(lambda: index.names == ["a.md", "b.md"])
        (notes / "sub").rename(notes / "renamed")
        await until(lambda: str(notes / "renamed" / "b.md") in index.texts)
        (notes / "renamed" / "c.md").write_text("C")
        await until(lambda: index.names == ["a.md", "b.md", "c.md"])
        shutil.move(notes / "renamed", tmp_path / "outside")
        await until(lambda: index.names == ["a.md"])

    watch(connection, watched(notes), index, use)

    [first, *_, last] = Journal(connection).since("")
    assert (first.kind, first.message) == ("watcher", "notes: 1 added")
    assert last.message == "notes: 2 removed"
    assert last.detail["path"] == str(notes)


def test_a_link_out_of_the_folder_is_not_followed(
    connection: sqlite3.Connection, notes: Path, tmp_path: Path
) -> None:
    index = Index()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")

    async def use(_: Watcher, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        await until(lambda: index.names == ["a.md"])
        (notes / "link").symlink_to(outside)
        (notes / "b.md").write_text("B")
        await until(lambda: "b.md" in index.names)

    watch(connection, watched(notes), index, use)

    assert index.names == ["a.md", "b.md"]


def test_the_list_of_folders_may_change_while_it_runs(
    connection: sqlite3.Connection, notes: Path, tmp_path: Path
) -> None:
    index = Index()
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.md").write_text("B")
    folders = watched(notes)

    async def use(watcher: Watcher, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        await until(lambda: index.names == ["a.md"])
        folders[:] = watched(notes, other)
        watcher.sync()
        watcher.sync()
        await until(lambda: "b.md" in index.names)
        folders[:] = watched(other)
        watcher.sync()
        assert list(watcher.states()) == [str(other)]

    watch(connection, folders, index, use)

    assert [each.sources for each in index.requests] == [(str(notes),), (str(other),)]


def test_a_folder_that_makes_trouble_does_not_stop_the_others(
    connection: sqlite3.Connection, notes: Path, tmp_path: Path
) -> None:
    index = Index()
    bad = tmp_path / "bad"
    bad.mkdir()

    def events(root: str, tell: Callable[[str], None]) -> HandMadeEvents:
        if root == str(bad):
            raise RuntimeError("a mistake")
        return HandMadeEvents().open(root, tell)

    async def use(watcher: Watcher, until: Callable[[Callable[[], bool]], Awaitable[None]]) -> None:
        await until(lambda: index.names == ["a.md"])

    watch(connection, watched(bad, notes), index, use, events)

    levels = {each.level: each.message for each in Journal(connection).since("")}
    assert levels["info"] == "notes: 1 added"
    assert "a mistake" in levels["error"]


def test_a_list_that_cannot_be_read_changes_nothing(
    connection: sqlite3.Connection, notes: Path
) -> None:
    lists: list[list[WatchedFolder]] = [watched(notes)]

    def folders() -> list[WatchedFolder]:
        if not lists:
            raise StorageError("the database is damaged")
        return lists.pop()

    async def test() -> None:
        watcher = Watcher(folders, Index().ingest, Journal(connection))
        watcher.start()
        with pytest.raises(StorageError):
            watcher.sync()
        assert list(watcher.states()) == [str(notes)]
        await watcher.stop()

    run(test())


def test_a_renamed_folder_costs_no_embedding(tmp_path: Path, notes: Path) -> None:
    """What the watcher relies on: one ingest of the whole folder sees what was moved."""
    library = Library(tmp_path / "library")
    (notes / "sub").mkdir()
    (notes / "sub" / "b.md").write_text("A buoy marks the channel.")
    library.ingest(notes, prune=True)
    (notes / "sub").rename(notes / "renamed")

    report = library.ingest(notes, prune=True)

    assert (report.updated, report.removed, report.embedded) == (1, 0, 0)
    assert library.paths() == [str(notes / "a.md"), str(notes / "renamed" / "b.md")]
