"""The benchmarks' tables: how they are written, and that README agrees with them. No timing."""

import importlib
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl import __version__
from benchmarks import __main__ as program
from benchmarks import tables
from benchmarks.__main__ import PAGE, README
from benchmarks.equipment import PEERS, Equipment, versions
from benchmarks.registry import BENCHMARKS, CHOICE
from benchmarks.retrieval_peers import remembering
from benchmarks.rows import Row, at_least, at_most, none

ROW = Row(name="a start", figure="0.1 s", bars=(at_most(0.15, 0.1, " s"),))


def page(**rows: Row) -> str:
    """A page with a table for each benchmark."""
    return "\n".join(
        f"<!-- benchmark: {name} -->\n{told(rows.get(name))}\n<!-- /benchmark -->"
        for name in BENCHMARKS
    )


def told(row: Row | None) -> str:
    return f"2026-11-26.\n\n{tables.table([row.cells()])}" if row else "Not measured yet."


# Rows.


@pytest.mark.parametrize(
    ("bar", "text", "is_met"),
    [
        (at_most(0.30, 0.3), "≤ 0.3", True),
        (at_most(60, 60.01, " ms", what="p95 "), "p95 ≤ 60 ms", False),
        (at_least(95, 95, "%"), "≥ 95%", True),
        (at_least(1.05, 1.04, what="each "), "each ≥ 1.05", False),
        (none(0), "none", True),
        (none(1), "none", False),
    ],
)
def test_a_bar_says_what_it_wants_and_whether_it_is_met(
    bar: object, text: str, is_met: bool
) -> None:
    assert (getattr(bar, "text", None), getattr(bar, "is_met", None)) == (text, is_met)


def test_a_missed_bar_is_marked_and_the_other_one_is_not() -> None:
    row = replace(ROW, bars=(at_most(0.5, 0.2, "%"), at_most(150, 151, " MB")))

    assert row.cells()[2] == "≤ 0.5%, ≤ 150 MB **missed**"


# Tables.


def test_a_table_is_read_as_it_was_written() -> None:
    rows = [("a start", "0.1 s", "≤ 0.15 s"), ("without a bar", "1", "")]

    assert tables.table(rows).splitlines()[:2] == ["| what | measured | bar |", "|---|---|---|"]
    assert tables.read_rows(tables.table(rows)) == rows


def test_only_what_stands_between_its_markers_is_replaced() -> None:
    before = page(startup=ROW, search=ROW)

    after = tables.replace(before, "startup", "new")

    assert tables.between(after, "startup") == "new"
    assert tables.between(after, "search") == tables.between(before, "search")
    assert tables.replace(after, "startup", tables.between(before, "startup")) == before


def test_an_empty_place_is_filled() -> None:
    empty = "<!-- benchmark: choice -->\n<!-- /benchmark -->"

    assert tables.replace(empty, "choice", "a table").splitlines()[1] == "a table"


def test_what_is_measured_is_text_and_no_pattern() -> None:
    body = r"\1 \g<start>"

    assert tables.between(tables.replace(page(), "agents", body), "agents") == body


def test_a_page_without_the_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="<!-- benchmark: startup -->"):
        tables.replace("# Nothing", "startup", "new")


def test_what_was_missed_is_listed_with_its_benchmark() -> None:
    slow = replace(ROW, name="a search", bars=(at_most(0.05, 0.1),))

    assert tables.read_rows(tables.missed(page(startup=ROW, search=slow))) == [
        ("search", "a search", "0.1 s", "≤ 0.05 **missed**")
    ]
    assert tables.missed(page(startup=ROW)) == "Nothing is missed."


def test_the_choice_has_its_order_and_leaves_out_what_was_never_measured() -> None:
    first, second = CHOICE[0], CHOICE[2]
    filled = page(search=replace(ROW, name=first), agents=ROW, startup=replace(ROW, name=second))

    assert [row[0] for row in tables.read_rows(tables.choice(filled))] == [first, second]


# The registry and the documentation.


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_a_place_on_the_page(name: str) -> None:
    assert tables.between(PAGE.read_text(encoding="utf-8"), name)


@pytest.mark.skipif(os.name == "nt", reason="the benchmarks ask POSIX what a process took")
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_rows(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").rows)


def test_what_benchmarks_need_is_known() -> None:
    assert {need for needs in BENCHMARKS.values() for need in needs} == {*PEERS, "dist"}


def test_readme_shows_what_the_page_says() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert tables.between(text, "missed") == tables.missed(text)
    assert tables.between(README.read_text(encoding="utf-8"), "choice") == tables.choice(text)


# The command.


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A page and a README to write to."""
    paths = tmp_path / "benchmarks.md", tmp_path / "README.md"
    places = "<!-- benchmark: {} -->\n<!-- /benchmark -->"
    paths[0].write_text(f"{page(search=ROW)}\n{places.format('missed')}\n")
    paths[1].write_text(f"Before.\n{places.format('choice')}\nAfter.\n")
    monkeypatch.setattr(program, "PAGE", paths[0])
    monkeypatch.setattr(program, "README", paths[1])
    return paths


def test_what_was_measured_is_written_into_both_documents(documents: tuple[Path, Path]) -> None:
    slow = Row(name=CHOICE[0], figure="0.2", bars=(at_most(0.15, 0.2),))

    program.write("startup", [slow.cells()])

    text, readme = (path.read_text() for path in documents)
    assert tables.read_rows(tables.between(text, "startup")) == [slow.cells()]
    assert f"agentctl {__version__}" in tables.between(text, "startup")
    assert "llm 0.36" in tables.between(text, "startup")
    assert tables.read_rows(tables.between(text, "missed")) == [("startup", *slow.cells())]
    assert tables.between(text, "search") == told(ROW)
    assert tables.read_rows(tables.between(readme, "choice")) == [slow.cells()]
    assert readme.startswith("Before.\n")
    assert readme.endswith("\nAfter.\n")


def test_what_needs_a_peer_that_is_not_there_is_left_out_and_keeps_its_table(
    documents: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [path.read_text() for path in documents]

    code = program.main(["--only", "startup", "--peers", str(tmp_path / "peers")])

    assert code == 0
    assert capsys.readouterr().out == "startup: left out, llm not installed: --install-peers\n\n"
    assert [path.read_text() for path in documents] == before


# Peers.


def test_a_peer_of_another_version_counts_as_missing(tmp_path: Path) -> None:
    equipment = Equipment(peers=tmp_path)
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "installed.txt").write_text("llm==0.1")

    assert equipment.missing(("llm",)) == "llm not installed: --install-peers"
    assert equipment.missing(()) == ""


def test_the_versions_of_a_peer_are_those_that_are_installed() -> None:
    assert versions("oterm") == ["oterm 0.26.1"]


def test_a_text_is_embedded_once_whoever_asks_and_in_later_runs_too(tmp_path: Path) -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[len(text), 0.5] for text in texts]

    found = []
    for texts in (["a", "bb", "a"], ["bb", "ccc"], []):
        with closing(sqlite3.connect(tmp_path / "vectors.db")) as connection:
            found.append([vector.tolist() for vector in remembering(encode, connection)(texts)])

    assert found == [[[1, 0.5], [2, 0.5], [1, 0.5]], [[2, 0.5], [3, 0.5]], []]
    assert asked == ["a", "bb", "ccc"]


# Measuring.


@pytest.mark.skipif(os.name == "nt", reason="the benchmarks ask POSIX what a process took")
def test_the_memory_of_a_command_is_not_that_of_whoever_measures_it() -> None:
    from benchmarks.measure import measure

    # As much of it in use as the small command never needs.
    ours = bytearray(b"x" * 200_000_000)

    assert measure(["true"], os.environ).peak_mb < len(ours) / 1e6


@pytest.mark.skipif(os.name == "nt", reason="the benchmarks ask POSIX what a process took")
def test_a_command_that_fails_is_not_measured() -> None:
    from benchmarks.measure import measure

    with pytest.raises(RuntimeError, match="false ended with 1"):
        measure(["false"], os.environ)
