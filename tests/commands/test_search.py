"""`agentctl search`: what is found, and how it is shown to people, pipes and programs."""

import json
import os
import shutil
from pathlib import Path

import pytest

from agentctl.core.embedding.llama_cpp import BUILT_IN_PATH
from agentctl.core.paths import find_paths
from tests.support.cli import command, environment, run
from tests.support.library import NOTES, data_of, fill_library, write_notes

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notes are; nobody changes it."""
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def env(folder: Path) -> dict[str, str]:
    return fill_library(folder / "home", folder)


def found(*arguments: str, env: dict[str, str], cwd: Path) -> list[str]:
    hits = data_of("search", *arguments, env=env, cwd=cwd)["hits"]
    return sorted(hit["path"].rpartition("/")[2] for hit in hits)


# What is found


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("finding your way by the night sky", "sextant.md"),
        ("harbour office hours", "Opening hours"),
    ],
)
def test_a_passage_is_found_by_what_it_means(
    query: str, best: str, env: dict[str, str], folder: Path
) -> None:
    assert found(query, "-n", "1", env=env, cwd=folder) == [best]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--collection", "harbour"], ["Opening hours"]),
        (["--type", "md"], [*NOTES]),
        (["--type", ".MD", "--type", "txt"], [*NOTES]),
        (["--type", "pdf"], []),
        (["--path", "notes"], [*NOTES]),
        (["--path", "sext*"], ["sextant.md"]),
        (["--path", "../search0/notes/sextant.md"], ["sextant.md"]),
        (["--since", "2020-01-01", "--until", "2999-01-01T10:00"], [*NOTES, "Opening hours"]),
        (["--since", "2999-01-01"], []),
        (["--until", "2020-01-01"], []),
        (["--mode", "vector"], [*NOTES, "Opening hours"]),
        (["--mode", "keyword"], ["lighthouse.md"]),
    ],
)
def test_filters_narrow_the_search(
    filters: list[str], expected: list[str], env: dict[str, str], folder: Path
) -> None:
    filters = [each.replace("search0", folder.name) for each in filters]

    assert found("warns of rocks", *filters, env=env, cwd=folder) == sorted(expected)


def test_today_is_since_today_and_until_today(
    env: dict[str, str], folder: Path, tmp_path: Path
) -> None:
    from datetime import datetime

    day = datetime.fromtimestamp((folder / "notes" / "sextant.md").stat().st_mtime).astimezone()
    today = day.date().isoformat()

    hits = found("star", "--since", today, "--until", today, "--type", "md", env=env, cwd=folder)
    assert hits == sorted(NOTES)


def test_finding_nothing_is_no_error(env: dict[str, str], folder: Path) -> None:
    done = run("search", "x", "--type", "pdf", env=env, cwd=folder)

    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "nothing found for: x\n"


def test_an_empty_knowledge_base_says_how_to_fill_it(home: Path) -> None:
    done = run("search", "x", env=environment(home))

    assert (done.returncode, done.stdout) == (0, "")
    assert "agentctl ingest PATH" in done.stderr


def test_an_unknown_collection_names_those_there_are(env: dict[str, str]) -> None:
    done = run("search", "x", "--collection", "harbor", env=env)

    assert (done.returncode, done.stdout) == (1, "")
    assert "default, harbour" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["  "],
        ["x", "--mode", "exact"],
        ["x", "--since", "yesterday"],
        ["x", "-n", "0"],
        ["x", "-n", "9" * 20],
        [],
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], env: dict[str, str]) -> None:
    assert run("search", *arguments, env=env).returncode == 2


# How it is shown


def test_a_hit_in_a_pipe_is_one_line_with_its_place_score_and_best_line(
    env: dict[str, str], folder: Path
) -> None:
    here = run("search", "stars and horizon", "-n", "1", env=env, cwd=folder).stdout
    elsewhere = run("search", "stars and horizon", "-n", "1", env=env, cwd=folder / "home").stdout

    place, score, line = here.splitlines()[0].split("\t")
    assert place == os.path.join("notes", "sextant.md:3")  # noqa: PTH118 - a text, no path
    assert 0 <= float(score) <= 1
    assert line == "A sextant measures the angle of a star above the horizon."
    assert elsewhere.startswith(f"{folder / place}\t")


def test_a_hit_has_the_promised_shape(env: dict[str, str], folder: Path) -> None:
    data = data_of("search", "star", "--collection", "default", "-n", "1", env=env, cwd=folder)

    assert list(data) == ["query", "mode", "took_ms", "hits"]
    (hit,) = data["hits"]
    assert hit | {"score": 0, "chunk_id": 0, "document_id": 0} == {
        "n": 1,
        "score": 0,
        "path": str(folder / "notes" / "sextant.md"),
        "title": "Sextant",
        "collection": "default",
        "page": None,
        "line_start": 1,
        "line_end": 3,
        "text": NOTES["sextant.md"].strip(),
        "chunk_id": 0,
        "document_id": 0,
    }


def test_a_problem_is_one_object_for_programs(env: dict[str, str]) -> None:
    done = run("search", "x", "--collection", "nobody", "--json", env=env)

    assert (done.returncode, done.stdout) == (1, "")
    assert json.loads(done.stderr)["error"]["code"] == "not-found"


@on_posix
def test_on_a_terminal_words_are_marked_and_paths_can_be_clicked(
    env: dict[str, str], folder: Path
) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("search", "ships", "-n", "1"), env, columns=200) as terminal:
        assert terminal.finish() == 0
        shown, lines = terminal.output.decode(), terminal.lines

    path = folder / "notes" / "lighthouse.md"
    assert f";{path.as_uri()}\x1b\\" in shown
    assert "m" + "ships" + "\x1b[0m" in shown
    assert f"{path}:" in lines[0]
    assert "A lighthouse warns ships of rocks." in "\n".join(lines)


@on_posix
def test_a_terminal_sees_no_control_characters_of_a_document(home: Path, tmp_path: Path) -> None:
    from tests.support.terminal import Terminal

    env = environment(home)
    (tmp_path / "evil\x1b]0;name\x07.md").write_text("# Title \x1b]0;title\x07\n\nA \x1b[2Jtrap.")
    run("ingest", str(tmp_path), "--include", "evil*", env=env)
    with Terminal(command("search", "trap"), env) as terminal:
        assert terminal.finish() == 0
        shown = terminal.output

    assert b"trap" in shown
    assert not any(each in shown for each in (b"\x1b]0;", b"\x1b[2J", b"\x07"))


def test_a_query_without_quotes_is_refused_with_them(env: dict[str, str]) -> None:
    done = run("search", "how", "do", "ships", "sail", env=env)

    assert done.returncode == 2
    assert done.stderr.splitlines()[1] == '  try: agentctl search "how do ships sail"'


# Other embedders


def test_what_a_model_file_embedded_is_found_with_it(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "minilm.gguf"
    file.symlink_to(BUILT_IN_PATH)
    env = environment(home, AGENTCTL_KNOWLEDGE_EMBEDDER=str(file))
    write_notes(tmp_path / "notes")
    run("ingest", "notes", env=env, cwd=tmp_path)
    again = {**env, "AGENTCTL_KNOWLEDGE_EMBEDDER": f"embedded:{file}"}

    assert found("the night sky", "-n", "1", env=env, cwd=tmp_path) == ["sextant.md"]
    assert found("the night sky", "-n", "1", env=again, cwd=tmp_path) == ["sextant.md"]


@pytest.mark.parametrize("embedder", ["ollama:not-there", "nope:foo"])
def test_words_are_found_whatever_has_become_of_the_embedder(
    embedder: str, env: dict[str, str], folder: Path
) -> None:
    other = {**env, "AGENTCTL_KNOWLEDGE_EMBEDDER": embedder}

    assert found("sextant", "--mode", "keyword", env=other, cwd=folder) == ["sextant.md"]
    refused = run("search", "sextant", "--json", env=other, cwd=folder)
    assert json.loads(refused.stderr)["error"]["code"] == "embedder-changed"


def test_another_embedder_is_refused_by_its_name_before_it_is_needed(
    env: dict[str, str], tmp_path: Path
) -> None:
    other = {**env, "AGENTCTL_KNOWLEDGE_EMBEDDER": "ollama:not-there"}
    (tmp_path / "new.md").write_text("New.")
    done = run("ingest", "new.md", env=other, cwd=tmp_path)

    assert done.returncode == 78
    assert "agentctl docs reindex" in done.stderr


@pytest.mark.skipif(
    os.name != "posix" or (os.geteuid() == 0 and shutil.which("setpriv") is None),
    reason="needs a user whom the rights of files stop",
)
def test_a_database_that_may_only_be_read_is_named_with_the_mend(
    home: Path, tmp_path: Path
) -> None:
    env = fill_library(home, tmp_path)
    data = find_paths(env).data
    (data / "agentctl.db").chmod(0o400)
    data.chmod(0o500)
    done = run("search", "sextant", env=env, is_superuser=False)
    data.chmod(0o700)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: {data} may only be read",
        f"  try: chmod u+w {data / 'agentctl.db'} {data}",
    ]
