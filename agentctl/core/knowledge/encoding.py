"""How vectors, sections and profiles are written into the database, and read back."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, TypeVar

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.knowledge.documents import Document, Section

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

PARAMETERS = 500
"""So many parameters one statement may have, whatever SQLite's build."""

T = TypeVar("T")


def encode_vectors(vectors: "Vectors") -> list[bytes]:
    """A blob of float16 for each row of `(n, dim) float32`."""
    import numpy as np

    return [row.tobytes() for row in vectors.astype(np.dtype("<f2"))]


def decode_vectors(blobs: Sequence[bytes], dimensions: int) -> "Vectors":
    """`(n, dim) float32`."""
    import numpy as np

    stored = np.frombuffer(b"".join(blobs), dtype=np.dtype("<f2"))
    return stored.reshape(len(blobs), dimensions).astype(np.float32)


def encode_sections(document: Document) -> bytes:
    sections = [[s.start, s.heading, s.page, s.kind] for s in document.sections]
    return json.dumps([document.has_lines, sections], ensure_ascii=False).encode()


def decode_document(text: str, title: str, media_type: str, sections: bytes) -> Document:
    """The inverse of `encode_sections`, with the parts that have columns of their own."""
    has_lines, rows = json.loads(sections)
    return Document(
        text=text,
        title=title,
        media_type=media_type,
        sections=tuple(
            Section(start, tuple(heading), page, kind) for start, heading, page, kind in rows
        ),
        has_lines=has_lines,
    )


def encode_profile(embedder: EmbedderProfile, chunker: str) -> str:
    return json.dumps({"embedder": asdict(embedder), "chunker": chunker}, ensure_ascii=False)


def decode_profile(spec: str) -> tuple[EmbedderProfile, str]:
    decoded = json.loads(spec)
    return EmbedderProfile(**decoded["embedder"]), decoded["chunker"]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, `size` at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def marks(items: Sequence[object]) -> str:
    """Question marks for the items, for an SQL list."""
    return ",".join("?" * len(items))
