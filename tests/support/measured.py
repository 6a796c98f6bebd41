"""Measurements as values, for tests of what is done with them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agentctl.core.automation.measurements import (
    Amount,
    BackendState,
    DaemonUse,
    GpuUse,
    KnowledgeSize,
    NetworkRate,
    ProcessUse,
    Speed,
    SystemStats,
)

START = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def time_text(seconds: float) -> str:
    """So many seconds after the start."""
    moment = START + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def amount(percent: float) -> Amount:
    return Amount(used=round(percent * 10**8), total=10**10, percent=percent)


def gpu(util: float = 50.0, memory: float = 50.0) -> GpuUse:
    return GpuUse(
        name="a GPU",
        util_percent=util,
        memory_used=round(memory * 10**8),
        memory_total=10**10,
        temperature=60.0,
    )


def stats(seconds: float = 0, memory: float = 40.0, **changes: object) -> SystemStats:
    """A machine that does little, so many seconds after the start."""
    calm = SystemStats(
        time=time_text(seconds),
        cpu_percent=20.0,
        load=(0.5, 0.4, 0.3),
        memory=amount(memory),
        disk=amount(60.0),
        network=NetworkRate(sent_per_s=1000.0, received_per_s=2000.0),
        gpus=(),
        process=ProcessUse(rss=50_000_000, cpu_percent=1.0),
        backend=BackendState(name="ollama", status="healthy"),
        speed=Speed(tokens_per_s=30.0, ttft_s=0.5, answers=3),
        daemon=DaemonUse(status="running", uptime_s=7200.0),
        knowledge=KnowledgeSize(documents=12, chunks=340),
    )
    return replace(calm, **changes)  # type: ignore[arg-type]  # of any field's type
