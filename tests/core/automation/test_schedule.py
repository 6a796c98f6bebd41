"""Schedules as people write them, the times they stand for, and their words."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.schedule import (
    cron,
    explain,
    interval,
    next_time,
    next_times,
    once,
)
from agentctl.core.automation.tasks import Trigger
from agentctl.core.automation.time_words import duration_s, duration_words
from agentctl.core.errors import UsageProblem

BERLIN = "Europe/Berlin"
# A Thursday; 09:00 in Berlin.
NOW = datetime(2026, 11, 26, 8, 0, 30, tzinfo=UTC)


def times(trigger: Trigger, count: int = 3) -> list[str]:
    return [f"{each:%a %Y-%m-%d %H:%M}" for each in islice(next_times(trigger, NOW), count)]


def meant(text: str) -> str:
    """The moment as a clock in Berlin shows it."""
    return explain(once(text, NOW, BERLIN)).removeprefix("once, ").removesuffix(f" ({BERLIN})")


# Cron


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["Thu 2026-11-26 08:20", "Thu 2026-11-26 08:40", "Thu 2026-11-26 09:00"]),
        ("@daily", ["Fri 2026-11-27 00:00", "Sat 2026-11-28 00:00", "Sun 2026-11-29 00:00"]),
        (
            "0 9 * * mon-fri",
            ["Thu 2026-11-26 09:00", "Fri 2026-11-27 09:00", "Mon 2026-11-30 09:00"],
        ),
        (
            "0 9 * * FRI-Sun",
            ["Fri 2026-11-27 09:00", "Sat 2026-11-28 09:00", "Sun 2026-11-29 09:00"],
        ),
        (
            "15,45 8-9 * * *",
            ["Thu 2026-11-26 08:15", "Thu 2026-11-26 08:45", "Thu 2026-11-26 09:15"],
        ),
        (
            "0 0-23/12 * * *",
            ["Thu 2026-11-26 12:00", "Fri 2026-11-27 00:00", "Fri 2026-11-27 12:00"],
        ),
        (
            "0 0 1 jan,Jul *",
            ["Fri 2027-01-01 00:00", "Thu 2027-07-01 00:00", "Sat 2028-01-01 00:00"],
        ),
        ("0 0 31 * *", ["Thu 2026-12-31 00:00", "Sun 2027-01-31 00:00", "Wed 2027-03-31 00:00"]),
    ],
)
def test_a_cron_expression_is_due(expression: str, expected: list[str]) -> None:
    assert times(cron(expression, "UTC")) == expected


@pytest.mark.parametrize("sunday", ["0", "7", "sun", "SUN"])
def test_sunday_is_0_and_7(sunday: str) -> None:
    assert times(cron(f"0 9 * * {sunday}", "UTC"), 1) == ["Sun 2026-11-29 09:00"]


def test_of_two_restricted_days_either_will_do() -> None:
    assert times(cron("0 0 27 * sat", "UTC")) == [
        "Fri 2026-11-27 00:00",
        "Sat 2026-11-28 00:00",
        "Sat 2026-12-05 00:00",
    ]


def test_a_day_that_begins_with_a_star_must_fit_too() -> None:
    assert times(cron("0 0 */10 * mon", "UTC"), 2) == [
        "Mon 2026-12-21 00:00",
        "Mon 2027-01-11 00:00",
    ]


def test_the_clock_hangs_in_a_time_zone() -> None:
    assert times(cron("0 9 * * *", "Asia/Kathmandu"), 1) == ["Fri 2026-11-27 03:15"]


@pytest.mark.parametrize(
    ("expression", "message", "hint"),
    [
        ("", "the cron expression is empty", "five fields"),
        ("0 9 * *", "'0 9 * *' has 4 fields instead of five", "five fields"),
        ("0 0 9 * * 1", "has six fields: cron has no seconds", '--cron "0 9 * * 1"'),
        ("60 * * * *", "'60' is no minute of a cron expression: it takes 0 to 59", "five fields"),
        ("0 24 * * *", "'24' is no hour", "five fields"),
        ("0 0 0 * *", "'0' is no day of the month", "five fields"),
        ("0 0 * 13 *", "'13' is no month of a cron expression: it takes 1 to 12 or jan to dec", ""),
        ("0 0 * * 8", "'8' is no day of the week of a cron expression: it takes 0 to 7", ""),
        ("0 0 L * *", "'L' is no day of the month", ""),
        ("0 0 * * 1#2", "'1#2' is no day of the week", ""),
        ("0 22-2 * * *", "'22-2' is no hour", 'write "22-23,0-2"'),
        ("5/15 * * * *", "'5/15' is no minute", 'write "5-59/15"'),
        ("*/90 * * * *", "'90' is no step of the minute", "--every 90m"),
        ("*/0 * * * *", "'0' is no step of the minute", ""),
        ("1,,2 * * * *", "'' is no minute", ""),
        ("@reboot", "no cron shorthand '@reboot'", "@hourly"),
        ("0 0 31 2 *", "is never due: February has no day 31", '--cron "0 0 29 2 *"'),
        ("0 0 31 4,6 *", "is never due: April, June has no day 31", ""),
    ],
)
def test_a_wrong_cron_expression_is_refused_with_the_mend(
    expression: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageProblem) as raised:
        cron(expression, "UTC")

    assert message in raised.value.message
    assert hint in raised.value.hint


@given(st.text("0123456789*/-,@ ?LW#monjan\x00é٣", max_size=20))
def test_any_other_text_is_refused_or_due(text: str) -> None:
    try:
        trigger = cron(text, "UTC")
    except UsageProblem as problem:
        assert problem.hint
    else:
        assert next_time(trigger, NOW) is not None
        assert explain(trigger)


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "Europe", "../etc", "/etc/localtime", "", "é\x00"]
)
def test_an_unknown_time_zone_is_refused_with_the_nearest(name: str) -> None:
    with pytest.raises(UsageProblem, match="no time zone") as raised:
        cron("@daily", name)

    assert raised.value.hint.startswith("--timezone ")


# Intervals


@pytest.mark.parametrize(
    ("text", "seconds", "words"),
    [
        ("10m", 600, "every 10 minutes"),
        ("90s", 90, "every 1 minute 30 seconds"),
        ("1h30m", 5400, "every 1 hour 30 minutes"),
        ("1.5 hours", 5400, "every 1 hour 30 minutes"),
        ("2 hours", 7200, "every 2 hours"),
        ("day", 86400, "every day"),
        ("every 2 days and 3 hours", 183600, "every 2 days 3 hours"),
        (" 1 W ", 604800, "every week"),
    ],
)
def test_an_interval(text: str, seconds: int, words: str) -> None:
    trigger = interval(text)

    assert (trigger.expression, explain(trigger)) == (str(seconds), words)
    step = timedelta(seconds=seconds)
    assert [*islice(next_times(trigger, NOW), 2)] == [NOW + step, NOW + 2 * step]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5s", "too short"),
        ("400 days", "more than 366 days"),
        ("10", "no unit"),
        ("", "no length of time"),
        ("-5m", "no length of time"),
        ("month", "no length of time"),
        ("10m foo", "no length of time"),
        ("1.m", "no length of time"),
    ],
)
def test_a_wrong_interval_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageProblem, match=message):
        interval(text)


@given(st.integers(10, 366 * 86400))
def test_the_words_of_an_interval_are_understood_again(seconds: int) -> None:
    assert duration_s(duration_words(seconds)) == seconds
    assert interval(duration_words(seconds)).expression == str(seconds)


# Once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tomorrow 09:00", "Fri 27 Nov 2026 09:00"),
        ("Tomorrow at 9am", "Fri 27 Nov 2026 09:00"),
        ("today 18:30", "Thu 26 Nov 2026 18:30"),
        ("18:30 today", "Thu 26 Nov 2026 18:30"),
        ("in 2 hours", "Thu 26 Nov 2026 11:00:30"),
        ("in an hour and 30 minutes", "Thu 26 Nov 2026 10:30:30"),
        ("monday 8:00", "Mon 30 Nov 2026 08:00"),
        ("thu 10:00", "Thu 26 Nov 2026 10:00"),
        ("thursday 8:00", "Thu 03 Dec 2026 08:00"),
        ("10am", "Thu 26 Nov 2026 10:00"),
        ("9am", "Fri 27 Nov 2026 09:00"),
        ("9:30 pm", "Thu 26 Nov 2026 21:30"),
        ("12 am", "Fri 27 Nov 2026 00:00"),
        ("noon", "Thu 26 Nov 2026 12:00"),
        ("midnight", "Fri 27 Nov 2026 00:00"),
        ("2026-12-24 18:00", "Thu 24 Dec 2026 18:00"),
        ("2026-12-24T18:00:05", "Thu 24 Dec 2026 18:00:05"),
        ("2026-12-24T18:00+05:45", "Thu 24 Dec 2026 13:15"),
        ("2026-12-24T18:00Z", "Thu 24 Dec 2026 19:00"),
    ],
)
def test_a_moment(text: str, expected: str) -> None:
    assert meant(text) == expected


def test_a_moment_is_kept_in_utc_and_due_once() -> None:
    trigger = once("2026-12-24 18:00", NOW, BERLIN)

    assert trigger == Trigger(kind="once", expression="2026-12-24T17:00:00Z", timezone=BERLIN)
    due = datetime(2026, 12, 24, 17, tzinfo=UTC)
    assert [*next_times(trigger, NOW)] == [due]
    assert next_time(trigger, due) is None


def test_a_moment_that_the_clocks_jump_over_is_the_one_behind_the_gap() -> None:
    assert meant("2027-03-28 02:30") == "Sun 28 Mar 2027 03:00"


def test_of_a_moment_that_comes_twice_the_first_is_meant() -> None:
    assert once("2027-10-31 02:30", NOW, BERLIN).expression == "2027-10-31T00:30:00Z"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("today 7:00", "'today 7:00' has passed", '"tomorrow 09:00"'),
        ("2020-01-01 09:00", "has passed", ""),
        ("2020-01-01T09:00Z", "has passed", ""),
        ("tomorrow", "names no time of day", '"tomorrow 09:00"'),
        ("2026-12-24", "names no time of day", '"2026-12-24 09:00"'),
        ("2020-01-01", "names no time of day", '"tomorrow 09:00"'),
        ("in 3", "has no unit", '"in 3 minutes"'),
        ("in a while", "no length of time", ""),
        ("9", "no time that is understood", ""),
        ("25:00", "no time that is understood", ""),
        ("13pm", "no time that is understood", ""),
        ("2026-02-30 09:00", "no time that is understood", ""),
        ("9999-12-31T23:59Z", "no time that is understood", ""),
        ("0001-01-01 00:00", "no time that is understood", ""),
        ("in 999999999 weeks", "no time that is understood", ""),
    ],
)
def test_a_wrong_moment_is_refused_with_the_mend(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        once(text, NOW, BERLIN)

    assert message in raised.value.message
    assert hint in raised.value.hint


@given(st.text("0123456789:- TZamptodywkin\x00é٣", max_size=20))
def test_any_other_moment_is_refused_or_lies_ahead(text: str) -> None:
    try:
        trigger = once(text, NOW, BERLIN)
    except UsageProblem as problem:
        assert problem.hint
    else:
        assert all(moment > NOW for moment in next_times(trigger, NOW))


# Words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/10 * * * *", "every 10 minutes"),
        ("*/7 * * * *", "every hour at minutes 0, 7, 14, 21, 28, 35, 42, 49, 56"),
        ("@hourly", "every hour"),
        ("15 * * * *", "every hour at minute 15"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 3 * * *", "every day at 03:00"),
        ("30 */12 * * *", "every day at 00:30, 12:30"),
        ("0 9,17 * * mon-fri", "Monday to Friday at 09:00, 17:00"),
        ("0 9 * * 0,6", "every Saturday, Sunday at 09:00"),
        ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59, Monday to Friday"),
        ("5 1-12 * * *", "every hour from 01 to 12 at minute 5"),
        ("*/5 1,3 * * *", "every 5 minutes of the hours 1, 3"),
        ("1-50 1,3 * * *", "at minutes 1 to 50 of the hours 1, 3"),
        ("0 0 1,15 * *", "on day 1, 15 of the month at 00:00"),
        ("0 18 24 12 *", "on day 24 of December at 18:00"),
        ("0 8 * 6-8 sun", "every Sunday in June to August at 08:00"),
        ("0 * * 1 *", "every hour, every day in January"),
        ("0 0 13 * fri", "on day 13 of the month and every Friday at 00:00"),
        ("0 0 29 2 */3", "on day 29 of February if it is a Wednesday, Saturday, Sunday at 00:00"),
    ],
)
def test_a_cron_expression_in_words(expression: str, words: str) -> None:
    assert explain(cron(expression, BERLIN)) == f"{words} ({BERLIN})"


def test_a_moment_in_words() -> None:
    trigger = once("2026-12-24 18:00", NOW, BERLIN)

    assert explain(trigger) == "once, Thu 24 Dec 2026 18:00 (Europe/Berlin)"


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - st wants naive bounds
def test_times_ascend_from_any_moment_on(after: datetime) -> None:
    found = [*islice(next_times(cron("*/25 8 * * *", BERLIN), after), 5)]

    assert all(before < behind for before, behind in pairwise([after, *found]))


@pytest.mark.skipif(sys.platform == "win32", reason="TZ means nothing there")
@pytest.mark.parametrize(
    ("variable", "expected"),
    [("Asia/Tokyo", "Asia/Tokyo"), (":Asia/Tokyo", "Asia/Tokyo")],
)
def test_this_machines_time_zone_is_a_name(variable: str, expected: str) -> None:
    program = "from agentctl.core.automation.schedule import *; print(local_timezone())"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TZ": variable},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.strip() == expected
