"""Listing, showing, pulling and removing the models of every backend."""

import asyncio
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.core.backends.model_manager import ModelEntry, ModelList, ModelManager
from agentctl.core.backends.registry import Registry
from agentctl.core.config import load_config
from agentctl.core.errors import BackendUnreachable, ModelNotFound, UsageProblem
from agentctl.core.paths import Paths, find_paths
from tests.support.embedded_model import gguf_header
from tests.support.file_server import FileServer
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

NOWHERE = "http://127.0.0.1:1"
BODY = gguf_header({"general.architecture": "llama", "llama.context_length": 4096})
TINY = f"""
[tiny]
file = "tiny.gguf"
size = {len(BODY)}
license = "MIT"
sha256 = "{hashlib.sha256(BODY).hexdigest()}"
context_window = 4096
parameters = "1M"
summary = "a test"
sources = [{{ hub = "me/tiny", file = "tiny.gguf" }}]
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path)})
    paths.config.mkdir()
    paths.models.mkdir(parents=True)
    (paths.config / "models.toml").write_text(TINY)
    return paths


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    models = [
        ScriptedModel("qwen3:4b", parameters="4.0B", loaded_vram=1.0),
        ScriptedModel("llama3.2:latest", parameters="900M"),
    ]
    with ScriptedOllama(models=models) as server:
        yield server


def manager(paths: Paths, host: str = NOWHERE, **variables: str) -> ModelManager:
    environ = {"AGENTCTL_OLLAMA_HOST": host, "PIP_CONFIG_FILE": os.devnull, **variables}
    settings = load_config(paths, environ, paths.config).settings
    return ModelManager(Registry(settings, paths, environ), settings, paths, environ)


def list_models(manager: ModelManager) -> ModelList:
    return asyncio.run(manager.list_models())


def show(manager: ModelManager, name: str) -> ModelEntry:
    return asyncio.run(manager.show(name))


def pull(manager: ModelManager, name: str) -> list[str]:
    async def collect() -> list[str]:
        return [step.status async for step in manager.pull(name)]

    return asyncio.run(collect())


def find(listed: ModelList, name: str) -> ModelEntry:
    return next(entry for entry in listed.models if entry.name == name)


# Listing


def test_every_backend_is_listed_what_is_here_first(paths: Paths, ollama: ScriptedOllama) -> None:
    (paths.models / "tiny.gguf").write_bytes(BODY)
    (paths.models / "stray.gguf").write_bytes(BODY)

    listed = list_models(manager(paths, ollama.url, AGENTCTL_OPENAI_BASE_URL=f"{ollama.url}/v1"))

    installed = [(entry.backend, entry.name) for entry in listed.models if entry.installed]
    assert installed == [
        ("embedded", "tiny"),
        ("embedded", "stray"),
        ("ollama", "qwen3:4b"),
        ("ollama", "llama3.2:latest"),
        ("openai", "qwen3:4b"),
        ("openai", "llama3.2:latest"),
    ]
    assert [entry.installed for entry in listed.models[:7]] == [True] * 6 + [False]
    assert listed.notes == ()


def test_what_ollama_tells_is_passed_on(paths: Paths, ollama: ScriptedOllama) -> None:
    listed = list_models(manager(paths, ollama.url))

    entry = find(listed, "qwen3:4b")
    assert (entry.loaded, entry.parameters, entry.quantization) == (True, "4B", "Q4_K_M")
    assert "tools" in entry.capabilities
    assert find(listed, "llama3.2:latest").parameters == "900M"


def test_what_the_catalogue_tells_is_passed_on(paths: Paths) -> None:
    entry = find(list_models(manager(paths)), "tiny")

    assert entry == ModelEntry(
        name="tiny",
        backend="embedded",
        installed=False,
        size=len(BODY),
        parameters="1M",
        context_window=4096,
        fits="yes",
        license="MIT",
        summary="a test",
    )


def test_a_model_larger_than_the_machine_is_marked(paths: Paths) -> None:
    giant = ScriptedModel("giant:1t", size=10**15)
    cloud = ScriptedModel("big:cloud", size=300, remote_host="https://ollama.com")
    with ScriptedOllama(models=[giant, cloud]) as ollama:
        listed = list_models(manager(paths, ollama.url))

    assert find(listed, "giant:1t").fits == "no"
    assert (find(listed, "big:cloud").fits, find(listed, "big:cloud").is_remote) == (None, True)


@pytest.mark.parametrize(
    ("setting", "default"),
    [
        ("auto", "qwen3:4b"),
        ("llama3.2", "llama3.2:latest"),
        ("ollama:llama3.2", "llama3.2:latest"),
        ("embedded:tiny", "tiny"),
        ("smollm2-135m", None),
    ],
)
def test_the_default_is_marked_where_it_is_installed(
    paths: Paths, ollama: ScriptedOllama, setting: str, default: str | None
) -> None:
    (paths.models / "tiny.gguf").write_bytes(BODY)

    listed = list_models(manager(paths, ollama.url, AGENTCTL_MODEL=setting))

    marked = [entry.name for entry in listed.models if entry.is_default]
    assert marked == ([default] if default else [])


def test_without_ollama_the_embedded_default_is_marked(paths: Paths) -> None:
    (paths.models / "tiny.gguf").write_bytes(BODY)

    listed = list_models(manager(paths, AGENTCTL_EMBEDDED_MODEL="tiny"))

    assert find(listed, "tiny").is_default


def test_servers_that_do_not_answer_are_noted(paths: Paths) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hung = f"http://127.0.0.1:{silent.getsockname()[1]}"
        listed = list_models(manager(paths, AGENTCTL_OPENAI_BASE_URL=f"{hung}/v1"))

    assert len(listed.notes) == 2
    assert any(NOWHERE in note for note in listed.notes)
    assert any(hung in note for note in listed.notes)
    assert find(listed, "tiny")


# Showing


def test_a_model_of_ollama_is_shown_in_full(paths: Paths, ollama: ScriptedOllama) -> None:
    entry = show(manager(paths, ollama.url), "llama3.2")

    assert (entry.name, entry.context_window) == ("llama3.2:latest", 32_768)
    assert entry.license == "Apache License"
    assert entry.size == 1_300_000_000


def test_an_embedded_model_is_shown_in_full(paths: Paths) -> None:
    (paths.models / "stray.gguf").write_bytes(BODY)

    entry = show(manager(paths), "stray")

    assert (entry.backend, entry.context_window, entry.size) == ("embedded", 4096, len(BODY))


def test_a_model_of_the_catalogue_is_shown_before_it_is_pulled(paths: Paths) -> None:
    assert not show(manager(paths), "smollm2-135m").installed
    assert not show(manager(paths), "embedded:tiny").installed


def test_a_model_nobody_has_is_not_shown(paths: Paths, ollama: ScriptedOllama) -> None:
    with pytest.raises(ModelNotFound, match="did you mean qwen3:4b"):
        show(manager(paths, ollama.url), "qwen3:4")


# Pulling


@pytest.mark.parametrize("name", ["tiny", "embedded:tiny"])
def test_a_model_of_the_catalogue_comes_from_the_hub(
    paths: Paths, ollama: ScriptedOllama, name: str
) -> None:
    with FileServer().running() as hub:
        hub.serve("/me/tiny/resolve/main/tiny.gguf", BODY)

        steps = pull(manager(paths, ollama.url, AGENTCTL_DOWNLOADS_HUB=hub.url), name)

    assert steps[-1] == "success"
    assert (paths.models / "tiny.gguf").read_bytes() == BODY
    assert ollama.calls == []


@pytest.mark.parametrize("name", ["gemma3:4b", "ollama:gemma3:4b", "ollama:tiny"])
def test_any_other_model_is_fetched_by_ollama(
    paths: Paths, ollama: ScriptedOllama, name: str
) -> None:
    assert pull(manager(paths, ollama.url), name)[-1] == "success"
    assert ("POST", "/api/pull") in ollama.calls


def test_a_name_that_ollama_does_not_know_may_be_the_catalogue_s(paths: Paths) -> None:
    unknown = [{"error": "pull model manifest: file does not exist"}]
    with (
        ScriptedOllama(pull=unknown) as ollama,
        pytest.raises(ModelNotFound, match=r"did you mean smollm2-135m\?") as failure,
    ):
        pull(manager(paths, ollama.url), "smollm2-135")

    assert failure.value.hint == "agentctl models pull smollm2-135m"


def test_without_ollama_its_models_cannot_be_pulled(paths: Paths) -> None:
    with pytest.raises(ModelNotFound, match="Ollama cannot be asked") as failure:
        pull(manager(paths, PATH=""), "deepseek-r1:7b")

    assert "https://ollama.com/download" in failure.value.hint


def test_ollama_is_not_worked_around_when_it_is_named(paths: Paths) -> None:
    with pytest.raises(BackendUnreachable):
        pull(manager(paths, PATH=""), "ollama:gemma3:4b")


@pytest.mark.parametrize("name", ["openai:gpt", "scripted:replies.jsonl"])
def test_other_backends_fetch_nothing(paths: Paths, name: str) -> None:
    with pytest.raises(UsageProblem, match="only Ollama and the embedded engine"):
        pull(manager(paths), name)


def test_an_embedded_name_that_is_unknown_is_not_left_to_ollama(
    paths: Paths, ollama: ScriptedOllama
) -> None:
    with pytest.raises(ModelNotFound, match=r"did you mean tiny\?"):
        pull(manager(paths, ollama.url), "embedded:tinyy")

    assert ollama.calls == []


# Removing


@pytest.mark.parametrize("name", ["tiny", "embedded:tiny", "tiny.gguf", "stray", "stray.gguf"])
def test_an_embedded_model_is_removed(paths: Paths, name: str) -> None:
    path = paths.models / f"{name.removeprefix('embedded:').removesuffix('.gguf')}.gguf"
    path.write_bytes(BODY)

    asyncio.run(manager(paths).remove(name))

    assert list(paths.models.iterdir()) == []


def test_a_pull_that_was_broken_off_is_removed_too(paths: Paths) -> None:
    (paths.models / "tiny.gguf.part").write_bytes(b"half")

    asyncio.run(manager(paths).remove("tiny"))

    assert list(paths.models.iterdir()) == []


def test_a_model_of_ollama_is_removed(paths: Paths, ollama: ScriptedOllama) -> None:
    asyncio.run(manager(paths, ollama.url).remove("llama3.2"))

    assert list(ollama.models) == ["qwen3:4b"]


def test_a_model_that_is_not_installed_cannot_be_removed(paths: Paths) -> None:
    with pytest.raises(ModelNotFound, match="tiny is not installed"):
        asyncio.run(manager(paths).remove("tiny"))


def test_what_is_not_agentctl_s_is_not_deleted(paths: Paths, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(BODY)

    for name in (str(own), f"scripted:{own}", "auto"):
        with pytest.raises(UsageProblem):
            asyncio.run(manager(paths).remove(name))

    assert own.exists()
