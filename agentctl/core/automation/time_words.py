"""Moments and lengths of time as people write them."""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from agentctl.core.automation.cron import WEEKDAYS, first_moment
from agentctl.core.errors import UsageProblem

_UNITS = {"week": 604_800, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}
_UNIT_NAMES = {"w": "week", "d": "day", "h": "hour", "hr": "hour", "m": "minute", "min": "minute"}
_UNIT_NAMES |= {"s": "second", "sec": "second", **{name: name for name in _UNITS}}
_AMOUNT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)?\s*([a-z]+)")
_FILLERS = re.compile(r"\b(?:an?|and)\b|,")
_CLOCK_TIME = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(?::([0-9]{2}))?\s*(am|pm)?")
MOMENTS = '"tomorrow 09:00", "in 2 hours", "monday 8:00" or "2026-12-24 18:00"'


def moment_of(text: str, now: datetime, zone: tzinfo) -> datetime:
    """The moment that is meant, to the second: `tomorrow 09:00`, `in 2 hours`, `monday 8:00`,
    `9am`, `2026-12-24 18:00` as the clocks in `zone` go, ISO 8601 with an offset.

    Raises:
        UsageProblem: it means nothing here.
    """
    words = " ".join(text.lower().split())
    try:
        moment = _elapsed(words, now) or _with_offset(text) or _local(words, now, zone)
    except OverflowError:
        raise _no_time(words) from None
    # From the last year a zone's offset may lead beyond the end of time.
    if moment.year == date.max.year:
        raise _no_time(words)
    return moment.replace(microsecond=0)


def duration_s(text: str) -> float:
    """Seconds: `90s`, `1h30m`, `1.5 hours`, `a day and 3 hours`; a bare number is of seconds.

    Raises:
        UsageProblem: no such time.
    """
    words = _FILLERS.sub(" ", text.lower()).strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", words):
        return float(words)
    amounts = [(float(n or 1), _unit(name)) for n, name in _AMOUNT.findall(words)]
    if not amounts or _AMOUNT.sub("", words).strip() or any(unit is None for _, unit in amounts):
        raise UsageProblem(
            f"{text!r} is no length of time",
            "write 30s, 10m, 1h30m, 2 hours or 1 day; for months: --cron @monthly",
        )
    return sum(number * _UNITS[unit] for number, unit in amounts if unit is not None)


def duration_words(seconds: int) -> str:
    """`10 minutes`, `1 hour 30 minutes`; empty for none."""
    parts: list[tuple[int, str]] = []
    for name, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append((count, name))
    return " ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in parts)


def _unit(name: str) -> str | None:
    return _UNIT_NAMES.get(name) or _UNIT_NAMES.get(name.removesuffix("s"))


def _elapsed(words: str, now: datetime) -> datetime | None:
    if not words.startswith("in "):
        return None
    length = words.removeprefix("in ")
    if length.isdecimal():
        raise UsageProblem(f"{words!r} has no unit", f'--at "in {length} minutes"')
    return now + timedelta(seconds=duration_s(length))


def _with_offset(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _local(words: str, now: datetime, zone: tzinfo) -> datetime:
    """A clock time with a day before or behind it; without a day, the next such time."""
    today = now.astimezone(zone).date()
    day_word, clock = _day_and_clock(words, today)
    if day_word in ("", "today", "tomorrow"):
        days = [today + timedelta(days=day_word == "tomorrow")]
        days += [today + timedelta(days=1)] if not day_word else []
    elif (weekday := _weekday(day_word)) is not None:
        ahead = (weekday - today.isoweekday()) % 7
        days = [today + timedelta(days=ahead), today + timedelta(days=ahead + 7)]
    else:
        days = [_date(day_word, words)]
    moments = [first_moment(datetime.combine(day, clock), zone) for day in days]
    return next((moment for moment in moments if moment > now), moments[0])


def _day_and_clock(words: str, today: date) -> tuple[str, time]:
    """Raises UsageProblem when there is no clock time in `words`."""
    spread = re.sub(r"(\d{4}-\d{2}-\d{2})t(?=\d)", r"\1 ", words).replace(" at ", " ")
    parts = re.sub(r"(\d)\s+(am|pm)\b", r"\1\2", spread.removeprefix("at ")).split()
    clocks = [(part, clock) for part in parts if (clock := _clock(part)) is not None]
    if len(clocks) == 1 and len(parts) <= 2:
        part, clock = clocks[0]
        parts.remove(part)
        return "".join(parts), clock
    if len(parts) == 1 and _is_day(parts[0]):
        # No name of a day is less than a date.
        day = parts[0] if parts[0] > today.isoformat() else "tomorrow"
        raise UsageProblem(f"{words!r} names no time of day", f'add it: --at "{day} 09:00"')
    raise _no_time(words)


def _clock(word: str) -> time | None:
    if word in ("noon", "midnight"):
        return time(12 if word == "noon" else 0)
    found = _CLOCK_TIME.fullmatch(word)
    # A bare number could be anything.
    if found is None or not (found[2] or found[4]):
        return None
    hour = int(found[1])
    if found[4]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found[4] == "pm" else 0)
    try:
        return time(hour, int(found[2] or 0), int(found[3] or 0))
    except ValueError:
        return None


def _weekday(word: str) -> int | None:
    """From 1, Monday, to 7; by its name or at least three letters of it."""
    names = [name.lower() for name in WEEKDAYS]
    found = [number for number in range(1, 8) if names[number].startswith(word)]
    return found[0] if len(word) >= 3 and found else None


def _is_day(word: str) -> bool:
    named = word in ("today", "tomorrow") or _weekday(word) is not None
    return named or re.fullmatch(r"\d{4}-\d{2}-\d{2}", word) is not None


def _date(word: str, words: str) -> date:
    try:
        return date.fromisoformat(word)
    except ValueError:
        raise _no_time(words) from None


def _no_time(words: str) -> UsageProblem:
    return UsageProblem(f"{words!r} is no time that is understood here", f"--at {MOMENTS}")
