"""What the frameworks cost.

The model answers at once (a script), every turn and call is stored. A turn is one answer of the
model with the call that it asks for. The first request is measured from the start of the process.
"""

import asyncio
import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, closing
from pathlib import Path

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.config import default_settings
from agentctl.core.events import RunFinished, ToolFinished, UsageMeasured
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths
from benchmarks.equipment import Equipment
from benchmarks.rows import Row, at_most

TURNS, RUNS, TASKS = 40, 5, 40
BARS_MS = {"graph": 15, "code": 15, "tools": 15, "team": 8}
START_BAR_S, STORAGE_BAR_MB = 1.5, 2.0
_TOOLS = 'tools = ["list_files", "now"]\n[limits]\nrounds = 1000\ntool_calls = 1000\n'
AGENTS = {
    "graph": f'name = "graph"\nkind = "graph"\n{_TOOLS}',
    "tools": f'name = "tools"\nkind = "code"\nstyle = "tools"\n{_TOOLS}',
    "code": 'name = "code"\nkind = "code"\ntools = ["run_python"]\n[limits]\nrounds = 1000\n'
    "tool_calls = 1000\n",
    "team": f'name = "team"\nkind = "team"\n{_TOOLS}[team]\nmax_messages = {TURNS + 1}\n'
    '[[roles]]\nname = "one"\n[[roles]]\nname = "two"\n',
}


def rows(_: Equipment) -> Iterator[Row]:
    for kind, bar in BARS_MS.items():
        turn_ms = statistics.median([_turn_ms(kind) for _ in range(RUNS + 1)][1:])
        yield Row(
            name=f"a turn of a {kind} agent",
            figure=f"{turn_ms:.1f} ms",
            bars=(at_most(bar, turn_ms, " ms"),),
        )
    start_s = statistics.median([_first_request_s() for _ in range(RUNS + 1)][1:])
    yield Row(
        name="`agents run` to its first model request",
        figure=f"{start_s:.2f} s",
        bars=(at_most(START_BAR_S, start_s, " s"),),
    )
    stored_mb = _stored_mb()
    yield Row(
        name=f"{TASKS} tasks in one run, stored",
        figure=f"{stored_mb:.2f} MB",
        bars=(at_most(STORAGE_BAR_MB, stored_mb, " MB"),),
    )


def _turn_ms(kind: str) -> float:
    """Milliseconds from the first model turn to the end of the run, for each turn."""
    with tempfile.TemporaryDirectory() as place:
        workspace, folder = _open(Path(place))
        script = _script(folder, _replies(kind))
        request = AgentRequest(agent=kind, task="Go on.", folder=folder, model=script)

        async def run() -> tuple[float, int]:
            turns, began, ended = 0, 0.0, 0.0
            async with aclosing(workspace.run_agent(request)) as events:
                async for event in events:
                    if isinstance(event, UsageMeasured):
                        began = began or time.perf_counter()
                        turns += 1
                    # Starting the sandbox is paid once, not for each turn.
                    if isinstance(event, ToolFinished) and kind == "code" and turns == 1:
                        began = time.perf_counter()
                    if isinstance(event, RunFinished):
                        ended = time.perf_counter()
            await workspace.close()
            return ended - began, turns - 1

        seconds, turns = asyncio.run(run())
        return 1000 * seconds / turns


def _replies(kind: str) -> list[dict[str, object]]:
    if kind == "team":
        return [{"text": f"Message {number}."} for number in range(TURNS)]
    if kind == "code":
        steps = [f"print({number})" for number in range(TURNS)]
        return [{"text": json.dumps({"thought": "", "code": code})} for code in steps] + [
            {"text": json.dumps({"thought": "", "code": "final_answer(1)"})}
        ]
    calls = [
        {"tool_calls": [{"name": ("now", "list_files")[number % 2], "arguments": {}}]}
        for number in range(TURNS)
    ]
    return [*calls, {"text": "Done."}]


def _first_request_s() -> float:
    """Seconds from the start of `agentctl agents run` to its model's first word."""
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        script = _script(home, [{"text": "Done."}])
        environ = {**os.environ, "AGENTCTL_HOME": place, "AGENTCTL_OLLAMA_HOST": "127.0.0.1:1"}
        command = [sys.executable, "-m", "agentctl", "agents", "run", "assistant", "Hello."]
        command += ["-m", script, "--jsonl"]

        async def first() -> float:
            started = time.perf_counter()
            process = await asyncio.create_subprocess_exec(
                *command, env=environ, stdout=asyncio.subprocess.PIPE, cwd=place
            )
            if process.stdout is None:
                raise RuntimeError("no output to read")
            while b'"text"' not in await process.stdout.readline():
                pass
            seconds = time.perf_counter() - started
            await process.communicate()
            return seconds

        return asyncio.run(first())


def _stored_mb() -> float:
    """What a run of many tasks takes in the database, the empty database not counted."""
    with tempfile.TemporaryDirectory() as place:
        workspace, folder = _open(Path(place))
        asyncio.run(workspace.list_runs())
        database = find_paths({"AGENTCTL_HOME": place}).database
        before = _size(database)
        replies = [{"tool_calls": [{"name": "now", "arguments": {}}]}, {"text": "word " * 200}]
        script = _script(folder, replies)

        async def work() -> None:
            request = AgentRequest(agent="graph", task="Go on.", folder=folder, model=script)
            run = ""
            async with aclosing(workspace.run_agent(request)) as events:
                async for event in events:
                    run = event.run_id
            for number in range(1, TASKS):
                again = ResumeRequest(run=run, task=f"Task {number}: go on. " * 10)
                async with aclosing(workspace.resume_run(again)) as events:
                    async for _ in events:
                        pass
            await workspace.close()

        asyncio.run(work())
        return (_size(database) - before) / 1e6


def _size(database: Path) -> int:
    """Bytes of the pages in use."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return database.stat().st_size


def _open(home: Path) -> tuple[LocalWorkspace, Path]:
    paths = find_paths({"AGENTCTL_HOME": str(home)})
    paths.agents.mkdir(parents=True)
    for name, text in AGENTS.items():
        (paths.agents / f"{name}.toml").write_text(text)
    folder = home / "work"
    folder.mkdir()
    environ = {**os.environ, "OLLAMA_HOST": "127.0.0.1:1"}
    return LocalWorkspace(default_settings(), paths, environ), folder


def _script(folder: Path, replies: Sequence[dict[str, object]]) -> str:
    path = folder / "script.jsonl"
    path.write_text("\n".join(map(json.dumps, replies)))
    return f"scripted:{path}"
