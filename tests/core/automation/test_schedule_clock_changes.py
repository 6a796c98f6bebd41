"""Cron expressions as the clocks change: against a reference that looks at every minute."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.automation.schedule import cron, next_time, next_times

YEAR = 2027
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Field:
    """What is written, and what it stands for."""

    text: str
    values: frozenset[int]

    @property
    def is_any(self) -> bool:
        return self.text.startswith("*")


@dataclass(frozen=True)
class Expression:
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field

    @property
    def text(self) -> str:
        fields = (self.minute, self.hour, self.day, self.month, self.weekday)
        return " ".join(field.text for field in fields)

    def fits(self, local: datetime) -> bool:
        """Whether a clock on the wall that shows `local` makes it due."""
        fits_day = local.day in self.day.values
        fits_weekday = local.isoweekday() % 7 in self.weekday.values
        is_either = not (self.day.is_any or self.weekday.is_any)
        return (
            local.minute in self.minute.values
            and local.hour in self.hour.values
            and local.month in self.month.values
            and (fits_day or fits_weekday if is_either else fits_day and fits_weekday)
        )


@dataclass(frozen=True)
class Change:
    """A zone, and the first moment at which its clocks go another way."""

    zone: str
    moment: datetime


@cache
def changes() -> list[Change]:
    """Each of the year's, once for all zones that change alike."""
    found: dict[tuple[object, ...], Change] = {}
    for name in sorted(available_timezones()):
        zone = ZoneInfo(name)
        days = [datetime(YEAR, 1, 1, tzinfo=UTC) + DAY * n for n in range(366)]
        for day, following in pairwise(days):
            before, behind = (each.astimezone(zone).utcoffset() for each in (day, following))
            if before != behind:
                minutes = (day + MINUTE * n for n in range(24 * 60 + 1))
                moment = next(m for m in minutes if m.astimezone(zone).utcoffset() == behind)
                found.setdefault((moment, before, behind), Change(name, moment))
    return [*found.values()]


def reference(expression: Expression, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """When it is due after `start`, up to `end`, by looking at each minute."""
    due = []
    repeats = expression.minute.is_any or expression.hour.is_any
    moment = start.replace(second=0, microsecond=0)
    before = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    while (moment := moment + MINUTE) <= end:
        aware = moment.astimezone(ZoneInfo(zone))
        local = aware.replace(tzinfo=None)
        skipped = [before + MINUTE * n for n in range(1, (local - before) // MINUTE)]
        is_made_up = not expression.hour.is_any and any(map(expression.fits, skipped))
        is_shown = expression.fits(local) and (repeats or not aware.fold)
        if moment > start and (is_shown or is_made_up):
            due.append(moment)
        before = local
    return due


def due(text: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    return [*takewhile(lambda moment: moment <= end, next_times(cron(text, zone), start))]


def fields(lowest: int, highest: int) -> st.SearchStrategy[Field]:
    numbers = st.integers(lowest, highest)
    ranges = st.tuples(numbers, numbers, st.integers(1, highest - lowest))

    def stepped(step: int) -> Field:
        return Field(f"*/{step}", frozenset(range(lowest, highest + 1, step)))

    def ranged(parts: tuple[int, int, int]) -> Field:
        first, last = sorted(parts[:2])
        return Field(f"{first}-{last}/{parts[2]}", frozenset(range(first, last + 1, parts[2])))

    def listed(values: list[int]) -> Field:
        return Field(",".join(map(str, values)), frozenset(values))

    return st.one_of(
        st.just(any_of(lowest, highest)),
        st.integers(1, highest - lowest).map(stepped),
        ranges.map(ranged),
        st.lists(numbers, min_size=1, max_size=4).map(listed),
    )


def any_of(lowest: int, highest: int) -> Field:
    return Field("*", frozenset(range(lowest, highest + 1)))


# Every month has a day 28: nothing is never due.
EXPRESSIONS = st.builds(
    Expression, fields(0, 59), fields(0, 23), fields(1, 31), fields(1, 12), fields(0, 6)
).filter(lambda expression: min(expression.day.values) <= 28)
HOURS_OF_THE_NIGHT = st.sets(st.integers(0, 4), min_size=1).map(
    lambda hours: Field(",".join(map(str, hours)), frozenset(hours))
)
NIGHTLY = st.builds(
    Expression,
    fields(0, 59),
    fields(0, 23) | HOURS_OF_THE_NIGHT,
    st.just(any_of(1, 31)),
    st.just(any_of(1, 12)),
    st.just(any_of(0, 6)),
)


@given(EXPRESSIONS, st.sampled_from(changes()), st.integers(-1400, 100), st.integers(0, 59))
def test_it_is_due_when_the_reference_is_whatever_the_clocks_do(
    expression: Expression, change: Change, minutes: int, seconds: int
) -> None:
    start = change.moment + MINUTE * minutes + timedelta(seconds=seconds)
    end = start + DAY

    found = due(expression.text, change.zone, start, end)

    assert found == reference(expression, change.zone, start, end)


@given(NIGHTLY, st.sampled_from(changes()), st.integers(-400, 400))
def test_in_the_night_of_a_change_nothing_is_lost_or_done_twice(
    expression: Expression, change: Change, minutes: int
) -> None:
    start = change.moment + MINUTE * minutes
    end = change.moment + 12 * HOUR

    found = due(expression.text, change.zone, start, end)

    assert found == reference(expression, change.zone, start, end)
    assert all(before < behind for before, behind in pairwise(found))


@given(EXPRESSIONS, st.sampled_from(changes()), st.integers(0, 9), st.floats(0, 1))
def test_from_a_later_moment_the_same_times_follow(
    expression: Expression, change: Change, index: int, share: float
) -> None:
    trigger = cron(expression.text, change.zone)
    times = [*islice(next_times(trigger, change.moment - 2 * HOUR), 12)]
    later = times[index] + (times[index + 1] - times[index]) * share * 0.999

    assert [*islice(next_times(trigger, later), 11 - index)] == times[index + 1 :]


@pytest.mark.parametrize("text", ["30 2 * * *", "0 0 * * *", "59 21 * * *", "30 0,2 * * *"])
def test_a_daily_task_is_due_once_on_every_day_of_every_zone(text: str) -> None:
    for zone in sorted({change.zone for change in changes()} | {"UTC", "Asia/Kathmandu"}):
        days = [moment.astimezone(ZoneInfo(zone)).date() for moment in year_of(text, zone)]
        a_day = text.count(",") + 1
        assert days == [day for day in days_of_the_year() for _ in range(a_day)], zone


def year_of(text: str, zone: str) -> list[datetime]:
    start = datetime(YEAR, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = datetime(YEAR + 1, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return due(text, zone, start - MINUTE, end - MINUTE)


def days_of_the_year() -> Iterator[date]:
    return (date(YEAR, 1, 1) + DAY * n for n in range(365))


def shown(text: str, zone: str, start: str, count: int) -> list[str]:
    """The next times as clocks in `zone` show them, with their offset in hours."""
    after = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    times = islice(next_times(cron(text, zone), after), count)
    return [f"{each.astimezone(ZoneInfo(zone)):%d %H:%M %z}"[:-2] for each in times]


def test_a_time_that_the_clocks_jump_over_is_made_up_for_behind_the_gap() -> None:
    times = shown("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00", 2)

    assert times == ["28 03:00 +02", "29 02:30 +02"]


def test_several_times_in_a_gap_are_made_up_for_once() -> None:
    times = shown("*/20 2 * * *", "Europe/Berlin", "2027-03-27T12:00", 2)

    assert times == ["28 03:00 +02", "29 02:00 +02"]


def test_what_is_due_every_hour_is_not_made_up_for() -> None:
    times = shown("15 * * * *", "Europe/Berlin", "2027-03-28T01:00", 3)

    assert times == ["28 01:15 +01", "28 03:15 +02", "28 04:15 +02"]


def test_a_time_that_comes_twice_counts_once() -> None:
    times = shown("30 2 * * *", "Europe/Berlin", "2027-10-30T12:00", 2)

    assert times == ["31 02:30 +02", "01 02:30 +01"]


def test_what_is_due_every_half_hour_goes_on_in_the_hour_that_comes_twice() -> None:
    times = shown("*/30 * * * *", "Europe/Berlin", "2027-10-31T01:45", 5)

    assert times == ["31 02:00 +02", "31 02:30 +02", "31 02:00 +01", "31 02:30 +01", "31 03:00 +01"]


def test_half_an_hour_is_a_change_too() -> None:
    times = shown("15 2 * * *", "Australia/Lord_Howe", "2027-10-02T12:00", 2)

    assert times == ["03 02:30 +11", "04 02:15 +11"]


def test_the_next_leap_day_is_found_over_a_century_without_one() -> None:
    trigger = cron("0 0 29 2 *", "UTC")

    assert next_time(trigger, datetime(2097, 1, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)
