"""An embedder that costs nothing: words are hashed into 64 numbers, and alike words are alike."""

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from agentctl.core.embedding.base import EmbedderProfile

_WORD = re.compile(r"\w+")


class HashingEmbedder:
    """Keeps the `Embedder` protocol; `embedded` are all passages it was ever given."""

    def __init__(self, name: str = "hashing", dimensions: int = 64, revision: str = "1") -> None:
        self.embedded: list[str] = []
        self._profile = EmbedderProfile(
            name=name, revision=revision, dimensions=dimensions, max_tokens=64
        )

    def profile(self) -> EmbedderProfile:
        return self._profile

    def token_starts(self, text: str) -> Sequence[int]:
        return [match.start() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def embed_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += texts
        rows = [self.embed_query(text) for text in texts]
        return np.stack(rows) if rows else np.empty((0, self._profile.dimensions), np.float32)

    def embed_query(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self._profile.dimensions, 0.01, np.float32)
        for word in _WORD.findall(text.casefold()):
            vector[zlib.crc32(word.encode()) % self._profile.dimensions] += 1
        normal: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return normal

    def close(self) -> None:
        pass
