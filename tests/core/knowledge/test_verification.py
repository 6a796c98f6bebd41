"""`verify` finds what is broken, and nothing where all is well."""

from pathlib import Path

import pytest

from agentctl.core.knowledge.verification import verify
from tests.support.knowledge import Library, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    write(tmp_path / "notes", apple="Apples are red.", pear="Pears are green.")
    library.ingest(tmp_path / "notes")
    return library


def test_nothing_is_wrong_with_a_fresh_base(library: Library) -> None:
    report = verify(library.connection, library.indexes)
    assert (report.ok, report.documents, report.chunks, report.problems) == (True, 2, 2, ())


def test_files_that_are_gone_are_named_and_are_no_problem(library: Library, tmp_path: Path) -> None:
    (tmp_path / "notes" / "pear.md").unlink()
    report = verify(library.connection, library.indexes)
    assert (report.ok, report.missing) == (True, (str(tmp_path / "notes" / "pear.md"),))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM vectors WHERE chunk = 1", "1 chunks without a vector"),
        ("UPDATE vectors SET embedding = x'00' WHERE chunk = 1", "1 vectors of another length"),
        ("INSERT INTO vectors VALUES (99, x'00')", "1 vectors without a chunk"),
        ("UPDATE chunks SET document = 99 WHERE id = 1", "1 chunks without a document"),
        ("DELETE FROM embedding_profiles", "documents without an embedding profile"),
        ("INSERT INTO chunks_fts (chunks_fts) VALUES ('delete-all')", "keyword index"),
        (
            "UPDATE embedding_profiles SET generation = 'gone', covered = 1",
            "the vector index cannot be read",
        ),
    ],
)
def test_what_is_broken_is_named(damage: str, problem: str, library: Library) -> None:
    library.connection.execute("PRAGMA foreign_keys = OFF")
    library.connection.execute(damage)

    report = verify(library.connection, library.indexes)

    assert not report.ok
    assert any(problem in each for each in report.problems), report.problems
