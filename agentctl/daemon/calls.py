"""Verbs that are under way for somebody at the other end of a connection."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from enum import Enum, auto
from secrets import token_hex

from agentctl.core.errors import AgentctlError
from agentctl.daemon.wire import ALIVE, CANCELLED, END, KEEP_ALIVE_S, Value, encode_error

# Items that work may be ahead of its reader, and seconds between two looks whether it has left.
_AHEAD = 64
_LOOK_S = 0.5

logger = logging.getLogger(__name__)


class Mark(Enum):
    """What comes in place of an item."""

    SILENCE = auto()
    LAST = auto()
    CANCELLED = auto()


_LINES = {Mark.SILENCE: ALIVE, Mark.LAST: END, Mark.CANCELLED: CANCELLED}


class Calls:
    """Each call may be cancelled by its id, and is when its reader leaves.

    A cancelled run still tells and stores its end: so `drain` waits for those at the stop.
    """

    def __init__(self, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._keep_alive_s = keep_alive_s
        self._under_way: dict[str, _Work] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def cancel(self, call: str) -> bool:
        """Whether there was such a call."""
        work = self._under_way.get(call)
        if work is not None:
            work.cancel()
        return work is not None

    async def drain(self, patience_s: float) -> None:
        """Cancels all, and waits for their ends."""
        for work in self._under_way.values():
            work.cancel()
        if tasks := [work.task for work in self._under_way.values()]:
            await asyncio.wait(tasks, timeout=patience_s)

    async def lines(
        self, call: str, items: AsyncGenerator[Value, None], encode: Callable[[Value], bytes]
    ) -> AsyncGenerator[bytes, None]:
        """What comes of `items`, line by line, with an empty one where nothing comes for long."""
        work = self._begin(call, items)
        try:
            while not work.has_ended:
                try:
                    item = await work.next(self._keep_alive_s)
                    line = _LINES[item] if isinstance(item, Mark) else encode(item)
                except AgentctlError as error:
                    line = encode_error(error)
                yield line
        finally:
            work.cancel()

    async def items(
        self, items: AsyncGenerator[Value, None], has_left: Callable[[], Awaitable[bool]]
    ) -> AsyncGenerator[Value, None]:
        """The same items, for somebody who waits for the last of them, or has left.

        They end early when the work is cancelled. Raises what they raise.
        """
        work = self._begin(token_hex(8), items)
        try:
            while not work.has_ended and not await has_left():
                item = await work.next(_LOOK_S)
                if not isinstance(item, Mark):
                    yield item
        finally:
            work.cancel()

    def _begin(self, call: str, items: AsyncGenerator[Value, None]) -> "_Work":
        work = self._under_way[call] = _Work(items)
        work.task.add_done_callback(lambda _: self._under_way.pop(call, None))
        return work


class _Work:
    """Reads a generator in one task of its own, which nobody's leaving can break off.

    `cancel` raises CancelledError inside of the generator, once: what it says afterwards still
    comes.
    """

    def __init__(self, items: AsyncGenerator[Value, None]) -> None:
        self.has_ended = False
        self._items = items
        self._ready: asyncio.Queue[Value | Mark] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._is_cancelled = False
        # Whether the generator still has to hear of it, and is where it can.
        self._must_tell = False
        self._is_reading = False
        self.task = asyncio.get_running_loop().create_task(self._read())
        self.task.add_done_callback(self._end)

    async def next(self, patience_s: float) -> Value | Mark:
        """The next item, or a mark. Raises the generator's error, always an AgentctlError."""
        try:
            async with asyncio.timeout(patience_s):
                item = await self._ready.get()
        except TimeoutError:
            return Mark.SILENCE
        self._room.release()
        if item is not Mark.LAST:
            return item
        self.has_ended = True
        if self.task.cancelled():
            return Mark.CANCELLED
        error = self.task.exception()
        if error is None:
            return item
        if isinstance(error, AgentctlError):
            raise error
        raise AgentctlError(f"{type(error).__name__}: {error}") from error

    def cancel(self) -> None:
        if not self._is_cancelled:
            self._is_cancelled = self._must_tell = True
            # Nobody may read any more: what still comes waits for no room.
            self._room.release()
            self._tell()

    def _tell(self) -> None:
        if self._must_tell and self._is_reading:
            self._must_tell = False
            self.task.cancel()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        async with aclosing(self._items):
            while True:
                if not self._is_cancelled:
                    await self._room.acquire()
                if self._must_tell:
                    # A generator hears it where it waits, not before it goes on.
                    loop.call_soon(self._tell)
                self._is_reading = True
                item = await anext(self._items, Mark.LAST)
                self._is_reading = False
                if item is Mark.LAST:
                    return
                self._ready.put_nowait(item)

    def _end(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, AgentctlError):
            logger.error("unexpected error", exc_info=error)
        self._ready.put_nowait(Mark.LAST)
