"""Moments as they are stored and sent: ISO 8601 in UTC, ending in Z, so that they sort as text."""

from datetime import UTC, datetime
from typing import Literal


def utc_now() -> datetime:
    return datetime.now(UTC)


def moment_text(
    moment: datetime, precision: Literal["seconds", "milliseconds"] = "milliseconds"
) -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
