"""What the dashboard costs: streaming, long sessions, keys while it streams, and its start.

By hand: `python -m benchmarks.dashboard [--oterm FOLDER]`.
"""

import argparse
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
from tests.support.dashboard import paths_of, running_dashboard

TOKENS = 25_000
TOKENS_PER_UPDATE = 10
TOKENS_PER_S = 100
SHORT, LONG = 100, 10_000
RUNS = 15
_WORDS = "the stream is read once and what is finished is never drawn again "
_SECTION = f"## Step\n\n{_WORDS * 4}\n\n```python\n{'value = 1' + chr(10)}```\n\n- one\n- two\n\n"
# Bytes that only a picture of a whole screen has.
_FULL_SCREEN = 1_500


def rows(oterm: Path | None) -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, the bar."""
    for name, text in {
        "a mixed answer": _SECTION,
        "one paragraph": _WORDS,
        "one listing": "```python\n" + "value_n = compute(value) * 2\n" * 40_000,
    }.items():
        short, long = (asyncio.run(_streaming(text, count)) for count in (TOKENS, 2 * TOKENS))
        figure = f"{long / short:.2f} ({long:.1f} s / {short:.1f} s)"
        yield f"CPU of {2 * TOKENS:,} tokens / {TOKENS:,}: {name}", figure, "≤ 2.3"
    short, long, grown = asyncio.run(_opening())
    figure = f"{long / short:.2f} ({long * 1000:.0f} ms / {short * 1000:.0f} ms)"
    yield f"opening {LONG:,} messages / {SHORT:,}", figure, "≤ 1.5"
    yield f"memory of {LONG:,} messages above {SHORT:,}", f"{grown:.1f} MB", "< 60 MB"
    median = asyncio.run(_key_to_screen())
    yield (
        f"key to screen, median, at {TOKENS_PER_S} tokens/s",
        f"{median * 1000:.0f} ms",
        "< 50 ms",
    )
    yield from _first_paints(oterm)


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


def _first_paints(oterm: Path | None) -> Iterator[tuple[str, str, str]]:
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AGENTCTL_HOME": home, "HOME": home, "TERM": "xterm-256color"}
        ours = Path(sys.executable).parent / "agentctl"
        if oterm is None:
            paint = statistics.median(_first_paint([str(ours), "tui"], env) for _ in range(RUNS))
            yield "first paint of `agentctl tui`", f"{paint:.2f} s", "-"
            return
        pairs = [
            (_first_paint([str(ours), "tui"], env), _first_paint([str(oterm / "bin/oterm")], env))
            for _ in range(RUNS)
        ]
        ratio = statistics.median(one / other for one, other in pairs)
        one, other = (statistics.median(times) for times in zip(*pairs, strict=True))
        figure = f"{ratio:.2f} ({one:.2f} s / {other:.2f} s)"
        yield "first paint of `agentctl tui` / `oterm`", figure, "≤ 0.9"


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oterm", type=Path, help="an environment with oterm in it")
    oterm = parser.parse_args().oterm
    print("| what | measured | bar |\n|---|---|---|")
    for row in rows(oterm):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
