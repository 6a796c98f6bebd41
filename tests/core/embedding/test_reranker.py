"""The reranker on the real engine: the built-in model with a head made up for the tests."""

from pathlib import Path

import numpy as np
import pytest

from agentctl.core.embedding.llama_cpp import BUILT_IN_PATH
from agentctl.core.embedding.reranker import LlamaCppReranker, open_reranker
from agentctl.core.errors import ModelIncapable, ModelNotFound
from tests.support.embedders import settings_with
from tests.support.reranker_model import write_reranker

QUERY = "What is the capital of Switzerland?"
TEXTS = [
    "Bern is the capital of Switzerland.",
    "A cat sat on the mat.",
    "def add(a, b): return a + b",
    "",
    "word " * 5000,
    "🙂" * 2000 + "\ud800" + "x" * 2000,
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    direction = np.random.default_rng(0).normal(0, 0.05, 384).astype(np.float32)
    return write_reranker(tmp_path_factory.mktemp("reranker") / "reranker.gguf", direction)


def test_each_text_has_a_score_whatever_else_is_scored(path: Path) -> None:
    reranker = open_reranker(str(path), settings_with({"knowledge.reranker": str(path)}))

    scores = reranker.scores(QUERY, TEXTS)
    backwards = reranker.scores(QUERY, TEXTS[::-1])
    reranker.close()
    reranker.close()

    assert (scores.shape, scores.dtype) == ((len(TEXTS),), np.float32)
    assert np.allclose(scores, backwards[::-1], atol=1e-4)
    assert len({round(float(score), 3) for score in scores[:3]}) == 3


def test_the_query_counts(path: Path) -> None:
    reranker = LlamaCppReranker(path)

    one, other = (reranker.scores(query, TEXTS[:1])[0] for query in (QUERY, "Feed the cat."))

    assert abs(one - other) > 1e-3


def test_what_is_cut_off_does_not_count(path: Path) -> None:
    first, second = LlamaCppReranker(path).scores(QUERY, [TEXTS[4], TEXTS[4] + "Bern"])

    assert first == second


def test_no_texts_have_no_scores(path: Path) -> None:
    assert LlamaCppReranker(path).scores(QUERY, []).shape == (0,)


def test_an_embedding_model_is_no_reranker() -> None:
    with pytest.raises(ModelIncapable, match="no reranker"):
        LlamaCppReranker(BUILT_IN_PATH)


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        LlamaCppReranker(tmp_path / "none.gguf")
