"""What is found, against LangChain on FAISS and txtai.

The same model everywhere: all-MiniLM-L6-v2. LangChain and txtai are given our own chunks, as they
are without their titles; at the end LangChain is given the documents and cuts them itself. What
others find is no matter of time: a busy machine changes nothing.
"""

import asyncio
import json
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import fmean

from agentctl.core.config import default_settings
from agentctl.core.knowledge.knowledge_base import KnowledgeBase
from agentctl.core.knowledge.library import IngestReport, IngestRequest, SearchRequest
from agentctl.core.knowledge.scoring import Hit, Scores, mean, score
from agentctl.core.paths import find_paths
from benchmarks import question_sets
from benchmarks.equipment import Equipment
from benchmarks.question_sets import QuestionSet
from benchmarks.retrieval_peers import FOUND
from benchmarks.rows import Row, at_least

# What is compared: name, figure, peer, the least mean ratio, the least ratio of any set.
BARS = (
    ("nDCG@10 / LangChain FAISS, same chunks", "ndcg_at_10", "faiss", 1.18, 1.05),
    ("recall@3 / LangChain FAISS, same chunks", "recall_at_3", "faiss", 1.17, None),
    ("MRR / LangChain FAISS, same chunks", "mrr", "faiss", 1.15, None),
    ("nDCG@10 / txtai hybrid, same chunks", "ndcg_at_10", "txtai", 1.05, None),
    (
        "recall within 800 words / LangChain, its chunks",
        "recall_within_800",
        "own_chunks",
        1.1,
        None,
    ),
)


def rows(equipment: Equipment) -> Iterator[Row]:
    """A row for each set of questions, then the means over all sets."""
    python = equipment.program("langchain", "python")
    measured = []
    with tempfile.TemporaryDirectory() as place:
        generated = question_sets.generate(Path(place))
        for questions in (*map(question_sets.load, equipment.sets), *generated):
            scores = _measure(questions, python)
            measured.append(scores)
            ours = scores["ours"]
            yield Row(
                name=f"{questions.name}: {len(questions.questions)} questions",
                figure=f"nDCG@10 {ours.ndcg_at_10:.3f}, recall@3 {ours.recall_at_3:.3f}, MRR "
                f"{ours.mrr:.3f}; nDCG@10 / FAISS {_ratio(scores, 'ndcg_at_10', 'faiss'):.2f}",
            )
    for name, figure, peer, least, worst in BARS:
        ratios = [_ratio(scores, figure, peer) for scores in measured]
        bars = [at_least(least, fmean(ratios))]
        if worst:
            bars.append(at_least(worst, min(ratios), what="each "))
        shown = f"{fmean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        yield Row(name=name, figure=shown, bars=tuple(bars))


def _ratio(scores: dict[str, Scores], figure: str, peer: str) -> float:
    return float(getattr(scores["ours"], figure) / getattr(scores[peer], figure))


def _measure(questions: QuestionSet, python: Path) -> dict[str, Scores]:
    """Our scores and those of each peer."""
    with tempfile.TemporaryDirectory() as home:
        found, chunks = asyncio.run(_ours(questions, Path(home)))
    documents = [
        (path.name, path.read_text(encoding="utf-8"))
        for path in sorted(questions.docs.rglob("*"))
        if path.is_file()
    ]
    queries = [question.query for question in questions.questions]
    given = json.dumps({"chunks": chunks, "documents": documents, "queries": queries})
    peers = Path(__file__).with_name("retrieval_peers.py")
    done = subprocess.run(
        [str(python), str(peers)], input=given, stdout=subprocess.PIPE, text=True, check=True
    )
    results = {"ours": found, **json.loads(done.stdout)}
    return {name: _scored(questions, hits) for name, hits in results.items()}


def _scored(questions: QuestionSet, found: Sequence[Sequence[tuple[str, str]]]) -> Scores:
    return mean(
        [
            score(question.relevant, [Hit(path, text) for path, text in hits])
            for question, hits in zip(questions.questions, found, strict=True)
        ]
    )


async def _ours(
    questions: QuestionSet, home: Path
) -> tuple[list[list[tuple[str, str]]], list[tuple[str, str]]]:
    """(path, text) of the hits for each question, and of all chunks."""
    paths = find_paths({"AGENTCTL_HOME": str(home)})
    knowledge = KnowledgeBase(default_settings(), paths, {})
    try:
        async for step in knowledge.ingest(IngestRequest(sources=(str(questions.docs),))):
            if isinstance(step, IngestReport):
                assert not step.failed, step.failed
        found = []
        for question in questions.questions:
            result = await knowledge.search(SearchRequest(query=question.query, n=FOUND))
            found.append([(hit.path, hit.text) for hit in result.hits])
    finally:
        await knowledge.close()
    with closing(sqlite3.connect(paths.database)) as connection:
        chunks = connection.execute(
            "SELECT d.path, c.text FROM chunks c JOIN documents d ON d.id = c.document"
            " ORDER BY c.id"
        ).fetchall()
    return found, chunks
