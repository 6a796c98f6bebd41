"""One watched folder while the daemon runs: what happens to it, and when it is taken in.

Events are hints, the sweep is the truth: each batch is an ingest of the whole folder, which reads
only what has another size or time than what is stored. So renames are seen as such, and ignore
files and globs hold, whatever the events said.
"""

import asyncio
import os
import re
import stat
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from agentctl.core.automation.folder_events import Events, NoEvents, is_below, relevant
from agentctl.core.automation.journal import Level
from agentctl.core.automation.settling import Settling
from agentctl.core.automation.watching import FolderStatus, WatchedFolder
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import AgentctlError
from agentctl.core.files import path_on_disk
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.core.knowledge.library import IngestReport, IngestRequest, IngestStep

Ingest: TypeAlias = Callable[[IngestRequest], AsyncGenerator[IngestStep | IngestReport, None]]
OpenEvents: TypeAlias = Callable[[str, Callable[[str], None]], Events]

# Seconds between: two looks at files that were changed, two at the folder itself (which is one
# stat), two sweeps of what no events may have told of, and of a folder that has none.
LOOK_S = 0.25
CHECK_S = 3.0
SWEEP_S = 900.0
POLL_S = 30.0
# A folder of very many files shall not keep the machine busy while it changes all the time: the
# pause after a batch, as a multiple of what it took, and at most.
_REST = 2.0
_LONGEST_REST_S = 5.0
# After a failure, doubled each time.
_LONGEST_BACKOFF_S = 300.0
# Failures that one line names.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all watched folders share.

    Args:
        ingest: the knowledge base's.
        turn: held by the one that is being taken in.
        hold: why heavy work has to wait, or None.
        tell: keeps a line about a folder, of which the rest is for programs.
        own: folders that agentctl itself writes to.
        clock: seconds, only ever forward.
    """

    ingest: Ingest
    turn: asyncio.Lock
    hold: Callable[[], str | None]
    tell: Callable[[Level, WatchedFolder, str, JsonObject], None]
    own: Sequence[str]
    clock: Callable[[], float]
    open_events: OpenEvents


@dataclass(frozen=True, slots=True)
class _Root:
    """A folder as it is now; `identity` changes when another one takes its place."""

    identity: tuple[int, int]
    is_empty: bool


class FollowedFolder:
    def __init__(self, folder: WatchedFolder, surroundings: Surroundings) -> None:
        self.folder = folder
        self.status: FolderStatus = "idle"
        self._around = surroundings
        self._path = path_on_disk(folder.path)
        self._name = Path(folder.path).name or folder.path
        self._settling = Settling()
        self._woken = asyncio.Event()
        self._events: Events | None = None
        self._root: _Root | None = None
        # Those that a thread is still opening are closed by it.
        self._has_left = False
        self._has_had_files = False
        self._next_check = self._next_sweep = self._not_before = float("-inf")
        self._failures = 0
        self._trouble = ""
        self._failed: set[tuple[str, str]] = set()

    async def follow(self) -> None:
        """Goes on until it is cancelled. Raises nothing that was to be expected."""
        self._root, self._has_left = None, False
        try:
            while True:
                self._woken.clear()
                pause = await self.step()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            self._has_left = True
            self._close_events()

    async def step(self) -> float:
        """Does what is due; seconds until there may be more to do."""
        around = self._around
        now = around.clock()
        if now >= self._next_check:
            await self._check()
        if self._root is None:
            return CHECK_S
        if now < self._not_before:
            return min(self._not_before - now, CHECK_S)
        if self._next_sweep > now and not self._settling.is_busy:
            return min(self._next_sweep - now, CHECK_S)
        if around.hold() is not None:
            return CHECK_S
        restless: tuple[str, ...] | None = ()
        if self._next_sweep > now:
            restless = await run_in_thread(partial(self._settling.look, now))
        if restless is not None:
            async with around.turn:
                # Another folder's turn may have taken long.
                if await self._check():
                    await self._take_in(restless)
        return LOOK_S

    async def _check(self) -> bool:
        """Whether the folder is there; looks whether it is still the same one."""
        self._next_check = self._around.clock() + CHECK_S
        before, self._root = self._root, await run_in_thread(partial(_look_at, self._path))
        if self._root is None:
            self._lose()
            return False
        is_same = before is not None and before.identity == self._root.identity
        if not is_same:
            self._has_had_files = False
        self._has_had_files |= not self._root.is_empty
        if not is_same or (self._events is not None and not self._events.is_alive):
            await self._open()
        return True

    def _lose(self) -> None:
        if self.status != "missing":
            self._close_events()
            self.status = "missing"
            self._tell("warning", "the folder is gone; its documents stay until it is back")

    async def _open(self) -> None:
        """Events from now on, and a sweep for what happened before."""
        self._close_events()
        if self.status == "missing":
            self._tell("info", "the folder is back")
        loop = asyncio.get_running_loop()

        def told(name: str) -> None:
            path = relevant(self._path, self._around.own, name)
            if path is not None and self._settling.note(path):
                # A loop that has ended wants to know nothing more.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._woken.set)

        def opened() -> None:
            self._events = self._around.open_events(self._path, told)
            if self._has_left:
                self._close_events()

        self._next_sweep = float("-inf")
        try:
            await run_in_thread(opened)
        except NoEvents as problem:
            if self.status != "polling":
                level: Level = "warning" if problem.mend else "info"
                self._tell(
                    level,
                    f"{problem.reason}; looked at every {POLL_S:.0f} s instead",
                    {"hint": problem.mend},
                )
            self.status = "polling"
        else:
            self.status = "watching"

    def _close_events(self) -> None:
        events, self._events = self._events, None
        if events is not None:
            events.close()

    async def _take_in(self, restless: Sequence[str]) -> None:
        folder, started = self.folder, self._around.clock()
        request = IngestRequest(
            sources=(self._path,),
            collection=folder.collection,
            include=folder.include,
            exclude=(*folder.exclude, *globs_of((*restless, *self._around.own), self._path)),
            # An empty folder in the place of a full one may be a drive that is not mounted.
            prune=self._has_had_files,
        )
        try:
            report = await self._ingest(request)
        except AgentctlError as error:
            self._fail(error)
            return
        finished = self._around.clock()
        self._not_before = finished + min(_REST * (finished - started), _LONGEST_REST_S)
        if not restless:
            self._next_sweep = finished + (POLL_S if self.status == "polling" else SWEEP_S)
        self._failures, self._trouble = 0, ""
        self._report(report)

    async def _ingest(self, request: IngestRequest) -> IngestReport:
        report = IngestReport()
        async with aclosing(self._around.ingest(request)) as steps:
            async for step in steps:
                if isinstance(step, IngestReport):
                    report = step
        return report

    def _fail(self, error: AgentctlError) -> None:
        self._failures += 1
        backoff = min(2.0**self._failures, _LONGEST_BACKOFF_S)
        self._not_before = self._around.clock() + backoff
        self._next_sweep = float("-inf")
        if error.message != self._trouble:
            self._trouble = error.message
            message = f"cannot be taken in, and is tried again: {error.message}"
            self._tell("warning", message, {"hint": error.hint})

    def _report(self, report: IngestReport) -> None:
        """One line for what was done, and for failures that were not told of before."""
        failed = {(each.path, each.message) for each in report.failed}
        news, self._failed = sorted(failed - self._failed), failed
        numbers = {"added": report.added, "updated": report.updated, "removed": report.removed}
        parts = [f"{number:,} {name}" for name, number in numbers.items() if number]
        for path, message in news[:_NAMED]:
            parts.append(f"failed: {os.path.relpath(path, self.folder.path)} ({message})")
        if len(news) > _NAMED:
            parts.append(f"and {len(news) - _NAMED:,} more")
        if parts:
            paths: list[Json] = [path for path, _ in news]
            self._tell(
                "warning" if news else "info", ", ".join(parts), {**numbers, "failed": paths}
            )

    def _tell(self, level: Level, message: str, detail: JsonObject | None = None) -> None:
        self._around.tell(level, self.folder, f"{self._name}: {message}", detail or {})


def globs_of(paths: Sequence[str], root: str) -> Iterator[str]:
    """For each of the paths that are below the root a glob that means this path alone."""
    for path in paths:
        if is_below(path, root) and path != root:
            relative = Path(os.path.relpath(path, root)).as_posix()
            # A space at the end of a glob would not count, but for one in brackets.
            escaped = re.sub(r"([\\*?\[\]])", r"\\\1", relative)
            yield "/" + re.sub(r"(\s)", r"[\1]", escaped)


def _look_at(path: str) -> _Root | None:
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    if not stat.S_ISDIR(status.st_mode):
        return None
    try:
        with os.scandir(path) as entries:
            is_empty = next(entries, None) is None
    except OSError:
        is_empty = False
    return _Root((status.st_dev, status.st_ino), is_empty)
