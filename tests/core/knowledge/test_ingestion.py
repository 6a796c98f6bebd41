"""What an ingest takes in, what it leaves alone, and what it says of it."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from agentctl.core.errors import EmbedderChanged
from agentctl.core.knowledge.ingestion import default_title, iso_time
from agentctl.core.knowledge.loaders.docx import MEDIA_TYPE as DOCX
from agentctl.core.knowledge.profile import ProfiledEmbedder
from tests.support.file_server import FileServer, ServedFile
from tests.support.hashing_embedder import HashingEmbedder
from tests.support.knowledge import Library, write
from tests.support.sample_files import docx, pdf

LONG = "\n\n".join(f"Paragraph {n} speaks of topic{n} and of little else. " * 8 for n in range(6))


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    write(folder, apple="# Apple\n\nApples are red.", pear="# Pear\n\nPears are green.", long=LONG)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "library")


def test_a_folder_is_taken_in_with_all_its_files(library: Library, notes: Path) -> None:
    report = library.ingest(notes)

    assert (report.added, report.failed) == (3, ())
    assert report.chunks == report.embedded > 3
    assert library.paths() == [str(notes / f"{name}.md") for name in ("apple", "long", "pear")]
    assert library.hits("red apples")[0].path == str(notes / "apple.md")
    library.assert_whole()


def test_a_step_is_told_for_each_file_after_it_was_stored(library: Library, notes: Path) -> None:
    library.ingest(notes)

    assert library.steps[0].total == 3
    added = [step for step in library.steps if step.status == "added"]
    assert [step.done for step in added] == [1, 2, 3]


def test_what_has_not_changed_is_neither_read_nor_embedded_again(
    library: Library, notes: Path
) -> None:
    library.ingest(notes)
    before, library.embedder = library.state(), HashingEmbedder()

    report = library.ingest(notes)

    assert (report.unchanged, report.added, report.chunks) == (3, 0, 0)
    assert library.embedder.embedded == []
    assert library.state() == before


def test_force_reads_everything_again(library: Library, notes: Path) -> None:
    library.ingest(notes)
    before = library.state()

    report = library.ingest(notes, force=True)

    assert report.updated == 3
    assert library.state() == before


def test_a_changed_file_has_only_its_changed_chunks_embedded(library: Library, notes: Path) -> None:
    chunks = library.ingest(notes / "long.md").chunks
    library.embedder = HashingEmbedder()
    (notes / "long.md").write_text(LONG.replace("topic3", "thing3"))

    report = library.ingest(notes)

    assert report.updated == 1
    changed = [text for text in library.embedder.embedded if "Paragraph" in text]
    assert 0 < len(changed) < chunks
    assert all("thing3" in text for text in changed)
    library.assert_whole()


def test_a_change_that_keeps_size_and_time_is_seen(library: Library, notes: Path) -> None:
    library.ingest(notes)
    status = (notes / "apple.md").stat()
    (notes / "apple.md").write_text("# Apple\n\nApples are new.")
    os.utime(notes / "apple.md", ns=(status.st_atime_ns, status.st_mtime_ns))

    assert library.ingest(notes).updated == 1


@pytest.mark.parametrize("moved_to", ["moved.md", "below/apple.md"])
def test_a_renamed_file_is_not_embedded_again(moved_to: str, library: Library, notes: Path) -> None:
    library.ingest(notes)
    library.embedder = HashingEmbedder()
    (notes / moved_to).parent.mkdir(exist_ok=True)
    (notes / "apple.md").rename(notes / moved_to)

    report = library.ingest(notes)

    assert (report.updated, report.added, report.embedded) == (1, 0, 0)
    assert library.embedder.embedded == []
    assert str(notes / "apple.md") not in library.paths()
    assert library.hits("red apples")[0].path == str(notes / moved_to)


def test_a_copy_is_a_document_of_its_own_with_the_same_vectors(
    library: Library, notes: Path
) -> None:
    library.ingest(notes)
    (notes / "copy.md").write_bytes((notes / "apple.md").read_bytes())

    report = library.ingest(notes)

    assert (report.added, report.embedded) == (1, 0)


def test_what_is_gone_stays_until_it_is_pruned(library: Library, notes: Path) -> None:
    library.ingest(notes)
    (notes / "apple.md").unlink()

    assert library.ingest(notes).removed == 0
    assert library.ingest(notes, prune=True).removed == 1
    assert str(notes / "apple.md") not in library.paths()
    library.assert_whole()


def test_pruning_looks_only_into_the_named_folders_and_at_the_named_kinds(
    library: Library, notes: Path, tmp_path: Path
) -> None:
    write(tmp_path / "other", plum="Plums are blue.")
    (notes / "kept.txt").write_text("A text.")
    library.ingest(notes, tmp_path / "other")
    for file in [*notes.iterdir(), tmp_path / "other" / "plum.md"]:
        file.unlink()

    library.ingest(notes, include=("*.md",), prune=True)

    assert library.paths() == [str(notes / "kept.txt"), str(tmp_path / "other" / "plum.md")]


def test_globs_choose_among_the_files_of_a_folder(library: Library, notes: Path) -> None:
    library.ingest(notes, include=("*a*.md",), exclude=("pear.md",))
    assert library.paths() == [str(notes / "apple.md")]


def test_ignore_files_are_obeyed(library: Library, notes: Path) -> None:
    (notes / ".agentctlignore").write_text("pear.md\nlong.md\n")
    library.ingest(notes)
    assert library.paths() == [str(notes / "apple.md")]


def test_a_dry_run_changes_nothing_and_says_what_would_be(library: Library, notes: Path) -> None:
    library.ingest(notes / "apple.md")
    (notes / "apple.md").unlink()
    before = library.state()

    report = library.ingest(notes, prune=True, dry_run=True)

    assert (report.added, report.removed) == (2, 1)
    assert library.state() == before
    assert library.embedder.embedded[1:] == []


def test_piped_text_is_a_document_under_its_title(library: Library) -> None:
    library.ingest(stdin=b"Lemons are sour.", title="fruit")
    library.ingest(stdin=b"Lemons are yellow.", title="fruit")

    assert [hit.text for hit in library.hits("lemons")] == ["Lemons are yellow."]
    assert library.paths() == ["fruit"]


def test_piped_text_may_be_called_as_a_page_is(library: Library) -> None:
    with FileServer().running() as server:
        url = f"{server.url}/figs.txt"
        server.files["/figs.txt"] = ServedFile(b"Figs are sweet.", content_type="text/plain")
        library.ingest(stdin=b"Lemons are sour.", title=url)

    assert [(hit.path, hit.text) for hit in library.hits("figs lemons")] == [
        (url, "Lemons are sour.")
    ]


def test_piped_text_goes_before_a_file_that_is_called_the_same(
    library: Library, notes: Path
) -> None:
    report = library.ingest(notes, stdin=b"Lemons are sour.", title=str(notes / "pear.md"))

    assert report.added == 3
    assert "Lemons are sour." in [hit.text for hit in library.hits("lemons")]
    assert "Pears" not in str(library.state())


def test_a_page_is_fetched_and_read_as_text(library: Library) -> None:
    html = b"<html><title>Fruit</title><body><h1>Figs</h1><p>Figs are sweet.</p></body></html>"
    with FileServer().running() as server:
        server.files["/figs"] = ServedFile(html, content_type="text/html")
        report = library.ingest(f"{server.url}/figs", f"{server.url}/nothing")

    assert [failure.code for failure in report.failed] == ["input-missing"]
    (hit,) = library.hits("sweet figs")
    assert (hit.title, hit.path) == ("Fruit", f"{server.url}/figs")
    assert "<p>" not in hit.text


def test_a_page_is_read_as_what_its_server_says_or_else_its_address(library: Library) -> None:
    pages = {
        "/get.php?id=1": ServedFile(pdf("Pears are green."), content_type="application/pdf"),
        "/paper.pdf?download=1#page=2": ServedFile(pdf("Plums are blue."), content_type="x/y"),
        "/office": ServedFile(_docx("Figs are sweet."), content_type="application/octet-stream"),
        "/table?as=csv": ServedFile(b"a,b\nLimes,sour\n", content_type="text/csv"),
    }
    with FileServer().running() as server:
        for address, page in pages.items():
            server.files[address.partition("#")[0]] = page
        report = library.ingest(*(f"{server.url}{address}" for address in pages))

    assert (report.added, report.failed) == (4, ())
    kinds = [entry.media_type for entry in library.store.entries()]
    assert sorted(kinds) == sorted(["application/pdf", "application/pdf", DOCX, "text/csv"])
    (hit,) = library.hits("plums", kinds=("pdf",))
    assert "Plums are blue." in hit.text


def test_a_piped_office_file_is_known_by_its_parts(library: Library) -> None:
    report = library.ingest(stdin=_docx("Figs are sweet."), title="Fruit report")

    assert report.failed == ()
    assert library.hits("sweet figs")[0].text.strip() == "Figs are sweet."


def _docx(text: str) -> bytes:
    return docx(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>")


def test_a_new_time_of_an_unchanged_file_is_remembered(library: Library, notes: Path) -> None:
    library.ingest(notes)
    for path, year_s in (("apple.md", 86_400), ("pear.md", 2 * 86_400)):
        os.utime(notes / path, (year_s, year_s))
    (notes / "pear.md").rename(notes / "peach.md")

    assert library.ingest(notes).unchanged == 2
    hits = library.hits("apples pears", until="1970-01-04")
    assert {Path(hit.path).name for hit in hits} == {"apple.md", "peach.md"}


@pytest.mark.parametrize("time_ns", [-(10**19), -1, 0, 2 * 10**19, 10**21])
def test_a_file_of_any_date_is_taken_in(time_ns: int, library: Library, notes: Path) -> None:
    try:
        os.utime(notes / "apple.md", ns=(time_ns, time_ns))
    except (OSError, OverflowError):
        pytest.skip("the file system knows no such date")

    assert library.ingest(notes).failed == ()
    assert library.ingest(notes).unchanged == 3


@pytest.mark.parametrize(
    ("time_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_700_000_000_123_999_999, "2023-11-14T22:13:20.123Z"),
        (-(2**63), "1677-09-21T00:12:43.145Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854Z"),
    ],
)
def test_all_times_that_can_be_stored_can_be_told(time_ns: int, text: str) -> None:
    assert iso_time(time_ns) == text


def test_a_file_that_windows_opens_by_another_path_is_not_read_again(
    library: Library, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, opened = notes / "named.md", notes / "pear.md"
    for module in ("agentctl.core.knowledge.sources", "agentctl.core.files"):
        monkeypatch.setattr(f"{module}.on_disk", lambda path: opened if path == named else path)
    os.utime(opened, (86_400, 86_400))
    assert library.ingest(named).added == 1
    opened.write_text("# Pear\n\nPears are brown.")
    os.utime(opened, (86_400, 86_400))

    # Of the same size and time: only reading it would tell.
    assert library.ingest(named).unchanged == 1


def test_a_page_that_has_not_changed_keeps_its_time(library: Library) -> None:
    with FileServer().running() as server:
        server.files["/figs"] = ServedFile(b"Figs are sweet.", content_type="text/plain")
        library.ingest(f"{server.url}/figs")
        (before,) = library.store.entries()
        assert library.ingest(f"{server.url}/figs").unchanged == 1

    assert library.store.entries()[0].modified == before.modified


def test_a_long_document_that_was_interrupted_is_embedded_from_where_it_was(
    library: Library, notes: Path
) -> None:
    text = "\n\n".join(f"Paragraph {n} speaks of topic{n}. " * 12 for n in range(400))
    (notes / "long.md").write_text(text)
    library.embedder = Interrupted(after=160)
    with pytest.raises(KeyboardInterrupt):
        library.ingest(notes / "long.md")
    done = set(library.embedder.embedded)
    library.assert_whole()
    assert library.paths() == []

    library.embedder = HashingEmbedder()
    report = library.ingest(notes / "long.md")

    assert len(done) >= 160
    assert done.isdisjoint(library.embedder.embedded)
    assert report.chunks == report.embedded + len(done)
    assert kept_vectors(library) == 0
    library.assert_whole()
    once = Library(notes.parent / "once")
    once.ingest(notes / "long.md")
    assert library.state() == once.state()


def test_vectors_kept_of_what_never_came_are_forgotten(library: Library, notes: Path) -> None:
    text = "\n\n".join(f"Paragraph {n} speaks of topic{n}. " * 12 for n in range(400))
    (notes / "long.md").write_text(text)
    library.embedder = Interrupted(after=64)
    with pytest.raises(KeyboardInterrupt):
        library.ingest(notes / "long.md")
    assert kept_vectors(library) == 64

    library.embedder = HashingEmbedder()
    library.ingest(notes / "apple.md")

    assert kept_vectors(library) == 0


class Interrupted(HashingEmbedder):
    """Breaks off when it has embedded so many texts."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if len(self.embedded) >= self._after:
            raise KeyboardInterrupt
        return super().embed_passages(texts)


def kept_vectors(library: Library) -> int:
    (count,) = library.connection.execute("SELECT count(*) FROM pending_vectors").fetchone()
    return int(count)


def test_embedding_is_told_with_what_is_left_of_it(library: Library, notes: Path) -> None:
    library.ingest(notes)

    steps = [step for step in library.steps if step.status == "embedding"]
    assert {Path(step.path).name for step in steps} == {"long.md"}
    assert {step.files for step in steps} == {3}
    assert steps[0].embedded == steps[0].chunks == 0
    assert steps[-1].embedded == steps[-1].pending == sum(step.chunks for step in steps)


def test_a_failure_brings_its_mend(library: Library, notes: Path) -> None:
    (notes / "huge.txt").write_bytes(b"x" * 1_000_001)
    (failure,) = library.ingest(notes).failed

    assert failure.hint == "agentctl config set knowledge.file_bytes 1000001"


def test_another_models_name_is_refused_before_the_model_is_asked(
    library: Library, notes: Path
) -> None:
    library.ingest(notes / "apple.md")

    def unreachable(name: str) -> HashingEmbedder:
        raise AssertionError(f"{name} was asked for")

    profiled = ProfiledEmbedder(library.store, "ollama:far-away", unreachable)
    with pytest.raises(EmbedderChanged, match="the settings say ollama:far-away"):
        profiled.for_writing()


def test_the_same_file_may_be_in_two_collections(library: Library, notes: Path) -> None:
    library.ingest(notes / "apple.md", collection="fruit")
    report = library.ingest(notes / "apple.md", collection="food")

    assert (report.added, report.embedded) == (1, 0)
    assert [(c.name, c.documents) for c in library.store.collections()] == [
        ("food", 1),
        ("fruit", 1),
    ]


def test_what_cannot_be_read_is_told_and_the_rest_is_taken_in(
    library: Library, notes: Path
) -> None:
    (notes / "huge.txt").write_bytes(b"x" * 1_000_001)
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7\nthis is not one")

    report = library.ingest(notes, notes / "nowhere.md")

    assert report.added == 3
    codes = {Path(failure.path).name: failure.code for failure in report.failed}
    assert codes == {
        "nowhere.md": "input-missing",
        "huge.txt": "input-too-large",
        "broken.pdf": "input-unreadable",
    }
    assert all("\n" not in failure.message for failure in report.failed)


def test_binaries_in_a_folder_are_skipped_but_a_named_one_is_told(
    library: Library, notes: Path
) -> None:
    (notes / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0")

    assert library.ingest(notes).skipped == 1
    report = library.ingest(notes / "picture.png")
    assert [failure.code for failure in report.failed] == ["input-unreadable"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names must be UTF-8")
def test_names_may_hold_anything(library: Library, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    for name in ("two\nlines.md", os.fsdecode(b"caf\xe9.md"), "-n.md", "'; DROP TABLE x.md"):
        (folder / name).write_text(f"Something in {len(name)}.")

    assert library.ingest(folder).added == 4
    assert library.ingest(folder).unchanged == 4
    assert library.ingest(folder, prune=True).removed == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_in_a_folder_are_not_followed(library: Library, notes: Path) -> None:
    (notes / "loop").symlink_to(notes)
    (notes / "link.md").symlink_to(notes / "apple.md")

    assert library.ingest(notes).added == 3


def test_a_pipe_in_a_folder_is_no_file(library: Library, notes: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no named pipes")
    os.mkfifo(notes / "pipe.md")
    assert library.ingest(notes).added == 3
    report = library.ingest(notes / "pipe.md")
    assert [failure.code for failure in report.failed] == ["input-unreadable"]


def test_a_document_without_text_is_remembered(library: Library, notes: Path) -> None:
    (notes / "empty.md").write_text("")
    library.ingest(notes)

    assert library.ingest(notes).unchanged == 4
    library.assert_whole()


@pytest.mark.parametrize("other", [HashingEmbedder(revision="2"), HashingEmbedder(name="another")])
def test_vectors_of_two_models_are_not_mixed(
    other: HashingEmbedder, library: Library, notes: Path
) -> None:
    library.ingest(notes / "apple.md")
    before, library.embedder = library.state(), other

    with pytest.raises(EmbedderChanged, match="embedded by") as refused:
        library.ingest(notes)

    assert refused.value.hint == "agentctl docs reindex"
    assert library.state() == before


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/a/Super_Bowl_50.md", "Super Bowl 50"),
        ("http://x/y/", "y"),
        ("-", "-"),
        ("notes", "notes"),
    ],
)
def test_a_document_without_title_is_called_by_its_name(path: str, title: str) -> None:
    assert default_title(path) == title
