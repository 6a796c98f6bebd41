"""How a user names documents: by id, path, folder, the end of a path, or a glob."""

from pathlib import Path

import pytest

from agentctl.core.errors import NotFound
from agentctl.core.knowledge.references import resolve, resolve_all, show
from tests.support.knowledge import Library, write


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    write(tmp_path / "notes", apple="Apples are red.", pear="# Pear\n\nPears are green.")
    write(tmp_path / "notes" / "old", apple="Old apples.")
    return tmp_path / "notes"


@pytest.fixture
def library(tmp_path: Path, notes: Path) -> Library:
    library = Library(tmp_path / "library")
    library.ingest(notes)
    library.ingest(stdin=b"Lemons are sour.", title="My lemons")
    return library


@pytest.mark.parametrize(
    ("reference", "meant"),
    [
        ("1", ["notes/apple.md"]),
        ("{notes}/apple.md", ["notes/apple.md"]),
        ("pear.md", ["notes/pear.md"]),
        ("apple.md", ["notes/apple.md", "old/apple.md"]),
        ("old/apple.md", ["old/apple.md"]),
        ("old", ["old/apple.md"]),
        ("{notes}", ["notes/apple.md", "old/apple.md", "notes/pear.md"]),
        ("pea*", ["notes/pear.md"]),
        ("My lemons", ["My lemons"]),
    ],
)
def test_a_reference_means(reference: str, meant: list[str], library: Library, notes: Path) -> None:
    found = resolve(library.store.entries(), reference.format(notes=notes))
    assert ["/".join(Path(entry.path).parts[-2:]) for entry in found] == meant


@pytest.mark.parametrize("reference", ["nothing.md", "", " ", "99", "!apple.md", "#", "["])
def test_what_means_nothing_is_told(reference: str, library: Library) -> None:
    with pytest.raises(NotFound):
        resolve(library.store.entries(), reference)


def test_no_reference_means_all_and_a_document_is_meant_once(library: Library) -> None:
    entries = library.store.entries()
    assert len(resolve_all(entries, [])) == 4
    assert len(resolve_all(entries, ["apple.md", "old", "1"])) == 2


def test_a_whole_document_is_shown_or_one_of_its_chunks(library: Library) -> None:
    whole = show(library.store, "pear.md", None)
    hit = library.hits("green pears")[0]
    chunk = show(library.store, "pear.md", hit.chunk_id)

    assert whole.text == "# Pear\n\nPears are green."
    assert (whole.line_start, whole.line_end) == (1, 3)
    assert (chunk.text, chunk.chunk_id) == (hit.text, hit.chunk_id)


@pytest.mark.parametrize(("reference", "chunk"), [("apple.md", None), ("pear.md", 1), ("1", 99)])
def test_what_cannot_be_shown_is_told(reference: str, chunk: int | None, library: Library) -> None:
    with pytest.raises(NotFound):
        show(library.store, reference, chunk)
