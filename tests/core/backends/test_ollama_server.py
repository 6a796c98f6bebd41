"""What an Ollama server is asked apart from chatting, and where it is looked for."""

import asyncio
from typing import Any

import pytest

from agentctl.core.backends.ollama_server import (
    InstalledModel,
    LoadedModel,
    ModelDetails,
    OllamaServer,
    default_host,
    is_cloud_name,
)
from agentctl.core.backends.progress import PullProgress
from agentctl.core.backends.transport import Endpoint
from agentctl.core.errors import (
    BackendFailed,
    DownloadFailed,
    ModelNotFound,
)
from tests.support.ollama_server import PULL, ScriptedModel, ScriptedOllama


def server_at(url: str) -> OllamaServer:
    return OllamaServer(Endpoint(url, 10, 10, 10))


# Where it is


ANYWHERE = "0.0.0.0"  # noqa: S104 - read, not bound


@pytest.mark.parametrize(
    ("variable", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu", "http://gpu:11434"),
        ("gpu:8080", "http://gpu:8080"),
        (":8080", "http://127.0.0.1:8080"),
        (ANYWHERE, "http://127.0.0.1:11434"),
        (f"{ANYWHERE}:8080", "http://127.0.0.1:8080"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu", "https://gpu:443"),
        ("https://gpu:8443/ollama/", "https://gpu:8443/ollama"),
        ("gpu/ollama", "http://gpu:11434/ollama"),
        ("::", "http://[::1]:11434"),
        ("[::]:8080", "http://[::1]:8080"),
        ("::1", "http://[::1]:11434"),
        (' "gpu:8080" ', "http://gpu:8080"),
    ],
)
def test_every_form_of_ollama_host_is_understood(variable: str, url: str) -> None:
    assert default_host("", {"OLLAMA_HOST": variable}) == url


def test_the_setting_wins_over_the_variable() -> None:
    assert default_host("gpu:1", {"OLLAMA_HOST": "other"}) == "http://gpu:1"


def test_what_is_no_address_is_left_for_the_connection_to_name() -> None:
    assert default_host("gpu:port", {}) == "http://gpu:port"


@pytest.mark.parametrize("name", ["qwen3:cloud", "gpt-oss:120b-cloud", "GPT:CLOUD"])
def test_a_cloud_tag_is_seen(name: str) -> None:
    assert is_cloud_name(name)


@pytest.mark.parametrize("name", ["cloud", "thundercloud:7b", "host:5000/x-cloud", "a:cloudy"])
def test_other_names_are_no_cloud(name: str) -> None:
    assert not is_cloud_name(name)


# What it has


def test_the_version_is_told() -> None:
    with ScriptedOllama(version="0.24.0") as server:
        assert asyncio.run(server_at(server.url).version()) == "0.24.0"


def test_installed_models_are_listed() -> None:
    models = [
        ScriptedModel("qwen3:4b", 2_600_000_000, "4.0B", capabilities=["completion", "tools"]),
        ScriptedModel("smollm2:135m", 270_000_000, "134.52M", capabilities=None),
        ScriptedModel("big:cloud", 0, "", remote_host="https://ollama.com:443"),
    ]
    with ScriptedOllama(models=models) as server:
        qwen, smollm, big = asyncio.run(server_at(server.url).models())

    assert qwen == InstalledModel(
        name="qwen3:4b",
        size=2_600_000_000,
        parameters=4.0,
        quantization="Q4_K_M",
        capabilities=frozenset({"completion", "tools"}),
        is_remote=False,
        modified="2026-01-01T00:00:00Z",
    )
    assert smollm.parameters == pytest.approx(0.13452)
    assert smollm.capabilities == frozenset()
    assert (big.parameters, big.is_remote) == (None, True)


def test_a_server_without_models_has_none() -> None:
    with ScriptedOllama(models=[]) as server:
        assert asyncio.run(server_at(server.url).models()) == []


def test_details_tell_what_a_model_is() -> None:
    with ScriptedOllama() as server:
        assert asyncio.run(server_at(server.url).details("scripted:1b")) == ModelDetails(
            name="scripted:1b",
            context_window=32_768,
            capabilities=frozenset({"completion", "tools", "vision", "thinking"}),
            is_remote=False,
            parameters=1.2,
            quantization="Q4_K_M",
            family="llama",
            license="Apache License",
        )


def test_loaded_models_are_listed() -> None:
    with ScriptedOllama(models=[ScriptedModel(loaded_vram=0.5), ScriptedModel("other")]) as server:
        assert asyncio.run(server_at(server.url).loaded()) == [
            LoadedModel("scripted:1b", 1_300_000_000, 650_000_000, 8192)
        ]


def test_another_server_is_not_taken_for_ollama() -> None:
    with ScriptedOllama() as server, pytest.raises(BackendFailed, match="404 page not found"):
        asyncio.run(server_at(server.url + "/v1").version())


def test_an_answer_of_another_shape_is_not_taken_for_ollamas() -> None:
    version: Any = None
    with ScriptedOllama(version=version) as server, pytest.raises(BackendFailed) as caught:
        asyncio.run(server_at(server.url).version())
    assert "not the answer of an Ollama server" in caught.value.message


def test_a_removed_model_is_gone() -> None:
    with ScriptedOllama() as server:
        asyncio.run(server_at(server.url).remove("scripted:1b"))
        assert asyncio.run(server_at(server.url).models()) == []


def test_a_model_that_is_not_there_cannot_be_removed() -> None:
    with ScriptedOllama() as server, pytest.raises(ModelNotFound, match="mean scripted:1b"):
        asyncio.run(server_at(server.url).remove("scripted"))


# What it fetches


def pull(server: ScriptedOllama) -> list[PullProgress]:
    async def collect() -> list[PullProgress]:
        return [step async for step in server_at(server.url).pull("qwen3:4b")]

    return asyncio.run(collect())


def test_a_pull_tells_its_progress_to_the_end() -> None:
    with ScriptedOllama() as server:
        steps = pull(server)
    assert steps[0] == PullProgress("pulling manifest", 0, 0)
    assert PullProgress("pulling aeda25e63ebd", 1000, 3000) in steps
    assert steps[-1].status == "success"


def test_a_pull_of_what_the_library_does_not_have() -> None:
    problem = {"error": "pull model manifest: file does not exist"}
    with ScriptedOllama(pull=[PULL[0], problem]) as server, pytest.raises(ModelNotFound):
        pull(server)


def test_a_pull_that_fails_tells_why() -> None:
    problem = {"error": "no space left on device"}
    with (
        ScriptedOllama(pull=[*PULL[:3], problem]) as server,
        pytest.raises(DownloadFailed, match="no space left on device"),
    ):
        pull(server)


def test_a_pull_that_ends_early_has_failed_and_can_be_resumed() -> None:
    with ScriptedOllama(pull=PULL[:3]) as server, pytest.raises(DownloadFailed) as caught:
        pull(server)
    assert caught.value.hint == "it resumes where it stopped: agentctl models pull qwen3:4b"
