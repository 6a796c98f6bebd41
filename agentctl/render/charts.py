"""Charts as text: from measured values to lines that fill a place of a given size."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from agentctl.core.automation.measurements import MinuteAverages, SystemStats

Points: TypeAlias = tuple[tuple[float, float], ...]

LEAST_WIDTH = 24
LEAST_HEIGHT = 4
_TWO_COLUMNS = 2 * LEAST_WIDTH + 2
_BOLD = "\x1b[1m{}\x1b[0m"
_KILOBYTE = 1000
# Points further apart than so many times the usual distance are not joined: nobody measured there.
_GAP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One line of a chart: points of seconds (the newest at most 0) and value, in order of time.

    `top` is the end of the scale, which begins at 0; None ends it above the highest value.
    """

    title: str
    points: Points
    unit: str = " %"
    top: float | None = 100.0


def live_series(samples: Sequence[tuple[float, SystemStats]]) -> list[Series]:
    """What is worth watching, of measurements with their times in seconds, the oldest first."""
    if not samples:
        return []
    newest = samples[-1][0]

    def points(value: Callable[[SystemStats], float | None]) -> Points:
        return _points((time - newest, value(stats)) for time, stats in samples)

    has_gpu = any(stats.gpus for _, stats in samples)
    return _chosen(
        cpu=points(lambda each: each.cpu_percent),
        memory=points(lambda each: each.memory.percent),
        gpu=points(_busiest) if has_gpu else (),
        received=points(lambda each: each.network.received_per_s / _KILOBYTE),
        speed=points(lambda each: each.speed.tokens_per_s if each.speed else None),
    )


def history_series(rows: Sequence[MinuteAverages]) -> list[Series]:
    """The same of stored averages, the oldest first."""
    if not rows:
        return []
    newest = rows[-1].minute

    def points(value: Callable[[MinuteAverages], float | None]) -> Points:
        return _points((row.minute - newest, value(row)) for row in rows)

    return _chosen(
        cpu=points(lambda row: row.cpu_percent),
        memory=points(lambda row: row.memory_percent),
        gpu=points(lambda row: row.gpu_percent),
        received=points(lambda row: row.received_per_s / _KILOBYTE),
        speed=points(lambda row: row.tokens_per_s),
    )


def grid(
    series: Sequence[Series], width: int, height: int, *, span_s: float, colour: bool
) -> list[str]:
    """As many charts as fit, in one or two columns; at most `height` lines of `width` cells."""
    columns = 2 if width >= _TWO_COLUMNS and len(series) > 1 else 1
    rows = min(-(-len(series) // columns), height // LEAST_HEIGHT)
    if rows == 0 or width < LEAST_WIDTH:
        return []
    shown = series[: rows * columns]
    each_width = (width - 2 * (columns - 1)) // columns
    charts = [
        chart(each, each_width, height // rows, span_s=span_s, colour=colour) for each in shown
    ]
    if len(charts) % columns:
        charts.append([" " * each_width] * len(charts[0]))
    lines: list[str] = []
    for first in range(0, len(charts), columns):
        beside = charts[first : first + columns]
        lines += ["  ".join(parts) for parts in zip(*beside, strict=True)]
    return lines


def chart(series: Series, width: int, height: int, *, span_s: float, colour: bool) -> list[str]:
    """`height` lines of `width` cells, the first of them the title with the newest value.

    The scale of time ends at 0 and begins `span_s` seconds before.
    """
    points = [point for point in series.points if -span_s <= point[0] <= 0]
    value = f"{short(points[-1][1])}{series.unit}" if points else "-"
    title = f"{series.title} {value}"[:width].ljust(width)
    return [
        _BOLD.format(title) if colour else title,
        *_plot(points, series.top, width, height - 1, span_s, colour=colour),
    ]


def short(value: float) -> str:
    """At most five characters: 7.5, 42, 1.2k, 35M."""
    for unit in ("", "k", "M", "G"):
        if value < 999.5:
            return (
                f"{value:.0f}{unit}" if value >= 10 or value == int(value) else f"{value:.1f}{unit}"
            )
        value /= 1000
    return f"{value:.0f}T"


def ago(seconds: float) -> str:
    """`45s`, `30m`, `12h` or `2d`."""
    for unit, length in (("d", 172_800), ("h", 7200), ("m", 120)):
        if seconds >= length:
            return f"{round(seconds / {'d': 86_400, 'h': 3600, 'm': 60}[unit])}{unit}"
    return f"{round(seconds)}s"


def _plot(
    points: Sequence[tuple[float, float]],
    top: float | None,
    width: int,
    height: int,
    span_s: float,
    *,
    colour: bool,
) -> list[str]:
    import plotext  # type: ignore[import-untyped]  # it ships no types

    highest = top or max([1.0, *(1.1 * value for _, value in points)])
    # Its size is ours to know: the charts may be part of a larger screen.
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear.all()
    figure.plot_size(width, height)
    figure.theme("simple")
    figure.axes(False)
    figure.ruler("y").lim(0, highest)
    labels = [each.rjust(4) for each in ("0", short(highest))]
    figure.ruler("y").ticks([0, highest], labels)
    figure.ruler("x").lim(-span_s, 0)
    figure.ruler("x").ticks([-span_s, 0], [f"-{ago(span_s)}", "now"])
    if points:
        # What leaves the scale would be drawn far outside, where plotext's native code crashes.
        inside = [(time, min(max(value, 0.0), highest)) for time, value in points]
        signal = figure.signal(*zip(*inside, strict=True), marker="braille").lines()
        for index in _gaps(points):
            signal.line(index, False)
        figure.draw(signal)
    text: str = figure.build().string(colorless=not colour)
    return text.rstrip("\n").split("\n")


def _gaps(points: Sequence[tuple[float, float]]) -> list[int]:
    """The points that are not joined to the one before."""
    steps = [later[0] - earlier[0] for earlier, later in pairwise(points)]
    if not steps:
        return []
    usual = sorted(steps)[len(steps) // 2]
    return [index for index, step in enumerate(steps, 1) if step > _GAP * usual]


def _chosen(
    *, cpu: Points, memory: Points, gpu: Points, received: Points, speed: Points
) -> list[Series]:
    """Four charts: the network gives its place to a GPU."""
    fourth = (
        Series(title="GPU", points=gpu)
        if gpu
        else Series(title="network in", points=received, unit=" kB/s", top=None)
    )
    return [
        Series(title="CPU", points=cpu),
        Series(title="memory", points=memory),
        fourth,
        Series(title="answers", points=speed, unit=" tokens/s", top=None),
    ]


def _points(values: Iterable[tuple[float, float | None]]) -> Points:
    return tuple((time, value) for time, value in values if value is not None)


def _busiest(stats: SystemStats) -> float | None:
    return max((gpu.util_percent for gpu in stats.gpus), default=None)
