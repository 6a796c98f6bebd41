"""The machine and the models: charts, and in words what is loaded, wrong, and was done."""

import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, TypeAlias

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from agentctl.core.automation.measurements import MinuteAverages, SystemStats
from agentctl.core.automation.report import Report, write_report
from agentctl.render.charts import Series, history_series, live_series
from agentctl.tui.frame import Frame
from agentctl.tui.machine_words import machine_words
from agentctl.tui.widgets.chart import Charts

Span: TypeAlias = Literal["live", "hour", "day"]
_SECONDS: dict[Span, float] = {"live": 120.0, "hour": 3600.0, "day": 86_400.0}
_EVERY_S = 2.0
_KEPT = 150
# Seconds between two looks at stored averages, of which there is one a minute.
_HISTORY_S = 30.0
_REPORT = timedelta(days=1)
_NO_HISTORY = "Nothing was measured then. The daemon measures: agentctl daemon start"


class MonitorScreen(Frame):
    """Measures while it is shown, and not otherwise."""

    place = "monitor"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (116, "-wide")]  # noqa: RUF012 - Textual's type
    help_text = """
1: live, every two seconds
2: the last hour
3: the last day, as the daemon measured it
up, down: read on in the text"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "span('live')", "Live", id="monitor.live"),
        Binding("2", "span('hour')", "Last hour", id="monitor.hour"),
        Binding("3", "span('day')", "Last day", id="monitor.day"),
    ]
    DEFAULT_CSS = """
    MonitorScreen #panes { height: 1fr; padding: 0 1; }
    MonitorScreen Charts { height: 1fr; }
    MonitorScreen #words { height: 45%; margin-top: 1; scrollbar-size-vertical: 1; }
    MonitorScreen #words:focus { background: $surface; }
    MonitorScreen #text { height: auto; }
    MonitorScreen.-wide #panes { layout: horizontal; }
    MonitorScreen.-wide Charts { width: 1fr; height: 1fr; }
    MonitorScreen.-wide #words { width: 46; height: 1fr; margin: 0 0 0 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._samples: deque[tuple[float, SystemStats]] = deque(maxlen=_KEPT)
        self._rows: list[MinuteAverages] = []
        self._read_at = 0.0
        self._report: Report | None = None
        self._timer: Timer | None = None
        self.span: Span = "live"

    def body(self) -> ComposeResult:
        with Container(id="panes"):
            yield Charts(id="charts")
            with VerticalScroll(id="words"):
                yield Static("Measuring…", id="text", markup=False)

    def on_mount(self) -> None:
        self._timer = self.set_interval(_EVERY_S, self._tick)
        self.query_one("#words").focus()

    def on_screen_resume(self) -> None:
        if self._timer is not None:
            self._timer.resume()

    def on_screen_suspend(self) -> None:
        if self._timer is not None:
            self._timer.pause()

    async def refresh_data(self) -> None:
        """What others stored changes the words; the charts have a clock of their own."""
        since = (datetime.now(UTC) - _REPORT).isoformat(timespec="milliseconds")
        since = since.replace("+00:00", "Z")
        workspace = self.workspace
        self._report = write_report(
            since,
            await workspace.journal(since),
            [run for run in await workspace.task_history(limit=200) if run.started >= since],
            await workspace.list_runs(50),
        )
        if self._samples:
            self._show()
        else:
            await self._measure()

    def _tick(self) -> None:
        if self.dashboard.link.is_open:
            self.dashboard.attempt(self._measure(), group="refresh-machine")

    async def _measure(self) -> None:
        if self.span != "live" and time.monotonic() - self._read_at > _HISTORY_S:
            await self._read_history()
        stats = await self.workspace.measure()
        self._samples.append((time.monotonic(), stats))
        self._show()

    async def _read_history(self) -> None:
        self._rows = await self.workspace.measurements(_SECONDS[self.span])
        self._read_at = time.monotonic()

    def _show(self) -> None:
        if not self._samples:
            return
        charts = self.query_one(Charts)
        span_s = _SECONDS[self.span]
        if self.span == "live":
            charts.show(_with_latency(live_series(self._samples), self._samples), span_s)
        else:
            charts.show([*history_series(self._rows), *_latency(self._rows)], span_s)
        words = machine_words(self._samples[-1][1], self._report)
        if self.span != "live" and not self._rows:
            words = Content(f"{_NO_HISTORY}\n\n") + words
        self.query_one("#text", Static).update(words)

    def action_span(self, span: Span) -> None:
        async def change() -> None:
            self.span = span
            if span != "live":
                await self._read_history()
            self._show()

        self.dashboard.attempt(change())

    def commands(self) -> Iterable[SystemCommand]:
        names: dict[Span, str] = {"live": "Live", "hour": "The last hour", "day": "The last day"}
        for key, (span, name) in enumerate(names.items(), 1):
            yield SystemCommand(
                f"Charts: {name}", f"Key {key}", lambda span=span: self.action_span(span)
            )


def _with_latency(
    series: list[Series], samples: Iterable[tuple[float, SystemStats]]
) -> list[Series]:
    looks = [*samples]
    newest = looks[-1][0]
    points = tuple((at - newest, each.speed.ttft_s) for at, each in looks if each.speed)
    return [*series, Series(title="first token", points=points, unit=" s", top=None)]


def _latency(rows: list[MinuteAverages]) -> list[Series]:
    newest = rows[-1].minute if rows else 0
    points = tuple(
        (float(row.minute - newest), row.ttft_s) for row in rows if row.ttft_s is not None
    )
    return [Series(title="first token", points=points, unit=" s", top=None)] if rows else []
