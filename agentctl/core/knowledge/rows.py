"""The rows of the store: what goes into it, and what is remembered."""

from dataclasses import dataclass

from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.knowledge.chunking import Chunk
from agentctl.core.knowledge.documents import Document


@dataclass(frozen=True, slots=True)
class StoreProfile:
    """What the chunks and vectors of one row of `embedding_profiles` depend on."""

    id: int
    embedder: EmbedderProfile
    chunker: str


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What is remembered of a document in order to see whether its file has changed."""

    id: int
    path: str
    hash: str
    size: int
    mtime_ns: int
    ingested: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDocument:
    """A document that was read; `context` is what stands before each of its chunks when they are
    embedded: its title at that time."""

    collection: str
    path: str
    context: str
    hash: str
    size: int
    mtime_ns: int
    modified: str
    ingested: str
    document: Document


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document's chunks, the texts to embed for them, and a key of each text."""

    chunks: tuple[Chunk, ...]
    texts: tuple[str, ...]
    hashes: tuple[bytes, ...]
