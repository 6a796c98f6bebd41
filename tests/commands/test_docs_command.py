"""`agentctl docs`: documents are listed, shown, removed, checked, made anew, carried elsewhere."""

import json
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from agentctl.core.paths import find_paths
from tests.support.cli import command, environment, run
from tests.support.library import NOTES, OFFICE, data_of, fill_library, stored

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with notes, and a home that has taken them in; nobody changes it."""
    folder = tmp_path_factory.mktemp("docs")
    fill_library(folder / "home", folder)
    return folder


@pytest.fixture
def env(filled: Path, home: Path) -> dict[str, str]:
    """A copy of that home."""
    shutil.copytree(filled / "home", home, dirs_exist_ok=True)
    return environment(home)


# Listing and showing


def test_documents_are_listed_with_a_line_each(env: dict[str, str], filled: Path) -> None:
    done = run("docs", "list", env=env, cwd=filled)

    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[1], row[2], row[3], row[6]) for row in rows] == [
        ("default", "notes/lighthouse.md", "1", "Lighthouse"),
        ("default", "notes/sextant.md", "1", "Sextant"),
        ("harbour", "Opening hours", "1", "Opening hours"),
    ]
    only = data_of("docs", "list", "--collection", "harbour", env=env)
    assert [document["path"] for document in only] == ["Opening hours"]


def test_collections_are_counted(env: dict[str, str]) -> None:
    assert data_of("docs", "collections", env=env) == [
        {"name": "default", "documents": 2, "chunks": 2, "size": sum(map(len, NOTES.values()))},
        {"name": "harbour", "documents": 1, "chunks": 1, "size": len(OFFICE)},
    ]


@pytest.mark.parametrize("words", [("list",), ("collections",), ("verify",), ("reindex",)])
def test_nothing_is_no_error(words: tuple[str, ...], home: Path) -> None:
    assert run("docs", *words, env=environment(home)).returncode == 0


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ([], NOTES["sextant.md"]),
        (["--lines", "3"], "A sextant measures the angle of a star above the horizon.\n"),
        (["--lines", "1:2"], "# Sextant\n\n"),
        (["--lines", "3:"], "A sextant measures the angle of a star above the horizon.\n"),
    ],
)
def test_a_document_or_some_lines_of_it_are_shown(
    flags: list[str], expected: str, env: dict[str, str], filled: Path
) -> None:
    done = run("docs", "show", "notes/sextant.md", *flags, env=env, cwd=filled)

    assert (done.stdout, done.stderr) == (expected, "")


def test_a_passage_is_shown_by_the_id_of_a_search(env: dict[str, str]) -> None:
    (hit,) = data_of("search", "stars", "-n", "1", env=env)["hits"]
    reference, chunk = str(hit["document_id"]), str(hit["chunk_id"])
    shown = data_of("docs", "show", reference, "--chunk", chunk, env=env)

    assert (shown["text"], shown["line_start"]) == (hit["text"], hit["line_start"])
    assert shown["document"]["path"] == hit["path"]


@on_posix
def test_a_terminal_gets_line_numbers(env: dict[str, str], filled: Path) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("docs", "show", "sextant.md", "--lines", "2:3"), env) as terminal:
        assert terminal.finish() == 0
        assert terminal.lines[-2:] == [
            "2",
            "3  A sextant measures the angle of a star above the horizon.",
        ]


@pytest.mark.parametrize(
    ("arguments", "exit_code"),
    [
        (["show", "nothing.md"], 1),
        (["show", "sextant.md", "--chunk", "999"], 1),
        (["show", "sextant.md", "--lines", "3:1"], 2),
        (["show", "sextant.md", "--lines", "50:60"], 2),
        (["show", "sextant.md", "--lines", "1", "--chunk", "1"], 2),
        (["list", "--collection", "nobody"], 1),
        (["remove"], 2),
        (["remove", "", "--yes"], 2),
        (["remove", "--collection", "nobody", "--yes"], 1),
        (["remove", "nothing.md", "sextant.md", "--yes"], 1),
        (["import", "missing.jsonl"], 66),
        (["export", "missing/folder.jsonl"], 66),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    arguments: list[str], exit_code: int, env: dict[str, str], tmp_path: Path
) -> None:
    done = run("docs", *arguments, env=env, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (exit_code, "")
    assert len(done.stderr.splitlines()) == 2
    assert len(stored(env)) == 3


# Removing


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (["notes/sextant.md"], ["lighthouse.md", "Opening hours"]),
        (["./notes"], ["Opening hours"]),
        (["s*.md", "Opening hours"], ["lighthouse.md"]),
        (["--collection", "harbour"], ["lighthouse.md", "sextant.md"]),
    ],
)
def test_documents_are_removed_by_path_folder_glob_and_collection(
    arguments: list[str], left: list[str], env: dict[str, str], filled: Path
) -> None:
    removed = run("docs", "remove", *arguments, "--yes", env=env, cwd=filled)

    assert (removed.returncode, stored(env)) == (0, left)
    assert (filled / "notes" / "sextant.md").exists()


def test_a_removal_without_a_terminal_needs_yes(env: dict[str, str]) -> None:
    done = run("docs", "remove", "sextant.md", env=env)

    assert (done.returncode, len(stored(env))) == (2, 3)
    assert "add --yes" in done.stderr


def test_what_is_not_there_is_told_before_anybody_is_asked(env: dict[str, str]) -> None:
    done = run("docs", "remove", "nothing.md", env=env)

    assert (done.returncode, len(stored(env))) == (1, 3)
    assert done.stderr == "error: no document nothing.md\n  try: agentctl docs list\n"


@on_posix
@pytest.mark.parametrize(
    ("answer", "code", "said", "left"),
    [("y", 0, "removed", 2), ("n", 1, "nothing was removed", 3)],
)
def test_on_a_terminal_a_removal_asks_first(
    answer: str, code: int, said: str, left: int, env: dict[str, str]
) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("docs", "remove", "sextant.md"), env, columns=200) as terminal:
        terminal.wait_for("Remove sextant.md from the knowledge base (the files stay)?")
        terminal.type(f"{answer}\n")
        assert terminal.finish() == code
        assert said in terminal.lines[-1]
    assert len(stored(env)) == left


# Checking and making anew


def test_files_that_are_gone_are_told_and_no_problem(home: Path, tmp_path: Path) -> None:
    (tmp_path / "gone.md").write_text("Soon.")
    env = environment(home)
    run("ingest", "gone.md", env=env, cwd=tmp_path)
    (tmp_path / "gone.md").unlink()
    done = run("docs", "verify", env=env, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (0, "ok     1 document, 1 chunk\n")
    assert done.stderr == "the file is gone: gone.md\n"


def test_damage_is_a_problem(env: dict[str, str]) -> None:
    with sqlite3.connect(find_paths(env).database) as database:
        database.execute("DELETE FROM vectors")
    database.close()
    done = run("docs", "verify", "--json", env=env)
    shown = run("docs", "verify", env=env)

    data = json.loads(done.stdout)["data"]
    assert (done.returncode, data["ok"]) == (1, False)
    assert shown.stdout == "".join(f"ERROR  {problem}\n" for problem in data["problems"])
    assert "agentctl docs reindex --force" in shown.stderr


def test_a_reindex_does_what_is_needed_or_all_by_force(env: dict[str, str], filled: Path) -> None:
    needless = run("docs", "reindex", env=env, cwd=filled)
    forced = run("docs", "reindex", "--force", env=env, cwd=filled)

    assert needless.stderr == "nothing has to be done\n"
    assert "reindexed notes/sextant.md (2 of 3)" in forced.stderr
    assert forced.stderr.endswith("3 documents reindexed\n")
    assert run("docs", "verify", env=env).returncode == 0


# Carrying elsewhere


@pytest.mark.parametrize("to_file", [True, False])
def test_an_export_is_imported_elsewhere(
    to_file: bool, env: dict[str, str], home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "export.jsonl"
    exported = run("docs", "export", *([str(file)] if to_file else []), env=env)
    if not to_file:
        file.write_text(exported.stdout)
    other = environment(home / "other")
    imported = run("docs", "import", str(file), env=other)

    assert (exported.returncode, imported.returncode) == (0, 0)
    assert exported.stderr == (f"3 documents in {file}\n" if to_file else "")
    assert stored(other) == stored(env)
    assert "3 added" in imported.stderr


def test_an_export_is_imported_from_a_pipe(env: dict[str, str], tmp_path: Path) -> None:
    exported = run("docs", "export", env=env).stdout
    other = environment(tmp_path / "other")
    imported = run("docs", "import", "-", env=other, stdin=exported)

    assert (imported.returncode, stored(other)) == (0, stored(env))


def test_programs_get_the_result_of_an_export(env: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "export.jsonl"
    written = data_of("docs", "export", str(file), "--collection", "harbour", env=env)
    inline = data_of("docs", "export", "--collection", "harbour", env=env)

    assert written == {"path": str(file), "documents": 1}
    assert inline == [json.loads(line) for line in file.read_text().splitlines()]


def test_what_is_no_export_is_not_imported(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").write_text("no JSON\n")
    done = run("docs", "import", "notes.jsonl", env=env, cwd=tmp_path)

    assert done.returncode == 65
    assert "notes.jsonl" in done.stderr


# Completion


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("agentctl docs show notes/s", "notes/sextant.md"),
        ("agentctl docs remove Open", "Opening hours"),
        ("agentctl search x --collection ha", "harbour"),
        ("agentctl ingest x --collection d", "default"),
    ],
)
def test_documents_and_collections_are_completed(
    typed: str, offered: str, env: dict[str, str], filled: Path
) -> None:
    asking = {"_AGENTCTL_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": typed}
    done = run(env={**env, **asking}, cwd=filled)

    assert offered in done.stdout
    assert done.stderr == ""


def test_a_document_that_is_in_two_collections_is_shown_by_one_of_them(
    home: Path, tmp_path: Path
) -> None:
    env = environment(home)
    (tmp_path / "a.md").write_text("First.")
    run("ingest", "a.md", "--collection", "one", env=env, cwd=tmp_path)
    (tmp_path / "a.md").write_text("Second.")
    run("ingest", "a.md", "--collection", "two", env=env, cwd=tmp_path)
    both = run("docs", "show", "a.md", env=env, cwd=tmp_path)
    one = run("docs", "show", "a.md", "--collection", "one", env=env, cwd=tmp_path)
    nobody = run("docs", "show", "a.md", "--collection", "three", env=env, cwd=tmp_path)

    assert (both.returncode, one.stdout, nobody.returncode) == (1, "First.\n", 1)


def test_a_message_repeats_no_endless_name(env: dict[str, str]) -> None:
    done = run("docs", "show", "x" * 5_000, env=env)

    assert (done.returncode, len(done.stderr) < 400) == (1, True)


def test_no_collections_are_told_with_how_to_make_one(home: Path) -> None:
    assert "agentctl ingest" in run("docs", "collections", env=environment(home)).stderr
