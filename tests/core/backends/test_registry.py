"""Which model a name opens, what "auto" takes, and what is said when nobody has it."""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.backends.model_choice import choose_chat_model
from agentctl.core.backends.ollama_server import InstalledModel
from agentctl.core.backends.registry import Located, Opened, Registry, anchored, split_name
from agentctl.core.config import Settings, load_config
from agentctl.core.errors import BackendUnreachable, ConfigError, ModelForbidden, ModelNotFound
from agentctl.core.hardware import Fit
from agentctl.core.paths import Paths, find_paths
from tests.support.embedded_model import gguf_header
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

NOWHERE = "http://127.0.0.1:1"
SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1.gguf"
ROOT = Path(__file__).parents[3]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path)})


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    models = [
        ScriptedModel("qwen3:4b", parameters="4.0B"),
        ScriptedModel("llama3.2:latest", parameters="3.2B"),
        ScriptedModel("giant:1t", parameters="1T", size=10**15),
        ScriptedModel("nomic-embed-text:latest", parameters="137M", capabilities=["embedding"]),
        ScriptedModel("gpt-oss:120b-cloud", parameters="120B", remote_host="https://ollama.com"),
    ]
    with ScriptedOllama(models=models) as server:
        yield server


def settings(paths: Paths, host: str = NOWHERE, **variables: str) -> Settings:
    environ = {"AGENTCTL_OLLAMA_HOST": host, **variables}
    return load_config(paths, environ, paths.config).settings


def registry(paths: Paths, host: str = NOWHERE, path: str = "", **variables: str) -> Registry:
    return Registry(settings(paths, host, **variables), paths, {"PATH": path, **variables})


def locate(registry: Registry, name: str) -> Located:
    return asyncio.run(registry.locate(name))


def install(paths: Paths, file: str = SMOLLM2) -> Path:
    paths.models.mkdir(parents=True, exist_ok=True)
    (paths.models / file).write_bytes(gguf_header({"general.architecture": "llama"}))
    return paths.models / file


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("qwen3:4b", (None, "qwen3:4b")),
        ("ollama:qwen3:4b", ("ollama", "qwen3:4b")),
        ("embedded:tiny", ("embedded", "tiny")),
        ("openai", (None, "openai")),
        ("hf.co/a/b:Q4_K_M", (None, "hf.co/a/b:Q4_K_M")),
    ],
)
def test_only_a_backend_in_front_is_a_prefix(name: str, parts: tuple[str | None, str]) -> None:
    assert split_name(name) == parts


# auto


def test_auto_takes_the_largest_chat_model_that_fits(paths: Paths, ollama: ScriptedOllama) -> None:
    found = locate(registry(paths, ollama.url), "auto")

    assert (found.backend, found.name) == ("ollama", "qwen3:4b")
    assert found.reason == (
        "auto: the largest installed chat model of Ollama that fits this machine"
    )


def test_auto_takes_the_only_chat_model_unmeasured(paths: Paths) -> None:
    with ScriptedOllama(models=[ScriptedModel("giant:1t", size=10**15)]) as ollama:
        found = locate(registry(paths, ollama.url), "auto")

    assert (found.name, found.reason) == ("giant:1t", "auto: the only chat model of Ollama")


def test_auto_falls_back_to_the_embedded_default(paths: Paths) -> None:
    path = install(paths)

    found = locate(registry(paths), "auto")

    assert (found.backend, found.name, found.path) == ("embedded", "smollm2-135m", path)
    assert found.reason == f"auto: no Ollama answers at {NOWHERE}"


def test_auto_prefers_the_embedded_default_to_an_embedding_model(paths: Paths) -> None:
    install(paths)
    with ScriptedOllama(models=[ScriptedModel("bge-m3:latest", capabilities=None)]) as ollama:
        found = locate(registry(paths, ollama.url), "auto")

    assert found.backend == "embedded"
    assert found.reason == "auto: Ollama has no chat model that fits this machine"


def test_auto_without_any_model_names_the_one_to_pull(paths: Paths) -> None:
    with pytest.raises(ModelNotFound) as failure:
        locate(registry(paths), "auto")

    assert failure.value.exit_code == 69
    assert failure.value.message == (f"no model is installed, and no Ollama answers at {NOWHERE}")
    assert failure.value.hint == "agentctl models pull smollm2-135m"


def test_auto_never_starts_ollama(paths: Paths, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(stat.S_IRWXU)

    with pytest.raises(ModelNotFound):
        locate(registry(paths, path=str(program.parent)), "auto")

    assert not (tmp_path / "started").exists()


def test_auto_is_not_held_up_by_a_port_that_hangs(paths: Paths) -> None:
    install(paths)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = locate(registry(paths, f"http://127.0.0.1:{silent.getsockname()[1]}"), "auto")

    assert found.backend == "embedded"


def model(name: str, **changes: object) -> InstalledModel:
    plain = InstalledModel(name, 1, 1.0, "", frozenset({"completion"}), False, "2026-01-01")
    return replace(plain, **changes)  # type: ignore[arg-type]  # the fields vary by test


@pytest.mark.parametrize(
    ("models", "best"),
    [
        ([model("small"), model("large", parameters=8.0)], "large"),
        ([model("old"), model("new", modified="2026-02-01")], "new"),
        ([model("unknown", parameters=None), model("known")], "known"),
        ([model("a"), model("huge", parameters=70.0, size=9)], "a"),
        ([model("huge1", size=9), model("huge2", size=9)], None),
        ([model("cloud", parameters=99.0, is_remote=True), model("here")], "here"),
        ([model("vectors", parameters=8.0, capabilities=frozenset({"embedding"}))], None),
        ([model("mxbai-embed-large", capabilities=frozenset()), model("x")], "x"),
        ([model("all-minilm", capabilities=frozenset())], None),
        ([model("gpt-neo", capabilities=frozenset())], "gpt-neo"),
        ([], None),
    ],
)
def test_the_choice_among_models(models: list[InstalledModel], best: str | None) -> None:
    def measure(size: int) -> Fit:
        return "no" if size > 5 else "tight"

    chosen = choose_chat_model(models, allow_cloud=True, measure=measure)

    assert (chosen.name if chosen else None) == best


def test_a_model_elsewhere_is_only_chosen_when_allowed() -> None:
    models = [model("cloud", is_remote=True)]

    assert choose_chat_model(models, allow_cloud=False) is None
    assert choose_chat_model(models, allow_cloud=True) == models[0]


# Names


def test_an_installed_model_of_the_catalogue_is_embedded(
    paths: Paths, ollama: ScriptedOllama
) -> None:
    path = install(paths)

    assert locate(registry(paths, ollama.url), "smollm2-135m") == Located(
        "embedded", "smollm2-135m", path
    )
    assert ollama.calls == []


@pytest.mark.parametrize("name", ["mine", "mine.gguf", "embedded:mine", "embedded:mine.gguf"])
def test_a_file_in_the_folder_of_models_is_known_by_its_stem(paths: Paths, name: str) -> None:
    path = install(paths, "mine.gguf")

    assert locate(registry(paths), name) == Located("embedded", "mine", path)


@pytest.mark.parametrize("prefix", ["", "embedded:"])
def test_a_file_elsewhere_keeps_its_path_as_its_name(
    paths: Paths, tmp_path: Path, prefix: str
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"")

    assert locate(registry(paths), f"{prefix}{path}") == Located("embedded", str(path), path)


@pytest.mark.parametrize(
    ("name", "full"), [("qwen3:4b", "qwen3:4b"), ("llama3.2", "llama3.2:latest")]
)
def test_any_other_name_is_ollama_s(
    paths: Paths, ollama: ScriptedOllama, name: str, full: str
) -> None:
    assert locate(registry(paths, ollama.url), name) == Located("ollama", full)


def test_a_name_behind_ollama_is_not_looked_up(paths: Paths, ollama: ScriptedOllama) -> None:
    assert locate(registry(paths, ollama.url), "ollama:x") == Located("ollama", "x")
    assert ollama.calls == [("GET", "/api/version")]


def test_ollama_without_an_answer_is_told(paths: Paths) -> None:
    with pytest.raises(BackendUnreachable, match="Ollama is not installed"):
        locate(registry(paths), "ollama:qwen3:4b")


def test_ollama_is_not_started_against_the_settings(paths: Paths) -> None:
    with pytest.raises(BackendUnreachable, match=NOWHERE):
        locate(registry(paths, AGENTCTL_OLLAMA_START="false"), "ollama:qwen3:4b")


def test_the_openai_server_is_asked_last(paths: Paths, ollama: ScriptedOllama) -> None:
    mine = registry(paths, AGENTCTL_OPENAI_BASE_URL=f"{ollama.url}/v1")

    assert locate(mine, "qwen3:4b") == Located("openai", "qwen3:4b")


def test_an_openai_server_that_fails_has_no_model(paths: Paths) -> None:
    mine = registry(paths, AGENTCTL_OPENAI_BASE_URL=f"{NOWHERE}/v1")

    with pytest.raises(ModelNotFound):
        locate(mine, "qwen3:4b")


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for Ollama is a shell script")
def test_ollama_is_started_when_one_of_its_models_is_named(paths: Paths, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    program = tmp_path / "bin" / "ollama"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid\ncd {ROOT}\n"
        f"exec {sys.executable} -m tests.support.ollama_server --port {port}\n"
    )
    program.chmod(stat.S_IRWXU)
    mine = registry(paths, f"http://127.0.0.1:{port}", str(program.parent))
    try:
        found = locate(mine, "ollama:scripted:1b")
    finally:
        os.kill(int((tmp_path / "pid").read_text()), 9)

    assert found == Located("ollama", "scripted:1b", reason="started ollama serve")


# The embedded engine in its place


@pytest.mark.parametrize("name", ["ollama:qwen3:4b", "qwen3:4b", "llama3.2"])
def test_the_embedded_engine_answers_for_a_silent_ollama_where_it_may(
    paths: Paths, name: str
) -> None:
    path = install(paths)

    found = locate(registry(paths, AGENTCTL_OLLAMA_FALLBACK="true"), name)

    reason = "Ollama does not answer; smollm2-135m answers instead"
    assert found == Located("embedded", "smollm2-135m", path, reason)


def test_the_embedded_engine_answers_for_an_ollama_that_hangs(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(paths)
    monkeypatch.setattr("agentctl.core.backends.registry.LOOK_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        mine = registry(paths, url, AGENTCTL_OLLAMA_FALLBACK="true")

        assert locate(mine, "ollama:qwen3:4b").backend == "embedded"
        assert locate(mine, "qwen3:4b").backend == "embedded"


def test_no_other_model_answers_unless_the_user_said_so(paths: Paths) -> None:
    install(paths)

    with pytest.raises(BackendUnreachable):
        locate(registry(paths), "ollama:qwen3:4b")


def test_a_stand_in_must_be_installed(paths: Paths) -> None:
    with pytest.raises(BackendUnreachable):
        locate(registry(paths, AGENTCTL_OLLAMA_FALLBACK="true"), "ollama:qwen3:4b")


def test_ollama_answers_itself_while_it_can(paths: Paths, ollama: ScriptedOllama) -> None:
    install(paths)

    found = locate(registry(paths, ollama.url, AGENTCTL_OLLAMA_FALLBACK="true"), "qwen3:4b")

    assert found == Located("ollama", "qwen3:4b")


# Names that nobody has


def test_a_model_of_the_catalogue_is_one_command_away(paths: Paths, ollama: ScriptedOllama) -> None:
    with pytest.raises(ModelNotFound, match="qwen3-4b is not installed") as failure:
        locate(registry(paths, ollama.url), "qwen3-4b")

    assert failure.value.hint == "agentctl models pull qwen3-4b"


def test_the_most_similar_name_is_told(paths: Paths, ollama: ScriptedOllama) -> None:
    with pytest.raises(ModelNotFound, match=r"no model qwen3:4 \(did you mean qwen3:4b\?\)") as f:
        locate(registry(paths, ollama.url), "qwen3:4")

    assert f.value.hint == "agentctl models pull qwen3:4"


def test_a_misspelt_model_of_the_catalogue_is_what_to_pull(
    paths: Paths, ollama: ScriptedOllama
) -> None:
    with pytest.raises(ModelNotFound, match=r"did you mean smollm2-135m\?") as failure:
        locate(registry(paths, ollama.url), "smolm2-135m")

    assert failure.value.hint == "agentctl models pull smollm2-135m"


def test_a_misspelt_model_that_is_here_needs_no_pull(paths: Paths, ollama: ScriptedOllama) -> None:
    install(paths)

    for name in ("smolm2-135m", "embedded:zzz"):
        with pytest.raises(ModelNotFound) as failure:
            locate(registry(paths, ollama.url), name)
        assert failure.value.hint == "agentctl models list"


def test_without_ollama_its_name_leads_to_both_ways_out(paths: Paths) -> None:
    with pytest.raises(ModelNotFound, match="Ollama cannot be asked: Ollama is not installed") as f:
        locate(registry(paths), "deepseek-r1:7b")

    assert f.value.hint == (
        "get Ollama at https://ollama.com/download, or do without: "
        "agentctl models pull smollm2-135m"
    )


@pytest.mark.parametrize("name", ["embedded:zzz", "/nowhere/zzz.gguf", "embedded:", "zzz.gguf"])
def test_an_embedded_model_that_is_not_there_asks_no_server(
    paths: Paths, ollama: ScriptedOllama, name: str
) -> None:
    with pytest.raises(ModelNotFound) as failure:
        locate(registry(paths, ollama.url), name)

    assert failure.value.hint == "agentctl models pull smollm2-135m"
    assert ollama.calls == []


# Names that mean the same everywhere


def test_what_names_a_file_is_anchored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here.gguf").touch()
    monkeypatch.chdir(tmp_path)

    assert anchored("here.gguf") == str(tmp_path / "here.gguf")
    assert anchored("./gone.gguf") == str(tmp_path / "gone.gguf")
    assert anchored("embedded:here.gguf") == f"embedded:{tmp_path / 'here.gguf'}"
    assert anchored("scripted:replies.jsonl") == f"scripted:{tmp_path / 'replies.jsonl'}"
    assert anchored("scripted:~/replies.jsonl") == f"scripted:{Path.home() / 'replies.jsonl'}"


@pytest.mark.parametrize(
    "name",
    ["auto", "qwen3:4b", "embedded:tiny", "ours.gguf", "ollama:a/b.gguf", "openai:x", "scripted:"],
)
def test_every_other_name_stays(name: str) -> None:
    assert anchored(name) == name


# Opening


def open_model(registry: Registry, name: str, **options: object) -> Opened:
    return asyncio.run(registry.open(name, **options))  # type: ignore[arg-type]  # as above


def test_an_embedded_model_opens_with_the_settings(paths: Paths) -> None:
    install(paths)

    opened = open_model(registry(paths), "smollm2-135m")

    info = asyncio.run(opened.model.info())
    assert (opened.backend, info.name, info.context_window) == ("embedded", "smollm2-135m", 8192)


def test_the_caller_s_window_is_stronger_than_the_settings(
    paths: Paths, ollama: ScriptedOllama
) -> None:
    opened = open_model(registry(paths, ollama.url), "qwen3:4b", context_window=2048)

    assert asyncio.run(opened.model.info()).context_window == 2048


def test_a_cloud_model_says_itself_why_it_is_refused(paths: Paths, ollama: ScriptedOllama) -> None:
    opened = open_model(registry(paths, ollama.url), "kimi-k2:1t-cloud")

    with pytest.raises(ModelForbidden):
        asyncio.run(opened.model.info())


def test_an_openai_model_opens_unasked(paths: Paths) -> None:
    mine = registry(paths, AGENTCTL_OPENAI_BASE_URL=f"{NOWHERE}/v1")

    assert open_model(mine, "openai:any").backend == "openai"


def test_an_openai_model_needs_an_address(paths: Paths) -> None:
    with pytest.raises(ConfigError, match=r"openai\.base_url is not set"):
        open_model(registry(paths), "openai:any")


def test_a_script_opens(paths: Paths, tmp_path: Path) -> None:
    script = tmp_path / "replies.jsonl"
    script.write_text('{"text": "hello"}\n')

    opened = open_model(registry(paths), f"scripted:{script}")

    assert (opened.backend, opened.name) == ("scripted", str(script))
