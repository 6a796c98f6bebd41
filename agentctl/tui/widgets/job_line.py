"""One line about a long piece of work: how far it is, and how long it still takes."""

import time
from collections.abc import Callable

from textual.widgets import Static

from agentctl.core.knowledge.library import IngestStep, ReindexStep
from agentctl.render.ingest import count
from agentctl.tui.widgets.document_table import one_line

# Seconds between two pictures of it, and before the time left is worth telling.
_EVERY_S = 0.1
_FIRST_S = 2.0


class JobLine(Static):
    """Hidden while there is no work."""

    DEFAULT_CSS = """
    JobLine {
        height: 1; color: $accent; display: none; text-wrap: nowrap; text-overflow: ellipsis;
    }
    JobLine.busy { display: block; }
    """

    def __init__(self, *, id: str | None = None, now: Callable[[], float] = time.monotonic) -> None:  # noqa: A002 - Textual's
        super().__init__("", id=id, markup=False)
        self._now = now
        self._what = ""
        self._began = self._drawn = 0.0
        self._chunks = 0
        self._share = 0.0
        self.text = ""

    @property
    def is_busy(self) -> bool:
        return self.has_class("busy")

    def begin(self, what: str) -> None:
        self._what, self._began, self._drawn = what, self._now(), 0.0
        self._chunks, self._share = 0, 0.0
        self.add_class("busy")
        self._tell("")

    def end(self) -> None:
        self.remove_class("busy")

    def show_ingest(self, step: IngestStep) -> None:
        if step.status == "waiting":
            self._tell("waits for another ingest to finish")
            return
        done: float = step.done
        if step.status == "embedding":
            self._chunks += step.chunks
            done += step.files * step.embedded / max(step.pending, 1)
        chunks = count(self._chunks, "chunk") if self._chunks else ""
        self._show(done, step.done, step.total, "file", chunks)

    def show_reindex(self, step: ReindexStep) -> None:
        self._show(step.done, step.done, step.total, "document", "")

    def _show(self, done: float, whole: int, total: int, noun: str, more: str) -> None:
        now = self._now()
        if now - self._drawn < _EVERY_S and whole < total:
            return
        self._drawn = now
        # It never goes back, or the time left would jump.
        self._share = max(self._share, done / total if total else 0.0)
        parts = [f"{whole:,} of {count(total, noun)}", more, self._left(now - self._began)]
        self._tell(", ".join(part for part in parts if part))

    def _left(self, elapsed: float) -> str:
        if elapsed < _FIRST_S or not 0 < self._share < 1:
            return ""
        seconds = elapsed * (1 - self._share) / self._share
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"{seconds:.0f} s left"

    def _tell(self, text: str) -> None:
        self.text = f"{self._what}: {text}" if text else self._what
        self.update(f"esc stops  {one_line(self.text)}")
