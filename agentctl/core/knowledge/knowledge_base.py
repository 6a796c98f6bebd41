"""The knowledge base: the verbs on documents, each run in a thread with what it needs."""

import os
import shlex
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from agentctl.core.backends.threads import run_in_thread, stream_from_thread
from agentctl.core.config import Settings
from agentctl.core.errors import NotFound, StorageError
from agentctl.core.files import clipped
from agentctl.core.paths import Paths
from agentctl.core.storage import open_database, translated_errors

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Embedder
    from agentctl.core.embedding.reranker import Reranker
    from agentctl.core.knowledge.library import (
        CollectionEntry,
        DocumentEntry,
        Embeddings,
        Evaluation,
        IngestReport,
        IngestRequest,
        IngestStep,
        Passage,
        ReindexStep,
        SearchMode,
        SearchRequest,
        SearchResult,
        VerifyReport,
    )
    from agentctl.core.knowledge.profile import ProfiledEmbedder
    from agentctl.core.knowledge.retrieval import Retriever
    from agentctl.core.knowledge.rows import StoreProfile
    from agentctl.core.knowledge.store import DocumentStore

T = TypeVar("T")
Step: TypeAlias = "IngestStep | IngestReport"


class KnowledgeBase:
    """The documents of one user; what it opens, it opens at the first verb that needs it.

    Every verb may raise StorageError or BackendBusy. Searches share a connection; each verb that
    writes has one of its own, so that its transactions are its own.

    Args:
        open_embedder: from a name in the settings to an embedder, if not the usual way.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        open_embedder: "Callable[[str], Embedder] | None" = None,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._environ = environ
        self._open_embedder = open_embedder or self._open_named_embedder
        self._embedders: dict[str, Embedder] = {}
        self._retriever: tuple[int, Retriever] | None = None
        self._lock = threading.Lock()

    async def is_empty(self, collection: str | None = None) -> bool:
        """Whether there is nothing to search. Asked with every answer, so it imports nothing."""
        if not self._paths.database.exists():
            return True

        def look() -> bool:
            with translated_errors(), closing(self._open()) as connection:
                row = connection.execute(
                    "SELECT 1 FROM documents WHERE ?1 IS NULL OR collection = ?1 LIMIT 1",
                    (collection,),
                ).fetchone()
            return row is None

        return await run_in_thread(look)

    def ingest(self, request: "IngestRequest") -> AsyncGenerator[Step, None]:
        return self._streamed(lambda emit, stopped: self._ingest(request, emit, stopped))

    async def search(self, request: "SearchRequest") -> "SearchResult":
        """Raises EmbedderChanged, NotFound for a collection that nobody has."""
        return await run_in_thread(lambda: self._search(request))

    async def list_documents(self, collection: str | None = None) -> "list[DocumentEntry]":
        return await self._with_store(lambda store: store.entries(collection))

    async def show_document(self, reference: str, chunk: int | None = None) -> "Passage":
        """Raises NotFound when nothing, or more than one document, is meant."""
        from agentctl.core.knowledge.references import show

        return await self._with_store(lambda store: show(store, reference, chunk))

    async def remove_documents(
        self, references: Sequence[str], collection: str | None = None
    ) -> "list[DocumentEntry]":
        """Raises NotFound, and then nothing was removed."""
        from agentctl.core.knowledge.references import resolve_all

        def remove(store: "DocumentStore") -> "list[DocumentEntry]":
            entries = resolve_all(store.entries(collection), references)
            with store.writing():
                current = [entry for entry in entries if store.is_current(entry)]
                store.remove([entry.id for entry in current])
            return current

        return await self._with_store(remove)

    async def list_collections(self) -> "list[CollectionEntry]":
        return await self._with_store(lambda store: store.collections())

    async def verify_documents(self) -> "VerifyReport":
        from agentctl.core.knowledge.verification import verify

        def check() -> "VerifyReport":
            with closing(self._open()) as connection:
                return verify(connection, self._paths.vector_indexes)

        return await run_in_thread(check)

    def reindex_documents(self, *, force: bool = False) -> "AsyncGenerator[ReindexStep, None]":
        """Searches go on with the old vectors until all is done."""
        return self._streamed(lambda emit, stopped: self._reindex(force, emit, stopped))

    def export_documents(self, collection: str | None = None) -> AsyncGenerator[str, None]:
        """Lines of JSON: a header, then one a document."""
        from agentctl.core.knowledge.transfer import export_lines

        def produce(emit: Callable[[str], None], stopped: threading.Event) -> None:
            with self._store() as store, closing(export_lines(store, collection)) as lines:
                for line in lines:
                    emit(line)

        return self._streamed(produce)

    def import_documents(self, path: str) -> AsyncGenerator[Step, None]:
        """Raises InputUnreadable when the file is no export, InputMissing when there is none."""
        from agentctl.core.knowledge.ingestion import writers_turn
        from agentctl.core.knowledge.library import IngestStep
        from agentctl.core.knowledge.transfer import import_lines

        def produce(emit: "Callable[[Step], None]", stopped: threading.Event) -> None:
            waiting = IngestStep(status="waiting")
            with (
                writers_turn(self._paths.ingest_lock, lambda: emit(waiting), stopped.is_set),
                self._store() as store,
            ):
                emit(import_lines(path, store, self._profiled(store), emit, stopped.is_set))

        return self._streamed(produce)

    async def evaluate(
        self, path: str, *, mode: "SearchMode" = "hybrid", collection: str | None = None
    ) -> "Evaluation":
        """Raises InputUnreadable, InputMissing."""
        from agentctl.core.knowledge.evaluation import evaluate

        return await run_in_thread(lambda: evaluate(path, mode, collection, self._search))

    async def refresh_index(self) -> None:
        """Brings the vector index up to date; there is nothing to do where nothing is stored."""
        if not await self.is_empty():
            await run_in_thread(self._refresh_index)

    async def embed(self, texts: Sequence[str], model: str | None = None) -> "Embeddings":
        """Raises UsageProblem for an embedder that nobody knows, and what it raises."""
        from agentctl.core.knowledge.library import Embeddings

        name = model or self._settings.knowledge.embedder

        def work() -> "Embeddings":
            vectors = self._embedder(name).embed_passages(texts)
            return Embeddings(model=name, vectors=tuple(map(tuple, vectors.tolist())))

        return await run_in_thread(work)

    async def close(self) -> None:
        for embedder in self._embedders.values():
            await run_in_thread(embedder.close)
        self._embedders.clear()
        if "_reading" in self.__dict__:
            self._reading.close()

    def _ingest(
        self, request: "IngestRequest", emit: "Callable[[Step], None]", stopped: threading.Event
    ) -> None:
        from agentctl.core.knowledge.ingestion import (
            Ingestion,
            Limits,
            check_collection,
            writers_turn,
        )
        from agentctl.core.knowledge.library import IngestStep
        from agentctl.core.knowledge.loaders.base import ReadLimits
        from agentctl.core.knowledge.loaders.reader import DocumentReader

        check_collection(request.collection)
        knowledge = self._settings.knowledge
        waiting = IngestStep(status="waiting")
        limits = ReadLimits(knowledge.file_bytes, knowledge.file_seconds, knowledge.file_memory)
        with (
            writers_turn(self._paths.ingest_lock, lambda: emit(waiting), stopped.is_set),
            closing(DocumentReader(limits)) as reader,
            self._store() as store,
        ):
            ingestion = Ingestion(
                request,
                store,
                self._profiled(store),
                reader,
                Limits(knowledge.file_bytes, self._settings.timeouts.idle),
                emit=emit,
                is_stopped=stopped.is_set,
                own=(self._paths.data, self._paths.cache, self._paths.state),
            )
            report = ingestion.run()
        if report.added or report.updated or report.removed:
            self._refresh_index()
        emit(report)

    def _reindex(
        self, force: bool, emit: "Callable[[ReindexStep], None]", stopped: threading.Event
    ) -> None:
        from agentctl.core.knowledge.ingestion import writers_turn
        from agentctl.core.knowledge.reindexing import Reindexing

        with (
            writers_turn(self._paths.ingest_lock, lambda: None, stopped.is_set),
            self._store() as store,
        ):
            Reindexing(
                store,
                self._profiled(store),
                force=force,
                emit=emit,
                is_stopped=stopped.is_set,
            ).run()
        self._refresh_index()

    def _search(self, request: "SearchRequest") -> "SearchResult":
        from agentctl.core.knowledge.library import SearchResult
        from agentctl.core.knowledge.store import DocumentStore

        store = DocumentStore(self._reading)
        if request.collection is not None and not store.has_documents(request.collection):
            names = ", ".join(entry.name for entry in store.collections()) or "none yet"
            raise NotFound(
                f"no collection {clipped(request.collection)}; there are: {names}",
                "agentctl docs collections",
            )
        has_words_only = request.mode == "keyword"
        retriever = (self._keyword_retriever if has_words_only else self._current_retriever)(store)
        if retriever is None:
            return SearchResult(query=request.query, mode=request.mode, took_ms=0.0, hits=())
        return retriever.search(request)

    def _current_retriever(self, store: "DocumentStore") -> "Retriever | None":
        """The one of the active profile, kept warm; None while there are no documents."""
        found = self._profiled(store).for_searching()
        if found is None:
            return None
        profile, embedder = found
        with self._lock:
            if self._retriever is None or self._retriever[0] != profile.id:
                self._retriever = (profile.id, self._new_retriever(store, profile, embedder))
            return self._retriever[1]

    def _keyword_retriever(self, store: "DocumentStore") -> "Retriever | None":
        """One that finds words whatever has become of the embedder."""
        found = self._profiled(store).for_keywords()
        return self._new_retriever(store, *found) if found is not None else None

    def _new_retriever(
        self, store: "DocumentStore", profile: "StoreProfile", embedder: "Embedder"
    ) -> "Retriever":
        from agentctl.core.knowledge.lookup import ChunkLookup
        from agentctl.core.knowledge.retrieval import Retriever
        from agentctl.core.knowledge.vectors import VectorIndex

        lookup = ChunkLookup(self._reading, profile)
        index = VectorIndex(self._reading, self._paths.vector_indexes, profile)
        return Retriever(lookup, index, embedder, lookup.text, self._reranker())

    def _refresh_index(self) -> None:
        from agentctl.core.knowledge.vectors import VectorIndex

        with closing(self._open()) as connection:
            from agentctl.core.knowledge.store import DocumentStore

            profile = DocumentStore(connection).profile()
            if profile is not None:
                VectorIndex(connection, self._paths.vector_indexes, profile).refresh()

    def _reranker(self) -> "Reranker | None":
        name = self._settings.knowledge.reranker
        if not name:
            return None
        from agentctl.core.embedding.reranker import open_reranker

        return open_reranker(name, self._settings)

    def _profiled(self, store: "DocumentStore") -> "ProfiledEmbedder":
        from agentctl.core.embedding.registry import profile_name
        from agentctl.core.knowledge.profile import ProfiledEmbedder

        name = profile_name(self._settings.knowledge.embedder)
        return ProfiledEmbedder(store, name, self._embedder)

    def _embedder(self, name: str) -> "Embedder":
        with self._lock:
            if name not in self._embedders:
                self._embedders[name] = self._open_embedder(name)
            return self._embedders[name]

    def _open_named_embedder(self, name: str) -> "Embedder":
        from agentctl.core.embedding.registry import open_embedder

        return open_embedder(name, self._settings, self._paths, self._environ)

    @cached_property
    def _reading(self) -> sqlite3.Connection:
        return self._open()

    def _open(self) -> sqlite3.Connection:
        path = self._paths.database
        try:
            return open_database(path)
        except StorageError:
            closed = [each for each in (path, path.parent) if not os.access(each, os.W_OK)]
            if not path.exists() or not closed:
                raise
            # SQLite writes beside a database even when it only reads it.
            raise StorageError(
                f"{closed[-1]} may only be read", f"chmod u+w {shlex.join(map(str, closed))}"
            ) from None

    @contextmanager
    def _store(self) -> "Iterator[DocumentStore]":
        from agentctl.core.knowledge.store import DocumentStore

        with closing(self._open()) as connection:
            yield DocumentStore(connection)

    async def _with_store(self, work: "Callable[[DocumentStore], T]") -> T:
        def run() -> T:
            with self._store() as store:
                return work(store)

        return await run_in_thread(run)

    def _streamed(
        self, produce: Callable[[Callable[[T], None], threading.Event], None]
    ) -> AsyncGenerator[T, None]:
        """What `produce` emits in a thread; leaving the stream sets the event it was given."""
        stopped = threading.Event()
        return stream_from_thread(lambda emit: produce(emit, stopped), stopped.set)
