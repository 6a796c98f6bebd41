"""The vector index finds what comparing with every vector finds, whatever happened to its file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.knowledge.chunking import Chunk
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.rows import NewDocument, Prepared, StoreProfile
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.vectors import UNINDEXED, VectorIndex
from agentctl.core.storage import open_database

DIMENSIONS = 8
RANDOM = np.random.default_rng(7)


class Base:
    """Documents of so many chunks with random vectors, kept beside to compare with."""

    def __init__(self, folder: Path) -> None:
        self.connection = open_database(folder / "agentctl.db")
        self.store = DocumentStore(self.connection)
        self.folder = folder / "indexes"
        embedder = EmbedderProfile(name="random", revision="", dimensions=DIMENSIONS, max_tokens=9)
        self.profile: StoreProfile = self.store.add_profile(embedder, "none")
        self._documents = 0

    def add(self, chunks: int, collection: str = "default") -> int:
        """The new document's id."""
        self._documents += 1
        path = f"/{self._documents}.md"
        vectors = RANDOM.normal(size=(chunks, DIMENSIONS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        new = NewDocument(
            collection=collection,
            path=path,
            context="",
            hash="",
            size=0,
            mtime_ns=0,
            modified="",
            ingested="",
            document=Document(text="x", title="x", media_type="text/plain"),
        )
        cut = tuple(Chunk(n, n + 1, "x", "", None, None, None) for n in range(chunks))
        prepared = Prepared(cut, ("x",) * chunks, (b"x",) * chunks)
        self.store.put(self.profile, [(new, prepared)], vectors)
        entry = self.store.entry_at(collection, path)
        assert entry is not None
        return entry.id

    def index(self) -> VectorIndex:
        return VectorIndex(self.connection, self.folder, self.profile)

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("*"))

    def nearest(
        self, query: NDArray[np.float32], limit: int, documents: frozenset[int] | None = None
    ) -> list[int]:
        """By comparing with every vector there is."""
        rows = self.connection.execute(
            "SELECT c.id, v.embedding, c.document FROM chunks c JOIN vectors v ON v.chunk = c.id"
        ).fetchall()
        kept = [row for row in rows if documents is None or row[2] in documents]
        matrix = np.stack([np.frombuffer(row[1], "<f2") for row in kept]).astype(np.float32)
        return [kept[place][0] for place in np.argsort(-(matrix @ query))[:limit]]

    def assert_found(
        self, index: VectorIndex, documents: frozenset[int] | None = None, limit: int = 20
    ) -> None:
        query = RANDOM.normal(size=DIMENSIONS).astype(np.float32)
        query /= np.linalg.norm(query)
        found = index.nearest(query, limit, documents)
        assert sorted(found, key=lambda chunk: -found[chunk]) == self.nearest(
            query, limit, documents
        )


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Base]:
    base = Base(tmp_path)
    yield base
    base.connection.close()


def test_a_small_base_needs_no_file(base: Base) -> None:
    base.add(50)
    base.assert_found(base.index())
    assert base.files() == []


def test_a_base_without_chunks_finds_nothing(base: Base) -> None:
    assert base.index().nearest(np.ones(DIMENSIONS, np.float32), 5) == {}


def test_a_large_base_is_found_by_its_file(base: Base) -> None:
    base.add(UNINDEXED + 1)
    base.assert_found(base.index())
    assert [file.suffix for file in base.files()] == [".faiss"]
    base.assert_found(base.index())


def test_what_was_added_and_removed_since_is_known(base: Base) -> None:
    first = base.add(3000)
    base.add(2000)
    index = base.index()
    base.assert_found(index)

    base.add(100)
    base.store.remove([first])

    base.assert_found(index)
    base.assert_found(base.index())


def test_the_file_is_made_anew_when_much_is_gone(base: Base) -> None:
    first = base.add(5000)
    base.add(5000)
    index = base.index()
    index.refresh()
    before = base.files()
    base.store.remove([first])

    index.refresh()

    assert len(base.files()) == 1
    assert base.files() != before
    base.assert_found(index)


@pytest.mark.parametrize("damage", ["removed", "cut", "empty"])
def test_a_broken_file_is_made_anew(damage: str, base: Base) -> None:
    base.add(UNINDEXED + 100)
    base.index().refresh()
    (file,) = base.files()
    if damage == "removed":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 0 if damage == "empty" else 5000])

    assert not base.index().is_readable()
    base.assert_found(base.index())
    assert base.index().is_readable()


def test_a_file_of_an_older_state_is_not_taken_for_the_right_one(base: Base) -> None:
    base.add(UNINDEXED + 1)
    base.index().refresh()
    (old,) = base.files()
    content = old.read_bytes()
    base.add(UNINDEXED + 1)
    index = base.index()
    index.refresh()
    old.write_bytes(content)

    base.assert_found(index)
    base.assert_found(base.index())


@pytest.mark.parametrize("size", [10, UNINDEXED + 50])
def test_only_the_wanted_documents_are_looked_at(size: int, base: Base) -> None:
    base.add(UNINDEXED)
    wanted = frozenset({base.add(size), base.add(20)})
    index = base.index()
    index.refresh()
    late = wanted | {base.add(20)}

    base.assert_found(index, wanted)
    base.assert_found(index, late)


def test_while_another_builds_the_file_a_search_does_without(base: Base) -> None:
    from agentctl.core.file_lock import locked

    base.add(UNINDEXED + 1)
    base.folder.mkdir()
    with locked(base.folder / "index.lock", "the test"):
        base.assert_found(base.index())
    assert [file.suffix for file in base.files()] == []


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process grows beyond some kilobytes, much as on a full disk."""
    if sys.platform == "win32":
        pytest.skip("no such limit there")
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_on_a_full_disk_a_search_does_without_a_file(base: Base) -> None:
    base.add(UNINDEXED + 1)

    with full_disk():
        base.assert_found(base.index())

    assert base.files() == []


def test_on_a_full_disk_the_old_file_is_kept(base: Base) -> None:
    first = base.add(5000)
    base.add(5000)
    index = base.index()
    index.refresh()
    before = base.files()
    base.store.remove([first])

    with full_disk():
        index.refresh()
        base.assert_found(index)

    assert base.files() == before


def test_a_folder_may_have_any_name(base: Base) -> None:
    base.folder = base.folder / "Jürgen ☂"
    base.add(UNINDEXED + 1)

    base.assert_found(base.index())

    assert [file.suffix for file in base.files()] == [".faiss"]
    base.assert_found(base.index())
    assert base.index().is_readable()


def test_the_vectors_are_left_in_the_file(base: Base) -> None:
    base.add(UNINDEXED + 1)
    base.index().refresh()
    index = base.index()
    base.assert_found(index)
    (file,) = base.files()

    with file.open("r+b") as opened:
        opened.seek(1_000)
        opened.write(bytes(4 * DIMENSIONS * UNINDEXED))

    query = np.ones(DIMENSIONS, np.float32)
    assert list(index.nearest(query, 20)) != base.nearest(query, 20)
