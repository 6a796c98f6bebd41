"""Blocking work in threads of its own, awaited or read as a stream.

The threads are daemons: what blocks for ever (a look-up, a pipe) cannot keep the program from
ending, as asyncio's own threads would.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

# Items a producer may be ahead of its reader, and seconds a reader waits for it to stop.
AHEAD = 256
PATIENCE_S = 2.0


class _Stopped(Exception):
    """Ends a producer whose reader has left."""


@dataclass(frozen=True, slots=True)
class _Raised:
    error: BaseException


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None


async def run_in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises; the thread is left behind when nobody waits any more."""
    loop = asyncio.get_running_loop()
    # An error is carried over as a value: a future refuses some (StopIteration).
    future: asyncio.Future[T | _Raised] = loop.create_future()

    def settle(outcome: T | _Raised) -> None:
        if not future.done():
            future.set_result(outcome)

    def run() -> None:
        outcome: T | _Raised
        try:
            outcome = work()
        except BaseException as error:  # noqa: BLE001 - carried over to the one who waits
            outcome = _Raised(error)
        # A loop that is gone has nobody left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=run, name="agentctl-work", daemon=True).start()
    outcome = await future
    if isinstance(outcome, _Raised):
        raise outcome.error
    return outcome


def run_to_end(work: Callable[[], Awaitable[T]]) -> T:
    """What a coroutine returns or raises, for callers that are not asynchronous.

    It runs in a loop of its own, in a thread of its own: so also where a loop is running already.
    """

    async def run() -> T:
        return await work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, run()).result()


async def stream_from_thread(
    produce: Callable[[Callable[[T], None]], None], stop: Callable[[], None]
) -> AsyncGenerator[T, None]:
    """Runs `produce(emit)` in a thread; yields what it emits, raises what it raises.

    A producer that is `AHEAD` waits. When the reader leaves early, `stop()` is called in the
    reader's thread and should make `produce` return soon; one that does not is left behind.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _End] = asyncio.Queue()
    room = threading.Semaphore(AHEAD)
    left = threading.Event()
    ended = asyncio.Event()

    def put(item: T | _End) -> None:
        # A loop that is gone has no reader left to tell.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def emit(item: T) -> None:
        room.acquire()
        if left.is_set():
            raise _Stopped
        put(item)

    def run() -> None:
        try:
            produce(emit)
        except BaseException as error:  # noqa: BLE001 - carried over to the reader
            put(_End(error))
        else:
            put(_End(None))
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=run, name="agentctl-stream", daemon=True).start()
    try:
        while not isinstance(item := await queue.get(), _End):
            room.release()
            yield item
            # A queue that is never empty would not let anything else run.
            await asyncio.sleep(0)
        if item.error is not None:
            raise item.error
    finally:
        if not ended.is_set():
            left.set()
            room.release()
            stop()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    await ended.wait()
