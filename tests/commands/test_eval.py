"""`agentctl eval`: retrieval is scored on the user's own questions."""

import json
from pathlib import Path

import pytest

from tests.support.cli import run
from tests.support.library import data_of, fill_library

QUESTIONS = """\
{"query": "What is measured with a sextant?", "relevant": [{"path": "sextant.md"}]}
{"query": "When does the office open?", "relevant": [{"path": "Opening hours"}]}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("eval")
    (folder / "questions.jsonl").write_text(QUESTIONS)
    (folder / "broken.jsonl").write_text('{"query": 1}\n')
    return folder


@pytest.fixture(scope="module")
def env(folder: Path) -> dict[str, str]:
    return fill_library(folder / "home", folder)


def test_the_modes_are_compared_when_none_is_named(env: dict[str, str], folder: Path) -> None:
    done = run("eval", "questions.jsonl", env=env, cwd=folder)

    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["hybrid", "2"], ["vector", "2"], ["keyword", "2"]]
    assert rows[0][2] == "1.000"


def test_one_mode_or_collection_is_measured_alone(env: dict[str, str], folder: Path) -> None:
    arguments = ("eval", "questions.jsonl", "--mode", "keyword", "--collection", "harbour")
    (measured,) = data_of(*arguments, env=env, cwd=folder)

    assert (measured["mode"], measured["questions"], measured["mrr"]) == ("keyword", 2, 0.5)
    assert 0 <= measured["p50_ms"] <= measured["p95_ms"]


def test_questions_come_from_a_pipe_too(env: dict[str, str], folder: Path) -> None:
    arguments = ("eval", "-", "--mode", "keyword", "--json")
    asked = run(*arguments, env=env, cwd=folder, stdin=QUESTIONS)
    broken = run(*arguments, env=env, cwd=folder, stdin='{"query": 1}\n')

    assert json.loads(asked.stdout)["data"][0]["questions"] == 2
    assert (broken.returncode, "stdin" in broken.stderr) == (65, True)


@pytest.mark.parametrize(("name", "code"), [("missing.jsonl", 66), ("broken.jsonl", 65)])
def test_a_set_that_cannot_be_read_is_named(
    name: str, code: int, env: dict[str, str], folder: Path
) -> None:
    done = run("eval", name, env=env, cwd=folder)

    assert (done.returncode, done.stdout) == (code, "")
    assert name in done.stderr
