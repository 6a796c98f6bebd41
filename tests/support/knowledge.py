"""A knowledge base for tests: the real parts, but for an embedder that costs nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentctl.core.embedding.reranker import Reranker
from agentctl.core.knowledge.ingestion import Ingestion, Limits
from agentctl.core.knowledge.library import (
    IngestReport,
    IngestRequest,
    IngestStep,
    ReindexStep,
    SearchRequest,
    SearchResult,
)
from agentctl.core.knowledge.loaders.base import ReadLimits
from agentctl.core.knowledge.loaders.reader import DocumentReader
from agentctl.core.knowledge.profile import ProfiledEmbedder
from agentctl.core.knowledge.reindexing import Reindexing
from agentctl.core.knowledge.retrieval import Retriever
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.vectors import VectorIndex
from agentctl.core.knowledge.verification import verify
from agentctl.core.sources import Source
from agentctl.core.storage import open_database
from tests.support.hashing_embedder import HashingEmbedder

LIMITS = ReadLimits(file_bytes=1_000_000, seconds=30.0, memory_bytes=1_500_000_000)


class Library:
    """One database in `folder`; `embedder` may be changed in between, as in the settings."""

    def __init__(self, folder: Path, embedder: HashingEmbedder | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.indexes = folder / "indexes"
        self.path = folder / "agentctl.db"
        self.connection: sqlite3.Connection = open_database(self.path)
        self.store = DocumentStore(self.connection)
        self.embedder = embedder or HashingEmbedder()
        self.others: list[HashingEmbedder] = []
        self.reranker: Reranker | None = None
        self.steps: list[IngestStep] = []

    def ingest(self, *sources: Path | str, **options: Any) -> IngestReport:  # Any: request fields
        request = IngestRequest(sources=tuple(map(str, sources)), **options)
        self.steps = []
        with reader() as documents:
            return Ingestion(
                request,
                self.store,
                self.profiled(),
                documents,
                Limits(LIMITS.file_bytes, 5.0),
                emit=self.steps.append,
                is_stopped=lambda: False,
            ).run()

    def reindex(self, *, force: bool = False) -> list[ReindexStep]:
        steps: list[ReindexStep] = []
        Reindexing(
            self.store,
            self.profiled(),
            force=force,
            emit=steps.append,
            is_stopped=lambda: False,
        ).run()
        return steps

    def search(self, query: str, **options: Any) -> SearchResult:  # Any: request fields
        found = self.profiled().for_searching()
        assert found is not None
        profile, embedder = found
        lookup = self.store.lookup(profile)
        index = VectorIndex(self.connection, self.indexes, profile)
        retriever = Retriever(lookup, index, embedder, lookup.text, self.reranker)
        return retriever.search(SearchRequest(query=query, **options))

    def hits(self, query: str, **options: Any) -> list[Source]:  # Any: request fields
        return list(self.search(query, **options).hits)

    def profiled(self) -> ProfiledEmbedder:
        known = {each.profile().name: each for each in [*self.others, self.embedder]}
        return ProfiledEmbedder(self.store, self.embedder.profile().name, known.__getitem__)

    def paths(self) -> list[str]:
        return [entry.path for entry in self.store.entries()]

    def assert_whole(self) -> None:
        assert verify(self.connection, self.indexes).problems == ()

    def state(self) -> list[tuple[object, ...]]:
        """All that a search can see, without ids and times."""
        rows = self.connection.execute(
            """SELECT d.collection, d.path, d.title, d.media_type, d.hash, d.size, c.start, c."end",
                      c.page, c.line_start, c.line_end, c.heading, c.hash, c.title, c.text,
                      c.identifiers, v.embedding
                FROM documents d LEFT JOIN chunks c ON c.document = d.id
                LEFT JOIN vectors v ON v.chunk = c.id
                ORDER BY d.collection, d.path, c.start"""
        )
        return rows.fetchall()


@contextmanager
def reader() -> Iterator[DocumentReader]:
    documents = DocumentReader(LIMITS)
    try:
        yield documents
    finally:
        documents.close()


def write(folder: Path, **texts: str) -> None:
    """Files `name.md` with their texts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
