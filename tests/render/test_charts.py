"""Charts fit the place they are given, and show what was measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.recorder import average
from agentctl.render.charts import Series, ago, chart, grid, history_series, live_series, short
from tests.support.measured import gpu, stats

STEADY = Series(title="CPU", points=tuple((float(second), 50.0) for second in range(-60, 1, 2)))


def plain(series: Series, width: int = 40, height: int = 8) -> list[str]:
    return chart(series, width, height, span_s=60, colour=False)


def has_dots(line: str) -> bool:
    return any("\u2801" <= character <= "\u28ff" for character in line)


def test_a_chart_has_the_newest_value_a_scale_and_a_line() -> None:
    lines = plain(STEADY)

    assert lines[0].rstrip() == "CPU 50 %"
    assert lines[1].startswith(" 100")
    assert lines[-2].startswith("   0")
    assert lines[-1].split() == ["-60s", "now"]
    assert has_dots(lines[3] + lines[4])


@given(
    st.lists(st.floats(0, 1e12), max_size=30),
    st.integers(24, 200),
    st.integers(4, 40),
    st.booleans(),
)
def test_a_chart_fills_its_place_whatever_it_shows(
    values: list[float], width: int, height: int, has_top: bool
) -> None:
    points = tuple((float(-index), value) for index, value in enumerate(values))[::-1]
    series = Series(title="x" * 300, points=points, top=100.0 if has_top else None)

    lines = chart(series, width, height, span_s=60, colour=False)

    assert [len(line) for line in lines] == [width] * height


def test_without_colour_there_is_no_escape() -> None:
    assert "\x1b" not in "".join(plain(STEADY))
    assert "\x1b" in "".join(chart(STEADY, 40, 8, span_s=60, colour=True))


def test_nothing_measured_is_an_empty_chart() -> None:
    lines = plain(Series(title="answers", points=()))

    assert lines[0].rstrip() == "answers -"
    assert not has_dots("".join(lines))


def test_a_scale_without_a_top_ends_above_the_highest_value() -> None:
    lines = plain(replace(STEADY, points=((-10.0, 2000.0), (0.0, 1000.0)), top=None))

    assert lines[0].rstrip() == "CPU 1k %"
    assert lines[1].startswith("2.2k")


def test_no_line_is_drawn_over_a_time_when_nobody_measured() -> None:
    with_gap = tuple(point for point in STEADY.points if not -50 < point[0] < -10)

    lines = plain(replace(STEADY, points=with_gap), width=64)

    assert not any(has_dots(line[20:45]) for line in lines)
    assert any(has_dots(line[4:12]) for line in lines)


# Several


def test_four_charts_stand_in_two_columns() -> None:
    lines = grid([STEADY] * 4, 80, 20, span_s=60, colour=False)

    assert [len(line) for line in lines] == [80] * 20
    assert lines[0].split() == ["CPU", "50", "%", "CPU", "50", "%"]


def test_a_narrow_place_has_one_column_with_as_many_charts_as_fit() -> None:
    lines = grid([STEADY] * 4, 30, 9, span_s=60, colour=False)

    assert sum("CPU" in line for line in lines) == 2
    assert len(lines) <= 9


@pytest.mark.parametrize(("width", "height"), [(10, 20), (80, 3)])
def test_a_place_too_small_for_a_chart_has_none(width: int, height: int) -> None:
    assert grid([STEADY], width, height, span_s=60, colour=False) == []


def test_an_odd_number_of_charts_leaves_a_place_free() -> None:
    lines = grid([STEADY] * 3, 80, 20, span_s=60, colour=False)

    assert [len(line) for line in lines] == [80] * 20


# What is shown


def test_the_network_gives_its_place_to_a_gpu() -> None:
    with_gpu = stats(2, gpus=(gpu(30), gpu(70)))

    titles = [each.title for each in live_series([(0.0, stats()), (2.0, stats(2))])]
    series = live_series([(0.0, stats()), (2.0, with_gpu)])

    assert titles == ["CPU", "memory", "network in", "answers"]
    assert [each.title for each in series] == ["CPU", "memory", "GPU", "answers"]
    assert series[2].points == ((0.0, 70.0),)


def test_the_newest_measurement_is_now() -> None:
    cpu = live_series([(100.0, stats()), (102.0, stats(2, cpu_percent=30.0))])[0]

    assert cpu.points == ((-2.0, 20.0), (0.0, 30.0))


def test_stored_averages_are_shown_alike() -> None:
    rows = [average([stats(0)]), average([stats(60, speed=None)])]

    cpu, _, network, answers = history_series(rows)

    assert cpu.points == ((-60.0, 20.0), (0.0, 20.0))
    assert network.points == ((-60.0, 2.0), (0.0, 2.0))
    assert answers.points == ((-60.0, 30.0),)


def test_nothing_measured_has_no_charts() -> None:
    assert live_series([]) == history_series([]) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (7.54, "7.5"), (42.4, "42"), (999.6, "1.0k"), (34_600_000, "35M"), (5e12, "5T")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45s"), (300, "5m"), (7200, "2h"), (86_400, "24h"), (864_000, "10d")]
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert ago(seconds) == text
