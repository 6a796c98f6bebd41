"""Embedding models in this process: GGUF files on llama.cpp.

Texts go to the engine as ids, since it neither cuts long ones nor tells words that look like
special tokens apart.
"""

import base64
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agentctl.core.backends.gguf import read_gguf_header
from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.embedding.engines import Engines
from agentctl.core.embedding.prefixes import prefixes_of
from agentctl.core.embedding.word_pieces import WordPieces
from agentctl.core.errors import ModelIncapable
from agentctl.core.jsontypes import JsonObject

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

BUILT_IN_PATH = Path(__file__).with_name("all-MiniLM-L6-v2-Q8_0.gguf")
"""all-MiniLM-L6-v2, made by packaging/make_embedder.py."""

BUILT_IN_SHA256 = "1f9c645d3589f8cd64e436d73078a9f3478c7d2ae5795994135bba9f8b58555d"

# What the model was trained for; its window is larger, but there its vectors drift.
_BUILT_IN_TOKENS = 254
# Longer passages blur, and an engine's memory grows with their square.
_MOST_TOKENS = 510
_SPECIAL_TOKENS = 2
# Texts that are handed over at once.
_BATCH = 8
_SAMPLE_BYTES = 2**20


class _Loaded(NamedTuple):
    profile: EmbedderProfile
    pieces: WordPieces
    engines: Engines


class LlamaCppEmbedder:
    """An `Embedder` on a GGUF file with a vocabulary of word pieces.

    Args:
        path: the model file.
        name: the setting's value, for the profile.
        max_tokens: what one text may have; 0 for what the model can see, at most 510.
        threads: to compute with; 0 for as many as there are cores.
        revision: tells two versions of the file apart; empty for one made from its bytes.
    """

    def __init__(
        self, path: Path, name: str, *, max_tokens: int = 0, threads: int = 0, revision: str = ""
    ) -> None:
        self._path = path
        self._name = name
        self._max_tokens = max_tokens
        self._threads = threads
        self._revision = revision
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None

    def profile(self) -> EmbedderProfile:
        """Reads the file's header only. Raises what `WordPieces.of_model` does."""
        return self._load().profile

    def token_starts(self, text: str) -> Sequence[int]:
        return self._load().pieces.starts(text)

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        import numpy as np

        profile, pieces, engines = self._load()
        encoded = [
            pieces.encode(profile.passage_prefix + text, profile.max_tokens) for text in texts
        ]
        # The longest first, so that all threads end together.
        order = sorted(range(len(encoded)), key=lambda index: -len(encoded[index]))
        batches = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
        vectors = np.empty((len(encoded), profile.dimensions), np.float32)

        def embed(batch: list[int]) -> None:
            vectors[batch] = _embed(engines, [encoded[index] for index in batch])

        engines.spread(embed, batches)
        return vectors

    def embed_query(self, text: str) -> "Vectors":
        profile, pieces, engines = self._load()
        encoded = pieces.encode(profile.query_prefix + text, profile.max_tokens)
        query: Vectors = _embed(engines, [encoded])[0]
        return query

    def close(self) -> None:
        if self._loaded is not None:
            self._loaded.engines.close()

    def _load(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                pieces = WordPieces.of_model(self._path)
                profile = self._describe()
                window = profile.max_tokens + _SPECIAL_TOKENS
                engines = Engines(self._path, window, self._threads, "embed")
                self._loaded = _Loaded(profile, pieces, engines)
            return self._loaded

    def _describe(self) -> EmbedderProfile:
        header = read_gguf_header(self._path)
        if not header.is_embedding or not header.embedding_length:
            raise ModelIncapable(
                f"{self._path} does not turn text into vectors",
                "agentctl config set knowledge.embedder built-in",
            )
        longest = min(header.context_length - _SPECIAL_TOKENS, _MOST_TOKENS)
        prefixes = prefixes_of(self._name)
        return EmbedderProfile(
            name=self._name,
            revision=self._revision or _fingerprint(self._path),
            dimensions=header.embedding_length,
            max_tokens=min(self._max_tokens or longest, longest),
            query_prefix=prefixes.query,
            passage_prefix=prefixes.passage,
        )


def built_in_embedder(threads: int = 0) -> LlamaCppEmbedder:
    """The model that agentctl is shipped with."""
    return LlamaCppEmbedder(
        BUILT_IN_PATH,
        "built-in",
        max_tokens=_BUILT_IN_TOKENS,
        threads=threads,
        revision=BUILT_IN_SHA256[:16],
    )


def built_in_pieces() -> WordPieces:
    """Its vocabulary, which most embedding models share."""
    return WordPieces.of_model(BUILT_IN_PATH)


def _embed(engines: Engines, sequences: list[list[int]]) -> "Vectors":
    import numpy as np

    body: JsonObject = {"input": [[*ids] for ids in sequences], "encoding_format": "base64"}
    answer = engines.ask(body, "data")
    rows = [base64.b64decode(str(row["embedding"])) for row in answer]
    return np.frombuffer(b"".join(rows), np.float32).reshape(len(rows), -1)


def _fingerprint(path: Path) -> str:
    """Of the file's size, beginning and end: a model may have gigabytes."""
    with path.open("rb") as file:
        size = path.stat().st_size
        digest = hashlib.sha256(size.to_bytes(8, "little") + file.read(_SAMPLE_BYTES))
        file.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(file.read())
    return digest.hexdigest()[:16]
