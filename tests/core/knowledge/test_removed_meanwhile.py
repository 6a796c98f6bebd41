"""What another process removes while something reads or writes: ids are used again, texts go."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agentctl.core.knowledge.ingestion import GROUP_DOCUMENTS
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.transfer import export_lines
from agentctl.core.storage import open_database
from tests.support.hashing_embedder import HashingEmbedder
from tests.support.knowledge import Library, write


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The last of them is stored last: its id is given to what is stored when it is gone."""
    write(tmp_path / "notes", apple="Apples are red.", last="Plums are blue.")
    return tmp_path / "notes"


@pytest.fixture
def library(tmp_path: Path, notes: Path) -> Library:
    library = Library(tmp_path / "library")
    library.ingest(notes)
    return library


def remove_elsewhere(library: Library, path: Path) -> None:
    other = open_database(library.path)
    store = DocumentStore(other)
    store.remove([entry.id for entry in store.entries() if entry.path == str(path)])
    other.close()


class Interrupted(HashingEmbedder):
    """Does something before it embeds for the first time."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if not self.embedded:
            self._act()
        return super().embed_passages(texts)


class SlowReranker:
    """Leaves the order as it is; something happens while it reads."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def scores(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        self._act()
        return np.linspace(1, 0.5, len(texts), dtype=np.float32)

    def close(self) -> None:
        pass


def test_pruning_leaves_the_new_document_that_has_the_id_of_a_removed_one(
    library: Library, notes: Path
) -> None:
    (notes / "last.md").unlink()
    write(notes, new="Figs are sweet.")
    library.embedder = Interrupted(lambda: remove_elsewhere(library, notes / "last.md"))

    library.ingest(notes, prune=True)

    assert library.paths() == [str(notes / "apple.md"), str(notes / "new.md")]


def test_a_renamed_file_whose_document_was_removed_is_taken_in_anew(
    library: Library, notes: Path, tmp_path: Path
) -> None:
    (notes / "last.md").rename(notes / "renamed.md")
    write(notes, **{f"new{n:02}": f"Note {n}." for n in range(GROUP_DOCUMENTS)})
    library.embedder = Interrupted(lambda: remove_elsewhere(library, notes / "last.md"))

    report = library.ingest(notes)

    assert (report.added, report.updated) == (GROUP_DOCUMENTS + 1, 0)
    fresh = Library(tmp_path / "fresh")
    fresh.ingest(notes)
    assert library.state() == fresh.state()


def test_the_time_of_a_removed_document_is_not_given_to_a_new_one(
    library: Library, notes: Path
) -> None:
    os.utime(notes / "last.md", (86_400, 86_400))
    write(notes, new="Figs are sweet.")
    library.embedder = Interrupted(lambda: remove_elsewhere(library, notes / "last.md"))

    library.ingest(notes)

    assert library.paths() == [str(notes / "apple.md"), str(notes / "new.md")]
    assert all(entry.modified > "1971" for entry in library.store.entries())


def test_an_id_that_was_given_away_does_not_mean_the_removed_document(
    library: Library, notes: Path
) -> None:
    apple, removed = library.store.entries()
    remove_elsewhere(library, notes / "last.md")
    assert not library.store.is_current(removed)
    library.ingest(stdin=b"Figs are sweet.", title="new")

    assert [entry.id for entry in library.store.entries()] == [apple.id, removed.id]
    assert library.store.is_current(apple)
    assert not library.store.is_current(removed)


def test_a_document_removed_during_an_export_is_exported(library: Library, notes: Path) -> None:
    lines = export_lines(library.store, None)
    head = [next(lines), next(lines)]
    remove_elsewhere(library, notes / "last.md")

    assert len([*head, *lines]) == 3
    assert library.paths() == [str(notes / "apple.md")]


def test_an_export_that_was_left_holds_the_database_no_longer(library: Library) -> None:
    lines = export_lines(library.store, None)
    next(lines)
    assert library.connection.in_transaction

    lines.close()

    assert not library.connection.in_transaction


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_document_that_changes_during_a_search_is_shown_as_it_was_found(
    is_replaced: bool, library: Library, notes: Path
) -> None:
    text = "\n\n".join(f"Paragraph {n} speaks of figs and of topic{n}. " * 4 for n in range(3))
    write(notes, figs=text)
    library.ingest(notes)
    before = {hit.text for hit in library.hits("figs")}

    def change() -> None:
        remove_elsewhere(library, notes / "figs.md")
        if is_replaced:
            write(notes, figs=text.upper())
            library.ingest(notes)

    library.reranker = SlowReranker(change)
    hits = [hit for hit in library.hits("figs") if hit.path == str(notes / "figs.md")]

    assert any("topic0" in shown and "topic2" in shown for shown in before), "they are joined"
    assert len(hits) > 1
    assert all(hit.text in text for hit in hits)
