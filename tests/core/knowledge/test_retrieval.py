"""Searching: both ways at once, narrowed by filters, with any string as a query."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.library import SearchMode
from tests.support.knowledge import Library, write
from tests.support.sample_files import pdf

MODES: list[SearchMode] = ["hybrid", "vector", "keyword"]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    folder = tmp_path_factory.mktemp("notes")
    write(
        folder,
        apple="# Apple\n\nApples are red and grow on trees.",
        pear="# Pear\n\nPears are green and grow on trees.",
        copy="# Apple\n\nApples are red and grow on trees.",
    )
    (folder / "code.py").write_text("def readSettingsFile():\n    return None\n")
    (folder / "below").mkdir()
    (folder / "below" / "fig.txt").write_text("Figs are sweet.")
    library = Library(tmp_path_factory.mktemp("library"))
    library.ingest(folder, collection="fruit")
    library.ingest(stdin=b"Lemons are sour.", title="lemon", collection="other")
    return library


def names(library: Library, query: str, **options: object) -> list[str]:
    return [Path(hit.path).name for hit in library.hits(query, **options)]


@pytest.mark.parametrize("mode", MODES)
def test_the_best_comes_first(mode: SearchMode, library: Library) -> None:
    assert names(library, "green pears", mode=mode)[0] == "pear.md"


@pytest.mark.parametrize("mode", MODES)
def test_hits_are_numbered_and_their_scores_fall(mode: SearchMode, library: Library) -> None:
    hits = library.hits("red trees", mode=mode)
    assert [hit.n for hit in hits] == list(range(1, len(hits) + 1))
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_a_hit_says_where_it_stands(library: Library) -> None:
    hit = library.hits("green pears")[0]
    assert (hit.title, hit.collection) == ("Pear", "fruit")
    assert (hit.line_start, hit.line_end) == (1, 3)
    assert hit.text.endswith("Pears are green and grow on trees.")


def test_copies_of_the_best_hit_leave_room_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    for number in range(12):
        write(folder, **{f"copy{number}": "Zeppelins stand in a hangar at the lake."})
    write(folder, other="The hangar of the fire brigade is in another town, far from any lake.")
    library = Library(tmp_path)
    library.ingest(folder)

    assert len(names(library, "zeppelin hangar at the lake", n=2)) == 2


def test_a_passage_over_two_pages_stands_on_the_page_that_fits(tmp_path: Path) -> None:
    page_1 = "Penguins live in the south and eat fish."
    page_2 = "Glaciers calve into the sea of Greenland."
    (tmp_path / "book.pdf").write_bytes(pdf(page_1, page_2))
    library = Library(tmp_path / "library")
    library.ingest(tmp_path / "book.pdf")

    hit = library.hits("Where do glaciers calve?")[0]

    assert page_2 in hit.text
    assert hit.page == 2


def test_what_is_said_twice_is_shown_once(library: Library) -> None:
    assert (
        len([name for name in names(library, "red apples") if name in ("apple.md", "copy.md")]) == 1
    )


def test_parts_of_identifiers_are_found(library: Library) -> None:
    assert names(library, "settings file", mode="keyword") == ["code.py"]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"collection": "other"}, {"lemon"}),
        ({"kinds": ("txt",)}, {"fig.txt"}),
        ({"path": "below"}, {"fig.txt"}),
        ({"path": "*/below/*.txt"}, {"fig.txt"}),
        ({"path": "p*.md"}, {"pear.md"}),
        ({"since": "2001-01-01", "kinds": ("py",)}, {"code.py"}),
        ({"until": "2001-01-01"}, set()),
        ({"path": "nowhere"}, set()),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_filters_leave_only_what_was_asked_for(
    mode: SearchMode, options: dict[str, object], found: set[str], library: Library
) -> None:
    query = "apples pears figs lemons settings"
    assert set(names(library, query, mode=mode, **options)) == found


def test_no_more_hits_than_were_asked_for(library: Library) -> None:
    assert len(library.hits("are", n=2)) == 2


@pytest.mark.parametrize("query", ["", "   ", "\0", "the", '"', "t: x", "what's C++?", "AND", "a*"])
@pytest.mark.parametrize("mode", MODES)
def test_odd_queries_are_queries_too(mode: SearchMode, query: str, library: Library) -> None:
    library.search(query, mode=mode)


@given(st.text(), st.sampled_from(MODES))
def test_any_string_is_a_query(library: Library, query: str, mode: SearchMode) -> None:
    library.search(query, mode=mode)


def test_how_good_the_best_hit_is_can_be_told(library: Library) -> None:
    good = library.search("Apples are red and grow on trees.").best_cosine
    bad = library.search("quantum chromodynamics").best_cosine
    assert good is not None
    assert bad is not None
    assert bad < 0.5 < good
