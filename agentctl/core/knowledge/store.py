"""The truth about documents: their rows, chunks, vectors and keyword index, in SQLite.

Vectors go in and out as `(n, dim) float32`, and are stored as float16: half the size, and no
ranking changes by it.
"""

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.errors import StorageError
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.encoding import (
    PARAMETERS,
    batches,
    decode_document,
    decode_profile,
    encode_profile,
    encode_sections,
    encode_vectors,
    marks,
)
from agentctl.core.knowledge.library import CollectionEntry, DocumentEntry
from agentctl.core.knowledge.lookup import ChunkLookup
from agentctl.core.knowledge.query import identifiers, title_words
from agentctl.core.knowledge.rows import KnownFile, NewDocument, Prepared, StoreProfile
from agentctl.core.storage import transaction, translated_errors

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

# In the order of the fields of an entry.
_ENTRY = """d.id, d.collection, d.path, d.title, d.media_type, d.size, d.hash, d.modified,
    d.ingested, (SELECT count(*) FROM chunks c WHERE c.document = d.id AND c.profile =
    coalesce((SELECT id FROM embedding_profiles WHERE is_active), 0))"""
_FIELDS = tuple(field.name for field in fields(DocumentEntry))


class DocumentStore:
    """The documents of one database.

    Every method may raise StorageError or BackendBusy. Each writing one is a transaction.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is done within is one transaction."""
        if self._connection.in_transaction:
            yield
            return
        with translated_errors(), transaction(self._connection):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read within is of one moment, and nobody waits for it."""
        with translated_errors():
            self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def lookup(self, profile: StoreProfile) -> ChunkLookup:
        """What a search reads."""
        return ChunkLookup(self._connection, profile)

    # Profiles

    def profile(self, *, active: bool = True) -> StoreProfile | None:
        """The profile searches use or, with `active` False, the one being built by a reindex."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT id, spec FROM embedding_profiles WHERE is_active = ?", (active,)
            ).fetchone()
        if row is None:
            return None
        embedder, chunker = decode_profile(row[1])
        return StoreProfile(row[0], embedder, chunker)

    def add_profile(
        self, embedder: EmbedderProfile, chunker: str, *, active: bool = True
    ) -> StoreProfile:
        """The profile as it was stored: another process's, if that was quicker."""
        with self.writing():
            found = self.profile(active=active)
            if found is None:
                cursor = self._connection.execute(
                    "INSERT INTO embedding_profiles (spec, is_active) VALUES (?, ?)",
                    (encode_profile(embedder, chunker), active),
                )
                found = StoreProfile(cursor.lastrowid or 0, embedder, chunker)
        return found

    def remove_profile(self, profile: StoreProfile) -> None:
        """Removes a profile with its chunks."""
        with self.writing():
            self._connection.execute("DELETE FROM embedding_profiles WHERE id = ?", (profile.id,))
            self._connection.execute("DELETE FROM pending_vectors")
        self._remove_strays()

    def activate(self, profile: StoreProfile) -> bool:
        """Makes it the one searches use; False, and nothing done, while a document lacks it."""
        with self.writing():
            if self.unprofiled(profile, 1):
                return False
            self._connection.execute("DELETE FROM embedding_profiles WHERE is_active")
            self._connection.execute("DELETE FROM pending_vectors")
            self._connection.execute(
                "UPDATE embedding_profiles SET is_active = 1 WHERE id = ?", (profile.id,)
            )
        self._remove_strays()
        return True

    def unprofiled(self, profile: StoreProfile, limit: int) -> list[int]:
        """Ids of documents that have no chunks of this profile, but have a text."""
        with translated_errors():
            rows = self._connection.execute(
                """SELECT d.id FROM documents d
                    WHERE EXISTS (SELECT 1 FROM chunks c WHERE c.document = d.id)
                      AND NOT EXISTS
                          (SELECT 1 FROM chunks c WHERE c.document = d.id AND c.profile = ?)
                    ORDER BY d.id LIMIT ?""",
                (profile.id, limit),
            ).fetchall()
        return [row[0] for row in rows]

    # Documents

    def put(
        self,
        profile: StoreProfile,
        group: Sequence[tuple[NewDocument, Prepared]],
        vectors: "Vectors",
    ) -> None:
        """Adds documents or puts them in the place of those with the same path.

        `vectors` has a row for each chunk of each document, in their order.
        """
        blobs = iter(encode_vectors(vectors))
        with self.writing():
            for new, prepared in group:
                identifier = self._put_row(new)
                self._remove_chunks(identifier)
                self._add_chunks(profile, identifier, prepared, blobs)

    def keep_vectors(
        self, profile: StoreProfile, hashes: Sequence[bytes], vectors: "Vectors"
    ) -> None:
        """Remembers vectors whose documents are not stored yet; storing them forgets these."""
        rows = zip(hashes, encode_vectors(vectors), strict=True)
        with self.writing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO pending_vectors (profile, hash, embedding)"
                " VALUES (?, ?, ?)",
                [(profile.id, key, blob) for key, blob in rows],
            )

    def forget_kept_vectors(self) -> None:
        """Those of documents that were never stored, because they have changed or are gone."""
        with self.writing():
            self._connection.execute("DELETE FROM pending_vectors")

    def put_chunks(
        self, profile: StoreProfile, entry: DocumentEntry, prepared: Prepared, vectors: "Vectors"
    ) -> None:
        """Adds a stored document's chunks of another profile, unless it has changed since."""
        with self.writing():
            row = self._connection.execute(
                "SELECT hash, ingested FROM documents WHERE id = ?", (entry.id,)
            ).fetchone()
            if row == (entry.hash, entry.ingested):
                blobs = iter(encode_vectors(vectors))
                self._add_chunks(profile, entry.id, prepared, blobs)

    def rename(self, identifier: int, path: str, title: str) -> None:
        """Moves a document; its chunks and vectors stay as they are."""
        with self.writing():
            self._connection.execute(
                "UPDATE documents SET path = ?, title = ? WHERE id = ?", (path, title, identifier)
            )
            self._connection.execute(
                "UPDATE chunks SET title = ? WHERE document = ?",
                (title_words(title, path), identifier),
            )

    def touch(self, seen: Iterable[tuple[int, int, str | None, str, int, str]]) -> None:
        """Remembers (size, mtime_ns, modified, ingested, id, path) of what has not changed.

        `modified` is None where nothing tells when it was. What was removed meanwhile is left out.
        """
        with self.writing():
            self._connection.executemany(
                "UPDATE documents SET size = ?, mtime_ns = ?, modified = coalesce(?, modified),"
                " ingested = ? WHERE id = ? AND path = ?",
                seen,
            )

    def remove(self, identifiers: Iterable[int]) -> None:
        with self.writing():
            for identifier in identifiers:
                self._remove_chunks(identifier)
                self._connection.execute("DELETE FROM documents WHERE id = ?", (identifier,))

    def is_current(self, document: KnownFile | DocumentEntry) -> bool:
        """Whether its id still means it: that of a removed document is given to a new one."""
        entry = self.entry(document.id)
        return entry is not None and entry.path == document.path

    def known_files(self, collection: str) -> dict[str, KnownFile]:
        """By path."""
        with translated_errors():
            rows = self._connection.execute(
                "SELECT id, path, hash, size, mtime_ns, ingested FROM documents"
                " WHERE collection = ? ORDER BY id",
                (collection,),
            )
            return {row[1]: KnownFile(*row) for row in rows}

    def entries(self, collection: str | None = None) -> list[DocumentEntry]:
        """In the order of collection and path."""
        return self._entries(
            "WHERE ?1 IS NULL OR d.collection = ?1 ORDER BY d.collection, d.path", (collection,)
        )

    def entry(self, identifier: int) -> DocumentEntry | None:
        return next(iter(self._entries("WHERE d.id = ?", (identifier,))), None)

    def entry_at(self, collection: str, path: str) -> DocumentEntry | None:
        found = self._entries("WHERE d.collection = ? AND d.path = ?", (collection, path))
        return next(iter(found), None)

    def document(self, identifier: int) -> tuple[Document, str]:
        """The document as it was read, and its context."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT text, title, media_type, sections, context FROM documents WHERE id = ?",
                (identifier,),
            ).fetchone()
        if row is None:
            raise StorageError(f"no document {identifier}", "agentctl docs verify")
        text, title, media_type, sections, context = row
        return decode_document(zlib.decompress(text).decode(), title, media_type, sections), context

    def collections(self) -> list[CollectionEntry]:
        totals: dict[str, list[int]] = {}
        for entry in self.entries():
            total = totals.setdefault(entry.collection, [0, 0, 0])
            for place, count in enumerate((1, entry.chunks, entry.size)):
                total[place] += count
        return [
            CollectionEntry(name=name, documents=documents, chunks=chunks, size=size)
            for name, (documents, chunks, size) in totals.items()
        ]

    def has_documents(self, collection: str | None = None) -> bool:
        with translated_errors():
            row = self._connection.execute(
                "SELECT 1 FROM documents WHERE ?1 IS NULL OR collection = ?1 LIMIT 1", (collection,)
            ).fetchone()
        return row is not None

    def known_vectors(self, profile: StoreProfile, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Vectors, as they are stored, of texts that were embedded before."""
        found: dict[bytes, bytes] = {}
        with translated_errors():
            for some in batches(list(hashes), PARAMETERS // 2):
                found.update(
                    self._connection.execute(
                        f"""SELECT c.hash, v.embedding
                            FROM chunks c JOIN vectors v ON v.chunk = c.id
                            WHERE c.profile = ? AND c.hash IN ({marks(some)})
                            UNION ALL SELECT hash, embedding FROM pending_vectors
                            WHERE profile = ? AND hash IN ({marks(some)})""",
                        (profile.id, *some, profile.id, *some),
                    )
                )
        return found

    def document_vectors(self, profile: StoreProfile, identifier: int) -> dict[bytes, bytes]:
        """A document's vectors, as they are stored, by the key of what was embedded."""
        with translated_errors():
            return dict(
                self._connection.execute(
                    """SELECT c.hash, v.embedding FROM chunks c JOIN vectors v ON v.chunk = c.id
                        WHERE c.profile = ? AND c.document = ?""",
                    (profile.id, identifier),
                )
            )

    def _entries(self, where: str, parameters: Sequence[object]) -> list[DocumentEntry]:
        with translated_errors():
            rows = self._connection.execute(f"SELECT {_ENTRY} FROM documents d {where}", parameters)
            return [DocumentEntry(**dict(zip(_FIELDS, row, strict=True))) for row in rows]

    def _put_row(self, new: NewDocument) -> int:
        row = self._connection.execute(
            """INSERT INTO documents (collection, path, title, context, media_type, hash, size,
                    mtime_ns, modified, ingested, text, sections)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (collection, path) DO UPDATE SET
                    title = excluded.title, context = excluded.context,
                    media_type = excluded.media_type, hash = excluded.hash, size = excluded.size,
                    mtime_ns = excluded.mtime_ns, modified = excluded.modified,
                    ingested = excluded.ingested, text = excluded.text,
                    sections = excluded.sections
                RETURNING id""",
            (
                new.collection,
                new.path,
                new.document.title,
                new.context,
                new.document.media_type,
                new.hash,
                new.size,
                new.mtime_ns,
                new.modified,
                new.ingested,
                zlib.compress(new.document.text.encode(), 1),
                encode_sections(new.document),
            ),
        ).fetchone()
        return int(row[0])

    def _add_chunks(
        self, profile: StoreProfile, identifier: int, prepared: Prepared, blobs: Iterator[bytes]
    ) -> None:
        title, path = self._connection.execute(
            "SELECT title, path FROM documents WHERE id = ?", (identifier,)
        ).fetchone()
        words = title_words(title, path)
        for chunk, key in zip(prepared.chunks, prepared.hashes, strict=True):
            cursor = self._connection.execute(
                """INSERT INTO chunks (document, profile, "start", "end", page, line_start,
                        line_end, heading, hash, title, text, identifiers)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                (
                    identifier,
                    profile.id,
                    chunk.start,
                    chunk.end,
                    chunk.page,
                    chunk.line_start,
                    chunk.line_end,
                    chunk.heading,
                    key,
                    words,
                    chunk.text,
                    identifiers(chunk.text),
                ),
            )
            self._connection.execute(
                "INSERT INTO vectors (chunk, embedding) VALUES (?, ?)",
                (cursor.lastrowid, next(blobs)),
            )
        self._connection.executemany(
            "DELETE FROM pending_vectors WHERE profile = ? AND hash = ?",
            [(profile.id, key) for key in prepared.hashes],
        )

    def _remove_chunks(self, identifier: int) -> None:
        self._connection.execute(
            "DELETE FROM vectors WHERE chunk IN (SELECT id FROM chunks WHERE document = ?)",
            (identifier,),
        )
        self._connection.execute("DELETE FROM chunks WHERE document = ?", (identifier,))

    def _remove_strays(self) -> None:
        """Chunks of profiles that are gone; a few at a time, so that nobody waits for long."""
        last = 0
        while True:
            with self.writing():
                strays = [
                    row[0]
                    for row in self._connection.execute(
                        "SELECT id FROM chunks WHERE id > ? AND profile NOT IN"
                        " (SELECT id FROM embedding_profiles) ORDER BY id LIMIT ?",
                        (last, PARAMETERS),
                    )
                ]
                if not strays:
                    return
                last = strays[-1]
                for table, column in (("vectors", "chunk"), ("chunks", "id")):
                    self._connection.execute(
                        f"DELETE FROM {table} WHERE {column} IN ({marks(strays)})", strays
                    )
