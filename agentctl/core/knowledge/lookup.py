"""What a search reads: chunks by keyword, by id and by vector, narrowed by filters."""

import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agentctl.core.files import storable_path
from agentctl.core.knowledge.encoding import PARAMETERS, batches, decode_vectors, marks
from agentctl.core.knowledge.library import SearchRequest
from agentctl.core.knowledge.query import WEIGHTS
from agentctl.core.knowledge.rows import StoreProfile
from agentctl.core.storage import translated_errors
from agentctl.core.web_page import URL_SCHEMES, url_path

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agentctl.core.embedding.base import Vectors

# Rows held at once while an index is built: 30 MB of vectors.
_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """A chunk with what a hit shows of its document."""

    id: int
    document_id: int
    start: int
    end: int
    page: int | None
    line_start: int | None
    line_end: int | None
    heading: str
    text: str
    path: str
    title: str
    collection: str


class ChunkLookup:
    """The chunks of one profile; every method may raise StorageError or BackendBusy."""

    def __init__(self, connection: sqlite3.Connection, profile: StoreProfile) -> None:
        self._connection = connection
        self._profile = profile

    @property
    def dimensions(self) -> int:
        return self._profile.embedder.dimensions

    def matching_documents(self, request: SearchRequest) -> frozenset[int] | None:
        """Ids of the documents that pass the request's filters; None when all do."""
        if not (request.collection or request.path or request.kinds or request.since) and (
            request.until is None
        ):
            return None
        with translated_errors():
            rows = self._connection.execute(
                """SELECT id, path FROM documents WHERE (?1 IS NULL OR collection = ?1)
                    AND (?2 IS NULL OR modified >= ?2) AND (?3 IS NULL OR modified < ?3)""",
                (request.collection, request.since, _end(request.until)),
            )
            is_meant = path_matcher(request.path) if request.path else None
            return frozenset(
                identifier
                for identifier, path in rows
                if (is_meant is None or is_meant(path)) and _matches_kind(path, request.kinds)
            )

    def by_keyword(
        self, expression: str, limit: int, documents: frozenset[int] | None
    ) -> dict[int, float]:
        """BM25 of the best chunks, positive, by id. `expression` is FTS5's."""
        if not expression or documents == frozenset():
            return {}
        # A filter that keeps little would leave nothing of the best few: then all are looked at.
        cap = limit if documents is None and not self._is_shared() else -1
        weights = ", ".join(map(str, WEIGHTS))
        with translated_errors():
            rows = self._connection.execute(
                f"""SELECT rowid, -bm25(chunks_fts, {weights}) AS score FROM chunks_fts
                    WHERE chunks_fts MATCH ? ORDER BY score DESC, rowid LIMIT ?""",
                (expression, cap),
            )
            if cap >= 0:
                return dict(rows.fetchall())
            found: dict[int, float] = {}
            for some in iter(lambda: rows.fetchmany(PARAMETERS), []):
                kept = set(self._kept([row[0] for row in some], documents))
                found.update((number, score) for number, score in some if number in kept)
                if len(found) >= limit:
                    break
        return dict(list(found.items())[:limit])

    def chunks(self, identifiers: Sequence[int]) -> dict[int, FoundChunk]:
        """By id; those that are gone, or of another profile, are left out."""
        found = {}
        for row in self._select(
            """SELECT c.id, c.document, c.start, c."end", c.page, c.line_start, c.line_end,
                      c.heading, c.text, d.path, d.title, d.collection
                FROM chunks c JOIN documents d ON d.id = c.document
                WHERE c.profile = {profile} AND c.id IN ({marks})""",
            identifiers,
        ):
            found[row[0]] = FoundChunk(*row)
        return found

    def text(self, document: int) -> str:
        """A document's whole text, empty when it is gone."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT text FROM documents WHERE id = ?", (document,)
            ).fetchone()
        return zlib.decompress(row[0]).decode() if row is not None else ""

    def vectors(
        self, identifiers: Sequence[int], documents: frozenset[int] | None = None
    ) -> tuple[list[int], "Vectors"]:
        """Ids that are there and pass the filter, and their vectors, `(n, dim) float32`."""
        rows = self._select(
            """SELECT c.id, v.embedding, c.document FROM chunks c JOIN vectors v ON v.chunk = c.id
                WHERE c.profile = {profile} AND c.id IN ({marks})""",
            identifiers,
        )
        kept = [row for row in rows if documents is None or row[2] in documents]
        return [row[0] for row in kept], decode_vectors([row[1] for row in kept], self.dimensions)

    def chunk_ids(self, documents: Iterable[int]) -> list[int]:
        """Ids of all chunks of these documents, ascending."""
        return sorted(
            row[0]
            for row in self._select(
                "SELECT id FROM chunks WHERE profile = {profile} AND document IN ({marks})",
                list(documents),
            )
        )

    def newest(self) -> int:
        """The highest id of a chunk of this profile, 0 when there is none."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT id FROM chunks WHERE profile = ? ORDER BY id DESC LIMIT 1",
                (self._profile.id,),
            ).fetchone()
        return int(row[0]) if row is not None else 0

    def count(self, up_to: int) -> int:
        """Chunks with ids up to this one."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT count(*) FROM chunks WHERE profile = ? AND id <= ?",
                (self._profile.id, up_to),
            ).fetchone()
        return int(row[0])

    def has_more(self, identifier: int, limit: int) -> bool:
        """Whether more than `limit` chunks have ids above `identifier`."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM chunks WHERE id > ? AND profile = ? LIMIT ?)",
                (identifier, self._profile.id, limit + 1),
            ).fetchone()
        return int(row[0]) > limit

    def vectors_after(self, identifier: int) -> Iterator[tuple["NDArray[np.int64]", "Vectors"]]:
        """Ids above `identifier`, ascending, and their vectors, some thousands at a time."""
        import numpy as np

        while True:
            with translated_errors():
                rows = self._connection.execute(
                    """SELECT c.id, v.embedding FROM vectors v JOIN chunks c ON c.id = v.chunk
                        WHERE v.chunk > ? AND c.profile = ? ORDER BY v.chunk LIMIT ?""",
                    (identifier, self._profile.id, _ROWS),
                ).fetchall()
            if not rows:
                return
            identifier = rows[-1][0]
            ids = np.fromiter((row[0] for row in rows), dtype=np.int64, count=len(rows))
            yield ids, decode_vectors([row[1] for row in rows], self.dimensions)

    def _is_shared(self) -> bool:
        """Whether a reindex is adding another profile's chunks beside these."""
        with translated_errors():
            row = self._connection.execute("SELECT count(*) FROM embedding_profiles").fetchone()
        return int(row[0]) > 1

    def _kept(self, identifiers: Sequence[int], documents: frozenset[int] | None) -> list[int]:
        rows = self._select(
            "SELECT id, document FROM chunks WHERE profile = {profile} AND id IN ({marks})",
            identifiers,
        )
        return [row[0] for row in rows if documents is None or row[1] in documents]

    def _select(self, statement: str, identifiers: Sequence[int]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        with translated_errors():
            for some in batches(identifiers, PARAMETERS):
                filled = statement.format(profile=self._profile.id, marks=marks(some))
                rows += self._connection.execute(filled, tuple(some)).fetchall()
        return rows


def path_matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a document's path is meant: by its end, by a folder above it, or by a glob.

    Globs are those of .gitignore files; one that does not begin at the root matches anywhere.
    """
    from pathspec import GitIgnoreSpec

    if not pattern.isprintable():
        # As it is stored; what can be printed may have been copied from a list of what is stored.
        pattern = storable_path(pattern)
    glob = pattern.replace("\\", "/").rstrip("/")
    anchored = glob if glob.startswith("/") else f"/**/{glob}"
    spec = GitIgnoreSpec.from_lines([anchored])
    return lambda path: path == pattern or spec.match_file(path.replace("\\", "/").lstrip("/"))


def _matches_kind(path: str, kinds: tuple[str, ...]) -> bool:
    name = url_path(path) if path.startswith(URL_SCHEMES) else path
    return not kinds or name.rpartition("/")[2].rpartition(".")[2].casefold() in kinds


def _end(until: str | None) -> str | None:
    """A day ends with its last moment: `modified` is a time, and `2026-01-31` comes before it."""
    return f"{until}T99" if until is not None and len(until) == len("2026-01-31") else until
