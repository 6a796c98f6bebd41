from pathlib import Path

import pytest

from agentctl.core.embedding.llama_cpp import BUILT_IN_PATH
from agentctl.core.embedding.registry import profile_name
from agentctl.core.errors import BackendUnreachable, ConfigError, ModelNotFound
from tests.support.embedders import open_named


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("builtin", "built-in"),
        ("sentence-transformer:BAAI/bge-small-en", "sentence-transformers:BAAI/bge-small-en"),
        ("olama:nomic-embed-text", "ollama:nomic-embed-text"),
        ("openai", "openai:NAME"),
        ("ollama:", "ollama:NAME"),
        ("", "built-in"),
        ("qqqq", "built-in"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_right_one(name: str, meant: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_named(name)

    assert caught.value.hint == f"agentctl config set knowledge.embedder {meant}"


def test_nothing_is_asked_before_it_is_used() -> None:
    embedder = open_named("ollama:nomic-embed-text", "http://127.0.0.1:1")

    with pytest.raises(BackendUnreachable):
        embedder.profile()


def test_openai_wants_an_address() -> None:
    with pytest.raises(ConfigError, match=r"openai\.base_url"):
        open_named("openai:text-embedding-3-small")


def test_a_file_is_found_by_its_path_and_among_the_models(tmp_path: Path) -> None:
    models = tmp_path / "models"
    models.mkdir()
    (models / "minilm.gguf").symlink_to(BUILT_IN_PATH)

    by_path = open_named(str(models / "minilm.gguf"))
    by_name = open_named("embedded:minilm", folder=tmp_path)

    assert by_path.profile().revision == by_name.profile().revision
    assert by_name.profile().name == "embedded:minilm"
    assert by_name.profile().dimensions == 384


def test_a_file_that_is_not_there_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="none"):
        open_named("embedded:none", folder=tmp_path)


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("/models/x.gguf", "embedded:/models/x.gguf"),
        ("C:\\x.gguf", "embedded:C:\\x.gguf"),
        ("embedded:x", "embedded:x"),
        ("ollama:x.gguf", "ollama:x.gguf"),
        ("built-in", "built-in"),
    ],
)
def test_a_setting_has_one_name_in_profiles(setting: str, name: str) -> None:
    assert profile_name(setting) == profile_name(name) == name


def test_an_embedder_calls_itself_what_profiles_call_it(tmp_path: Path) -> None:
    file = tmp_path / "minilm.gguf"
    file.symlink_to(BUILT_IN_PATH)

    assert open_named(str(file)).profile().name == profile_name(str(file))
