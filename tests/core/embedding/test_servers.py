"""What is sent to servers, and what is made of what they tell."""

import numpy as np
import pytest

from agentctl.core.embedding.prefixes import prefixes_of
from agentctl.core.errors import BackendFailed, ModelForbidden, ModelIncapable
from tests.support.embedders import open_named
from tests.support.ollama_script import ScriptedModel
from tests.support.ollama_server import ScriptedOllama

EMBEDDING = {"capabilities": ("embedding",), "family": "nomic-bert", "context_window": 8192}
NOMIC = ScriptedModel("nomic-embed-text:latest", **EMBEDDING)


def test_ollama_is_sent_prefixed_texts_in_batches_with_a_fixed_window() -> None:
    with ScriptedOllama(models=[NOMIC]) as server:
        embedder = open_named("ollama:nomic-embed-text", server.url)
        embedder.embed_passages(["passage"] * 70)
        embedder.embed_query("query")

        probe, *batches, query = server.requests

    assert [len(batch["input"]) for batch in batches] == [32, 32, 6]
    assert batches[0]["input"][0] == "search_document: passage"
    assert query["input"] == ["search_query: query"]
    for request in (probe, *batches, query):
        assert request["options"] == {"num_ctx": 2048}
        assert request["keep_alive"] == "5m"


def test_the_profile_tells_ollamas_versions_of_a_model_apart() -> None:
    with ScriptedOllama(models=[NOMIC]) as server:
        profile = open_named("ollama:nomic-embed-text", server.url).profile()

    assert profile.revision == "0" * 16
    assert profile.max_tokens == 1638


def test_a_text_over_the_window_is_cut_before_it_is_sent() -> None:
    narrow = ScriptedModel("minilm", capabilities=("embedding",), context_window=256)
    with ScriptedOllama(models=[narrow]) as server:
        embedder = open_named("ollama:minilm", server.url)
        embedder.embed_passages(["word " * 1000, "x" * 1000, "  \n"])

        words, letters, blank = server.requests[-1]["input"]

    assert words == "word " * embedder.profile().max_tokens
    assert letters == "x" * embedder.profile().max_tokens
    assert blank == "."


def test_a_chat_model_of_ollamas_is_refused() -> None:
    with ScriptedOllama() as server, pytest.raises(ModelIncapable, match="vectors"):
        open_named("ollama:scripted:1b", server.url).profile()


@pytest.mark.parametrize("remote_host", ["", "https://ollama.example"])
def test_a_model_on_somebody_elses_machine_is_refused(remote_host: str) -> None:
    name = "embed" if remote_host else "embed:cloud"
    model = ScriptedModel(name, capabilities=("embedding",), remote_host=remote_host)
    with ScriptedOllama(models=[model]) as server, pytest.raises(ModelForbidden) as caught:
        open_named(f"ollama:{name}", server.url).embed_passages(["private"])

    assert server.requests == []
    assert "ollama.allow_cloud" in caught.value.hint


def test_openais_rows_are_put_in_order() -> None:
    model = ScriptedModel("e5-small")
    with ScriptedOllama(models=[model]) as server:
        embedder = open_named("openai:e5-small", server.url)
        together = embedder.embed_passages(["one", "two", "three"])
        alone = np.concatenate(
            [embedder.embed_passages([text]) for text in ("one", "two", "three")]
        )

    assert np.array_equal(together, alone)
    assert server.requests[1]["input"] == ["passage: one", "passage: two", "passage: three"]


@pytest.mark.parametrize(
    "vectors",
    [[], [[1.0], [1.0]], [[0.0, 0.0]], [[]], "none", [["a"]], [[float("nan")]]],
    ids=["none", "too many", "no direction", "empty", "no list", "words", "not a number"],
)
def test_vectors_that_are_none_are_a_typed_error(
    vectors: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tests.support.ollama_server.embeddings", lambda request: {"embeddings": vectors}
    )
    with ScriptedOllama(models=[NOMIC]) as server, pytest.raises(BackendFailed):
        open_named("ollama:nomic-embed-text", server.url).embed_query("text")


@pytest.mark.parametrize(
    ("model", "query", "passage"),
    [
        ("nomic-embed-text:v1.5", "search_query: ", "search_document: "),
        ("intfloat/multilingual-e5-small", "query: ", "passage: "),
        ("mxbai-embed-large", "Represent this sentence for searching relevant passages: ", ""),
        ("snowflake-arctic-embed:22m", "Represent this sentence for searching", ""),
        ("snowflake-arctic-embed2:568m", "query: ", ""),
        ("Snowflake/snowflake-arctic-embed-l-v2.0", "query: ", ""),
        ("BAAI/bge-base-en-v1.5", "Represent this sentence", ""),
        ("Qwen/Qwen3-Embedding-0.6B", "Instruct: ", ""),
        ("intfloat/multilingual-e5-large-instruct", "Instruct: ", ""),
        ("embeddinggemma:300m", "task: search result | query: ", "title: none | text: "),
        ("bge-m3", "", ""),
        ("all-minilm", "", ""),
        ("text-embedding-3-small", "", ""),
    ],
)
def test_known_models_get_the_words_they_want(model: str, query: str, passage: str) -> None:
    found = prefixes_of(model)

    assert found.passage == passage
    assert found.query.startswith(query)
    assert bool(found.query) == bool(query)
