"""A reindex moves all documents to another model, while searches go on with the old one."""

from pathlib import Path

import pytest

from agentctl.core.errors import EmbedderChanged
from agentctl.core.knowledge.ingestion import Stopped
from agentctl.core.knowledge.reindexing import Reindexing
from tests.support.hashing_embedder import HashingEmbedder
from tests.support.knowledge import Library, write


class Failing(HashingEmbedder):
    """Gives up after so many texts."""

    def __init__(self, after: int) -> None:
        super().__init__("another", dimensions=32)
        self.after = after

    def embed_passages(self, texts):  # type: ignore[no-untyped-def]  # as the base class says
        if len(self.embedded) >= self.after:
            raise Stopped
        return super().embed_passages(texts)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    for name in ("apple", "pear", "fig", "plum"):
        words = " ".join(f"{name}{number}" for number in range(8000))
        write(tmp_path / "notes", **{name: f"# {name}\n\nThe {name} is a fruit. {words}"})
    library.ingest(tmp_path / "notes")
    return library


def changed(library: Library, embedder: HashingEmbedder) -> HashingEmbedder:
    """As if the settings named another embedder."""
    library.others.append(library.embedder)
    library.embedder = embedder
    return embedder


def test_searches_are_refused_until_a_reindex_has_begun(library: Library) -> None:
    changed(library, HashingEmbedder("another", dimensions=32))
    with pytest.raises(EmbedderChanged):
        library.search("apple")


def test_a_reindex_makes_what_a_fresh_ingest_would(library: Library, tmp_path: Path) -> None:
    another = changed(library, HashingEmbedder("another", dimensions=32))

    steps = library.reindex()

    assert (steps[-1].done, steps[-1].total) == (4, 4)
    fresh = Library(tmp_path / "fresh", HashingEmbedder("another", dimensions=32))
    fresh.ingest(tmp_path / "notes")
    assert library.state() == fresh.state()
    assert library.hits("apple")
    assert another.embedded
    library.assert_whole()


def test_a_stopped_reindex_leaves_searches_as_they_were_and_goes_on(library: Library) -> None:
    before = library.search("the apple is a fruit").hits
    changed(library, Failing(after=400))
    with pytest.raises(Stopped):
        library.reindex()

    after = library.search("the apple is a fruit").hits
    assert after[0].text == before[0].text
    assert len({hit.text for hit in after}) == len(after) == len(before)

    done = set(library.embedder.embedded)
    library.embedder = HashingEmbedder("another", dimensions=32)
    library.reindex()
    assert len(done & set(library.embedder.embedded)) < len(done)
    assert library.hits("apple")
    library.assert_whole()


def test_nothing_is_done_when_nothing_would_change(library: Library) -> None:
    embedder = library.embedder = HashingEmbedder()
    library.reindex()
    assert embedder.embedded == []


def test_force_embeds_all_the_same(library: Library) -> None:
    before = library.state()
    embedder = library.embedder = HashingEmbedder()
    library.reindex(force=True)
    assert embedder.embedded
    assert library.state() == before


def test_a_document_removed_meanwhile_is_left_out(library: Library) -> None:
    changed(library, HashingEmbedder("another", dimensions=32))
    gone = library.store.entries()[-1].id
    reindexing = Reindexing(
        library.store,
        library.profiled(),
        force=False,
        emit=lambda step: library.store.remove([gone] if step.done == 0 else []),
        is_stopped=lambda: False,
    )
    reindexing.run()
    assert len(library.paths()) == 3
    library.assert_whole()
