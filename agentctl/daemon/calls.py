"""Verbs that are under way for somebody at the other end of a connection."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from enum import Enum, auto
from secrets import token_hex

from agentctl.core.errors import AgentctlError, AnswerInterrupted
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
        self._under_way: dict[str, Work] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def begin(self, items: AsyncGenerator[Value, None], call: str = "") -> "Work":
        """Whoever begins work cancels it in the end, which does nothing when it has ended."""
        call = call or token_hex(8)
        work = self._under_way[call] = Work(items, self._keep_alive_s)
        work.task.add_done_callback(lambda _: self._under_way.pop(call, None))
        return work

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


class Work:
    """Reads a generator in one task of its own, which nobody's leaving can break off.

    `cancel` raises CancelledError inside of the generator, once: what it says afterwards still
    comes.
    """

    def __init__(self, items: AsyncGenerator[Value, None], keep_alive_s: float) -> None:
        self.has_ended = False
        self._items = items
        self._keep_alive_s = keep_alive_s
        self._ready: asyncio.Queue[Value | Mark] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)
        self._is_cancelled = False
        # Whether the generator still has to hear of it, and is where it can.
        self._must_tell = False
        self._is_reading = False
        self.task = asyncio.get_running_loop().create_task(self._read())
        self.task.add_done_callback(self._end)

    async def lines(self, encode: Callable[[Value], bytes]) -> AsyncGenerator[bytes, None]:
        """What comes, line by line, with an empty one where nothing comes for long."""
        while not self.has_ended:
            try:
                item = await self.next(self._keep_alive_s)
                line = _LINES[item] if isinstance(item, Mark) else encode(item)
            except AgentctlError as error:
                line = encode_error(error)
            yield line

    async def items(self, has_left: Callable[[], Awaitable[bool]]) -> AsyncGenerator[Value, None]:
        """What comes, for somebody who waits for the last of it, or has left.

        It ends early when it is cancelled, and is cancelled at the end. Raises what it raises.
        """
        try:
            while not self.has_ended and not await has_left():
                item = await self.next(_LOOK_S)
                if not isinstance(item, Mark):
                    yield item
        finally:
            self.cancel()

    async def first(self) -> Value:
        """The first item. Raises what comes in its place."""
        item = await self.next(None)
        if isinstance(item, Mark):
            raise AnswerInterrupted("the daemon was stopped before the work had begun")
        return item

    async def next(self, patience_s: float | None) -> Value | Mark:
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
