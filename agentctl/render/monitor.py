"""What the machine and the models do: as fields, as one line, as a screen of charts."""

import asyncio
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from agentctl.core.automation.measurements import (
    Amount,
    BackendState,
    GpuUse,
    MinuteAverages,
    SystemStats,
)
from agentctl.render.charts import ago, grid, history_series, live_series
from agentctl.render.output import Output, human_size, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

_KEY_EVERY_S = 0.1
_KEPT = 150
_FOOTER = "q quits"
_HISTORY = (
    "minute",
    "cpu %",
    "memory %",
    "disk %",
    "gpu %",
    "received B/s",
    "sent B/s",
    "tokens/s",
)


def fields(stats: SystemStats) -> dict[str, str]:
    """Everything that was measured, for people."""
    load = " ".join(f"{each:.2f}" for each in stats.load)
    network = stats.network
    speed = stats.speed
    found = {
        "cpu": f"{stats.cpu_percent:.1f} %, load {load}",
        "memory": _amount(stats.memory),
        "disk": _amount(stats.disk),
        "network": f"{human_size(round(network.received_per_s))}/s in, "
        f"{human_size(round(network.sent_per_s))}/s out",
        **{f"gpu {number}": _gpu(gpu) for number, gpu in enumerate(stats.gpus)},
        "server": backend_line(stats.backend),
        "answers": f"{speed.tokens_per_s:.1f} tokens/s, {speed.ttft_s:.1f} s to the first"
        f" (last {speed.answers})"
        if speed
        else "none in the last hour",
        "knowledge": f"{stats.knowledge.documents} documents, {stats.knowledge.chunks} chunks",
        "daemon": stats.daemon.status
        + (f" for {ago(stats.daemon.uptime_s)}" if stats.daemon.uptime_s else ""),
        "process": f"{human_size(stats.process.rss)}, {stats.process.cpu_percent:.1f} %",
    }
    if stats.backend.fix:
        found["fix"] = stats.backend.fix
    return found


def one_line(stats: SystemStats) -> str:
    """The same in short, for a pipe: names and values, parted by spaces."""
    values = {
        "cpu": f"{stats.cpu_percent:.1f}",
        "memory": f"{stats.memory.percent:.1f}",
        "disk": f"{stats.disk.percent:.1f}",
        **{f"gpu{number}": f"{gpu.util_percent:.0f}" for number, gpu in enumerate(stats.gpus)},
        "received": f"{stats.network.received_per_s:.0f}",
        "sent": f"{stats.network.sent_per_s:.0f}",
        **({"tokens_per_s": f"{stats.speed.tokens_per_s:.1f}"} if stats.speed else {}),
        stats.backend.name: stats.backend.status,
    }
    return " ".join([f"{stats.time[:19]}Z", *(f"{name}={value}" for name, value in values.items())])


def backend_line(state: BackendState) -> str:
    """The model server: how it is, and what it holds or lacks."""
    models = ", ".join(
        f"{model.name} ({human_size(model.size)}, {model.gpu_percent:.0f}% GPU)"
        for model in state.loaded_models
    )
    more = state.detail or models or ("no model in memory" if state.status == "healthy" else "")
    return f"{state.name} {state.status}" + (f": {more}" if more else "")


def show_once(output: Output, stats: SystemStats) -> None:
    if output.form == "json":
        output.data(stats)
        return
    output.fields(fields(stats))
    for warning in stats.warnings:
        output.warning(warning)


def show_history(output: Output, rows: Sequence[MinuteAverages], seconds: float) -> None:
    """Charts on a terminal, else a line a minute."""
    if output.form == "json":
        output.data(rows)
        return
    if not rows:
        output.note("nothing was measured then; the daemon measures: agentctl daemon start")
    if not output.is_rich:
        output.table(_HISTORY, map(_history_row, rows))
        return
    console = output.console()
    width, height = console.size
    lines = grid(
        history_series(rows), width, height - 2, span_s=seconds, colour=_has_colour(console)
    )
    _print_lines(console, lines)


def screen(
    samples: Sequence[tuple[float, SystemStats]], width: int, height: int, *, colour: bool
) -> list[str]:
    """The live view: what words tell, then charts, then the keys; `height` lines at most."""
    _, stats = samples[-1]
    words = [
        f"{stats.time[11:19]}  memory {_amount(stats.memory)}  disk {stats.disk.percent:.0f} %"
        f"  load {stats.load[0]:.2f}",
        f"{backend_line(stats.backend)}  daemon {stats.daemon.status}",
        *([f"  try: {stats.backend.fix}"] if stats.backend.fix else []),
        *(f"warning: {warning}" for warning in stats.warnings),
    ]
    head = [printable(line)[:width] for line in words][: max(1, height - 1)]
    span_s = max(60.0, samples[-1][0] - samples[0][0])
    left = height - len(head) - 1
    charts = grid(live_series(samples), width, left, span_s=span_s, colour=colour)
    return [*head, *charts, _FOOTER][:height]


class LiveScreen:
    """The charts on the whole terminal, which is given back as it was."""

    def __init__(self, output: Output) -> None:
        self._console = output.console()
        self._samples: deque[tuple[float, SystemStats]] = deque(maxlen=_KEPT)
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, time_s: float, stats: SystemStats) -> None:
        """Draws with one measurement more, at a time in seconds, to the terminal as it is now."""
        from rich.text import Text

        self._samples.append((time_s, stats))
        width, height = self._console.size
        lines = screen(self._samples, width, height, colour=_has_colour(self._console))
        if self._live is not None:
            self._live.update(Text.from_ansi("\n".join(lines), no_wrap=True), refresh=True)


@contextmanager
def single_keys() -> Iterator[None]:
    """Keys arrive as they are pressed and are not shown; Ctrl+C stays a signal."""
    if sys.platform == "win32" or not sys.stdin.isatty():
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)


async def quits_within(seconds: float) -> bool:
    """Whether q is pressed in the next so many seconds; at once when it is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        if "q" in _pressed().lower():
            return True
        await asyncio.sleep(min(_KEY_EVERY_S, max(0.0, deadline - loop.time())))
    return False


def _pressed() -> str:
    """What was typed since the last look, without waiting; nothing where nobody can type."""
    if not sys.stdin.isatty():
        return ""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch() if msvcrt.kbhit() else ""
    import select

    ready, _, _ = select.select([sys.stdin], [], [], 0)
    return os.read(sys.stdin.fileno(), 64).decode(errors="replace") if ready else ""


def _print_lines(console: "Console", lines: Sequence[str]) -> None:
    from rich.text import Text

    for line in lines:
        console.print(Text.from_ansi(line, no_wrap=True))


def _history_row(row: MinuteAverages) -> tuple[str, ...]:
    from datetime import UTC, datetime

    told = (
        row.cpu_percent,
        row.memory_percent,
        row.disk_percent,
        row.gpu_percent,
        row.received_per_s,
        row.sent_per_s,
        row.tokens_per_s,
    )
    minute = datetime.fromtimestamp(row.minute, UTC).strftime("%Y-%m-%dT%H:%MZ")
    return (minute, *("-" if value is None else f"{value:.1f}" for value in told))


def _amount(amount: Amount) -> str:
    return f"{human_size(amount.used)} of {human_size(amount.total)}, {amount.percent:.0f} %"


def _gpu(gpu: GpuUse) -> str:
    heat = f", {gpu.temperature:.0f} °C" if gpu.temperature is not None else ""
    memory = f"{human_size(gpu.memory_used)} of {human_size(gpu.memory_total)}"
    return f"{gpu.name}: {gpu.util_percent:.0f} %, {memory}{heat}"


def _has_colour(console: "Console") -> bool:
    return console.color_system is not None and not console.no_color
