"""Cutting and embedding all documents anew, from the texts in the database.

The new chunks grow beside the old ones, under a profile that searches do not see; when each
document has them, one transaction makes it the one that counts. A reindex that was stopped finds
its profile again and goes on.
"""

from collections.abc import Callable

from agentctl.core.knowledge.chunking import CHUNKER
from agentctl.core.knowledge.ingestion import GROUP_CHUNKS, Stopped
from agentctl.core.knowledge.library import DocumentEntry, ReindexStep
from agentctl.core.knowledge.preparation import embed, prepare
from agentctl.core.knowledge.profile import ProfiledEmbedder
from agentctl.core.knowledge.rows import Prepared, StoreProfile
from agentctl.core.knowledge.store import DocumentStore


class Reindexing:
    """One reindex. With `force` also what the settings would not make otherwise."""

    def __init__(
        self,
        store: DocumentStore,
        embedding: ProfiledEmbedder,
        *,
        force: bool,
        emit: Callable[[ReindexStep], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._store = store
        self._embedding = embedding
        self._force = force
        self._emit = emit
        self._is_stopped = is_stopped
        self._done = 0
        self._total = 0

    def run(self) -> None:
        """Raises Stopped, and what the embedder and the store raise."""
        active = self._store.profile()
        wanted = self._embedding.embedder.profile()
        if active is None:
            return
        if not self._force and (active.embedder, active.chunker) == (wanted, CHUNKER):
            self._total = self._done = len(self._store.entries())
            self._emit(ReindexStep(done=self._done, total=self._total))
            return
        building = self._building()
        self._total = len(self._store.entries())
        self._done = self._total - len(self._store.unprofiled(building, self._total))
        self._emit(ReindexStep(done=self._done, total=self._total))
        while not self._store.activate(building):
            self._add_group(building)

    def _building(self) -> StoreProfile:
        """The profile to fill; one that was begun for something else is dropped."""
        wanted = self._embedding.embedder.profile()
        begun = self._store.profile(active=False)
        if begun is not None and (begun.embedder, begun.chunker) != (wanted, CHUNKER):
            self._store.remove_profile(begun)
        return self._store.add_profile(wanted, CHUNKER, active=False)

    def _add_group(self, building: StoreProfile) -> None:
        group: list[tuple[DocumentEntry, Prepared]] = []
        chunks = 0
        for identifier in self._store.unprofiled(building, GROUP_CHUNKS):
            with self._store.snapshot():
                entry = self._store.entry(identifier)
                if entry is None:
                    continue
                document, context = self._store.document(identifier)
            group.append((entry, prepare(document, context, self._embedding.embedder)))
            chunks += len(group[-1][1].chunks)
            if chunks >= GROUP_CHUNKS:
                break
        vectors = embed(
            [prepared for _, prepared in group],
            building,
            self._store,
            self._embedding.embedder,
            self._check_stopped,
        )
        row = 0
        for entry, prepared in group:
            end = row + len(prepared.chunks)
            self._store.put_chunks(building, entry, prepared, vectors[row:end])
            row = end
            self._done += 1
            self._emit(ReindexStep(done=self._done, total=self._total, path=entry.path))

    def _check_stopped(self, *_: int) -> None:
        if self._is_stopped():
            raise Stopped
