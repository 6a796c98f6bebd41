"""What the daemon costs and saves, beside `llm`. A minute of it looks on while nothing is done."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil

from agentctl.core.paths import find_paths
from agentctl.daemon import process
from agentctl.daemon.process import DaemonAddress
from benchmarks.equipment import Equipment
from benchmarks.measure import compare, in_turn, measure
from benchmarks.rows import Row, at_most
from benchmarks.startup import MODEL
from tests.support.cli import command, environment, run
from tests.support.daemon_client import Client, events, eventually, scripted
from tests.support.ollama_script import Json, Reply
from tests.support.ollama_server import ScriptedOllama

STREAMS, WORDS, PAUSE_S = 20, 200, 0.02
RUNS = 11
IDLE_S = 60.0
PAGES = 200


class Doorbell(ScriptedOllama):
    """Notes when a chat arrives."""

    arrived_s = 0.0

    def next_reply(self, request: Json) -> Reply:
        self.arrived_s = time.perf_counter()
        return super().next_reply(request)


@contextmanager
def running(env: Mapping[str, str]) -> Iterator[DaemonAddress]:
    """A daemon in a process of its own."""
    paths = find_paths(env)
    address = asyncio.run(process.start(paths, env))
    try:
        yield address
    finally:
        asyncio.run(process.stop(paths))


def rows(equipment: Equipment) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder, Doorbell() as ollama:
        home = Path(folder)
        env = environment(home, AGENTCTL_OLLAMA_HOST=ollama.url, OLLAMA_HOST=ollama.url)
        write_pages(home / "pages", PAGES)
        run("ingest", str(home / "pages"), env=env)
        with running(env) as address:
            yield idle(address)
            yield latency(Client(address), scripted_words(home))
            yield search(env)
            yield until_asked(env, ollama, str(equipment.program("llm", "llm")))
            yield until_searchable(env, Client(address), home / "watched")


def idle(address: DaemonAddress) -> Row:
    """Of a daemon that has just been started, until a minute later."""
    daemon = psutil.Process(address.pid)
    before, started = sum(daemon.cpu_times()[:2]), time.perf_counter()
    time.sleep(IDLE_S)
    used = sum(daemon.cpu_times()[:2]) - before
    share = 100 * used / (time.perf_counter() - started)
    memory = daemon.memory_info().rss / 1e6
    return Row(
        name="a daemon at rest",
        figure=f"{share:.2f}% of a core, {memory:.0f} MB",
        bars=(at_most(0.5, share, "%"), at_most(150, memory, " MB")),
    )


def latency(client: Client, model: str) -> Row:
    """From the making of an event to its arrival at the client; both clocks are one."""
    question = {"prompt": "Count.", "model": model, "stream": True}

    def ask(_: int) -> list[float]:
        with client.opened("POST", "/agent/query", question) as response:
            return [
                1000 * (time.time() - datetime.fromisoformat(event["time"]).timestamp())
                for event in events(response)
            ]

    with ThreadPoolExecutor(STREAMS) as pool:
        late_ms = sorted(ms for each in pool.map(ask, range(STREAMS)) for ms in each)
    middle, most = statistics.median(late_ms), late_ms[int(0.95 * len(late_ms))]
    return Row(
        name=f"an event's way through the daemon, {STREAMS} streams at once, p95",
        figure=f"{most:.1f} ms (median {middle:.1f} ms, {len(late_ms):,} events)",
        bars=(at_most(50, most, " ms"),),
    )


def search(env: Mapping[str, str]) -> Row:
    asked = command("search", "how does the keeper light the lamp?")
    cold = ["env", "AGENTCTL_DAEMON_USE=false", *asked]
    ratio, figure = compare(*in_turn([["env", *asked], cold], env, RUNS))
    name = "`agentctl search` with a daemon / a cold one"
    return Row(name=name, figure=figure, bars=(at_most(0.35, ratio),))


def until_asked(env: Mapping[str, str], ollama: Doorbell, llm: str) -> Row:
    """From the start of the command until the model's server has the question."""
    quiet = ["sh", "-c", 'exec "$@" 2>/dev/null', "sh"]
    question = "how does the keeper light the lamp?"
    ask = [*quiet, *command("ask", "-k", "-m", f"ollama:{MODEL}", question)]
    took, whole = [], []
    for _ in range(RUNS):
        started_s = measure(ask, env).started_s
        took.append(ollama.arrived_s - started_s)
        whole.append(measure([llm, "-m", f"ollama/{MODEL}", "hello"], env).wall_s)
    ratio = statistics.median(one / other for one, other in zip(took, whole, strict=True))
    ours, theirs = statistics.median(took), statistics.median(whole)
    return Row(
        name="`agentctl ask -k` with a daemon until Ollama is asked / all of `llm`",
        figure=f"{ratio:.3f} ({ours:.3f} s / {theirs:.3f} s)",
        bars=(at_most(0.15, ratio),),
    )


def until_searchable(env: Mapping[str, str], client: Client, folder: Path) -> Row:
    """From the last write of a file in a watched folder until a search finds it."""
    folder.mkdir()
    run("ingest", "--watch", str(folder), env=env)
    took = []
    for n in range(5):
        word = f"zanzibarine{n}"
        (folder / f"{n}.md").write_text(f"# A page\n\nThe word of the day is {word}.")
        started = time.perf_counter()
        eventually(
            lambda word=word: client.get(f"/search?q={word}&mode=keyword").json["hits"],
            lambda hits, word=word: any(word in hit["text"] for hit in hits),
        )
        took.append(time.perf_counter() - started)
    middle = statistics.median(took)
    return Row(
        name="from the last write in a watched folder until it is found",
        figure=f"{middle:.1f} s (at most {max(took):.1f} s)",
        bars=(at_most(2, middle, " s"),),
    )


def write_pages(folder: Path, count: int) -> None:
    folder.mkdir()
    for n in range(count):
        lines = [f"The keeper of lighthouse {n} lights lamp {m} at dusk." for m in range(20)]
        (folder / f"{n}.md").write_text(f"# Lighthouse {n}\n\n" + "\n".join(lines))


def scripted_words(folder: Path) -> str:
    return scripted(folder, {"chunks": [f"{n} " for n in range(WORDS)], "delay_s": PAUSE_S})
