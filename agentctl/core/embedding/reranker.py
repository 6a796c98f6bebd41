"""Rerankers: models that read a query and a passage together, and score how well they fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentctl.core.backends.gguf import read_gguf_header
from agentctl.core.config import Settings
from agentctl.core.embedding.engines import Engines
from agentctl.core.embedding.llama_cpp import built_in_pieces
from agentctl.core.embedding.word_pieces import well_formed
from agentctl.core.errors import ModelIncapable
from agentctl.core.jsontypes import Json
from agentctl.core.paths import expand

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

# A pair of a query and a passage, in tokens; longer ones are cut.
_WINDOW = 1024
_USUAL_WINDOW = 512
_QUERY_SHARE = 0.25
# What is left free, for special tokens and for tokenizers that make more of a text than ours.
_FREE = 0.2
_BATCH = 4


class Reranker(Protocol):
    """May be called by several threads at once."""

    def scores(self, query: str, texts: Sequence[str]) -> "Vectors":
        """`(n,) float32`, one for each text: higher fits better, and only the order counts."""
        ...

    def close(self) -> None:
        """Frees what the model holds. Harmless when called twice."""
        ...


def open_reranker(name: str, settings: Settings) -> Reranker:
    """The model file of that path; raises what `LlamaCppReranker` does."""
    return LlamaCppReranker(expand(name), threads=settings.embedded.threads)


class LlamaCppReranker:
    """A `Reranker` on a GGUF file with a head for classification.

    Args:
        path: the model file.
        threads: to compute with; 0 for as many as there are cores.
    """

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        """Raises ModelNotFound, InputUnreadable, or ModelIncapable for another kind of model."""
        header = read_gguf_header(path)
        if not header.is_reranker:
            raise ModelIncapable(
                f"{path} is no reranker: it does not score pairs of texts",
                "do without: agentctl config set knowledge.reranker ''",
            )
        window = min(header.context_length or _USUAL_WINDOW, _WINDOW)
        self._query_tokens = int(window * _QUERY_SHARE)
        self._text_tokens = int(window * (1 - _FREE)) - self._query_tokens
        self._engines = Engines(path, window, threads, "rerank")
        self._pieces = built_in_pieces()

    def scores(self, query: str, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        question = self._cut(query, self._query_tokens)
        passages = [self._cut(text, self._text_tokens) for text in texts]
        scores = np.empty(len(passages), np.float32)

        def score(batch: range) -> None:
            documents: list[Json] = [passages[index] for index in batch]
            rows = self._engines.ask({"query": question, "documents": documents}, "results")
            for row in rows:
                scores[batch.start + int(str(row["index"]))] = float(str(row["relevance_score"]))

        starts = range(0, len(passages), _BATCH)
        batches = [range(at, min(at + _BATCH, len(passages))) for at in starts]
        self._engines.spread(score, batches)
        return scores

    def close(self) -> None:
        self._engines.close()

    def _cut(self, text: str, limit: int) -> str:
        text = well_formed(text)
        starts = self._pieces.cautious_starts(text) if len(text) > limit else ()
        return text[: starts[limit]] if len(starts) > limit else text
