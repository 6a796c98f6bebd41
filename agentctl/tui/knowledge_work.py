"""What takes long on the knowledge screen: it goes on in the background, one piece at a time."""

from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

from textual.worker import Worker

from agentctl.core.automation.watching import WatchRequest
from agentctl.core.errors import AgentctlError, InputMissing
from agentctl.core.knowledge.library import IngestReport, IngestRequest
from agentctl.core.open_files import move_over
from agentctl.render.ingest import count, summary
from agentctl.render.output import printable
from agentctl.tui.dialogs import TextDialog
from agentctl.tui.frame import Frame
from agentctl.tui.widgets.add_documents import Chosen
from agentctl.tui.widgets.job_line import JobLine

# Of what failed so many are listed.
_LISTED = 200


class KnowledgeWork:
    """Shows its progress in `line` of `screen`; what is done when it is stopped stays."""

    def __init__(self, screen: Frame, line: JobLine) -> None:
        self._screen = screen
        self._line = line
        self._worker: Worker[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self._line.is_busy

    def stop(self) -> None:
        if self._worker is not None and self.is_busy:
            self._worker.cancel()
            self._screen.notify("stopped; what is done stays", markup=False)

    def add(self, chosen: Chosen) -> None:
        self._begin(f"adding {chosen.path.rstrip('/').rpartition('/')[2]}", self._add(chosen))

    def watch(self, chosen: Chosen) -> None:
        """From now on and always; what is in the folder already is taken in first."""

        async def work() -> None:
            workspace = self._screen.workspace
            request = WatchRequest(path=chosen.path, collection=chosen.collection)
            folder = await workspace.watch_folder(request)
            if folder.status == "idle":
                self._screen.notify(
                    "it is followed as soon as a daemon runs: agentctl daemon start",
                    markup=False,
                )
            await self._add(chosen)

        self._begin(f"adding {chosen.path.rpartition('/')[2]}", work())

    def reindex(self, *, force: bool) -> None:
        async def work() -> None:
            done = 0
            steps = self._screen.workspace.reindex_documents(force=force)
            async with aclosing(steps):
                async for step in steps:
                    self._line.show_reindex(step)
                    done += bool(step.path)
            told = f"{count(done, 'document')} reindexed" if done else "nothing has to be done"
            self._screen.dashboard.call_back(told)

        self._begin("reindexing", work())

    def verify(self) -> None:
        async def work() -> None:
            report = await self._screen.workspace.verify_documents()
            counted = f"{count(report.documents, 'document')}, {count(report.chunks, 'chunk')}"
            lines = [f"the file is gone: {path}" for path in report.missing]
            lines += [*report.problems, *([] if report.ok else ["", "R reindexes, and mends it."])]
            verdict = "all is well" if report.ok else "something is wrong"
            self._tell(f"{verdict}: {counted}", lines)

        self._begin("verifying", work())

    def export(self, path: Path, collection: str | None) -> None:
        async def work() -> None:
            number = await self._write(path, collection)
            self._screen.dashboard.call_back(f"{count(number, 'document')} in {path}")

        self._begin(f"exporting to {path.name}", work())

    async def _add(self, chosen: Chosen) -> None:
        report = IngestReport()
        request = IngestRequest(sources=(chosen.path,), collection=chosen.collection)
        steps = self._screen.workspace.ingest(request)
        async with aclosing(steps):
            async for step in steps:
                if isinstance(step, IngestReport):
                    report = step
                else:
                    self._line.show_ingest(step)
        self._screen.dashboard.call_back(summary(report))
        if report.failed:
            lines = [f"{each.path}: {each.message}\n  {each.hint}" for each in report.failed]
            self._tell(f"{count(len(lines), 'input')} could not be taken in", lines)

    async def _write(self, path: Path, collection: str | None) -> int:
        """The file is there whole at the end, or as it was. Raises InputMissing."""
        number = -1  # the first line tells of the others
        partial = path.with_name(f".{path.name}.part")
        lines = self._screen.workspace.export_documents(collection)
        try:
            with partial.open("w", encoding="utf-8") as file:
                async with aclosing(lines):
                    async for line in lines:
                        file.write(line.rstrip("\n") + "\n")
                        number += 1
            move_over(partial, path)
        except OSError as error:
            raise InputMissing(
                f"{path} cannot be written: {error.strerror}", "name another file"
            ) from None
        finally:
            partial.unlink(missing_ok=True)
        return max(number, 0)

    def _tell(self, title: str, lines: list[str]) -> None:
        """Before the user where they still look at this screen, else as a notice."""
        if not lines or self._screen.dashboard.screen is not self._screen:
            self._screen.dashboard.call_back(title)
            return
        more = len(lines) - _LISTED
        text = "\n".join([*lines[:_LISTED], *([f"and {more:,} more"] if more > 0 else [])])
        self._screen.app.push_screen(TextDialog(title, printable(text)))

    def _begin(self, what: str, work: Coroutine[Any, Any, None]) -> None:
        if self.is_busy:
            work.close()
            self._screen.notify("one piece of work after the other; esc stops it", markup=False)
            return

        async def working() -> None:
            try:
                await work
            except AgentctlError as error:
                self._screen.dashboard.tell(error)
            finally:
                self._line.end()
            await self._screen.refresh_data()

        self._line.begin(what)
        self._worker = self._screen.run_worker(working(), group="job")
