"""Embedding models on servers: texts are cut here, sent in batches, and made unit vectors."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.embedding.prefixes import prefixes_of
from agentctl.core.embedding.word_pieces import WordPieces, well_formed
from agentctl.core.errors import BackendFailed

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

_BATCH = 32
# Servers refuse what is empty.
_BLANK = "."


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What a server tells of its model; `max_tokens` is what a text may have."""

    revision: str
    max_tokens: int


class EmbeddingServer(Protocol):
    """One model of a server. Both calls raise what `Embedder`'s methods may."""

    async def describe(self) -> ServedModel:
        """Asked once, and before anything else."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, of any length."""
        ...


class ServerEmbedder:
    """An `Embedder` on one model of a server.

    Tokens are counted by the built-in model's vocabulary, with caution.

    Args:
        name: the setting's value, for the profile.
        model: as the server calls it.
    """

    def __init__(self, name: str, model: str, server: EmbeddingServer) -> None:
        self._name = name
        self._model = model
        self._server = server
        self._asking = threading.Lock()
        self._profile: EmbedderProfile | None = None
        self._pieces: WordPieces | None = None

    def profile(self) -> EmbedderProfile:
        with self._asking:
            if self._profile is None:
                served = asyncio.run(self._server.describe())
                prefixes = prefixes_of(self._model)
                self._profile = EmbedderProfile(
                    name=self._name,
                    revision=served.revision,
                    dimensions=self._embed([_BLANK]).shape[1],
                    max_tokens=served.max_tokens,
                    query_prefix=prefixes.query,
                    passage_prefix=prefixes.passage,
                )
            return self._profile

    def token_starts(self, text: str) -> Sequence[int]:
        from agentctl.core.embedding.llama_cpp import built_in_pieces

        with self._asking:
            if self._pieces is None:
                self._pieces = built_in_pieces()
        return self._pieces.cautious_starts(text)

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        profile = self.profile()
        vectors = np.empty((len(texts), profile.dimensions), np.float32)
        for at in range(0, len(texts), _BATCH):
            batch = [self._cut(profile.passage_prefix + text) for text in texts[at : at + _BATCH]]
            embedded = self._embed(batch)
            if embedded.shape[1] != profile.dimensions:
                raise BackendFailed(
                    f"{self._model} gave vectors of {embedded.shape[1]} numbers after some of"
                    f" {profile.dimensions}"
                )
            vectors[at : at + _BATCH] = embedded
        return vectors

    def embed_query(self, text: str) -> "Vectors":
        query: Vectors = self._embed([self._cut(self.profile().query_prefix + text)])[0]
        return query

    def close(self) -> None:
        """Each request has a connection of its own, so there is nothing to free."""

    def _cut(self, text: str) -> str:
        text = well_formed(text)
        limit = self.profile().max_tokens
        starts = self.token_starts(text) if len(text) > limit else ()
        kept = text[: starts[limit]] if len(starts) > limit else text
        return kept if kept.strip() else _BLANK

    def _embed(self, texts: Sequence[str]) -> "Vectors":
        """`(n, dim) float32` of length 1. Raises BackendFailed when the server gave others."""
        import numpy as np

        rows = asyncio.run(self._server.embed(texts))
        if len(rows) != len(texts) or len({len(row) for row in rows}) != 1:
            raise BackendFailed(
                f"{self._model} gave {len(rows)} vectors for {len(texts)} texts, or of unequal"
                " lengths"
            )
        vectors = np.asarray(rows, np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        if not (np.isfinite(lengths).all() and lengths.all()):
            raise BackendFailed(f"{self._model} gave a vector without a direction")
        unit: Vectors = vectors / lengths
        return unit
