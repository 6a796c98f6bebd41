"""A cron expression in words."""

from agentctl.core.automation.cron import MONTHS, WEEKDAYS, CronExpression

# More times of a day than these are told by their minutes and hours.
_MOST_TIMES = 6
_EVERY_DAY = "every day"


def cron_words(cron: CronExpression) -> str:
    """`every day at 03:00`, `every 15 minutes from 09:00 to 17:59, Monday to Friday`."""
    days = _days(cron)
    if len(cron.minutes) * len(cron.hours) <= _MOST_TIMES:
        times = [f"{hour:02}:{minute:02}" for hour in cron.hours for minute in cron.minutes]
        return f"{days} at {', '.join(times)}"
    return _repeated(cron) if days == _EVERY_DAY else f"{_repeated(cron)}, {days}"


def _repeated(cron: CronExpression) -> str:
    minutes, hours = _step(cron.minutes, 60), _step(cron.hours, 24)
    often = {0: "", 1: "every minute", 60: "every hour"}.get(minutes, f"every {minutes} minutes")
    if hours == 1:
        return often or f"every hour at {_minutes(cron)}"
    if hours and cron.minutes == (0,):
        return f"every {hours} hours"
    first, last = cron.hours[0], cron.hours[-1]
    if len(cron.hours) == last - first + 1:
        if often:
            return f"{often} from {first:02}:00 to {last:02}:59"
        return f"every hour from {first:02} to {last:02} at {_minutes(cron)}"
    return f"{often or f'at {_minutes(cron)}'} of the hours {_numbers(cron.hours)}"


def _step(values: tuple[int, ...], size: int) -> int:
    """How far apart values are that go evenly all around, beginning at 0; else 0."""
    step = size // len(values)
    return step if values == tuple(range(0, size, step)) and size % step == 0 else 0


def _minutes(cron: CronExpression) -> str:
    return f"minute{'s' if len(cron.minutes) > 1 else ''} {_numbers(cron.minutes)}"


def _days(cron: CronExpression) -> str:
    months = _months(cron.months)
    within = f" in {months}" if months else ""
    month_days = f"on day {_numbers(cron.days)} of {months or 'the month'}"
    weekdays = _weekdays(cron.weekdays)
    is_daily, is_weekly = len(cron.days) == 31, len(cron.weekdays) == 7
    if cron.takes_either_day:
        return f"{month_days} and every {weekdays}{within}"
    if is_daily and is_weekly:
        return f"{_EVERY_DAY}{within}"
    if is_daily:
        return f"{'' if ' to ' in weekdays else 'every '}{weekdays}{within}"
    return month_days if is_weekly else f"{month_days} if it is a {weekdays}"


def _weekdays(values: tuple[int, ...]) -> str:
    """The week begins on Monday here."""
    days = sorted(7 if day == 0 else day for day in values)
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{WEEKDAYS[days[0]]} to {WEEKDAYS[days[-1]]}"
    return ", ".join(WEEKDAYS[day] for day in days)


def _months(values: tuple[int, ...]) -> str:
    if len(values) == len(MONTHS):
        return ""
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{MONTHS[values[0] - 1]} to {MONTHS[values[-1] - 1]}"
    return ", ".join(MONTHS[month - 1] for month in values)


def _numbers(values: tuple[int, ...]) -> str:
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(str, values))
