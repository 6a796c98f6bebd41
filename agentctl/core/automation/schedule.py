"""When a task is due: triggers from what a user writes, their occurrences, and their words."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

from agentctl.core.automation.cron import parse_cron
from agentctl.core.automation.cron_words import cron_words
from agentctl.core.automation.tasks import Trigger
from agentctl.core.automation.time_words import MOMENTS, duration_s, duration_words, moment_of
from agentctl.core.config import nearest
from agentctl.core.errors import UsageProblem
from agentctl.core.moments import moment_text

SHORTEST_INTERVAL_S = 10
LONGEST_INTERVAL_S = 366 * 86_400


def cron(expression: str, timezone: str) -> Trigger:
    """A trigger by a cron expression, as the clocks in `timezone` go.

    Raises:
        UsageProblem: a wrong expression, one that is never due, an unknown time zone.
    """
    _zone(timezone)
    parse_cron(expression)
    return Trigger(kind="cron", expression=" ".join(expression.split()), timezone=timezone)


def interval(text: str) -> Trigger:
    """A trigger that repeats: `10m`, `90s`, `1h30m`, `2 hours`, `day`; from 10 s to 366 days.

    Raises:
        UsageProblem: no such time, too short, too long.
    """
    words = text.strip().lower().removeprefix("every ")
    if words.isdecimal():
        raise UsageProblem(f"{text!r} has no unit", f"--every {words}m, or --every {words}s")
    seconds = duration_s(words)
    if seconds < SHORTEST_INTERVAL_S:
        raise UsageProblem(f"{text!r} is too short", f"--every {SHORTEST_INTERVAL_S}s, or longer")
    if seconds > LONGEST_INTERVAL_S:
        raise UsageProblem(f"{text!r} is more than 366 days", "--cron @yearly")
    return Trigger(kind="interval", expression=str(int(seconds)))


def once(text: str, now: datetime, timezone: str) -> Trigger:
    """A trigger for one moment, to the second.

    `tomorrow 09:00`, `today 18:30`, `in 2 hours`, `monday 8:00` (the next one), `9am`, `noon`,
    `2026-12-24 18:00` as the clocks in `timezone` go, or ISO 8601 with an offset.

    Raises:
        UsageProblem: no such time, one that has passed, an unknown time zone.
    """
    moment = moment_of(text, now, _zone(timezone))
    if moment <= now:
        raise UsageProblem(f"{text!r} has passed", f"--at {MOMENTS}")
    return Trigger(kind="once", expression=to_text(moment), timezone=timezone)


def check(trigger: Trigger) -> None:
    """Raises UsageProblem for a trigger that none of the above could have made."""
    if trigger.kind == "cron":
        cron(trigger.expression, trigger.timezone)
    elif trigger.kind == "interval":
        interval(f"{trigger.expression}s")
    else:
        try:
            is_aware = datetime.fromisoformat(trigger.expression).tzinfo is not None
        except ValueError:
            is_aware = False
        if not is_aware:
            raise UsageProblem(f"{trigger.expression!r} is no time in UTC", f"--at {MOMENTS}")


def next_times(trigger: Trigger, after: datetime) -> Iterator[datetime]:
    """When it is due: aware, in UTC, strictly after `after`, ascending.

    An interval begins at `after`. Ends when it is never due again. What a cron expression does as
    the clocks change is said at `CronExpression.times`.
    """
    if trigger.kind == "cron":
        yield from parse_cron(trigger.expression).times(after, _zone(trigger.timezone))
    elif trigger.kind == "once":
        moment = datetime.fromisoformat(trigger.expression)
        if moment > after:
            yield moment
    else:
        moment, step = after.astimezone(UTC), timedelta(seconds=int(trigger.expression))
        while True:
            moment += step
            yield moment


def next_time(trigger: Trigger, after: datetime) -> datetime | None:
    """When it is due next after `after`, in UTC; None when it is never due again."""
    return next(next_times(trigger, after), None)


def explain(trigger: Trigger) -> str:
    """The trigger in words: `every day at 03:00 (Europe/Berlin)`."""
    if trigger.kind == "cron":
        return f"{cron_words(parse_cron(trigger.expression))} ({trigger.timezone})"
    if trigger.kind == "once":
        local = datetime.fromisoformat(trigger.expression).astimezone(_zone(trigger.timezone))
        shown = local.strftime("%a %d %b %Y %H:%M:%S").removesuffix(":00")
        return f"once, {shown} ({trigger.timezone})"
    words = duration_words(int(trigger.expression))
    return f"every {words.removeprefix('1 ') if words.count(' ') == 1 else words}"


def local_timezone() -> str:
    """This machine's time zone as an IANA name, `UTC` when it is not known."""
    from tzlocal import get_localzone_name

    try:
        return ZoneInfo(get_localzone_name() or "UTC").key
    # Raised for a TZ or an /etc/localtime that makes no sense.
    except (LookupError, ValueError, OSError):
        return "UTC"


def to_text(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second, ending in Z."""
    return moment_text(moment, "seconds")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    # An unknown name is a LookupError, a folder of them an OSError, a path a ValueError.
    except (LookupError, OSError, ValueError):
        close = nearest(name, available_timezones()) or "Europe/Berlin"
        raise UsageProblem(f"no time zone {name!r}", f"--timezone {close}") from None
