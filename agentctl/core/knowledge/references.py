"""Which documents a user means: by id, path, folder or glob."""

from collections.abc import Callable, Sequence

from agentctl.core.errors import NotFound
from agentctl.core.files import clipped, storable_path
from agentctl.core.knowledge.library import DocumentEntry, Passage
from agentctl.core.knowledge.lookup import path_matcher
from agentctl.core.knowledge.sources import is_below
from agentctl.core.knowledge.store import DocumentStore
from agentctl.core.paths import expand


def resolve_all(entries: Sequence[DocumentEntry], references: Sequence[str]) -> list[DocumentEntry]:
    """The documents meant, each once; all of them when there are no references.

    Raises:
        NotFound: a reference means none.
    """
    if not references:
        return list(entries)
    found = {entry.id: entry for reference in references for entry in resolve(entries, reference)}
    return list(found.values())


def resolve(entries: Sequence[DocumentEntry], reference: str) -> list[DocumentEntry]:
    """By the first of these that means any: id, whole path, folder, end of a path or glob.

    Raises:
        NotFound: none.
    """
    if not reference.strip():
        raise NotFound("a document without a name", "agentctl docs list")
    path = storable_path(str(expand(reference).absolute()))
    matches = path_matcher(reference)
    rules: tuple[Callable[[DocumentEntry], bool], ...] = (
        lambda entry: str(entry.id) == reference,
        lambda entry: entry.path in (reference, path),
        lambda entry: is_below(entry.path, path),
        lambda entry: matches(entry.path),
    )
    for is_meant in rules:
        if meant := [entry for entry in entries if is_meant(entry)]:
            return meant
    raise NotFound(f"no document {clipped(reference)}", "agentctl docs list")


def show(store: DocumentStore, reference: str, chunk: int | None) -> Passage:
    """A document's text, or one chunk of it.

    Raises:
        NotFound: none, or more than one document is meant, or the chunk is not of this one.
    """
    with store.snapshot():
        meant = resolve(store.entries(), reference)
        if len(meant) > 1:
            raise NotFound(f"{reference} means {len(meant)} documents", "agentctl docs list")
        entry = meant[0]
        if chunk is not None:
            return _chunk(store, entry, chunk)
        document, _ = store.document(entry.id)
    lines = document.text.removesuffix("\n").count("\n") + 1
    return Passage(
        document=entry,
        text=document.text,
        heading="",
        page=None,
        line_start=1 if document.has_lines else None,
        line_end=lines if document.has_lines else None,
        chunk_id=None,
    )


def _chunk(store: DocumentStore, entry: DocumentEntry, identifier: int) -> Passage:
    profile = store.profile()
    chunks = store.lookup(profile).chunks([identifier]) if profile is not None else {}
    found = chunks.get(identifier)
    if found is None or found.document_id != entry.id:
        raise NotFound(f"{entry.path} has no chunk {identifier}", "agentctl search QUERY")
    return Passage(
        document=entry,
        text=found.text,
        heading=found.heading,
        page=found.page,
        line_start=found.line_start,
        line_end=found.line_end,
        chunk_id=found.id,
    )
