"""Search at size, on disk, with made-up documents, each size in a process of its own.

Words follow Zipf's law, vectors are random around a few hundred topics. The query's embedding is
not counted. `python -m benchmarks.search CHUNKS --folder DIR` keeps the database, to measure again.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.knowledge.chunking import Chunk
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.library import SearchRequest
from agentctl.core.knowledge.retrieval import Retriever
from agentctl.core.knowledge.rows import NewDocument, Prepared, StoreProfile
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.vectors import VectorIndex
from agentctl.core.storage import open_database
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, at_most

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

DIMENSIONS = 384
CHUNKS_PER_DOCUMENT = 20
WORDS_PER_CHUNK = 110
VOCABULARY = 120_000
STOPWORDS = 120
TOPICS = 400
SEARCHES, ROUNDS = 200, 3
BARS_MS = {20_000: 15, 100_000: 60, 1_000_000: 250}


def rows(_: Equipment) -> Iterator[Row]:
    for chunks in BARS_MS:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.search", str(chunks), "--folder", folder]
            # The first makes documents and index, which takes more memory than a search.
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        yield msgspec.json.decode(done.stdout, type=Row)


class Corpus:
    """Documents and queries, the same for the same seed."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        letters = np.array(list("etaoinshrdlucmfwyp"))
        lengths = self._random.integers(3, 11, VOCABULARY)
        self._words = ["".join(self._random.choice(letters, length)) for length in lengths]
        weights = 1 / (np.arange(VOCABULARY) + 2.7)
        self._cumulative = np.cumsum(weights / weights.sum())
        self._topics = self._random.normal(size=(TOPICS, DIMENSIONS)).astype(np.float32)

    def text(self, words: int, *, common: bool = True) -> str:
        """Without the `common` words the most frequent are left out, as stopwords would be."""
        least = 0.0 if common else self._cumulative[STOPWORDS]
        shares = least + (1 - least) * self._random.random(words)
        places = np.searchsorted(self._cumulative, shares)
        return " ".join(self._words[place] for place in places)

    def vectors(self, count: int) -> "Vectors":
        topics = self._topics[self._random.integers(0, TOPICS, count)]
        noise = self._random.normal(size=(count, DIMENSIONS)).astype(np.float32)
        vectors: Vectors = topics + noise
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ReadyEmbedder:
    """Gives a query's vector at once."""

    def __init__(self, corpus: Corpus) -> None:
        self._queries = corpus.vectors(SEARCHES)
        self._next = 0

    def profile(self) -> EmbedderProfile:
        return EmbedderProfile(name="ready", revision="", dimensions=DIMENSIONS, max_tokens=254)

    def token_starts(self, text: str) -> Sequence[int]:
        return range(0, len(text), 4)

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        raise NotImplementedError

    def embed_query(self, text: str) -> "Vectors":
        self._next += 1
        return self._queries[self._next % SEARCHES]

    def close(self) -> None:
        pass


def fill(store: DocumentStore, profile: StoreProfile, corpus: Corpus, chunks: int) -> None:
    group = 50
    for start in range(0, chunks // CHUNKS_PER_DOCUMENT, group):
        rows = [_document(corpus, start + n) for n in range(group)]
        store.put(profile, rows, corpus.vectors(group * CHUNKS_PER_DOCUMENT))


def _document(corpus: Corpus, number: int) -> tuple[NewDocument, Prepared]:
    texts = [corpus.text(WORDS_PER_CHUNK) for _ in range(CHUNKS_PER_DOCUMENT)]
    new = NewDocument(
        collection="default",
        path=f"/synthetic/{number % 100}/{number}.md",
        context="",
        hash=str(number),
        size=0,
        mtime_ns=0,
        modified="2026-01-01T00:00:00.000Z",
        ingested="2026-01-01T00:00:00.000Z",
        document=Document(text="", title=corpus.text(4), media_type="text/markdown"),
    )
    # Far enough apart that nothing is joined: then each hit is one chunk.
    chunks = tuple(
        Chunk(n * 10_000, n * 10_000 + len(text), text, "", None, n, n)
        for n, text in enumerate(texts)
    )
    return new, Prepared(chunks, tuple(texts), tuple(text[:16].encode() for text in texts))


def measure(chunks: int, folder: Path) -> Row:
    corpus = Corpus()
    connection = open_database(folder / f"{chunks}.db")
    store = DocumentStore(connection)
    embedder = ReadyEmbedder(corpus)
    profile = store.profile()
    if profile is None:
        profile = store.add_profile(embedder.profile(), "none")
        fill(store, profile, corpus, chunks)
    index = VectorIndex(connection, folder / str(chunks), profile)
    index.refresh()
    retriever = Retriever(store.lookup(profile), index, embedder, lambda _: "")
    queries = [corpus.text(6, common=False) for _ in range(SEARCHES)]
    rounds = [[_milliseconds(retriever, query) for query in queries] for _ in range(ROUNDS)]
    # Of each search the fastest: noise only adds.
    times = sorted(map(min, zip(*rounds, strict=True)))
    oldest = min(known.id for known in store.known_files("default").values())
    started = time.perf_counter()
    store.remove([oldest])
    removal_s = time.perf_counter() - started
    connection.close()
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    p50, p95 = times[SEARCHES // 2], times[int(0.95 * SEARCHES)]
    return Row(
        name=f"search in {chunks:,} chunks, p50 / p95",
        figure=f"{p50:.1f} / {p95:.1f} ms, peak {peak_mb:,.0f} MB (a document removed in "
        f"{1000 * removal_s:.0f} ms)",
        bars=(at_most(BARS_MS[chunks], p95, " ms", what="p95 "),) if chunks in BARS_MS else (),
    )


def _milliseconds(retriever: Retriever, query: str) -> float:
    started = time.perf_counter()
    retriever.search(SearchRequest(query=query))
    return 1000 * (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("chunks", type=int)
    parser.add_argument("--folder", type=Path, required=True, help="where the database is")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.buffer.write(msgspec.json.encode(measure(arguments.chunks, arguments.folder)))


if __name__ == "__main__":
    main()
