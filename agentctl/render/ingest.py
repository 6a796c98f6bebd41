"""What an ingest does while it does it: a bar on a terminal, a line a file elsewhere."""

import json
from asyncio import CancelledError
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.library import Failure, IngestReport, IngestStep, ReindexStep
from agentctl.render.links import short_path
from agentctl.render.output import Output, printable

if TYPE_CHECKING:
    from rich.progress import Progress

_CHANGES = ("added", "updated", "removed")
LONG_CHUNKS = 256
"""From so many chunks on a piece of work is long enough to be told of before it is done."""
# Of such a piece, how often: the share of it between two lines.
_TOLD_SHARE = 0.1
# Names of skipped files, and ways to mend failures, that a summary has.
_NAMED = 5


class Bar:
    """A bar of files on stderr, where one may be drawn; above it, or alone, lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: Progress | None = None
        self._chunks = 0
        self._completed = 0.0

    @property
    def can_draw(self) -> bool:
        return self._output.is_rich_error and self._output.form == "text"

    def advance(self, done: float, total: int, current: str) -> None:
        """`done` of `total` files are finished, `current` is the latest of them, or in work."""
        if self.can_draw:
            progress = self._started()
            # It never goes back: the time left is measured by its steps.
            self._completed = max(self._completed, done)
            progress.update(
                progress.task_ids[0],
                completed=self._completed,
                total=total or None,
                current=_one_line(current),
            )

    def embedded(self, chunks: int, done: int, pending: int) -> None:
        """So many more were embedded, `done` of the `pending` ones of the files in work."""
        if self.can_draw:
            self._chunks += chunks
            progress = self._started()
            rate = self._chunks / max(progress.tasks[0].elapsed or 0.0, 0.1)
            left = f" ({done:,} of {pending:,})" if pending > LONG_CHUNKS else ""
            shown = f"{self._chunks:,} chunks{left}, {rate:.0f}/s"
            progress.update(progress.task_ids[0], chunks=shown)

    def say(self, text: str) -> None:
        if self._progress is None:
            self._output.note(_one_line(text))
            return
        from rich.text import Text

        self._progress.console.print(Text(_one_line(text)), soft_wrap=True)

    def close(self) -> None:
        """Gives the terminal back. Harmless when called twice."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _started(self) -> "Progress":
        if self._progress is None:
            self._progress = _new_progress()
            self._progress.add_task("", total=None, current="", chunks="")
            self._progress.start()
        return self._progress


class IngestPrinter:
    """Shows the steps of one ingest, or of many once it watches; `folder` shortens paths.

    Leaving it by Ctrl+C says what is kept.
    """

    def __init__(self, output: Output, folder: Path, *, dry_run: bool = False) -> None:
        self._output = output
        self._folder = folder
        self._dry_run = dry_run
        self._bar = Bar(output)
        self._done = self._total = 0
        self._told: set[tuple[str, str]] = set()
        self._told_chunks = 0
        self._is_watching = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.close()
        if kind is CancelledError:
            self._stop()

    def watch(self) -> None:
        """From now on only what changes is shown."""
        self._is_watching = True
        self._output.note("watching for changes; Ctrl+C ends it")

    def show(self, step: IngestStep) -> None:
        if not self._is_news(step) and self._is_watching:
            return
        self._done, self._total = step.done, step.total or self._total
        if self._output.form == "jsonl":
            self._print_line("step", _plain(step))
        elif step.status == "waiting":
            self._bar.say("waiting for another ingest to finish")
        elif self._output.form == "text":
            self._say(step)
            if not (self._is_watching or self._dry_run):
                self._draw(step)

    def finish(self, report: IngestReport) -> None:
        """The result: data for programs, a line on stderr for people."""
        self._bar.close()
        if self._is_watching and not (report.added or report.updated or report.removed):
            return
        if self._output.form == "json":
            self._output.data(report_data(report))
        elif self._output.form == "jsonl":
            self._print_line("report", report_data(report))
        else:
            for warning in report.warnings:
                self._output.warning(warning)
            if not self._is_watching:
                self._tell_more(report)
                self._output.note(summary(report, dry_run=self._dry_run))

    def _tell_more(self, report: IngestReport) -> None:
        """What was left out, and what can be done about what failed."""
        if report.skipped_paths and not self._output.plain:
            paths = [short_path(path, self._folder) for path in report.skipped_paths]
            self._output.note(_one_line(f"skipped, without text: {_some(paths)}"))
        hints = [*dict.fromkeys(failure.hint for failure in report.failed)]
        for hint in hints[:_NAMED]:
            self._output.note(_one_line(f"  try: {hint}"))

    def _stop(self) -> None:
        if self._is_watching:
            self._output.note("no longer watching")
        elif not self._dry_run:
            of = f" of {self._total:,}" if self._total else ""
            self._output.note(
                f"stopped after {self._done:,}{of} files; what was added is kept,"
                " and the same command goes on from there"
            )

    def _is_news(self, step: IngestStep) -> bool:
        """Each sweep meets the same failures again."""
        if step.status != "failed":
            return step.status in _CHANGES
        is_new = (step.path, step.message) not in self._told
        self._told.add((step.path, step.message))
        return is_new

    def _say(self, step: IngestStep) -> None:
        path = short_path(step.path, self._folder)
        if step.status == "failed":
            name = step.path.rpartition("/")[2]
            reason = step.message.removeprefix(step.path).removeprefix(name).lstrip(": ")
            self._bar.say(f"failed {path}: {reason}")
        elif step.status == "embedding":
            self._say_embedding(step, path)
        elif step.status == "skipped" and self._output.plain and not self._is_watching:
            self._bar.say(f"skipped {path}")
        elif step.status not in _CHANGES:
            return
        elif self._dry_run:
            self._output.line(f"{step.status}\t{_one_line(path)}")
        elif self._is_watching or not self._bar.can_draw:
            chunks = f" ({count(step.chunks, 'chunk')})" if step.chunks else ""
            self._bar.say(f"{step.status} {path}{chunks}")

    def _say_embedding(self, step: IngestStep, path: str) -> None:
        """Where no bar is drawn, that a long piece of work has begun, and how far it is."""
        if self._bar.can_draw or step.pending <= LONG_CHUNKS or step.embedded == step.pending:
            return
        if step.embedded == 0:
            self._told_chunks = 0
            self._bar.say(f"embedding {path}: {step.pending:,} chunks")
        elif step.embedded - self._told_chunks >= max(LONG_CHUNKS, _TOLD_SHARE * step.pending):
            self._told_chunks = step.embedded
            self._bar.say(f"embedding {path}: {step.embedded:,} of {step.pending:,} chunks")

    def _draw(self, step: IngestStep) -> None:
        path = short_path(step.path, self._folder)
        done: float = step.done
        if step.status == "embedding":
            self._bar.embedded(step.chunks, step.embedded, step.pending)
            # Part of the files in work is done: without it a large one would stop the clock.
            done += step.files * step.embedded / max(step.pending, 1)
        self._bar.advance(done, step.total, path)

    def _print_line(self, kind: str, data: JsonObject) -> None:
        self._output.line(json.dumps({"type": kind, **data}, ensure_ascii=False))


class ReindexPrinter:
    """Shows the steps of a reindex. Leaving it by Ctrl+C says what is kept."""

    def __init__(self, output: Output, folder: Path) -> None:
        self._output = output
        self._folder = folder
        self._bar = Bar(output)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bar.close()
        if kind is CancelledError:
            self._output.note("stopped; the same command goes on from here")

    def show(self, step: ReindexStep) -> None:
        if self._output.form == "jsonl":
            self._output.line(json.dumps(_plain(step), ensure_ascii=False))
        elif self._output.form == "text":
            path = short_path(step.path, self._folder)
            if path and not self._bar.can_draw:
                self._bar.say(f"reindexed {path} ({step.done:,} of {step.total:,})")
            self._bar.advance(step.done, step.total, path)


def report_data(report: IngestReport) -> JsonObject:
    """The report as `--json` shows it."""
    return {
        "added": report.added,
        "updated": report.updated,
        "unchanged": report.unchanged,
        "removed": report.removed,
        "skipped": report.skipped,
        "chunks": report.chunks,
        "failed": [_plain(failure) for failure in report.failed],
        "took_ms": report.took_ms,
        "embedded": report.embedded,
        "skipped_paths": [*report.skipped_paths],
        "warnings": [*report.warnings],
    }


def summary(report: IngestReport, *, dry_run: bool = False) -> str:
    """`2 added, 1 unchanged: 14 chunks in 0.9 s`."""
    numbers = {
        "added": report.added,
        "updated": report.updated,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "skipped": report.skipped,
        "failed": len(report.failed),
    }
    parts = ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
    if dry_run:
        return f"{parts or 'no files'}; nothing was done"
    chunks = f": {count(report.chunks, 'chunk')}" if report.chunks else ""
    return f"{parts or 'no files'}{chunks} in {report.took_ms / 1000:.1f} s"


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _one_line(text: str) -> str:
    return printable(text).replace("\n", " ").replace("\t", " ")


def _plain(value: IngestStep | ReindexStep | Failure) -> JsonObject:
    import msgspec

    plain: JsonObject = msgspec.to_builtins(value)
    return plain


def _new_progress() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    name = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    return Progress(
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[chunks]}", markup=False),
        TimeRemainingColumn(),
        TextColumn("{task.fields[current]}", markup=False, table_column=name),
        console=Console(stderr=True),
        transient=True,
        expand=True,
    )
