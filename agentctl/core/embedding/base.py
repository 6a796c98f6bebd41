"""The one door to an embedding model: `Embedder`, and what a store must remember of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedderProfile:
    """All that a vector depends on: vectors of two profiles cannot be compared.

    `name` is the setting's value (`built-in`, `ollama:nomic-embed-text`), `revision` tells two
    versions of that model apart. `max_tokens` is what one text may have, the model's own special
    tokens not counted. The prefixes stand before each query and each passage.
    """

    name: str
    revision: str
    dimensions: int
    max_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""


class Embedder(Protocol):
    """A model that turns text into vectors of length 1.

    Its methods block, so they are called in threads; they may be called by several at once.
    All of them raise ModelNotFound, ConfigError or a RetryError when the model cannot be had.
    """

    def profile(self) -> EmbedderProfile: ...

    def token_starts(self, text: str) -> Sequence[int]:
        """Where each token of `text` begins, in characters, ascending."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        """`(n, dim) float32`. A text over `max_tokens` is cut there, in the same place always."""
        ...

    def embed_query(self, text: str) -> "Vectors":
        """`(dim,) float32`."""
        ...

    def close(self) -> None:
        """Frees what the model holds. Harmless when called twice."""
        ...
