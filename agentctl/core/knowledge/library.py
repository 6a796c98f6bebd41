"""What passes between the knowledge base and those who use it: requests, steps and answers."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentctl.core.sources import Source

SearchMode: TypeAlias = Literal["hybrid", "vector", "keyword"]
IngestStatus: TypeAlias = Literal[
    "waiting", "found", "embedding", "added", "updated", "unchanged", "removed", "skipped", "failed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """What to look for.

    Args:
        query: any text.
        n: hits wanted.
        collection: one collection, or None for all.
        path: a glob (`notes/*.md`) or a folder that the document's path must match.
        kinds: file name endings without the dot (`md`, `pdf`), any of which must match.
        since, until: ISO dates or times between which the document was changed last.
    """

    query: str
    n: int = 10
    collection: str | None = None
    mode: SearchMode = "hybrid"
    path: str | None = None
    kinds: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """`took_ms` counts the query's embedding and the search, not the start of the program.

    `best_cosine` is the highest similarity of any passage to the query, None in keyword mode:
    how good the best hit is on a scale that does not depend on the others.
    """

    query: str
    mode: SearchMode
    took_ms: float
    hits: tuple[Source, ...]
    best_cosine: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """What to take in.

    Args:
        sources: absolute paths of files and folders, or URLs.
        stdin: text that was piped in; it needs a `title`, which becomes its path.
        include, exclude: globs on the path below a named folder.
        force: read and embed again what has not changed.
        prune: remove documents of the named folders whose files are gone.
        dry_run: say what would be done.
        same_site: take no page from another host than its address names.
    """

    sources: tuple[str, ...] = ()
    stdin: bytes | None = None
    title: str | None = None
    collection: str = "default"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    force: bool = False
    prune: bool = False
    dry_run: bool = False
    same_site: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestStep:
    """One thing that happened. A document `added` or `updated` is on disk by then.

    `waiting` says that another process writes, `found` how many files there are (`total`). While
    so many `files` are embedded together, of which `path` is the largest, so many more `chunks`
    were done, and `embedded` of the `pending` ones that they need; none are at the beginning. Else
    `done` of `total` files are finished, this one with so many `chunks`.
    """

    status: IngestStatus
    path: str = ""
    chunks: int = 0
    done: int = 0
    total: int = 0
    files: int = 0
    embedded: int = 0
    pending: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that could not be taken in: an error's slug, message and hint."""

    path: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestReport:
    """The last thing an ingest says. `chunks` counts those of added and updated documents,
    `embedded` those of them that had to be embedded."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    chunks: int = 0
    embedded: int = 0
    skipped_paths: tuple[str, ...] = ()
    failed: tuple[Failure, ...] = ()
    warnings: tuple[str, ...] = ()
    took_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentEntry:
    """A stored document. `modified` and `ingested` are ISO times in UTC, `size` is in bytes."""

    id: int
    collection: str
    path: str
    title: str
    media_type: str
    size: int
    hash: str
    modified: str
    ingested: str
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A part of a document's text, with the lines or the page it stands on."""

    document: DocumentEntry
    text: str
    heading: str
    page: int | None
    line_start: int | None
    line_end: int | None
    chunk_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionEntry:
    name: str
    documents: int
    chunks: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """`problems` is empty when all holds; `missing` are files that are gone from the disk."""

    ok: bool
    documents: int
    chunks: int
    problems: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexStep:
    """`done` of `total` documents have their new chunks and vectors."""

    done: int
    total: int
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Means over the questions (0 to 1), and the time of a search in milliseconds."""

    mode: SearchMode
    questions: int
    ndcg_at_10: float
    recall_at_3: float
    recall_at_10: float
    mrr: float
    p50_ms: float
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """`vectors` are `(n, dim)` float32, each of length 1, in the order of the texts."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
