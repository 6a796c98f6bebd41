"""A download's progress: a bar on a terminal, a line a step elsewhere; always on stderr."""

from typing import TYPE_CHECKING

from agentctl.core.backends.progress import PullProgress
from agentctl.render.output import Output, human_size

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class PullPrinter:
    def __init__(self, output: Output) -> None:
        self._output = output
        self._status = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def show(self, step: PullProgress) -> None:
        if self._output.is_rich_error and self._output.form == "text":
            self._draw(step)
        elif step.status != self._status:
            size = f" ({human_size(step.total)})" if step.total else ""
            self._output.note(f"{step.status}{size}")
        self._status = step.status

    def close(self) -> None:
        """Gives the terminal back. Harmless when called twice."""
        if self._bar is not None:
            self._bar.stop()

    def _draw(self, step: PullProgress) -> None:
        if self._bar is None:
            self._bar = _new_bar()
            self._bar.start()
        if self._task is None or step.status != self._status:
            if self._task is not None:
                self._bar.stop_task(self._task)
            self._task = self._bar.add_task(step.status, total=step.total or None)
        self._bar.update(self._task, completed=step.completed, total=step.total or None)


def _new_bar() -> "Progress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
