"""An export holds all an import needs: no file, and no embedding when the model is the same."""

import json
from pathlib import Path

import pytest

from agentctl.core.errors import InputMissing, InputUnreadable
from agentctl.core.knowledge.library import IngestReport
from agentctl.core.knowledge.transfer import export_lines, import_lines
from tests.support.hashing_embedder import HashingEmbedder
from tests.support.knowledge import Library, write


@pytest.fixture
def library(tmp_path: Path) -> Library:
    library = Library(tmp_path / "library")
    write(tmp_path / "notes", apple="# Apple\n\nApples are red.", pear="Pears\n\nare green ü 👍.")
    library.ingest(tmp_path / "notes")
    library.ingest(stdin=b"Lemons are sour.", title="lemon", collection="other")
    return library


def export(library: Library, file: Path, collection: str | None = None) -> Path:
    file.write_text("\n".join(export_lines(library.store, collection)) + "\n", encoding="utf-8")
    return file


def import_into(library: Library, file: Path) -> IngestReport:
    return import_lines(
        str(file), library.store, library.profiled(), lambda step: None, lambda: False
    )


def test_an_import_makes_what_was_exported(library: Library, tmp_path: Path) -> None:
    other = Library(tmp_path / "other")

    report = import_into(other, export(library, tmp_path / "all.jsonl"))

    assert (report.added, report.embedded) == (3, 0)
    assert other.embedder.embedded == []
    assert other.state() == library.state()
    other.assert_whole()


def test_another_model_embeds_the_texts_anew(library: Library, tmp_path: Path) -> None:
    other = Library(tmp_path / "other", HashingEmbedder("another", dimensions=32))
    report = import_into(other, export(library, tmp_path / "all.jsonl"))
    assert (report.added, report.embedded) == (3, 3)
    assert other.hits("red apples")[0].title == "Apple"


def test_importing_twice_adds_nothing(library: Library, tmp_path: Path) -> None:
    before = library.state()
    report = import_into(library, export(library, tmp_path / "all.jsonl"))
    assert (report.unchanged, report.added) == (3, 0)
    assert library.state() == before


def test_one_collection_may_be_exported(library: Library, tmp_path: Path) -> None:
    lines = export(library, tmp_path / "one.jsonl", "other").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines[1:]] == ["lemon"]


@pytest.mark.parametrize(
    "content",
    ["", "no json", "[]", "{}", '{"format": "x", "version": 1, "profile": null}', "\0\xff"],
)
def test_what_is_no_export_is_refused(content: str, library: Library, tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(content)
    with pytest.raises(InputUnreadable):
        import_into(library, file)


def test_a_damaged_line_is_named_and_what_came_before_it_is_kept(
    library: Library, tmp_path: Path
) -> None:
    file = export(library, tmp_path / "all.jsonl")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:3], lines[3][:50]]))
    other = Library(tmp_path / "other")

    with pytest.raises(InputUnreadable, match=r"all\.jsonl:4"):
        import_into(other, file)
    assert len(other.paths()) == 2
    other.assert_whole()


def test_no_line_of_an_import_looks_through_all_documents(library: Library, tmp_path: Path) -> None:
    file = export(library, tmp_path / "all.jsonl")
    statements: list[str] = []
    library.connection.set_trace_callback(statements.append)

    import_into(library, file)

    library.connection.set_trace_callback(None)
    looked = {each for each in statements if each.startswith("SELECT")}
    plans = [library.connection.execute(f"EXPLAIN QUERY PLAN {each}").fetchall() for each in looked]
    assert any("documents d" in each for each in looked)
    assert not [step for plan in plans for *_, step in plan if step.startswith("SCAN d")]


def test_a_file_that_is_not_there_is_told(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InputMissing, match="No such file"):
        import_into(library, tmp_path / "nowhere.jsonl")
