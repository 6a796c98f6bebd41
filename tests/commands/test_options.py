"""Options that several commands have: the same wherever they stand."""

import json
from pathlib import Path

import pytest

from tests.support.cli import environment, run
from tests.support.daemon import running_daemon


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "replies.jsonl"
    file.write_text('{"text": "From here."}\n')
    return file


@pytest.mark.parametrize("words", ["ask hi", "agents run assistant hi"])
def test_a_file_of_this_folder_answers_although_a_daemon_runs(
    words: str, home: Path, script: Path
) -> None:
    env = environment(home)
    arguments = (*words.split(), "-m", f"scripted:{script.name}")
    with running_daemon(Path(env["AGENTCTL_HOME"])):
        done = run(*arguments, env=env, cwd=script.parent)

    assert (done.returncode, done.stdout) == (0, "From here.\n")


@pytest.mark.parametrize(
    ("words", "looked"),
    [
        ("ask --save mine hi", "templates show mine"),
        ("tasks add mine --every 1h --ask hi", "tasks show mine"),
    ],
)
def test_a_file_is_kept_by_its_whole_path(
    words: str, looked: str, home: Path, script: Path
) -> None:
    env = environment(home)
    run(*words.split(), "-m", f"scripted:{script.name}", env=env, cwd=script.parent)
    data = json.loads(run(*looked.split(), "--json", env=env).stdout)["data"]

    assert data.get("action", data)["model"] == f"scripted:{script}"


@pytest.mark.parametrize(
    "words",
    [
        "ask hi --timeout nan",
        "agents run assistant hi --timeout nan",
        "monitor --once --interval nan",
    ],
)
def test_what_is_no_number_is_wrong_usage(words: str, home: Path) -> None:
    done = run(*words.split(), env=environment(home))

    assert (done.returncode, done.stdout) == (2, "")
    assert "nan is not a number" in done.stderr
