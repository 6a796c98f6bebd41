"""From a document to chunks and vectors: what an ingest and a reindex do alike."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from agentctl.core.embedding.base import Embedder
from agentctl.core.knowledge.chunking import cut, embedding_text
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.encoding import batches, decode_vectors
from agentctl.core.knowledge.rows import Prepared, StoreProfile
from agentctl.core.knowledge.store import DocumentStore

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

# Texts that one call embeds: between two calls the work can be stopped.
_CALL_TEXTS = 32
# With so many texts the work is long: its vectors are kept as they come.
_KEPT_FROM = 256


def prepare(document: Document, context: str, embedder: Embedder) -> Prepared:
    """Cuts a document; `context` stands before each of its chunks when they are embedded."""
    profile = embedder.profile()
    chunks = tuple(cut(document, embedder.token_starts, profile.max_tokens, context))
    texts = tuple(embedding_text(context, chunk) for chunk in chunks)
    hashes = tuple(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return Prepared(chunks, texts, hashes)


def embed(
    group: Sequence[Prepared],
    profile: StoreProfile,
    store: DocumentStore,
    embedder: Embedder,
    embedded: Callable[[int, int, int], None],
    brought: Mapping[bytes, bytes] | None = None,
) -> "Vectors":
    """`(n, dim) float32`: the vectors of all chunks of the group, in order.

    What was embedded before is taken from the store or from what is `brought` along, and equal
    texts are embedded once. `embedded` is told before the first call and after each of them how
    many it has done, how many all have, and how many there are to do; it may raise to stop. Of a
    long piece of work the store keeps what each call has done, so that a stop loses no more.
    """
    import numpy as np

    texts = {
        key: text
        for prepared in group
        for key, text in zip(prepared.hashes, prepared.texts, strict=True)
    }
    known = {key: vector for key, vector in (brought or {}).items() if key in texts}
    known |= store.known_vectors(profile, texts.keys() - known.keys())
    # Texts of one length in one call: the engine pads none of them.
    missing = sorted(texts.keys() - known.keys(), key=lambda key: (len(texts[key]), key))
    rows = dict(
        zip(
            known,
            decode_vectors(list(known.values()), profile.embedder.dimensions),
            strict=True,
        )
    )
    done = 0
    if missing:
        embedded(0, done, len(missing))
    for some in batches(missing, _CALL_TEXTS):
        vectors = embedder.embed_passages([texts[key] for key in some])
        rows.update(zip(some, vectors, strict=True))
        if len(missing) > _KEPT_FROM:
            store.keep_vectors(profile, some, vectors)
        done += len(some)
        embedded(len(some), done, len(missing))
    order = [key for prepared in group for key in prepared.hashes]
    empty = np.empty((0, profile.embedder.dimensions), np.float32)
    return np.stack([rows[key] for key in order]) if order else empty
