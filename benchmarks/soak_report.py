"""The report of a soak, in Markdown."""

import platform
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from agentctl import __version__
from benchmarks.soak_accounts import MOST_LOGS_MB

if TYPE_CHECKING:
    from benchmarks.soak import Day, Seen

_LONGEST_SIGN = 110


def report(day: "Day") -> str:
    return "\n".join(
        [
            "# A day of the daemon, with faults",
            "",
            f"Written by `python -m benchmarks.soak --seed {day.seed} --minutes {day.minutes:g}`: "
            f"{day.hours:g} simulated hours in {day.minutes:g} minutes, the real daemon with a "
            "scripted model server. Times are simulated (UTC), seconds are real.",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, agentctl {__version__}, Python "
            f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}, {platform.system()}.",
            *_verdict(day),
            *_faults(day),
            *_books(day),
            *_resources(day),
            *_rest(day),
            "",
        ]
    )


def _verdict(day: "Day") -> list[str]:
    if not day.breaches:
        return ["", "**No breach.**"]
    listed = [f"- {breach}" for breach in day.breaches]
    return ["", f"**Breaches: {len(listed)}**", "", *listed]


def _faults(day: "Day") -> list[str]:
    rows = [
        f"| {seen.at:%H:%M} | {seen.fault.kind}: {seen.fault.way} | {_sign(seen)} "
        f"| {_healed(seen)} | {seen.memory:.0f} |"
        for seen in day.seen
    ]
    return [
        "",
        f"## {len(day.seen)} faults",
        "",
        "| when | what | seen how | over after | memory then |",
        "|---|---|---|---|---|",
        *rows,
    ]


def _sign(seen: "Seen") -> str:
    if seen.fault.sign is None:
        return "harms nobody"
    line = " ".join(seen.sign.split()).replace("|", "\\|")
    return f"{line[:_LONGEST_SIGN]}…" if len(line) > _LONGEST_SIGN else line or "**not seen**"


def _healed(seen: "Seen") -> str:
    return "**never**" if seen.healed_s is None else f"{seen.healed_s:.1f} s"


def _books(day: "Day") -> list[str]:
    return [
        "",
        "## What became of the tasks",
        "",
        f"{day.books.occurrences} occurrences, {len(day.books.breaches)} of them lost, done twice "
        "or without an explanation:",
        "",
        "| what became of it | occurrences |",
        "|---|---|",
        *(f"| {what} | {count} |" for what, count in day.books.outcomes.most_common()),
    ]


def _resources(day: "Day") -> list[str]:
    rows = [
        f"| {each.name} | {each.first:.0f} | {each.last:.0f} | {each.most:.0f} | {each.grown:+.1f} "
        f"| {each.steady:+.1f} | {each.bound:g} |"
        for each in day.growths
    ]
    return [
        "",
        "## What the daemon held",
        "",
        f"Of {day.samples} samples, those of the second half; growth by the slope of a straight "
        "line through them; of that, steady is what is left without single steps. Memory in MB.",
        "",
        "| what | first | last | most | grown | steady | grown at most |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"All log files together took {day.most_logs:.2f} MB at most (bound: {MOST_LOGS_MB:g} MB).",
    ]


def _rest(day: "Day") -> list[str]:
    return [
        "",
        "## At the end",
        "",
        "| check | |",
        "|---|---|",
        *(f"| {name} | {' '.join(found.split())} |" for name, found in day.checks),
        "",
        "## What its users got",
        "",
        "| what | times |",
        "|---|---|",
        *(f"| {what} | {count} |" for what, count in day.outcomes.items()),
    ]
