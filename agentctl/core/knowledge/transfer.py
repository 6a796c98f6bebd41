"""Export and import: one line of JSON a document, with its text and its vectors.

The first line names the format and the embedding model. Vectors are base64 of little-endian
float16, under the hexadecimal key of the text they stand for; they are taken over where the same
model would make them, else the text is embedded. A file may come
from a stranger: a line is what an export would hold, or it is refused.
"""

import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path
from typing import TypeAlias, TypeVar

from agentctl.core.errors import InputHostile, InputMissing, InputUnreadable, UsageProblem
from agentctl.core.knowledge.documents import Document, Section, SectionKind
from agentctl.core.knowledge.encoding import decode_vectors, encode_profile, encode_sections
from agentctl.core.knowledge.ingestion import Stopped, check_collection
from agentctl.core.knowledge.library import IngestReport, IngestStatus, IngestStep
from agentctl.core.knowledge.preparation import embed, prepare
from agentctl.core.knowledge.profile import ProfiledEmbedder
from agentctl.core.knowledge.rows import NewDocument, StoreProfile
from agentctl.core.knowledge.store import DocumentStore

FORMAT = "agentctl-documents"
VERSION = 1
# Bytes of a document, its vectors and what is told of it.
LONGEST_LINE = 500_000_000

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_LARGEST = 2**63 - 1
_SectionRow: TypeAlias = tuple[int, tuple[str, ...], int | None, SectionKind]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    format: str
    version: int
    profile: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Exported:
    """A line. `sections` is JSON of its own, as the database has it."""

    collection: str
    path: str
    title: str
    context: str
    media_type: str
    hash: str
    size: int
    modified: str
    ingested: str
    text: str
    sections: str
    vectors: dict[str, bytes]


def export_lines(store: DocumentStore, collection: str | None) -> Generator[str, None, None]:
    """The header, then the documents in the order of collection and path, all of one moment."""
    with store.snapshot():
        yield from _exported(store, collection)


def _exported(store: DocumentStore, collection: str | None) -> Iterator[str]:
    profile = store.profile()
    yield _encode(_Header(format=FORMAT, version=VERSION, profile=_spec(profile)))
    for entry in store.entries(collection):
        document, context = store.document(entry.id)
        vectors = store.document_vectors(profile, entry.id) if profile is not None else {}
        yield _encode(
            _Exported(
                collection=entry.collection,
                path=entry.path,
                title=entry.title,
                context=context,
                media_type=entry.media_type,
                hash=entry.hash,
                size=entry.size,
                modified=entry.modified,
                ingested=entry.ingested,
                text=document.text,
                sections=encode_sections(document).decode(),
                vectors={key.hex(): vector for key, vector in vectors.items()},
            )
        )


def import_lines(
    path: str,
    store: DocumentStore,
    embedding: ProfiledEmbedder,
    emit: Callable[[IngestStep], None],
    is_stopped: Callable[[], bool],
) -> IngestReport:
    """Adds the documents of an export, or puts them in the place of those with the same path.

    Raises:
        InputMissing: there is no such file.
        InputUnreadable: it is no export, or a line of it is damaged; what came before is stored.
        Stopped: `is_stopped` said so.
    """
    started = time.perf_counter()
    lines = _lines(path)
    header = _decode(path, next(lines, (1, b"")), _Header)
    if (header.format, header.version) != (FORMAT, VERSION):
        raise InputUnreadable(f"{path} is no export of this version", "agentctl docs export FILE")
    profile = embedding.for_writing()
    is_same = header.profile == _spec(profile)
    count: Counter[str] = Counter()

    def embedded(texts: int, *_: int) -> None:
        count["embedded"] += texts
        if is_stopped():
            raise Stopped

    for done, line in enumerate(lines, 1):
        embedded(0)
        new, brought = _document(path, line, profile.embedder.dimensions if is_same else None)
        status, chunks = _status(store, new), 0
        if status != "unchanged":
            prepared = prepare(new.document, new.context, embedding.embedder)
            vectors = embed([prepared], profile, store, embedding.embedder, embedded, brought)
            store.put(profile, [(new, prepared)], vectors)
            chunks = len(prepared.chunks)
        count.update({status: 1, "chunks": chunks})
        emit(IngestStep(status=status, path=new.path, chunks=chunks, done=done))
    return IngestReport(
        added=count["added"],
        updated=count["updated"],
        unchanged=count["unchanged"],
        chunks=count["chunks"],
        embedded=count["embedded"],
        took_ms=round(1000 * (time.perf_counter() - started), 1),
    )


def _status(store: DocumentStore, new: NewDocument) -> IngestStatus:
    old = store.entry_at(new.collection, new.path)
    if old is None:
        return "added"
    return "unchanged" if old.hash == new.hash else "updated"


def _document(
    path: str, line: tuple[int, bytes], dimensions: int | None
) -> tuple[NewDocument, dict[bytes, bytes]]:
    """With its vectors by their keys: none when there are no `dimensions` that they should have.

    Raises InputUnreadable when anything is not as an export would have it.
    """
    row = _decode(path, line, _Exported)
    sections = (line[0], row.sections.encode())
    has_lines, rows = _decode(path, sections, tuple[bool, tuple[_SectionRow, ...]])
    try:
        _check_facts(row)
        _check_sections(row, rows)
        vectors = {} if dimensions is None else _read_vectors(row, dimensions)
    except ValueError as error:
        raise _damaged(path, line[0], error) from None
    document = Document(
        text=row.text,
        title=row.title,
        media_type=row.media_type,
        sections=tuple(Section(*each) for each in rows),
        has_lines=has_lines,
    )
    new = NewDocument(
        collection=row.collection,
        path=row.path,
        context=row.context,
        hash=row.hash,
        size=row.size,
        # It is not known whether the file, if it is here at all, is the one that was exported.
        mtime_ns=0,
        modified=row.modified,
        ingested=row.ingested,
        document=document,
    )
    return new, vectors


def _check_facts(row: _Exported) -> None:
    """Raises ValueError."""
    if not row.path:
        raise ValueError("it has no path")
    try:
        check_collection(row.collection)
    except UsageProblem as error:
        raise ValueError(error.message) from None
    if not 0 <= row.size <= _LARGEST:
        raise ValueError("its size is none")
    if not all(map(_MOMENT.fullmatch, (row.modified, row.ingested))):
        raise ValueError("its times are none")


def _check_sections(row: _Exported, rows: tuple[_SectionRow, ...]) -> None:
    """Raises ValueError."""
    starts = [start for start, *_ in rows]
    if starts != sorted({*starts}) or (starts and (starts[0] != 0 or starts[-1] > len(row.text))):
        raise ValueError("its sections are not in order")
    if any(page is not None and not 0 < page <= _LARGEST for _, _, page, _ in rows):
        raise ValueError("a page of it is none")


def _read_vectors(row: _Exported, dimensions: int) -> dict[bytes, bytes]:
    """Raises ValueError."""
    import numpy as np

    vectors = {bytes.fromhex(key): vector for key, vector in row.vectors.items()}
    if any(len(vector) != 2 * dimensions for vector in vectors.values()):
        raise ValueError("a vector of it has another length")
    if not np.isfinite(decode_vectors(list(vectors.values()), dimensions)).all():
        raise ValueError("a vector of it is none")
    return vectors


def _spec(profile: StoreProfile | None) -> str | None:
    return encode_profile(profile.embedder, profile.chunker) if profile is not None else None


def _lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers from 1."""
    try:
        with Path(path).open("rb") as file:
            for number in numbers(1):
                line = file.readline(LONGEST_LINE + 1)
                if not line:
                    return
                if len(line) > LONGEST_LINE:
                    raise InputHostile(
                        f"{path}:{number}: the line is far too long", "do not trust it"
                    )
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputMissing(f"{path}: {error.strerror}", "check the path and its rights") from None


def _decode(path: str, line: tuple[int, bytes], kind: type[T]) -> T:
    import msgspec

    try:
        return msgspec.json.decode(line[1], type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise _damaged(path, line[0], error) from None


def _encode(row: _Header | _Exported) -> str:
    import msgspec

    return msgspec.json.encode(row).decode()


def _damaged(path: str, number: int, reason: object) -> InputUnreadable:
    return InputUnreadable(
        f"{path}:{number}: no exported document: {reason}", "export the documents again"
    )
