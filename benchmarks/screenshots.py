"""Pictures of the dashboard for the documentation: `python -m benchmarks.screenshots`.

The real program on a home of its own, with a model that says what a script tells it to.
"""

import argparse
import asyncio
import json
import math
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from agentctl.core.agents.run_request import AgentRequest
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import MinuteAverages
from agentctl.core.automation.tasks import Action, TaskRequest, Trigger
from agentctl.core.automation.watching import WatchRequest
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.config import Settings, default_settings
from agentctl.core.knowledge.library import IngestRequest
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database
from agentctl.core.workspace import Workspace
from agentctl.tui.app import Dashboard
from agentctl.tui.link import Link

SIZE = (100, 30)
_IMAGES = Path(__file__).parent.parent / "docs" / "images"
_SCRIPT = "demo-model.jsonl"
_FONT = "ui-monospace, DejaVu Sans Mono, monospace"
# Seconds to wait for a picture to become what it should be.
_PATIENCE_S = 30.0
_NOTES = {
    "harbour/opening-hours.md": "# Opening hours\n\nThe harbour office opens at nine and closes at"
    " five.\nOn Sundays it is closed.\n",
    "harbour/pilots.md": "# Pilots\n\nShips of more than 80 m need a pilot. He is called on channel"
    " 12,\ntwo hours before the ship arrives.\n",
    "navigation/lighthouses.md": "# Lighthouses\n\nA lighthouse warns ships of rocks. Each has a"
    " rhythm of its own,\nso that a navigator can tell which one it is.\n\n## The northern"
    " light\n\nIt flashes twice in ten seconds and is seen for 24 miles.\n",
    "navigation/sextant.md": "# Sextant\n\nA sextant measures the angle of a star above the"
    " horizon.\n",
    "navigation/tides.md": "# Tides\n\nHigh water comes about 50 minutes later each day.\n",
    "weather/fog.md": "# Fog\n\nIn fog the lighthouse sounds its horn every minute.\n",
}
_ANSWER = """The **northern light** flashes twice in ten seconds, and is seen for 24 miles [1].

In fog it cannot be seen; then it sounds its horn every minute.

```text
flash . flash . . . . . . . .
```
"""
_REPORT = {
    "path": "report.md",
    "content": "# Lights\n\n- the northern light: 2 in 10 s, 24 miles\n",
}


async def draw(home: Path, target: Path) -> None:
    """Writes a picture of each screen into `target`; `home` is an empty folder."""
    paths = find_paths({"AGENTCTL_HOME": str(home / ".home")})
    settings = _settings()
    await _fill(settings, paths, home)
    _measure(paths)
    app = Dashboard(settings, Link(lambda: _opened(settings, paths), lambda: False))
    async with app.run_test(size=SIZE) as pilot:
        await _until(pilot, lambda: app.link.is_open)
        await _chat(app, pilot, target)
        await _others(app, pilot, target)


async def _chat(app: Dashboard, pilot: Pilot[None], target: Path) -> None:
    await pilot.press(*"How does the northern light flash?", "enter")
    await _until(pilot, lambda: "horn every minute" in _text(app))
    await _save(app, pilot, target / "dashboard-chat.svg")


async def _others(app: Dashboard, pilot: Pilot[None], target: Path) -> None:
    await pilot.press("f3")
    await _until(pilot, lambda: "waiting" in _text(app) or "waits" in _text(app))
    await _save(app, pilot, target / "dashboard-agents.svg")
    await pilot.press("f4")
    await _until(pilot, lambda: "morning-report" in _text(app))
    await _save(app, pilot, target / "dashboard-tasks.svg")
    await pilot.press("f5")
    await _until(pilot, lambda: "documents" in _text(app))
    await pilot.press("slash", *"lighthouse in fog")
    await _until(pilot, lambda: " hits in " in _text(app))
    await pilot.press("enter", "enter")
    await _until(pilot, lambda: "▌" in _text(app))
    await _save(app, pilot, target / "dashboard-knowledge.svg")
    await pilot.press("f6", "2")
    await _until(pilot, lambda: "-60m" in _text(app))
    await _save(app, pilot, target / "dashboard-monitor.svg")


async def _fill(settings: Settings, paths: Paths, home: Path) -> None:
    """Documents, a conversation, tasks, and a run that waits for the user."""
    for name, text in _NOTES.items():
        file = home / "notes" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    workspace = LocalWorkspace(settings, paths, {"OLLAMA_HOST": "127.0.0.1:1"})
    for collection in ("harbour", "navigation", "weather"):
        request = IngestRequest(sources=(str(home / "notes" / collection),), collection=collection)
        async with aclosing(workspace.ingest(request)) as steps:
            async for _ in steps:
                pass
    await workspace.watch_folder(
        WatchRequest(path=str(home / "notes" / "navigation"), collection="navigation")
    )
    _say(home, {"text": "High water comes about 50 minutes later each day [1]."})
    async with aclosing(workspace.ask(AskRequest(prompt="When is high water?"))) as events:
        async for _ in events:
            pass
    for name, expression, action in (
        ("morning-report", "0 7 * * 1-5", Action(kind="ask", text="What is new in the notes?")),
        ("take-in-notes", "*/30 * * * *", Action(kind="ingest", text=str(home / "notes"))),
    ):
        trigger = Trigger(kind="cron", expression=expression, timezone="Europe/London")
        await workspace.add_task(TaskRequest(name=name, trigger=trigger, action=action))
    async with aclosing(workspace.run_task("morning-report")) as events:
        async for _ in events:
            pass
    _say(home, {"tool_calls": [{"name": "write_file", "arguments": _REPORT}]})
    task = AgentRequest(agent="assistant", task="Write a report about the lights.", folder=home)
    async with aclosing(workspace.run_agent(task)) as events:
        async for _ in events:
            pass
    _say(home, {"text": _ANSWER})
    await workspace.close()


def _measure(paths: Paths) -> None:
    """An hour as a daemon would have measured it."""
    now = int(time.time()) // 60 * 60
    with closing(open_database(paths.database)) as connection:
        store = MeasurementStore(connection)
        for ago in range(60, -1, -1):
            wave = math.sin(ago / 6) + math.sin(ago / 2.3) / 3
            store.add(
                MinuteAverages(
                    minute=now - 60 * ago,
                    cpu_percent=45 + 28 * wave,
                    memory_percent=52 + 6 * math.sin(ago / 20),
                    disk_percent=31.0,
                    sent_per_s=2000.0,
                    received_per_s=9000 + 8000 * wave,
                    tokens_per_s=24 + 4 * wave,
                    ttft_s=0.8 - 0.2 * wave,
                )
            )
        Journal(connection).write("info", "watcher", "notes/navigation: 1 updated")


def _settings() -> Settings:
    settings = default_settings()
    daemon = replace(settings.daemon, notify="")
    # Drawing pictures is work for the processor: no warning of that.
    monitor = replace(settings.monitor, cpu_percent=101.0)
    return replace(settings, model=f"scripted:{_SCRIPT}", daemon=daemon, monitor=monitor)


def _say(home: Path, *replies: dict[str, object]) -> None:
    text = "".join(json.dumps(reply) + "\n" for reply in replies)
    (home / _SCRIPT).write_text(text, encoding="utf-8")


@asynccontextmanager
async def _opened(settings: Settings, paths: Paths) -> AsyncIterator[Workspace]:
    workspace = LocalWorkspace(settings, paths, {"OLLAMA_HOST": "127.0.0.1:1"})
    try:
        yield workspace
    finally:
        await workspace.close()


def _text(app: Dashboard) -> str:
    """What is on the screen."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in strips)


async def _until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE_S
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"it did not come to that:\n{_text(pilot.app)}")  # type: ignore[arg-type]  # ours
        await pilot.pause(0.05)


async def _save(app: Dashboard, pilot: Pilot[None], path: Path) -> None:
    app.clear_notifications()
    await pilot.pause(0.3)
    _write(path, app.export_screenshot(title="agentctl"))


def _write(path: Path, svg: str) -> None:
    """Without fonts from other servers."""
    svg = re.sub(r"@font-face\s*\{[^}]*\}", "", svg).replace("Fira Code, monospace", _FONT)
    path.write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=_IMAGES, help="the folder of the pictures")
    target = parser.parse_args().into.absolute()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "demo")
        home.mkdir()
        # Paths are shown as they are called from there.
        os.chdir(home)
        asyncio.run(draw(home, target))


if __name__ == "__main__":
    main()
