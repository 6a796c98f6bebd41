"""The built-in embedder, and other files.

vectors.json was written by sentence-transformers from all-MiniLM-L6-v2 in 32 bits.
"""

import hashlib
import json
import re
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import psutil
import pytest

from agentctl.core.embedding.llama_cpp import (
    BUILT_IN_PATH,
    BUILT_IN_SHA256,
    LlamaCppEmbedder,
    built_in_embedder,
)
from agentctl.core.errors import InputUnreadable, ModelIncapable, ModelNotFound
from tests.support.embedded_model import embedded_model_path, gguf_header

ROOT = Path(__file__).parents[3]
ORIGINAL = json.loads(Path(__file__).with_name("vectors.json").read_text(encoding="utf-8"))


def test_vectors_are_the_original_models() -> None:
    vectors = built_in_embedder().embed_passages([each["text"] for each in ORIGINAL])

    cosines = (vectors * np.array([each["vector"] for each in ORIGINAL])).sum(axis=1)
    assert cosines.min() > 0.999


def test_the_file_is_the_one_that_is_documented_and_can_be_made() -> None:
    assert hashlib.sha256(BUILT_IN_PATH.read_bytes()).hexdigest() == BUILT_IN_SHA256
    for name in ("make_embedder.py", "README.md"):
        assert BUILT_IN_SHA256 in (ROOT / "packaging" / name).read_text(encoding="utf-8")
    assert BUILT_IN_PATH.name.startswith("all-MiniLM-L6-v2-Q8_0")


def test_the_profile_is_read_without_loading_the_weights() -> None:
    before = listening_ports()

    profile = built_in_embedder().profile()

    assert (profile.dimensions, profile.max_tokens) == (384, 254)
    assert listening_ports() == before


def test_no_listener_answers_without_the_key_and_closing_closes_them() -> None:
    before = listening_ports()
    embedder = built_in_embedder(threads=2)
    embedder.embed_passages(["some text"] * 40)
    opened = listening_ports() - before

    assert 1 <= len(opened) <= 2
    for port in opened:
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/v1/embeddings", "{}", {"Origin": "https://evil.example"})
        response = connection.getresponse()
        assert response.status == 401
        assert not response.headers["Access-Control-Allow-Origin"]
        connection.close()
    embedder.close()
    assert listening_ports() & opened == set()


def test_nothing_is_printed_and_a_process_may_end_with_a_loaded_engine() -> None:
    program = """
from agentctl.core.embedding.llama_cpp import built_in_embedder
embedder = built_in_embedder()
embedder.embed_query("x" * 10_000)
"""

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (finished.stdout, finished.stderr, finished.returncode) == (b"", b"", 0)


def test_a_file_of_the_users_has_a_revision_of_its_bytes(tmp_path: Path) -> None:
    copy = tmp_path / "nomic-embed-text-v1.5.Q8_0.gguf"
    copy.write_bytes(BUILT_IN_PATH.read_bytes())
    first = LlamaCppEmbedder(copy, f"embedded:{copy}").profile()
    copy.write_bytes(BUILT_IN_PATH.read_bytes()[:-1] + b"!")
    second = LlamaCppEmbedder(copy, f"embedded:{copy}").profile()

    assert first.revision != second.revision
    assert re.fullmatch("[0-9a-f]{16}", first.revision)
    assert (first.query_prefix, first.passage_prefix) == ("search_query: ", "search_document: ")
    assert first.max_tokens == 510


def test_a_prefix_is_embedded_with_the_text(tmp_path: Path) -> None:
    named = LlamaCppEmbedder(BUILT_IN_PATH, "embedded:e5-small", max_tokens=254)

    query, passage = named.embed_query("cats"), named.embed_passages(["cats"])[0]

    plain = built_in_embedder()
    assert np.allclose(query, plain.embed_query("query: cats"), atol=1e-6)
    assert np.allclose(passage, plain.embed_query("passage: cats"), atol=1e-6)


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.gguf"):
        LlamaCppEmbedder(tmp_path / "none.gguf", "embedded:none").embed_query("text")


def test_a_chat_model_is_refused() -> None:
    with pytest.raises(ModelIncapable) as caught:
        LlamaCppEmbedder(embedded_model_path(), "embedded:smollm2").profile()

    assert "knowledge.embedder" in caught.value.hint


def test_a_model_without_vectors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    words: list[str] = ["[UNK]", "[CLS]", "[SEP]"]
    path.write_bytes(
        gguf_header(
            {
                "general.architecture": "llama",
                "tokenizer.ggml.model": "bert",
                "tokenizer.ggml.tokens": words,
            }
        )
    )

    with pytest.raises(ModelIncapable, match="vectors"):
        LlamaCppEmbedder(path, "embedded:model").profile()


def test_a_file_that_was_cut_short_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(BUILT_IN_PATH.read_bytes()[:20_000_000])

    with pytest.raises(InputUnreadable, match="damaged"):
        LlamaCppEmbedder(path, "embedded:model").embed_passages(["text"] * 40)


def listening_ports() -> set[int]:
    connections = psutil.Process().net_connections("inet")
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
