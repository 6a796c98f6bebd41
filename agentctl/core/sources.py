"""What an answer rests on: a value apart, for a search speaks of nothing else."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A passage an answer rests on, or a search hit; `n` is its citation number, from 1."""

    n: int
    score: float
    path: str
    title: str
    collection: str
    page: int | None
    line_start: int | None
    line_end: int | None
    text: str
    chunk_id: int
    document_id: int
