"""Whether the knowledge base is whole: what SQLite says of itself, and what must hold besides."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from agentctl.core.knowledge.library import VerifyReport
from agentctl.core.knowledge.sources import is_gone
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.knowledge.vectors import VectorIndex
from agentctl.core.storage import translated_errors

# Each finds rows that should not be there.
_RULES = {
    "chunks without a document": """SELECT count(*) FROM chunks c
        WHERE NOT EXISTS (SELECT 1 FROM documents d WHERE d.id = c.document)""",
    "chunks without a vector": """SELECT count(*) FROM chunks c
        WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.chunk = c.id)""",
    "vectors without a chunk": """SELECT count(*) FROM vectors v
        WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = v.chunk)""",
    "chunks that overlap": """SELECT count(*) FROM (SELECT "start" < lag("end") OVER
        (PARTITION BY document, profile ORDER BY "start") AS overlaps FROM chunks)
        WHERE overlaps""",
}


def verify(connection: sqlite3.Connection, indexes: Path) -> VerifyReport:
    """Reads everything once; changes nothing."""
    store = DocumentStore(connection)
    entries = store.entries()
    problems = list(_problems(connection, store, indexes))
    return VerifyReport(
        ok=not problems,
        documents=len(entries),
        chunks=sum(entry.chunks for entry in entries),
        problems=tuple(problems),
        missing=tuple(entry.path for entry in entries if is_gone(entry.path)),
    )


def _problems(connection: sqlite3.Connection, store: DocumentStore, indexes: Path) -> Iterator[str]:
    with translated_errors():
        for (message,) in connection.execute("PRAGMA integrity_check(10)"):
            if message != "ok":
                yield f"database: {message}"
        try:
            # FTS5's own command: compares the keyword index with the chunks.
            connection.execute(
                "INSERT INTO chunks_fts (chunks_fts, rank) VALUES ('integrity-check', 1)"
            )
        except sqlite3.DatabaseError as error:
            yield f"keyword index: {error}"
        for rule, statement in _RULES.items():
            (count,) = connection.execute(statement).fetchone()
            if count:
                yield f"{count} {rule}"
    profile = store.profile()
    if profile is None:
        if store.has_documents():
            yield "documents without an embedding profile"
        return
    with translated_errors():
        (count,) = connection.execute(
            "SELECT count(*) FROM vectors WHERE length(embedding) != ?",
            (2 * profile.embedder.dimensions,),
        ).fetchone()
        building = store.profile(active=False)
    if count and building is None:
        yield f"{count} vectors of another length than the model's"
    if not VectorIndex(connection, indexes, profile).is_readable():
        yield "the vector index cannot be read; the next search makes it anew"
