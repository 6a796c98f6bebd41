"""The dashboard for real, on a home of its own, driven by Textual's pilot."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from agentctl.core.config import Settings, default_settings
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import Paths, find_paths
from agentctl.core.sources import Source
from agentctl.core.workspace import Workspace
from agentctl.tui.app import Dashboard
from agentctl.tui.link import Link

SOURCE = Source(
    n=1,
    score=1.0,
    path="/docs/guide.md",
    title="Guide",
    collection="default",
    page=None,
    line_start=3,
    line_end=9,
    text="as it says",
    chunk_id=1,
    document_id=1,
)
"""A passage that an answer cites."""

_LOOKS = 2000


def paths_of(home: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(home)})


def settings_with(model: str) -> Settings:
    """No Ollama, no notifications; `model` answers."""
    settings = default_settings()
    return replace(settings, model=model, daemon=replace(settings.daemon, notify=""))


def write_script(folder: Path, *replies: dict[str, object]) -> str:
    """A scripted model that gives these replies in order; its name."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "script.jsonl"
    path.write_text("".join(json.dumps(reply) + "\n" for reply in replies))
    return f"scripted:{path}"


def make_dashboard(home: Path, settings: Settings) -> Dashboard:
    @asynccontextmanager
    async def open_workspace() -> AsyncIterator[Workspace]:
        workspace = LocalWorkspace(settings, paths_of(home), {"OLLAMA_HOST": "127.0.0.1:1"})
        try:
            yield workspace
        finally:
            await workspace.close()

    return Dashboard(settings, Link(open_workspace, lambda: False))


@asynccontextmanager
async def running_dashboard(
    home: Path, model: str = "auto", size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Dashboard, Pilot[None]]]:
    """The application with its workspace open."""
    app = make_dashboard(home, settings_with(model))
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.link.is_open)
        yield app, pilot


async def until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    """Waits for a state, never for a time."""
    for _ in range(_LOOKS):
        if is_so():
            return
        await pilot.pause(0.01)
    raise AssertionError("it did not come to that")
