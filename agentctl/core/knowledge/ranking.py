"""What decides the order of hits: joining keywords with vectors, and tidying the best of them."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

# The vectors' share. Mean nDCG@10 over seven collections: within 1% from 0.50 to 0.62.
ALPHA = 0.56
# What a chunk gains by the better one of those beside it: an answer seldom stands alone. Mean
# nDCG@10 is 0.691 without, 0.710 with a quarter; with more, recall within 800 words falls.
NEIGHBOUR = 0.25
# Looking further down or joining more words gains nDCG and loses recall within 800 words.
JOINED = 10
LONGEST_PASSAGE = 350
# Characters of blank space that may lie between two passages that follow each other.
_WIDEST_GAP = 100
# Share of the shingles of the longer of two texts from which they are alike. Leaving out what is
# merely contained in a better hit loses answers.
_ALIKE = 0.9
_SHINGLE = 4
# A score this near to 0 or 1 has log-odds that can still be computed.
_TINY = 1e-12
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A chunk that was found, or several that follow each other.

    `start` and `end` are characters of the document's text, `score` lies in 0..1, `chunk_id` is
    that of the best chunk in it.
    """

    chunk_id: int
    document_id: int
    start: int
    end: int
    score: float
    text: str


def fuse(
    cosines: Mapping[int, float], bm25: Mapping[int, float], words: int, alpha: float = ALPHA
) -> list[tuple[int, float]]:
    """Chunk ids with scores in 0..1, best first; equal scores by id.

    A cosine counts by how many standard deviations it stands above the mean of the chunks found:
    models differ in how far apart theirs lie. BM25 counts by what each word of the query brings
    on average: were it measured against the best hit, or the spread of the hits, a query of
    which only common words are found would be decided by these (mean nDCG@10 over seven
    collections 0.711 against 0.716). The logistic function takes the sum to 0..1.

    Args:
        cosines: similarity to the query in -1..1, for every chunk that either search found.
        bm25: keyword scores, larger is better (FTS5's own, negated), of those it found.
        words: of the query, that keywords were looked for.
        alpha: the share of the vectors.
    """
    chunks = sorted(cosines.keys() | bm25.keys())
    near = _standardised([cosines.get(chunk, -1.0) for chunk in chunks])
    said = [bm25.get(chunk, 0.0) / max(words, 1) for chunk in chunks]
    scores = [
        _logistic(alpha * vector + (1 - alpha) * keyword)
        for vector, keyword in zip(near, said, strict=True)
    ]
    return sorted(zip(chunks, scores, strict=True), key=lambda each: -each[1])


def support_neighbours(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Fused candidates, best first again, when each has gained by the ones it stands between.

    A score gains NEIGHBOUR of the neighbour's log-odds, never loses.
    """
    in_order = sorted(candidates, key=lambda each: (each.document_id, each.start))
    gains = dict.fromkeys((each.chunk_id for each in candidates), 0.0)
    for first, second in pairwise(in_order):
        if first.document_id == second.document_id and second.start - first.end <= _WIDEST_GAP:
            for one, other in ((first, second), (second, first)):
                gains[one.chunk_id] = max(gains[one.chunk_id], _log_odds(other.score))
    supported = [
        replace(each, score=_logistic(_log_odds(each.score) + NEIGHBOUR * gains[each.chunk_id]))
        for each in candidates
    ]
    return sorted(supported, key=lambda each: -each.score)


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates (best first) without those that say nearly what a better one says."""
    kept: list[Candidate] = []
    seen: list[frozenset[tuple[str, ...]]] = []
    for candidate in candidates:
        shingles = _shingles(candidate.text)
        if not any(_are_alike(shingles, others) for others in seen):
            kept.append(candidate)
            seen.append(shingles)
    return kept


def join_neighbours(
    candidates: Sequence[Candidate], text_of: Callable[[int], str]
) -> list[Candidate]:
    """Candidates (best first) that follow each other in a document become one passage.

    A passage stands where its best candidate stood, with that one's score and id. Only the first
    JOINED are joined, to passages of at most LONGEST_PASSAGE words.

    Args:
        text_of: a document's whole text by its id, empty when it is gone; asked only where
            something may be joined.
    """
    passages, rest = list(candidates[:JOINED]), candidates[JOINED:]
    best = 0
    while best < len(passages):
        for n in range(best + 1, len(passages)):
            joined = _joined(passages[best], passages[n], text_of)
            if joined:
                passages[best] = joined
                del passages[n]
                break
        else:
            best += 1
    return [*passages, *rest]


def _logistic(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _log_odds(share: float) -> float:
    share = min(max(share, _TINY), 1 - _TINY)
    return math.log(share / (1 - share))


def _standardised(values: Sequence[float]) -> list[float]:
    """Standard deviations above the mean; all 0 when the values are equal."""
    mean = math.fsum(values) / max(len(values), 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / max(len(values), 1))
    return [(value - mean) / deviation if deviation else 0.0 for value in values]


def _joined(one: Candidate, other: Candidate, text_of: Callable[[int], str]) -> Candidate | None:
    """Both as one passage.

    None when they do not follow each other, are too long, or the text has changed since.
    """
    first, second = sorted((one, other), key=lambda each: each.start)
    if one.document_id != other.document_id or second.start - first.end > _WIDEST_GAP:
        return None
    text = text_of(one.document_id)
    if any(text[each.start : each.end] != each.text for each in (first, second)):
        return None
    joined = text[first.start : second.end]
    if text[first.end : second.start].strip() or len(_WORD.findall(joined)) > LONGEST_PASSAGE:
        return None
    return replace(one, start=first.start, end=second.end, text=joined)


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    size = min(_SHINGLE, len(words))
    return frozenset(tuple(words[n : n + size]) for n in range(len(words) - size + 1))


def _are_alike(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    least = _ALIKE * max(len(one), len(other))
    # Most pairs differ in length already: no need to compare them.
    return min(len(one), len(other)) >= least and len(one & other) >= least
