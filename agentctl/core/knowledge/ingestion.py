"""Taking documents in: what is new is read, cut, embedded and stored; what is not, is not.

Documents are stored in groups, each in one transaction, and are reported when that is done. An
ingest that is killed has lost the group it was embedding, but for the vectors of a long document,
and the next one goes on from there.
"""

import hashlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePath
from typing import TypeAlias

from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    InputMissing,
    InputUnreadable,
    StorageError,
    UsageProblem,
)
from agentctl.core.file_lock import locked
from agentctl.core.files import clipped, storable_path
from agentctl.core.knowledge.library import (
    Failure,
    IngestReport,
    IngestRequest,
    IngestStatus,
    IngestStep,
)
from agentctl.core.knowledge.loaders.reader import DocumentReader
from agentctl.core.knowledge.loaders.registry import is_known_binary
from agentctl.core.knowledge.preparation import embed, prepare
from agentctl.core.knowledge.profile import ProfiledEmbedder
from agentctl.core.knowledge.rows import KnownFile, NewDocument, Prepared
from agentctl.core.knowledge.sources import (
    Candidate,
    Content,
    find_candidates,
    is_below,
    is_gone,
    read_candidate,
    selects,
    state_of,
)
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.moments import moment_text
from agentctl.core.paths import make_private

# What is stored together: enough for the embedder to sort by length, little enough for a kill to
# cost nothing that matters.
GROUP_CHUNKS = 128
GROUP_DOCUMENTS = 64

# A file that was changed so shortly before it was read may change again within one tick of the
# file system's clock: its time says nothing then. Nanoseconds.
RACY_NS = 2_000_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_POLL_S = 0.2
# Characters of a collection's name.
_LONGEST_NAME = 100

Emit: TypeAlias = Callable[[IngestStep], None]


class Stopped(Exception):
    """Whoever started the work has left."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes of one file, and seconds that a web server may be silent."""

    file_bytes: int
    silence_s: float


class Ingestion:
    """One ingest.

    Args:
        embedding: opened only when something has to be embedded.
        is_stopped: looked at between files and between calls of the embedder.
        own: folders that agentctl itself writes to, which are no documents.
        now_ns: nanoseconds since 1970.
    """

    def __init__(
        self,
        request: IngestRequest,
        store: DocumentStore,
        embedding: ProfiledEmbedder,
        reader: DocumentReader,
        limits: Limits,
        *,
        emit: Emit,
        is_stopped: Callable[[], bool],
        own: Sequence[Path] = (),
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._request = request
        self._own = own
        self._store = store
        self._embedding = embedding
        self._reader = reader
        self._limits = limits
        self._emit = emit
        self._is_stopped = is_stopped
        self._now_ns = now_ns
        self._count: Counter[str] = Counter()
        self._failed: list[Failure] = []
        self._skipped: list[str] = []
        self._warnings: list[str] = []
        self._total = 0
        self._known: dict[str, KnownFile] = {}
        self._moved: dict[str, list[KnownFile]] = {}
        self._seen: list[tuple[int, int, str | None, str, int, str]] = []
        self._group: list[tuple[NewDocument, Prepared]] = []

    def run(self) -> IngestReport:
        """Raises EmbedderChanged, Stopped, and what the embedder and the store raise."""
        started = self._now_ns()
        candidates = find_candidates(self._request, self._fail, self._own)
        self._total = len(candidates) + len(self._failed)
        self._emit(IngestStep(status="found", total=self._total))
        self._known = self._store.known_files(self._request.collection)
        paths = {candidate.path for candidate in candidates}
        for known in self._known.values():
            if known.path not in paths and is_gone(known.path):
                self._moved.setdefault(known.hash, []).append(known)
        for candidate in candidates:
            self._check_stopped()
            try:
                new = self._look_at(candidate)
            except (InputMissing, InputUnreadable) as error:
                self._fail(candidate.path, error)
                continue
            if new is not None:
                self._add(new)
        self._store_group()
        if not self._request.dry_run:
            self._store.touch(self._seen)
            self._store.forget_kept_vectors()
        if self._request.prune:
            self._prune(paths)
        return self._finish(started)

    def _look_at(self, candidate: Candidate) -> NewDocument | None:
        """A document that is to be stored; None when there is nothing more to do."""
        known = self._known.get(candidate.path)
        old = None if self._request.force else known
        if old is not None and _is_untouched(candidate, old):
            self._report("unchanged", candidate.path)
            return None
        if not candidate.is_named and is_known_binary(candidate.path):
            self._skip(candidate)
            return None
        limits = self._limits
        content = read_candidate(
            candidate, self._request, limits.file_bytes, limits.silence_s, self._now_ns()
        )
        digest = hashlib.sha256(content.data).hexdigest()
        if old is not None and old.hash == digest:
            self._see(old, candidate, content)
            self._report("unchanged", candidate.path)
            return None
        moved = self._moved_from(candidate, digest) if known is None else None
        if moved is not None and self._rename(moved, candidate, content):
            return None
        return self._read(candidate, content, digest)

    def _see(self, known: KnownFile, candidate: Candidate, content: Content) -> None:
        """Remembers when its file was changed last; of a page or a piped text nobody knows."""
        modified = iso_time(content.mtime_ns) if candidate.file is not None else None
        now = iso_time(self._now_ns())
        size, path = len(content.data), candidate.path
        self._seen.append((size, content.mtime_ns, modified, now, known.id, path))

    def _read(self, candidate: Candidate, content: Content, digest: str) -> NewDocument | None:
        document = self._reader.read(content.data, content.name)
        if document is None:
            if candidate.is_named:
                raise InputUnreadable(f"{candidate.path} is binary", "give a text or a document")
            self._skip(candidate)
            return None
        self._warnings += (f"{candidate.path}: {warning}" for warning in document.warnings)
        title = document.title or default_title(candidate.path)
        return NewDocument(
            collection=self._request.collection,
            path=candidate.path,
            context=title,
            hash=digest,
            size=len(content.data),
            mtime_ns=content.mtime_ns,
            modified=iso_time(content.mtime_ns),
            ingested=iso_time(self._now_ns()),
            document=replace(document, title=title),
        )

    def _add(self, new: NewDocument) -> None:
        if self._request.dry_run:
            self._report("updated" if new.path in self._known else "added", new.path)
            return
        # Before it is cut: what was embedded by another model must not be mixed with this.
        self._embedding.for_writing()
        self._group.append((new, prepare(new.document, new.context, self._embedding.embedder)))
        pending = sum(len(prepared.texts) for _, prepared in self._group)
        if len(self._group) >= GROUP_DOCUMENTS or pending >= GROUP_CHUNKS:
            self._store_group()

    def _store_group(self) -> None:
        """Embeds what is pending and stores it, then says so."""
        group, self._group = self._group, []
        if not group:
            return
        profile = self._embedding.for_writing()
        prepared = [each for _, each in group]
        largest, _ = max(group, key=lambda each: len(each[1].texts))

        def embedded(texts: int, done: int, pending: int) -> None:
            step = self._step("embedding", largest.path, chunks=texts)
            self._emit(replace(step, files=len(group), embedded=done, pending=pending))
            self._count["embedded"] += texts
            self._check_stopped()

        vectors = embed(prepared, profile, self._store, self._embedding.embedder, embedded)
        self._store.put(profile, group, vectors)
        for new, each in group:
            self._count["chunks"] += len(each.chunks)
            status: IngestStatus = "updated" if new.path in self._known else "added"
            self._report(status, new.path, len(each.chunks))

    def _moved_from(self, candidate: Candidate, digest: str) -> KnownFile | None:
        """The stored file that has this content, is gone, and is read in the same way."""
        suffix = PurePath(candidate.path).suffix
        for known in self._moved.get(digest, []):
            if candidate.file is not None and PurePath(known.path).suffix == suffix:
                self._moved[digest].remove(known)
                return known
        return None

    def _rename(self, known: KnownFile, candidate: Candidate, content: Content) -> bool:
        """False, and nothing done, when the stored file was removed meanwhile."""
        self._known.pop(known.path)
        if not self._request.dry_run:
            with self._store.writing():
                entry = self._store.entry(known.id)
                if entry is None or entry.path != known.path:
                    return False
                is_default = entry.title == default_title(known.path)
                title = default_title(candidate.path) if is_default else entry.title
                self._store.rename(known.id, candidate.path, title)
            self._see(known, candidate, content)
        self._report("updated", candidate.path)
        return True

    def _prune(self, paths: set[str]) -> None:
        """Removes documents of the named folders that this ingest has not found."""
        unreadable = [failure.path for failure in self._failed]
        sources = [storable_path(source) for source in self._request.sources]
        is_selected = selects(self._request)
        for known in list(self._known.values()):
            folders = (each for each in sources if is_below(known.path, each))
            folder = next(folders, None)
            if (
                folder is not None
                and known.path not in paths
                and not any(is_below(known.path, each) for each in unreadable)
                and is_selected(known.path[len(folder) :].lstrip(os.sep))
            ):
                self._drop(known.path)
                self._report("removed", known.path)

    def _skip(self, candidate: Candidate) -> None:
        self._drop(candidate.path)
        self._skipped.append(candidate.path)
        self._report("skipped", candidate.path)

    def _drop(self, path: str) -> None:
        known = self._known.pop(path, None)
        if known is not None and not self._request.dry_run:
            with self._store.writing():
                self._store.remove([known.id] if self._store.is_current(known) else [])

    def _fail(self, path: str, error: AgentctlError) -> None:
        self._failed.append(Failure(path, error.slug, error.message, error.hint))
        self._emit(self._step("failed", path, message=error.message))

    def _report(self, status: IngestStatus, path: str, chunks: int = 0) -> None:
        self._count[status] += 1
        self._emit(self._step(status, path, chunks=chunks))

    def _step(
        self, status: IngestStatus, path: str, *, chunks: int = 0, message: str = ""
    ) -> IngestStep:
        finished = ("added", "updated", "unchanged", "skipped")
        done = sum(self._count[each] for each in finished) + len(self._failed)
        return IngestStep(
            status=status, path=path, chunks=chunks, done=done, total=self._total, message=message
        )

    def _check_stopped(self) -> None:
        if self._is_stopped():
            raise Stopped

    def _finish(self, started_ns: int) -> IngestReport:
        count = self._count
        return IngestReport(
            added=count["added"],
            updated=count["updated"],
            unchanged=count["unchanged"],
            removed=count["removed"],
            skipped=count["skipped"],
            chunks=count["chunks"],
            embedded=count["embedded"],
            skipped_paths=tuple(self._skipped),
            failed=tuple(self._failed),
            warnings=tuple(self._warnings),
            took_ms=round((self._now_ns() - started_ns) / 1e6, 1),
        )


@contextmanager
def writers_turn(
    lock: Path, waiting: Callable[[], None], is_stopped: Callable[[], bool]
) -> Iterator[None]:
    """Holds the lock of those who write documents; `waiting` is called once when it is taken.

    Raises:
        Stopped: `is_stopped` said so meanwhile.
        StorageError: there is no place for the lock.
    """
    has_told = False
    with ExitStack() as held:
        while True:
            try:
                make_private(lock.parent)
                held.enter_context(locked(lock, "another ingest"))
                break
            except BackendBusy:
                if is_stopped():
                    raise Stopped from None
            except OSError as error:
                raise _unwritable(lock.parent, error) from None
            if not has_told:
                has_told = True
                waiting()
            time.sleep(_POLL_S)
        yield


def check_collection(name: str) -> None:
    """Raises UsageProblem for a name that could not be shown, or typed again."""
    if not name or name != name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise UsageProblem(
            f"{clipped(name)!r} cannot be the name of a collection", "--collection notes"
        )


def _unwritable(folder: Path, error: OSError) -> StorageError:
    there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    return StorageError(
        f"{there} cannot be written to: {error.strerror}",
        f"chmod u+rwx {shlex.quote(str(there))}, or another place: export AGENTCTL_HOME=FOLDER",
    )


def default_title(path: str) -> str:
    """A title for a document that has none: its file's name in words."""
    name = PurePath(path.rstrip("/")).stem or path
    return " ".join(name.replace("_", " ").replace("-", " ").split()) or path


def iso_time(ns: int) -> str:
    """Nanoseconds since 1970 as ISO 8601 in UTC, to the millisecond."""
    # Not `fromtimestamp`: Windows has none before 1970.
    return moment_text(_EPOCH + timedelta(microseconds=ns // 1000))


def _is_untouched(candidate: Candidate, known: KnownFile) -> bool:
    """Whether size and time say that the file is what was read, without reading it again."""
    if candidate.file is None:
        return False
    try:
        size, mtime_ns = state_of(candidate.file)
    except InputMissing:
        return False
    is_same = (size, mtime_ns) == (known.size, known.mtime_ns)
    return is_same and iso_time(mtime_ns + RACY_NS) < known.ingested
