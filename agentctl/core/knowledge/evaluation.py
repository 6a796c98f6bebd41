"""How good retrieval is on the user's own questions.

A file of questions has one JSON object a line: `query`, and `relevant`, a list of what should be
found. Each of these has `path`, the name of a document or the end of its path, and may have
`text`, an excerpt that the hit must cover.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentctl.core.errors import InputMissing, InputUnreadable
from agentctl.core.knowledge.library import Evaluation, SearchMode, SearchRequest, SearchResult
from agentctl.core.knowledge.scoring import Hit, Relevant, mean, score

HITS = 20
_EXAMPLE = '{"query": "…", "relevant": [{"path": "notes.md", "text": "…"}]}'


@dataclass(frozen=True, slots=True)
class _Relevant:
    path: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    query: str
    relevant: list[_Relevant]


def evaluate(
    path: str,
    mode: SearchMode,
    collection: str | None,
    search: Callable[[SearchRequest], SearchResult],
) -> Evaluation:
    """Asks every question of the file; a first one, not counted, warms the search up.

    Raises:
        InputMissing: there is no such file.
        InputUnreadable: a line is no question, or there is none.
    """
    questions = _read(path)
    scores, times = [], []
    for question in [questions[0], *questions]:
        request = SearchRequest(query=question.query, n=HITS, mode=mode, collection=collection)
        result = search(request)
        hits = [Hit(hit.path, hit.text) for hit in result.hits]
        scores.append(score([Relevant(each.path, each.text) for each in question.relevant], hits))
        times.append(result.took_ms)
    figures = mean(scores[1:])
    return Evaluation(
        mode=mode,
        questions=len(questions),
        ndcg_at_10=figures.ndcg_at_10,
        recall_at_3=figures.recall_at_3,
        recall_at_10=figures.recall_at_10,
        mrr=figures.mrr,
        p50_ms=_percentile(times[1:], 0.5),
        p95_ms=_percentile(times[1:], 0.95),
    )


def _read(path: str) -> list[_Question]:
    import msgspec

    questions = []
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise InputMissing(f"{path}: {error.strerror}", "check the path and its rights") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = msgspec.json.decode(line, type=_Question)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise InputUnreadable(f"{path}:{number}: {error}", f"a line is {_EXAMPLE}") from None
        if not question.relevant:
            raise InputUnreadable(f"{path}:{number}: nothing is relevant", f"a line is {_EXAMPLE}")
        questions.append(question)
    if not questions:
        raise InputUnreadable(f"{path} holds no questions", f"a line is {_EXAMPLE}")
    return questions


def _percentile(times: list[float], share: float) -> float:
    """The nearest rank, in milliseconds."""
    ranked = sorted(times)
    return ranked[min(int(share * len(ranked)), len(ranked) - 1)]
