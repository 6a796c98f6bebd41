"""Processes that are killed at any moment, and processes that work at once."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.verification import verify
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from tests.support.cli import environment
from tests.support.knowledge import write

FILES = 150
KILLS = 8


def start(home: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "tests.support.knowledge_process", str(home), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home),
    )


def finish(process: "subprocess.Popen[str]") -> list[str]:
    out, problems = process.communicate()
    assert process.returncode == 0, problems
    return out.splitlines()


def kill_after(process: "subprocess.Popen[str]", lines: int) -> list[str]:
    """What it had said when, after so many lines, it was killed."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if len(said) >= lines:
            break
    process.kill()
    said += process.stdout.readlines()
    process.wait()
    return [line for line in said if line.endswith("\n")]


def stored(home: Path) -> list[str]:
    """Paths of all documents, after a check that the base is whole."""
    paths = find_paths({"AGENTCTL_HOME": str(home)})
    connection = open_database(paths.database)
    try:
        assert verify(connection, paths.vector_indexes).problems == ()
        return [entry.path for entry in DocumentStore(connection).entries()]
    finally:
        connection.close()


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    texts = {f"n{n}": f"# Note {n}\n\n" + f"word{n} " * (5 * n) for n in range(FILES)}
    write(tmp_path / "notes", **texts)
    return tmp_path / "notes"


def test_a_killed_ingest_loses_nothing_it_told_and_the_next_goes_on(
    notes: Path, tmp_path: Path
) -> None:
    home, moments = tmp_path / "home", random.Random(5)
    told: set[str] = set()
    for _ in range(KILLS):
        said = kill_after(start(home, "hashing", "ingest", str(notes)), moments.randint(1, FILES))
        steps = [json.loads(line) for line in said]
        told |= {step["path"] for step in steps if step.get("status") == "added"}
        there = stored(home)
        assert told <= set(there)
        assert len(there) == len(set(there))

    report = json.loads(finish(start(home, "hashing", "ingest", str(notes)))[-1])

    assert report["added"] + report["unchanged"] == FILES
    assert len(stored(home)) == FILES
    assert "n7.md" in finish(start(home, "hashing", "search", "word7", "1"))[0]


def test_a_killed_reindex_leaves_what_was_and_the_next_goes_on(notes: Path, tmp_path: Path) -> None:
    home, moments = tmp_path / "home", random.Random(6)
    finish(start(home, "hashing", "ingest", str(notes)))
    for _ in range(KILLS // 2):
        kill_after(start(home, "another", "reindex"), moments.randint(2, FILES - 1))
        assert len(stored(home)) == FILES
        assert "n7.md" in finish(start(home, "another", "search", "word7", "1"))[0]

    steps = finish(start(home, "another", "reindex"))

    assert json.loads(steps[-1])["done"] == FILES
    assert "n7.md" in finish(start(home, "another", "search", "word7", "1"))[0]


def test_writers_take_turns_and_readers_go_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    folders = [tmp_path / f"folder{n}" for n in range(3)]
    for number, folder in enumerate(folders):
        write(folder, **{f"n{n}": f"shared {number} word{n} " * 40 for n in range(40)})
    write(tmp_path / "first", n7="word7 is here")
    finish(start(home, "hashing", "ingest", str(tmp_path / "first")))

    writers = [start(home, "hashing", "ingest", str(folder)) for folder in folders]
    readers = [start(home, "hashing", "search", "word7", "40") for _ in range(2)]
    reports = [json.loads(finish(writer)[-1]) for writer in writers]
    found = [json.loads(line) for reader in readers for line in finish(reader)]

    assert [report["added"] for report in reports] == [40, 40, 40]
    assert len(stored(home)) == 121
    assert all(any("n7.md" in path for path in paths) for paths in found)
