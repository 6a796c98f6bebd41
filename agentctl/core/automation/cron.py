"""Cron expressions: what their fields hold, and the moments they stand for in a time zone."""

import calendar
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agentctl.core.errors import UsageProblem

MONTHS = tuple(calendar.month_name)[1:]
# Sunday is both 0 and 7.
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORTHANDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_EXAMPLE = 'five fields, minute hour day month weekday: --cron "0 9 * * mon-fri"'
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five: the numbers it may hold, and names for them from `lowest` on.

    `also` says in an error what else may be written.
    """

    name: str
    lowest: int
    highest: int
    names: tuple[str, ...] = ()
    also: str = ""

    def values(self, text: str) -> frozenset[int]:
        """The numbers that `text`, a list of ranges with steps, stands for."""
        return frozenset().union(*(self._part(part) for part in text.split(",")))

    def _part(self, part: str) -> range:
        found = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\w+))?", part, re.ASCII)
        if found is None or (found[1] == "*" and found[2]):
            raise self._problem(part)
        step = self._step(found[3], part)
        if found[1] == "*":
            return range(self.lowest, self.highest + 1, step)
        first = self._number(found[1], part)
        if found[2] is None:
            if found[3] is not None:
                raise self._problem(part, f"{found[1]}-{self.highest}/{found[3]}")
            return range(first, first + 1)
        last = self._number(found[2], part)
        if last == 0 < first and self.names == WEEKDAYS:
            last = 7
        if last < first:
            raise self._problem(part, f"{found[1]}-{self.highest},{self.lowest}-{found[2]}")
        return range(first, last + 1, step)

    def _step(self, text: str | None, part: str) -> int:
        if text is None:
            return 1
        longest = self.highest - self.lowest
        if not re.fullmatch(r"[0-9]{1,2}", text) or not 1 <= int(text) <= longest:
            message = f"{text!r} is no step of the {self.name}: it takes 1 to {longest}"
            mend = f'--every {text}m, or "*/30"' if self.name == "minute" else _EXAMPLE
            raise UsageProblem(f"{message} (in {part!r})", mend)
        return int(text)

    def _number(self, text: str, part: str) -> int:
        if re.fullmatch(r"[0-9]{1,4}", text) and self.lowest <= int(text) <= self.highest:
            return int(text)
        short = [name[:3].lower() for name in self.names]
        if text.lower() in short:
            return self.lowest + short.index(text.lower())
        raise self._problem(part)

    def _problem(self, part: str, mend: str = "") -> UsageProblem:
        return UsageProblem(
            f"{part!r} is no {self.name} of a cron expression: it takes"
            f" {self.lowest} to {self.highest}{self.also}",
            f'write "{mend}"' if mend else _EXAMPLE,
        )


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of the month", 1, 31),
    _Field("month", 1, 12, MONTHS, " or jan to dec"),
    _Field("day of the week", 0, 7, WEEKDAYS, " (0 and 7 are Sunday) or sun to sat"),
)


@dataclass(frozen=True, slots=True)
class CronExpression:
    """The values of each field, ascending; `weekdays` from 0, Sunday.

    `is_any` says of each field whether it begins with `*`. As in Vixie cron, a day must fit both
    the day of the month and the day of the week if one of them begins with `*`, else one of them.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    is_any: tuple[bool, ...]

    @property
    def takes_either_day(self) -> bool:
        return not self.is_any[2] and not self.is_any[4]

    def times(self, after: datetime, zone: tzinfo) -> Iterator[datetime]:
        """When it is due: UTC, strictly after `after`, ascending, none twice.

        A local time that does not exist, as the clock is put forward, is made up for once, at the
        first moment after the gap; unless the hour begins with `*`: then the next one is soon.
        Of a local time that exists twice, as the clock is put back, the first one counts; both do
        if the minute or the hour begins with `*`, so that what is done every ten minutes goes on.
        """
        repeats = self.is_any[0] or self.is_any[1]
        last, repeated = after.astimezone(UTC), deque[datetime]()
        for local in self._local_times(_start(last, zone)):
            moments = _moments(local, zone)
            if len(moments) == 2 and repeats:
                repeated.append(moments[1])
            if not moments:
                if self.is_any[1]:
                    continue
                moments = (_end_of_gap(local, zone),)
            while repeated and repeated[0] < moments[0]:
                if (moment := repeated.popleft()) > last:
                    yield (last := moment)
            if moments[0] > last:
                yield (last := moments[0])

    def _local_times(self, start: datetime) -> Iterator[datetime]:
        for day in self._dates(start.date()):
            for hour in self.hours:
                if day == start.date() and hour < start.hour:
                    continue
                for minute in self.minutes:
                    local = datetime.combine(day, time(hour, minute))
                    if local >= start:
                        yield local

    def _dates(self, start: date) -> Iterator[date]:
        # The last year is left out, so that no zone's offset leads beyond the end of time.
        for year in range(start.year, date.max.year):
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                first_weekday, length = calendar.monthrange(year, month)
                for day in range(1, length + 1):
                    # monthrange counts from Monday, cron from Sunday.
                    if not self._takes(day, (first_weekday + day) % 7):
                        continue
                    if (found := date(year, month, day)) >= start:
                        yield found

    def _takes(self, day: int, weekday: int) -> bool:
        if self.takes_either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def parse_cron(expression: str) -> CronExpression:
    """Five fields (lists, ranges, steps, names), or a shorthand such as `@daily`.

    Raises:
        UsageProblem: names the field that is wrong; also for what is never due.
    """
    texts = SHORTHANDS.get(expression.strip().lower(), expression).split()
    if len(texts) != len(_FIELDS):
        raise _wrong_number(expression, len(texts))
    values = [field.values(text) for field, text in zip(_FIELDS, texts, strict=True)]
    values[4] = frozenset(day % 7 for day in values[4])
    minutes, hours, days, months, weekdays = (tuple(sorted(each)) for each in values)
    is_any = tuple(text.startswith("*") for text in texts)
    parsed = CronExpression(minutes, hours, days, months, weekdays, is_any)
    longest = max(_LONGEST_MONTHS[month - 1] for month in months)
    if not parsed.takes_either_day and days[0] > longest:
        names = ", ".join(MONTHS[month - 1] for month in months)
        raise UsageProblem(
            f"{expression!r} is never due: {names} has no day {days[0]}",
            f'a day from 1 to {longest}: --cron "{texts[0]} {texts[1]} {longest} {texts[3]} *"',
        )
    return parsed


def _wrong_number(expression: str, count: int) -> UsageProblem:
    text = expression.strip()
    if not text:
        return UsageProblem("the cron expression is empty", _EXAMPLE)
    if text.startswith("@"):
        known = ", ".join(SHORTHANDS)
        return UsageProblem(f"no cron shorthand {text!r}", f"one of {known}")
    if count == 6:
        return UsageProblem(
            f"{text!r} has six fields: cron has no seconds",
            f'leave the first out: --cron "{" ".join(text.split()[1:])}"; or: --every 30s',
        )
    words = "field" if count == 1 else "fields"
    return UsageProblem(f"{text!r} has {count} {words} instead of five", _EXAMPLE)


def first_moment(local: datetime, zone: tzinfo) -> datetime:
    """When a clock in `zone` first shows `local` or, where it never does, jumps over it; UTC."""
    moments = _moments(local, zone)
    return moments[0] if moments else _end_of_gap(local, zone)


def _moments(local: datetime, zone: tzinfo) -> tuple[datetime, ...]:
    """The one, two or no moments at which a clock in `zone` shows `local`; UTC."""
    early, late = _offset(local, zone, 0), _offset(local, zone, 1)
    aware = local.replace(tzinfo=UTC)
    if early == late:
        return (aware - early,)
    return (aware - early, aware - late) if early > late else ()


def _end_of_gap(local: datetime, zone: tzinfo) -> datetime:
    """The first moment, to the second, after the gap in which `local` does not exist; UTC."""
    aware = local.replace(tzinfo=UTC)
    # PEP 495: in a gap, fold 1 is the offset after it, and leads to a moment before it.
    offset = _offset(local, zone, 1)
    before, behind = aware - offset, aware - _offset(local, zone, 0)
    while (width := behind - before) > timedelta(seconds=1):
        middle = before + timedelta(seconds=width // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            behind = middle
        else:
            before = middle
    return behind


def _start(after: datetime, zone: tzinfo) -> datetime:
    """The earliest local time that can come after `after`: in an hour that will be repeated, its
    beginning or before."""
    local = after.astimezone(zone).replace(tzinfo=None)
    return local - max(timedelta(), _offset(local, zone, 0) - _offset(local, zone, 1))


def _offset(local: datetime, zone: tzinfo, fold: int) -> timedelta:
    return zone.utcoffset(local.replace(tzinfo=zone, fold=fold)) or timedelta()
