"""A host without its sockets: what becomes of its parts when it is stopped."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agentctl.core.automation.tasks import Action, TaskRequest, Trigger
from agentctl.core.config import load_config
from agentctl.daemon.host import Host
from agentctl.daemon.listening import Listening
from tests.support.daemon import ENVIRONMENT, PATIENCE_S, daemon_paths

DUE = TaskRequest(
    name="due",
    trigger=Trigger(kind="interval", expression="60"),
    action=Action(kind="ask", text="What is new?", model="scripted:/nothing"),
)


def test_no_task_begins_while_a_stop_waits_for_a_call(tmp_path: Path) -> None:
    hears_of_it, ends = asyncio.Event(), asyncio.Event()
    time = datetime(2026, 3, 2, 10, 30, tzinfo=UTC)

    async def call() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            hears_of_it.set()
            await ends.wait()

    async def stop_it() -> int:
        nonlocal time
        paths = daemon_paths(tmp_path)
        config = load_config(paths, ENVIRONMENT, tmp_path)
        listening = Listening((), "http://x", frozenset(), "")
        host = Host(config, paths, ENVIRONMENT, listening, "http://x", now=lambda: time)
        host.start()
        host.tasks.add(DUE)
        await host.calls.begin(call()).first()
        stopping = asyncio.ensure_future(host.stop(PATIENCE_S))
        async with asyncio.timeout(PATIENCE_S):
            await hears_of_it.wait()
            time += timedelta(hours=1)
            await host.scheduler.run_due()
        begun = len(host.tasks.history())
        ends.set()
        await stopping
        return begun

    assert asyncio.run(stop_it()) == 0
