"""What an ingest with the built-in embedder takes, and a cold search beside a start of `llm`."""

import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.config import default_settings
from agentctl.core.embedding.base import EmbedderProfile
from agentctl.core.embedding.llama_cpp import built_in_embedder
from agentctl.core.knowledge.knowledge_base import KnowledgeBase
from agentctl.core.knowledge.library import IngestReport, IngestRequest
from agentctl.core.paths import find_paths
from benchmarks.equipment import ROOT, Equipment
from benchmarks.measure import compare, in_turn
from benchmarks.rows import Row, at_least, at_most
from tests.support.cli import environment

if TYPE_CHECKING:
    from agentctl.core.embedding.base import Vectors

FILES = 1000


class TimedEmbedder:
    """The built-in embedder, and the seconds spent in it."""

    def __init__(self) -> None:
        self._embedder = built_in_embedder()
        self.seconds = 0.0

    def profile(self) -> EmbedderProfile:
        return self._embedder.profile()

    def token_starts(self, text: str) -> Sequence[int]:
        return self._embedder.token_starts(text)

    def embed_passages(self, texts: Sequence[str]) -> "Vectors":
        started = time.perf_counter()
        try:
            return self._embedder.embed_passages(texts)
        finally:
            self.seconds += time.perf_counter() - started

    def embed_query(self, text: str) -> "Vectors":
        return self._embedder.embed_query(text)

    def close(self) -> None:
        self._embedder.close()


def rows(equipment: Equipment) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as place:
        home, notes = Path(place) / "home", Path(place) / "notes"
        _write(notes)
        embedder = TimedEmbedder()
        # Loading the model is paid once, not for each ingest.
        embedder.embed_query("x")
        first = _ingest(home, notes, embedder)
        share, embedding_s = embedder.seconds / first, embedder.seconds
        again = min(_ingest(home, notes, embedder) for _ in range(3))
        yield Row(
            name=f"share of the embedder in an ingest of {FILES:,} files",
            figure=f"{share:.1%} ({embedding_s:.1f} of {first:.1f} s)",
            bars=(at_least(95, 100 * share, "%"),),
        )
        yield Row(
            name=f"{FILES:,} unchanged files / the first time",
            figure=f"{first / again:,.0f} times faster ({1000 * again:.0f} ms)",
            bars=(at_least(50, first / again),),
        )
        env = environment(home, AGENTCTL_HOME=str(home))
        ours = [sys.executable, "-m", "agentctl", "search", "how does step 7 work"]
        theirs = [str(equipment.program("llm", "llm")), "--version"]
        ratio, figure = compare(*in_turn([ours, theirs], env))
        name = "a cold `agentctl search` / `llm --version`"
        yield Row(name=name, figure=figure, bars=(at_most(1, ratio),))


def _write(folder: Path) -> None:
    """Notes of a few hundred words, cut from the program's own text, each one different."""
    folder.mkdir()
    files = sorted([*(ROOT / "docs").glob("*.md"), *(ROOT / "agentctl").rglob("*.py")])
    words = " ".join(file.read_text(encoding="utf-8") for file in files).split()
    size = len(words) // FILES
    for number in range(FILES):
        text = " ".join(words[number * size : (number + 1) * size])
        (folder / f"note{number}.md").write_text(f"# Note {number}\n\n{text}\n")


def _ingest(home: Path, notes: Path, embedder: TimedEmbedder) -> float:
    """Seconds."""

    async def run() -> float:
        paths = find_paths({"AGENTCTL_HOME": str(home)})
        knowledge = KnowledgeBase(default_settings(), paths, {}, lambda _: embedder)
        started = time.perf_counter()
        async for step in knowledge.ingest(IngestRequest(sources=(str(notes),))):
            if isinstance(step, IngestReport) and step.failed:
                raise RuntimeError(f"not read: {step.failed}")
        return time.perf_counter() - started

    return asyncio.run(run())
