"""Finding passages: where keywords and vectors meet.

Both searches give their best chunks; a chunk that only the keywords found gets its true cosine.
`ranking.py` puts them in one order; passages that follow each other support each other and are
joined, and what says the same as a better one is left out.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from agentctl.core.knowledge.library import SearchRequest, SearchResult
from agentctl.core.knowledge.lookup import ChunkLookup, FoundChunk
from agentctl.core.knowledge.query import match_expression, search_words
from agentctl.core.knowledge.ranking import (
    Candidate,
    distinct,
    fuse,
    join_neighbours,
    support_neighbours,
)
from agentctl.core.knowledge.vectors import VectorIndex
from agentctl.core.sources import Source

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Embedder, Vectors
    from agentctl.core.embedding.reranker import Reranker

# Chunks that each search contributes, for ten hits; more for more.
DEPTH = 50
DEPTH_PER_HIT = 3
# However few hits are wanted: many may say the same.
LEAST_CANDIDATES = 30
# Of these the reranker reads the best.
RERANKED = 30


class Retriever:
    """Searches one profile.

    Args:
        text_of: a document's whole text by its id, empty when it is gone.
        reranker: reads the best hits once more, or None.
    """

    def __init__(
        self,
        lookup: ChunkLookup,
        index: VectorIndex,
        embedder: "Embedder",
        text_of: Callable[[int], str],
        reranker: "Reranker | None" = None,
    ) -> None:
        self._lookup = lookup
        self._index = index
        self._embedder = embedder
        self._text_of = text_of
        self._reranker = reranker

    def search(self, request: SearchRequest) -> SearchResult:
        """Raises what the embedder and the store raise; any string is a query."""
        started = time.perf_counter()
        scores, best_cosine = self._scores(request)
        hits = self._hits(request, scores)
        return SearchResult(
            query=request.query,
            mode=request.mode,
            took_ms=round(1000 * (time.perf_counter() - started), 1),
            hits=hits,
            best_cosine=best_cosine,
        )

    def _scores(self, request: SearchRequest) -> tuple[list[tuple[int, float]], float | None]:
        """Chunk ids with their scores in 0..1, best first; the highest cosine."""
        documents = self._lookup.matching_documents(request)
        if documents == frozenset() or not request.query.strip():
            return [], None
        depth = max(DEPTH, DEPTH_PER_HIT * request.n)
        keywords: dict[int, float] = {}
        if request.mode != "vector":
            expression = match_expression(request.query)
            keywords = self._lookup.by_keyword(expression, depth, documents)
        if request.mode == "keyword":
            return _by_keyword_alone(keywords), None
        query = self._embedder.embed_query(request.query)
        cosines = self._index.nearest(query, depth, documents)
        cosines |= self._cosines([each for each in keywords if each not in cosines], query)
        best = max(cosines.values(), default=None)
        if request.mode == "vector":
            ranked = sorted(cosines.items(), key=lambda each: (-each[1], each[0]))
            return [(chunk, max(cosine, 0.0)) for chunk, cosine in ranked], best
        return fuse(cosines, keywords, len(search_words(request.query))), best

    def _cosines(self, chunks: list[int], query: "Vectors") -> dict[int, float]:
        kept, vectors = self._lookup.vectors(chunks)
        return dict(zip(kept, map(float, vectors @ query), strict=True))

    def _hits(self, request: SearchRequest, scores: list[tuple[int, float]]) -> tuple[Source, ...]:
        # Some will be joined, or left out.
        wanted = scores[: max(DEPTH_PER_HIT * request.n, LEAST_CANDIDATES)]
        found = self._lookup.chunks([chunk for chunk, _ in wanted])
        candidates = [_candidate(found[chunk], score) for chunk, score in wanted if chunk in found]
        if request.mode == "hybrid":
            candidates = support_neighbours(candidates)
        candidates = self._rerank(request.query, distinct(candidates))
        joined = join_neighbours(candidates, self._text_of)
        return tuple(
            _source(number, candidate, found) for number, candidate in enumerate(joined, 1)
        )[: request.n]

    def _rerank(self, query: str, candidates: list[Candidate]) -> list[Candidate]:
        if self._reranker is None or not candidates:
            return candidates
        from dataclasses import replace

        best, rest = candidates[:RERANKED], candidates[RERANKED:]
        scores = self._reranker.scores(query, [candidate.text for candidate in best])
        ranked = [
            replace(candidate, score=float(score))
            for candidate, score in zip(best, scores, strict=True)
        ]
        lowest = min(candidate.score for candidate in ranked)
        rest = [replace(candidate, score=min(candidate.score, lowest)) for candidate in rest]
        return sorted(ranked, key=lambda candidate: -candidate.score) + rest


def _by_keyword_alone(keywords: Mapping[int, float]) -> list[tuple[int, float]]:
    highest = max(keywords.values(), default=1.0)
    return [(chunk, score / highest if highest else 0.0) for chunk, score in keywords.items()]


def _candidate(chunk: FoundChunk, score: float) -> Candidate:
    return Candidate(
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        start=chunk.start,
        end=chunk.end,
        score=score,
        text=chunk.text,
    )


def _source(number: int, candidate: Candidate, found: Mapping[int, FoundChunk]) -> Source:
    chunk = found[candidate.chunk_id]
    inside = [
        each
        for each in found.values()
        if each.document_id == candidate.document_id
        and candidate.start <= each.start
        and each.end <= candidate.end
    ]
    first = min(inside, key=lambda each: each.start, default=chunk)
    last = max(inside, key=lambda each: each.end, default=chunk)
    return Source(
        n=number,
        score=round(candidate.score, 4),
        path=chunk.path,
        title=chunk.title,
        collection=chunk.collection,
        page=chunk.page,
        line_start=first.line_start,
        line_end=last.line_end,
        text=candidate.text,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
    )
