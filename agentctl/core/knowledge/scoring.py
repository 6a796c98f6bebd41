"""How well a ranking answers questions whose relevant passages are known.

A relevant passage counts once, at the first hit that covers it: the hit is from its document and
holds 60% of its 5-word shingles. Words are runs of letters and digits in lower case.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import PurePosixPath
from statistics import fmean

SHINGLE = 5
COVERED = 0.6
# A hit is judged by its first words, so that a whole document returned as one does not win.
LONGEST_HIT = 1200
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Relevant:
    """What a question should find: a document by its name or the end of its path, and the
    `excerpt` that must be covered; any hit of the document counts when that is None."""

    document: str
    excerpt: str | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A result: the path of its document, and its text."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Scores:
    """Each from 0 to 1; the last two are recall within so many returned words."""

    ndcg_at_10: float
    recall_at_3: float
    recall_at_10: float
    mrr: float
    recall_within_800: float
    recall_within_1600: float


def score(relevant: Sequence[Relevant], hits: Sequence[Hit]) -> Scores:
    """Scores of one question's `hits`, best first. `relevant` is not empty."""
    words = [_words(hit.text)[:LONGEST_HIT] for hit in hits]
    ends = [sum(map(len, words[: rank + 1])) for rank in range(len(hits))]
    found = [_first(each, hits, words) for each in relevant]
    ranks = [rank for rank in found if rank is not None]
    total = len(relevant)

    def within(budget: int) -> float:
        return sum(ends[rank] <= budget for rank in ranks) / total

    def recall(first: int) -> float:
        return sum(rank < first for rank in ranks) / total

    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(total, 10)))
    gain = sum(1 / math.log2(rank + 2) for rank in ranks if rank < 10)
    return Scores(
        ndcg_at_10=min(gain / ideal, 1.0),
        recall_at_3=recall(3),
        recall_at_10=recall(10),
        mrr=1 / (min(ranks) + 1) if ranks else 0.0,
        recall_within_800=within(800),
        recall_within_1600=within(1600),
    )


def mean(scores: Sequence[Scores]) -> Scores:
    """The mean of each figure; all 0 without any."""
    rows = [astuple(each) for each in scores] or [(0.0,) * len(fields(Scores))]
    return Scores(*map(fmean, zip(*rows, strict=True)))


def _first(relevant: Relevant, hits: Sequence[Hit], words: Sequence[Sequence[str]]) -> int | None:
    """The rank, from 0, of the first hit that covers it."""
    wanted = _shingles(_words(relevant.excerpt)) if relevant.excerpt else None
    for rank, (hit, text) in enumerate(zip(hits, words, strict=True)):
        if text and _same_document(relevant.document, hit.path) and _covers(text, wanted):
            return rank
    return None


def _covers(text: Sequence[str], wanted: frozenset[tuple[str, ...]] | None) -> bool:
    if not wanted:
        return True
    size = min(SHINGLE, *map(len, wanted))
    return len(wanted & _shingles(text, size)) >= COVERED * len(wanted)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _shingles(words: Sequence[str], size: int = SHINGLE) -> frozenset[tuple[str, ...]]:
    size = min(size, len(words))
    return frozenset(tuple(words[n : n + size]) for n in range(len(words) - size + 1) if size)


def _same_document(name: str, path: str) -> bool:
    wanted = PurePosixPath(name.replace("\\", "/")).parts
    return wanted != () and PurePosixPath(path.replace("\\", "/")).parts[-len(wanted) :] == wanted
