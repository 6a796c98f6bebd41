"""Blocking work, awaited and read as a stream."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import aclosing

import pytest

from agentctl.core.backends.threads import AHEAD, run_in_thread, stream_from_thread


def test_what_is_emitted_is_read_in_order_and_what_is_raised_is_raised() -> None:
    def produce(emit: Callable[[int], None]) -> None:
        for number in range(2 * AHEAD):
            emit(number)
        raise ValueError("the end")

    async def read() -> list[int]:
        seen: list[int] = []
        with pytest.raises(ValueError, match="the end"):
            async for number in stream_from_thread(produce, lambda: None):
                seen.append(number)
        return seen

    assert asyncio.run(read()) == list(range(2 * AHEAD))


def test_a_producer_waits_for_a_slow_reader_and_ends_when_it_leaves() -> None:
    emitted = 0
    ended = threading.Event()

    def produce(emit: Callable[[int], None]) -> None:
        nonlocal emitted
        try:
            while True:
                emit(emitted)
                emitted += 1
        finally:
            ended.set()

    async def read_a_few() -> None:
        async with aclosing(stream_from_thread(produce, lambda: None)) as numbers:
            async for number in numbers:
                if number == 10:
                    return

    asyncio.run(read_a_few())

    assert ended.wait(10)
    assert emitted <= AHEAD + 12


@pytest.mark.parametrize("error", [ValueError, SystemExit, StopIteration])
def test_whatever_ends_the_work_ends_the_wait(error: type[BaseException]) -> None:
    def work() -> None:
        raise error

    async def wait() -> BaseException | None:
        try:
            async with asyncio.timeout(10):
                await run_in_thread(work)
        except BaseException as raised:  # noqa: BLE001 - the loop must not end of it
            return raised
        return None

    ended = asyncio.run(wait())

    # A coroutine cannot raise StopIteration: Python says what it was.
    assert error in (type(ended), type(ended.__cause__ if ended else None))


def test_work_nobody_waits_for_any_more_does_not_hold_the_loop() -> None:
    release = threading.Event()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await run_in_thread(release.wait)

    asyncio.run(give_up())
    release.set()
