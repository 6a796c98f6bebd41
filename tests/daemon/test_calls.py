"""Work for a reader at the other end: told in order, cancelled once, brought to its end."""

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing, suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.errors import AnswerInterrupted, NotFound
from agentctl.daemon.calls import Calls
from agentctl.daemon.wire import ALIVE, CANCELLED, END

Lines = AsyncGenerator[bytes, None]


def encode(item: object) -> bytes:
    return f"{item}\n".encode()


class Run:
    """Says `first` items at once, then waits; when it is cancelled it says so, then ends."""

    def __init__(self, first: int = 1, farewell: int = 1) -> None:
        self.first = first
        self.farewell = farewell
        self.cancellations = 0
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()

    async def items(self) -> AsyncGenerator[int | str, None]:
        self.begun.set()
        try:
            for n in range(self.first):
                yield n
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancellations += 1
            for _ in range(self.farewell):
                # What a run stores at its end takes a while, and nothing may break it off.
                await asyncio.sleep(0)
                yield "bye"
            raise
        finally:
            self.ended.set()


async def lines_of(calls: Calls, items: AsyncGenerator[Any, None]) -> Lines:
    """As a response reads them, for a client that may leave."""
    work = calls.begin(items, "id")
    try:
        async for line in work.lines(encode):
            yield line
    finally:
        work.cancel()


async def some(*items: object) -> AsyncGenerator[object, None]:
    for item in items:
        yield item


async def fails(error: Exception) -> AsyncGenerator[int, None]:
    yield 1
    raise error


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@given(st.lists(st.integers(), max_size=200))
def test_all_items_come_in_order_and_then_the_end(items: list[int]) -> None:
    async def read() -> list[bytes]:
        return [line async for line in lines_of(Calls(), some(*items))]

    assert asyncio.run(read()) == [*map(encode, items), END]


def test_what_a_verb_raises_comes_after_what_it_said(caplog: pytest.LogCaptureFixture) -> None:
    async def read(error: Exception) -> list[bytes]:
        return [line async for line in lines_of(Calls(), fails(error))]

    told, unexpected = asyncio.run(read(NotFound("no", "yes"))), asyncio.run(read(ValueError("x")))

    assert told == [b"1\n", b'{"error":{"code":"not-found","message":"no","hint":"yes"}}\n']
    assert b'"message":"ValueError: x"' in unexpected[-1]
    assert [record.message for record in caplog.records] == ["unexpected error"]


def test_silence_is_filled_with_empty_lines() -> None:
    async def read() -> None:
        calls = Calls(keep_alive_s=0.01)
        async with aclosing(lines_of(calls, Run().items())) as lines:
            assert [await anext(lines) for _ in range(3)] == [b"0\n", ALIVE, ALIVE]

    run(read())


@pytest.mark.parametrize("first", [0, 1, 5, 200])
@pytest.mark.parametrize("read_before", [0, 1])
def test_a_cancelled_call_tells_its_end(first: int, read_before: int) -> None:
    """Wherever it is: before its first item, between two, at work, or ahead of its reader."""

    async def read() -> None:
        calls, work = Calls(), Run(first)
        lines = lines_of(calls, work.items())
        beginning = asyncio.ensure_future(anext(lines))
        if first and read_before:
            await beginning
        else:
            await asyncio.sleep(0)
        assert calls.cancel("id")
        rest = [await beginning, *[line async for line in lines]]
        assert rest[-2:] == [b"bye\n", CANCELLED]
        assert (work.cancellations, len(calls)) == (1, 0)

    run(read())


def test_a_call_that_is_cancelled_twice_is_not_disturbed_at_its_end() -> None:
    async def read() -> None:
        calls, work = Calls(), Run(farewell=20)
        lines = lines_of(calls, work.items())
        await anext(lines)
        calls.cancel("id")
        assert await anext(lines) == b"bye\n"
        calls.cancel("id")
        await lines.aclose()
        await calls.drain(10)
        assert work.cancellations == 1 and work.ended.is_set()

    run(read())


def test_a_reader_that_leaves_cancels_and_the_end_is_still_stored() -> None:
    async def read() -> None:
        calls, work = Calls(), Run(farewell=3)
        async with aclosing(lines_of(calls, work.items())) as lines:
            await anext(lines)
        await work.ended.wait()
        assert work.cancellations == 1

    run(read())


def test_a_reader_whose_task_is_cancelled_while_the_work_is_on_leaves() -> None:
    async def read() -> None:
        calls, work = Calls(), Run(first=0)

        async def reader() -> None:
            async for _ in lines_of(calls, work.items()):
                pass

        reading = asyncio.ensure_future(reader())
        await work.begun.wait()
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        await work.ended.wait()
        assert work.cancellations == 1

    run(read())


def test_draining_waits_for_the_ends_of_calls_that_nobody_reads() -> None:
    async def read() -> None:
        calls, work = Calls(), Run(first=1000, farewell=1000)
        lines = lines_of(calls, work.items())
        await anext(lines)
        await calls.drain(10)
        assert work.ended.is_set() and len(calls) == 0
        await lines.aclose()

    run(read())


def test_draining_gives_up_on_work_that_does_not_end() -> None:
    async def stubborn() -> AsyncGenerator[int, None]:
        yield 1
        while True:
            with suppress(asyncio.CancelledError):
                await released.wait()
                return

    async def read() -> None:
        calls = Calls()
        lines = lines_of(calls, stubborn())
        await anext(lines)
        await calls.drain(0.01)
        assert len(calls) == 1
        released.set()
        assert [line async for line in lines] == [END]

    released = asyncio.Event()
    run(read())


def test_a_reader_that_is_slow_holds_the_work_back() -> None:
    made = 0

    async def endless() -> AsyncGenerator[int, None]:
        nonlocal made
        while True:
            made += 1
            yield made
            await asyncio.sleep(0)

    async def read() -> None:
        async with aclosing(lines_of(Calls(), endless())) as lines:
            await anext(lines)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert made < 100

    run(read())


def test_nobody_can_cancel_what_is_not_there() -> None:
    assert not Calls().cancel("id")


def test_work_runs_in_one_task_from_its_beginning_to_its_end() -> None:
    """What a generator opens in one step, such as a timeout, it may close in another."""
    tasks: set[object] = set()

    async def items() -> AsyncGenerator[int, None]:
        async with asyncio.timeout(10):
            for n in range(3):
                tasks.add(asyncio.current_task())
                yield n

    async def read() -> None:
        assert len([line async for line in lines_of(Calls(), items())]) == 4

    run(read())
    assert len(tasks) == 1


# For those who wait for the whole of it


def test_whoever_waits_gets_all_items_and_the_error() -> None:
    async def stays() -> bool:
        return False

    async def read() -> None:
        calls = Calls()
        assert [item async for item in calls.begin(some(1, 2)).items(stays)] == [1, 2]
        with pytest.raises(NotFound):
            async for _ in calls.begin(fails(NotFound("no"))).items(stays):
                pass

    run(read())


def test_whoever_does_not_wait_any_more_cancels() -> None:
    async def read() -> None:
        work, said = Run(), []

        async def has_left() -> bool:
            return bool(said)

        async for item in Calls().begin(work.items()).items(has_left):
            said.append(item)
        await work.ended.wait()
        assert (said, work.cancellations) == ([0], 1)

    run(read())


# For those who must know the first item before they answer


def test_the_first_item_comes_before_the_lines_of_the_rest() -> None:
    async def read() -> None:
        work = Calls().begin(some(1, 2))
        assert await work.first() == 1
        assert [line async for line in work.lines(encode)] == [b"2\n", END]

    run(read())


def test_what_comes_in_place_of_a_first_item_is_raised() -> None:
    async def refuses() -> AsyncGenerator[int, None]:
        raise NotFound("no")
        yield

    async def read() -> None:
        with pytest.raises(NotFound):
            await Calls().begin(refuses()).first()
        calls, work = Calls(), Run(first=0, farewell=0)
        begun = calls.begin(work.items())
        await calls.drain(10)
        with pytest.raises(AnswerInterrupted):
            await begun.first()

    run(read())
