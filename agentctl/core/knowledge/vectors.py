"""The vector index: a FAISS file in the cache, made from the vectors in the database.

A small base needs none: its vectors are compared one by one. A larger one has a file that holds
all chunks up to some id, and what was added since is compared one by one. Removed chunks stay in
the file until it is made anew, and are dropped when they are looked up; since ids are never used
again, nothing else can be meant by them. The database names the file by a random `generation`, so
that a file of another database, or of an older state of this one, is never taken for its own.
"""

import secrets
import sqlite3
import threading
from contextlib import suppress
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.file_lock import locked
from agentctl.core.knowledge.lookup import ChunkLookup
from agentctl.core.knowledge.rows import StoreProfile
from agentctl.core.open_files import move_over
from agentctl.core.paths import make_private
from agentctl.core.storage import transaction, translated_errors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agentctl.core.embedding.base import Vectors

UNINDEXED = 4_096
"""Chunks that are compared one by one: below it a file would cost more than it saves."""

GROWTH = 0.05
"""The share of an index that may be missing from its file before it is made anew."""

FLAT = 50_000
"""Up to here vectors are kept whole; above as 8-bit numbers, in a quarter of the memory."""

TRAINING = 100_000

# Why there may be no new file; searches go on with the old one, or with none.
_NO_FILE = (BackendBusy, StorageError, OSError)


@dataclass(frozen=True, slots=True)
class _State:
    """An index file in memory, and the chunks that came after it."""

    generation: str
    index: Any  # a faiss.Index: the package ships no types
    covered: int
    newest: int
    ids: "NDArray[np.int64]"
    vectors: "Vectors"

    def indexed(
        self, query: "Vectors", limit: int, allowed: "NDArray[np.int64] | None"
    ) -> list[int]:
        """Ids of the `limit` nearest in the file; some may be gone."""
        return [] if self.index is None else _search(self.index, query, limit, allowed)

    def recent(
        self, query: "Vectors", limit: int, allowed: "NDArray[np.int64] | None"
    ) -> list[int]:
        """Ids of the `limit` nearest that came after the file; some may be gone."""
        import numpy as np

        if allowed is None:
            return _best(self.ids, self.vectors @ query, limit)
        is_allowed = np.isin(self.ids, allowed)
        return _best(self.ids[is_allowed], self.vectors[is_allowed] @ query, limit)


class VectorIndex:
    """The nearest chunks of one profile. Safe to use from several threads and processes."""

    def __init__(self, connection: sqlite3.Connection, folder: Path, profile: StoreProfile) -> None:
        self._connection = connection
        self._folder = folder
        self._profile = profile
        self._lookup = ChunkLookup(connection, profile)
        self._loaded: _State | None = None
        self._lock = threading.Lock()

    def nearest(
        self, query: "Vectors", limit: int, documents: frozenset[int] | None = None
    ) -> dict[int, float]:
        """Cosines of the `limit` nearest chunks of these documents to `(dim,) float32`."""
        import numpy as np

        allowed = None
        if documents is not None:
            ids = self._lookup.chunk_ids(documents)
            if len(ids) <= UNINDEXED:
                kept, vectors = self._lookup.vectors(ids)
                return _first(dict(zip(kept, map(float, vectors @ query), strict=True)), limit)
            allowed = np.array(ids, dtype=np.int64)
        with self._lock:
            state = self._loaded = self._current()
        found: dict[int, float] = {}
        for search in (state.indexed, state.recent):
            asked = limit
            while True:
                ids = search(query, asked, allowed)
                there, vectors = self._lookup.vectors(ids)
                if len(there) >= limit or len(ids) < asked:
                    break
                # The rest of them were removed since: as many more are asked for.
                asked *= 4
            found |= dict(zip(there, map(float, vectors @ query), strict=True))
        return _first(found, limit)

    def refresh(self) -> None:
        """Makes the file anew when too much is missing from it or gone since."""
        with self._lock:
            state = self._loaded = self._current()
        if state.index is None:
            return
        gone = state.index.ntotal - self._lookup.count(state.covered)
        if gone > max(UNINDEXED, GROWTH * state.index.ntotal):
            # Not under the lock: searches go on with the old file.
            with suppress(*_NO_FILE):
                self._rebuild()

    def is_readable(self) -> bool:
        """Whether the file that the database names is there and whole, or none is needed."""
        generation, _ = self._published()
        return not generation or _read(self._file(generation)) is not None

    def _current(self) -> _State:
        """The newest state, loaded or made as far as it is not there yet."""
        generation, covered = self._published()
        state, newest = self._loaded, self._lookup.newest()
        if state is not None and (state.generation, state.newest) == (generation, newest):
            return state
        index = state.index if state is not None and state.generation == generation else None
        if index is None and generation:
            index = _read(self._file(generation))
        if index is None:
            covered = 0
        allowance = max(UNINDEXED, int(GROWTH * index.ntotal) if index is not None else 0)
        if newest - covered > allowance and self._lookup.has_more(covered, allowance):
            with suppress(*_NO_FILE):
                generation, index, covered = self._rebuild()
        return self._load(generation, index, covered)

    def _load(self, generation: str, index: Any, covered: int) -> _State:  # Any: a faiss.Index
        import numpy as np

        parts = list(self._lookup.vectors_after(covered))
        ids = np.concatenate([ids for ids, _ in parts] or [np.empty(0, np.int64)])
        empty = np.empty((0, self._lookup.dimensions), np.float32)
        vectors = np.concatenate([vectors for _, vectors in parts] or [empty])
        return _State(generation, index, covered, self._lookup.newest(), ids, vectors)

    def _rebuild(self) -> tuple[str, Any, int]:  # Any: a faiss.Index
        """Writes a new file and makes it the one that counts: generation, index, covered.

        Raises:
            BackendBusy: another process is doing so.
        """
        make_private(self._folder)
        with locked(self._folder / "index.lock", "building the vector index"):
            before, _ = self._published()
            index, covered = _build(self._lookup)
            generation = secrets.token_hex(8)
            _write(index, self._file(generation))
            self._publish(generation, covered, before)
            for file in self._folder.glob("*.faiss*"):
                if file != self._file(generation):
                    # Windows keeps a file that another process has open; the next one goes.
                    with suppress(OSError):
                        file.unlink()
        return generation, index, covered

    def _published(self) -> tuple[str, int]:
        with translated_errors():
            row = self._connection.execute(
                "SELECT generation, covered FROM embedding_profiles WHERE id = ?",
                (self._profile.id,),
            ).fetchone()
        return row if row is not None else ("", 0)

    def _publish(self, generation: str, covered: int, before: str) -> None:
        with translated_errors(), transaction(self._connection):
            self._connection.execute(
                "UPDATE embedding_profiles SET generation = ?, covered = ?"
                " WHERE id = ? AND generation = ?",
                (generation, covered, self._profile.id, before),
            )

    def _file(self, generation: str) -> Path:
        return self._folder / f"{generation}.faiss"


def _build(lookup: ChunkLookup) -> tuple[Any, int]:  # Any: a faiss.Index
    """An index of all vectors there are, and the highest id in it."""
    import numpy as np

    pending: list[tuple[NDArray[np.int64], Vectors]] = []
    index: Any = None
    covered = 0
    for ids, vectors in lookup.vectors_after(0):
        covered = int(ids[-1])
        pending.append((ids, vectors))
        if index is None and sum(len(ids) for ids, _ in pending) >= TRAINING:
            index = _new_index(lookup.dimensions, np.concatenate([part for _, part in pending]))
        if index is not None:
            _add(index, pending)
    if index is None:
        parts = [part for _, part in pending]
        index = _new_index(lookup.dimensions, np.concatenate(parts))
        _add(index, pending)
    return index, covered


def _new_index(dimensions: int, sample: "Vectors") -> Any:  # Any: a faiss.Index
    import faiss

    if len(sample) <= FLAT:
        return faiss.IndexIDMap(faiss.IndexFlatIP(dimensions))
    quantized = faiss.IndexScalarQuantizer(
        dimensions, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    quantized.train(sample)
    return faiss.IndexIDMap(quantized)


def _add(index: Any, pending: list[tuple["NDArray[np.int64]", "Vectors"]]) -> None:
    for ids, vectors in pending:
        index.add_with_ids(vectors, ids)
    pending.clear()


def _search(
    index: Any, query: "Vectors", limit: int, allowed: "NDArray[np.int64] | None"
) -> list[int]:
    import faiss

    parameters = None
    if allowed is not None:
        parameters = faiss.SearchParameters()
        parameters.sel = faiss.IDSelectorBatch(allowed)
    # For one query the threads cost more than they bring, above all on a busy machine.
    faiss.omp_set_num_threads(1)
    _, ids = index.search(query[None, :], min(limit, index.ntotal), params=parameters)
    # A missing result is -1.
    return [int(i) for i in ids[0] if i >= 0]


def _best(ids: "NDArray[np.int64]", cosines: "Vectors", limit: int) -> list[int]:
    """Ids of the `limit` highest, in no order."""
    import numpy as np

    if len(ids) > limit:
        ids = ids[np.argpartition(-cosines, limit)[:limit]]
    return [int(each) for each in ids]


def _first(cosines: dict[int, float], limit: int) -> dict[int, float]:
    """The `limit` highest, highest first."""
    return dict(sorted(cosines.items(), key=lambda each: -each[1])[:limit])


def _read(file: Path) -> Any | None:  # Any: a faiss.Index
    """The index, its vectors left in the file until they are needed; None without a whole file."""
    import faiss
    import numpy as np

    try:
        # On Windows faiss itself opens no file whose name its code page cannot spell.
        with file.open("rb") as opened:
            content = np.frombuffer(mmap(opened.fileno(), 0, access=ACCESS_READ), np.uint8)
        place = faiss.swig_ptr(content)
        reader = faiss.ZeroCopyIOReader(place, len(content))  # type: ignore[attr-defined]  # its types leave it out
        index: Any = faiss.read_index(reader)
    except (OSError, ValueError, RuntimeError):
        return None
    # It looks into the mapped file, which lives as long.
    index.referenced_objects = [content]
    return index


def _write(index: Any, file: Path) -> None:  # Any: a faiss.Index
    """Raises OSError, and leaves nothing behind then."""
    import faiss

    temporary = file.with_suffix(".faiss.new")
    try:
        with temporary.open("wb") as opened:
            writer = faiss.PyCallbackIOWriter(opened.write)  # type: ignore[attr-defined]  # its types leave it out
            faiss.write_index(index, writer)
        move_over(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
