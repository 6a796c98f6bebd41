"""The Workspace that the dashboard talks to: a running daemon's, or one of its own.

A daemon that stops under it is no end: the dashboard goes on alone, says so, and changes over again
when a daemon is back.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress

from agentctl.connect import is_daemon_running as runs_any_daemon
from agentctl.core.errors import AgentctlError, BackendUnreachable, RetryError
from agentctl.core.workspace import Workspace

Open = Callable[[], AbstractAsyncContextManager[Workspace]]

# Seconds between two looks for a daemon, while there is none.
_LOOK_S = 3.0
# Seconds that a daemon that was lost has to be gone.
_SETTLE_S = 0.5


class Link:
    """`workspace` is there between `open` and `close`, though not always the same one.

    Args:
        open_workspace: the daemon's where one runs, else one in this process.
        is_daemon_running: whether that would be a daemon's; cheap.
    """

    def __init__(self, open_workspace: Open, is_daemon_running: Callable[[], bool]) -> None:
        self._open = open_workspace
        self._is_daemon_running = is_daemon_running
        # Work that was begun in one goes on in it, whatever comes after: all are kept to the end.
        self._opened: list[AbstractAsyncContextManager[Workspace]] = []
        self._workspace: Workspace | None = None
        self.with_daemon = False

    @property
    def workspace(self) -> Workspace:
        """Raises BackendUnreachable before `open` and after `close`."""
        if self._workspace is None:
            raise BackendUnreachable("the workspace is not open yet", "wait a moment")
        return self._workspace

    @property
    def leaves_daemon(self) -> bool:
        """Whether one runs that is not used: it has other settings."""
        return not self.with_daemon and runs_any_daemon()

    @property
    def is_open(self) -> bool:
        return self._workspace is not None

    async def open(self) -> None:
        """The workspace that is the right one now. Raises what opening one raises."""
        self.with_daemon = self._is_daemon_running()
        context = self._open()
        self._workspace = await context.__aenter__()
        self._opened.append(context)

    async def close(self) -> None:
        self._workspace = None
        while self._opened:
            with suppress(AgentctlError):
                await self._opened.pop().__aexit__(None, None, None)

    async def changes(self) -> AsyncGenerator[bool, None]:
        """Yields whenever something was stored by anybody: True when the workspace is another one.

        Never ends by itself.
        """
        is_new = False
        while True:
            watching = asyncio.ensure_future(self._wait_for_other(self.with_daemon))
            try:
                async with aclosing(self.workspace.changes()) as changes:
                    async for _ in _until(changes, watching):
                        yield is_new
                        is_new = False
            except RetryError:
                await asyncio.sleep(_SETTLE_S)
            finally:
                watching.cancel()
            await self.open()
            is_new = True

    async def _wait_for_other(self, had_daemon: bool) -> None:
        while self._is_daemon_running() == had_daemon:  # noqa: ASYNC110 - another process starts
            await asyncio.sleep(_LOOK_S)


async def _until(
    items: AsyncGenerator[int, None], end: "asyncio.Future[None]"
) -> AsyncGenerator[int, None]:
    """The items until `end` is done."""
    while True:
        coming = asyncio.ensure_future(anext(items))
        try:
            await asyncio.wait((coming, end), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when we are cancelled: a generator that runs cannot be closed.
            is_over = not coming.done()
            if is_over:
                coming.cancel()
                with suppress(asyncio.CancelledError, RetryError):
                    await coming
        if is_over:
            return
        try:
            yield coming.result()
        except StopAsyncIteration:
            return
