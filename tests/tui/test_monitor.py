"""The monitor: charts that live while they are shown, and the words beside them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.measurements import (
    Amount,
    BackendState,
    DaemonUse,
    KnowledgeSize,
    LoadedModelUse,
    MinuteAverages,
    NetworkRate,
    ProcessUse,
    Speed,
    SystemStats,
)
from agentctl.core.automation.report import write_report
from agentctl.core.storage import open_database
from agentctl.tui.app import Dashboard
from agentctl.tui.machine_words import machine_words
from agentctl.tui.monitor_screen import MonitorScreen
from agentctl.tui.widgets.chart import Charts
from tests.support.dashboard import paths_of, running_dashboard, until

STATS = SystemStats(
    time="2026-01-02T03:04:05Z",
    cpu_percent=12.0,
    load=(0.1, 0.2, 0.3),
    memory=Amount(used=1_000_000_000, total=4_000_000_000, percent=25.0),
    disk=Amount(used=1, total=4, percent=25.0),
    network=NetworkRate(sent_per_s=0.0, received_per_s=2000.0),
    gpus=(),
    process=ProcessUse(rss=50_000_000, cpu_percent=3.0),
    backend=BackendState(name="ollama", status="healthy"),
    speed=Speed(tokens_per_s=20.0, ttft_s=0.7, answers=3),
    daemon=DaemonUse(status="running", uptime_s=7200),
    knowledge=KnowledgeSize(documents=1, chunks=9),
)


AVERAGES = MinuteAverages(
    minute=0,
    cpu_percent=77.0,
    memory_percent=30.0,
    disk_percent=10.0,
    sent_per_s=0.0,
    received_per_s=0.0,
)


@asynccontextmanager
async def monitor(
    home: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Dashboard, MonitorScreen, Pilot[None]]]:
    async with running_dashboard(home, size=size) as (app, pilot):
        await pilot.press("f6")
        await until(pilot, lambda: isinstance(app.screen, MonitorScreen))
        screen = app.screen
        assert isinstance(screen, MonitorScreen)
        await until(pilot, lambda: bool(screen.query_one(Charts).series))
        yield app, screen, pilot


def words(screen: MonitorScreen) -> str:
    return str(screen.query_one("#text", Static).content)


def picture(screen: MonitorScreen) -> str:
    return screen.query_one(Charts).render().plain


def test_it_shows_charts_and_what_runs(tmp_path: Path) -> None:
    async def flow() -> None:
        async with monitor(tmp_path / "home") as (_, screen, _pilot):
            for title in ("CPU", "memory", "network in", "answers"):
                assert title in picture(screen)
            assert "agentctl daemon start" in words(screen)
            assert "nothing happened" in words(screen)

    asyncio.run(flow())


def test_the_last_hour_is_what_was_stored(tmp_path: Path) -> None:
    home = tmp_path / "home"
    paths = paths_of(home)
    minute = int(datetime.now(UTC).timestamp()) // 60 * 60
    with closing(open_database(paths.database)) as connection:
        store = MeasurementStore(connection)
        for number in range(10):
            store.add(replace(AVERAGES, minute=minute - 60 * number))

    async def flow() -> None:
        async with monitor(home) as (_, screen, pilot):
            await pilot.press("2")
            await until(pilot, lambda: "CPU 77 %" in picture(screen))
            assert "-60m" in picture(screen)
            await pilot.press("3")
            await until(pilot, lambda: "-24h" in picture(screen))
            await pilot.press("1")
            await until(pilot, lambda: "-2m" in picture(screen))

    asyncio.run(flow())


def test_without_a_history_it_says_who_measures(tmp_path: Path) -> None:
    async def flow() -> None:
        async with monitor(tmp_path / "home") as (_, screen, pilot):
            await pilot.press("3")
            await until(pilot, lambda: "Nothing was measured then" in words(screen))

    asyncio.run(flow())


def test_what_others_note_in_the_journal_shows(tmp_path: Path) -> None:
    home = tmp_path / "home"

    async def flow() -> None:
        async with monitor(home) as (_, screen, pilot):
            with closing(open_database(paths_of(home).database)) as connection:
                Journal(connection).write("warning", "machine", "[red]the disk[/red] fills\x1b[2J")
            await until(pilot, lambda: "the disk" in words(screen))
            assert "[red]the disk[/red] fills\ufffd[2J" in words(screen)

    asyncio.run(flow())


def test_it_measures_only_while_it_is_shown(tmp_path: Path) -> None:
    async def flow() -> None:
        async with monitor(tmp_path / "home") as (app, screen, pilot):
            assert screen._timer is not None
            assert screen._timer._active.is_set()
            await pilot.press("f5")
            await until(pilot, lambda: app.screen is not screen)
            assert not screen._timer._active.is_set()
            await pilot.press("f6")
            await until(pilot, lambda: app.screen is screen)
            assert screen._timer._active.is_set()

    asyncio.run(flow())


@pytest.mark.parametrize("size", [(60, 20), (20, 5), (160, 50)])
def test_every_size_of_terminal_will_do(tmp_path: Path, size: tuple[int, int]) -> None:
    async def flow() -> None:
        async with monitor(tmp_path / "home", size) as (_, screen, pilot):
            charts = screen.query_one(Charts)
            await until(pilot, lambda: charts.size.width > 0)
            lines = picture(screen).split("\n")
            assert len(lines) <= max(charts.size.height, 1)
            assert all(len(line) <= charts.size.width for line in lines)
            if size == (160, 50):
                assert "first token" in picture(screen)

    asyncio.run(flow())


def test_loaded_models_and_the_mend_of_a_server_that_is_down_are_told() -> None:
    model = LoadedModelUse(name="qwen3", size=5_000_000_000, gpu_percent=80.0, context_window=8192)
    well = machine_words(
        replace(STATS, backend=replace(STATS.backend, loaded_models=(model,))), None
    )
    down = BackendState(name="ollama", status="degraded", detail="it is gone", fix="ollama serve")
    ill = machine_words(replace(STATS, backend=down, warnings=("the disk is full",)), None)

    assert "5.0 GB, 80 % on GPU, window 8,192" in well.plain
    assert "20.0 tokens/s, 0.7 s to the first" in well.plain
    assert "✓ runs for 2h" in well.plain
    assert ill.plain.startswith("! the disk is full")
    assert "try: ollama serve" in ill.plain


def test_the_report_has_its_own_part() -> None:
    report = write_report("2026-01-01T00:00:00Z", [], [], [])

    assert "nothing happened" in machine_words(STATS, report).plain
