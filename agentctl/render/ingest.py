"""What an ingest does while it does it: a bar on a terminal, a line a file elsewhere."""

import json
from asyncio import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Self

from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.library import Failure, IngestReport, IngestStep, ReindexStep
from agentctl.render.links import short_path
from agentctl.render.output import Output, printable

if TYPE_CHECKING:
    from rich.progress import Progress

_CHANGES = ("added", "updated", "removed")


class Bar:
    """A bar of files on stderr, where one may be drawn; above it, or alone, lines."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._progress: Progress | None = None
        self._chunks = 0

    @property
    def can_draw(self) -> bool:
        return self._output.is_rich_error and self._output.form == "text"

    def advance(self, done: int, total: int, current: str) -> None:
        """`done` of `total` files are finished, `current` the latest of them."""
        if self.can_draw:
            progress = self._started()
            progress.update(
                progress.task_ids[0],
                completed=done,
                total=total or None,
                current=_one_line(current),
            )

    def embedded(self, chunks: int) -> None:
        """So many more were embedded."""
        if self.can_draw:
            self._chunks += chunks
            progress = self._started()
            rate = self._chunks / max(progress.tasks[0].elapsed or 0.0, 0.1)
            progress.update(progress.task_ids[0], chunks=f"{self._chunks:,} chunks, {rate:.0f}/s")

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
        if step.status != "embedding":
            self._done, self._total = step.done, step.total
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
                self._output.note(summary(report, dry_run=self._dry_run))

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
            reason = step.message.removeprefix(step.path).lstrip(": ")
            self._bar.say(f"failed {path}: {reason}")
        elif step.status not in _CHANGES:
            return
        elif self._dry_run:
            self._output.line(f"{step.status}\t{_one_line(path)}")
        elif self._is_watching or not self._bar.can_draw:
            chunks = f" ({count(step.chunks, 'chunk')})" if step.chunks else ""
            self._bar.say(f"{step.status} {path}{chunks}")

    def _draw(self, step: IngestStep) -> None:
        if step.status == "embedding":
            self._bar.embedded(step.chunks)
        else:
            self._bar.advance(step.done, step.total, short_path(step.path, self._folder))

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
