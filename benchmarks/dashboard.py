"""What the dashboard costs: streaming, long sessions, keys while it streams, and its start."""

import asyncio
import gc
import os
import pty
import select
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil
from textual import events

from agentctl.core.chat.sessions import SessionStore
from agentctl.core.storage import open_database
from agentctl.tui.app import Dashboard
from agentctl.tui.chat_screen import ChatScreen
from agentctl.tui.widgets.composer import Composer
from agentctl.tui.widgets.message import Message
from agentctl.tui.widgets.transcript import Transcript
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, at_most
from tests.support.dashboard import paths_of, running_dashboard

TOKENS = 25_000
TOKENS_PER_UPDATE = 10
TOKENS_PER_S = 100
SHORT, LONG = 100, 10_000
RUNS, STREAMS, PAINTS = 15, 3, 9
_WORDS = "the stream is read once and what is finished is never drawn again "
_SECTION = f"## Step\n\n{_WORDS * 4}\n\n```python\n{'value = 1' + chr(10)}```\n\n- one\n- two\n\n"
# Bytes that only a picture of a whole screen has.
_FULL_SCREEN = 1_500


def rows(equipment: Equipment) -> Iterator[Row]:
    for name, text in {
        "a mixed answer": _SECTION,
        "one paragraph": _WORDS,
        "one listing": "```python\n" + "value_n = compute(value) * 2\n" * 40_000,
    }.items():
        costs = [
            [asyncio.run(_streaming(text, count)) for count in (TOKENS, 2 * TOKENS)]
            for _ in range(STREAMS)
        ]
        # In turn, and the least of each: noise only adds.
        short, long = map(min, zip(*costs, strict=True))
        yield Row(
            name=f"CPU of {2 * TOKENS:,} streamed tokens / {TOKENS:,}: {name}",
            figure=f"{long / short:.2f} ({long:.1f} s / {short:.1f} s)",
            bars=(at_most(2.3, long / short),),
        )
    yield from _openings()
    median_ms = 1000 * asyncio.run(_key_to_screen())
    yield Row(
        name=f"from a key to the screen while {TOKENS_PER_S} tokens/s stream, median",
        figure=f"{median_ms:.0f} ms",
        bars=(at_most(50, median_ms, " ms"),),
    )
    yield _first_paints(str(equipment.program("oterm", "oterm")))


async def _streaming(text: str, tokens: int) -> float:
    """CPU seconds of an answer that is drawn at each `TOKENS_PER_UPDATE`."""
    whole = (text * (4 * tokens // len(text) + 1))[: 4 * tokens]
    with tempfile.TemporaryDirectory() as home:
        async with running_dashboard(Path(home)) as (app, pilot):
            transcript = app.screen.query_one(Transcript)
            message = Message("assistant", "model", is_live=True)
            transcript.add([message])
            await pilot.pause()
            gc.collect()
            started, step = time.process_time(), 4 * TOKENS_PER_UPDATE
            for start in range(0, len(whole), step):
                message.say(whole[start : start + step])
                transcript.heights.doubt(0)
                transcript.settle()
                await asyncio.sleep(0)
            return time.process_time() - started


def _openings() -> Iterator[Row]:
    short, long, grown_mb = asyncio.run(_opening())
    yield Row(
        name=f"opening {LONG:,} messages / {SHORT:,}",
        figure=f"{long / short:.2f} ({long * 1000:.0f} ms / {short * 1000:.0f} ms)",
        bars=(at_most(1.5, long / short),),
    )
    yield Row(
        name=f"memory of {LONG:,} messages above {SHORT:,}",
        figure=f"{grown_mb:.0f} MB",
        bars=(at_most(60, grown_mb, " MB"),),
    )


async def _opening() -> tuple[float, float, float]:
    """Seconds until a short and a long session are drawn, and MB that the long one takes."""
    with tempfile.TemporaryDirectory() as home:
        counts = {_write_session(Path(home), count): count for count in (SHORT, LONG)}
        times: dict[int, list[float]] = {SHORT: [], LONG: []}
        async with running_dashboard(Path(home)) as (app, pilot):
            screen = app.screen
            assert isinstance(screen, ChatScreen)
            await pilot.pause()
            process = psutil.Process()
            before = process.memory_info().rss
            for _ in range(RUNS):
                # In turn, so that whatever else the machine does falls on both.
                for session, count in counts.items():
                    started = time.perf_counter()
                    await screen.open_session(session)
                    screen.transcript.render_line(0)
                    times[count].append(time.perf_counter() - started)
                    while len(screen.transcript.entries) < count:
                        await pilot.pause()
            grown = (process.memory_info().rss - before) / 1e6
        return min(times[SHORT]), min(times[LONG]), grown


def _write_session(home: Path, count: int) -> str:
    paths = paths_of(home)
    store = SessionStore(open_database(paths.database))
    session = store.create("a long one")
    for number in range(count // 2):
        store.add_message(session, "user", f"question {number}: {_WORDS}")
        answer = store.begin_answer(session, "a model", "scripted")
        store.finish_answer(answer, f"answer {number}\n\n{_SECTION}", "", "done")
    return session


async def _key_to_screen() -> float:
    """Seconds from a key to its letter in a drawn screen, while an answer streams."""
    with tempfile.TemporaryDirectory() as home:
        async with running_dashboard(Path(home)) as (app, _):
            transcript = app.screen.query_one(Transcript)
            message = Message("assistant", "model", is_live=True)
            transcript.add([message])
            streaming = asyncio.ensure_future(_stream(transcript, message))
            await asyncio.sleep(1)
            times = [await _letter(app, chr(ord("a") + number % 26)) for number in range(60)]
            streaming.cancel()
        return statistics.median(times)


async def _stream(transcript: Transcript, message: Message) -> None:
    text = _SECTION * 1000
    for start in range(0, len(text), 4):
        message.say(text[start : start + 4])
        transcript.changed(message)
        await asyncio.sleep(1 / TOKENS_PER_S)


async def _letter(app: Dashboard, letter: str) -> float:
    composer = app.screen.query_one(Composer)
    length = len(composer.text)
    started = time.perf_counter()
    drawn = asyncio.Event()
    app.post_message(events.Key(letter, letter))
    while len(composer.text) == length:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    app.screen.call_after_refresh(drawn.set)
    await drawn.wait()
    took = time.perf_counter() - started
    await asyncio.sleep(0.037)
    return took


def _first_paints(oterm: str) -> Row:
    ours = str(Path(sys.executable).with_name("agentctl"))
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AGENTCTL_HOME": home, "HOME": home, "TERM": "xterm-256color"}
        pairs = [
            (_first_paint([ours, "tui"], env), _first_paint([oterm], env)) for _ in range(PAINTS)
        ]
    ratio = statistics.median(one / other for one, other in pairs)
    one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Row(
        name="first paint of `agentctl tui` / `oterm`",
        figure=f"{ratio:.2f} ({one:.2f} s / {other:.2f} s)",
        bars=(at_most(0.9, ratio),),
    )


def _first_paint(command: Sequence[str], env: Mapping[str, str]) -> float:
    """Seconds until a screen full of cells was written: both clear it by far less before."""
    started = time.perf_counter()
    process, terminal = pty.fork()
    if process == 0:
        os.execvpe(command[0], command, env)  # noqa: S606 - ours
    written = 0
    try:
        while written < _FULL_SCREEN and select.select([terminal], [], [], 20)[0]:
            written += len(os.read(terminal, 65536))
        return time.perf_counter() - started
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(terminal)
