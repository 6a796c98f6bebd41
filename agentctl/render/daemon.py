"""The daemon's state for people and programs."""

from dataclasses import asdict
from datetime import datetime

from agentctl.core.automation.report import Report, ReportLine
from agentctl.daemon.hub import DaemonState
from agentctl.render.output import Output


def show_state(output: Output, state: DaemonState, token: str | None) -> None:
    if output.form == "json":
        output.data(asdict(state) | ({} if token is None else {"token": token}))
        return
    output.line(f"{state.status}: pid {state.pid}, up {duration(state.uptime_s)}, {state.url}")
    if state.socket:
        output.line(f"socket: {state.socket}")
    backend = state.backend
    output.line(f"model server: {backend.name}, {backend.status}")
    output.line(f"tasks running: {', '.join(state.running) or 'none'}")
    output.line(f"watched folders: {state.watched}")
    for job in state.jobs:
        last = f"last {job.last_run}" if job.last_run else "not yet"
        output.line(f"  every {job.every}: {job.name} ({last})")
    if token is not None:
        output.line(f"token: {token}")
    for problem in state.problems:
        output.warning(problem)


def show_report(output: Output, report: Report, now: datetime) -> None:
    """Also says so when nothing happened: silence would tell nothing."""
    if output.form == "json":
        output.data(asdict(report))
        return
    begin = datetime.fromisoformat(report.since).astimezone()
    away = duration((now - begin).total_seconds())
    output.line(f"since {begin:%a %d %b %H:%M} ({away}):")
    if report.is_quiet:
        output.line("  nothing happened")
    for line in report.lines:
        output.line(f"  {_report_line(line)}")
        if line.fix:
            output.line(f"      {line.fix}")


def _report_line(line: ReportLine) -> str:
    mark = {"info": " ", "warning": "!", "error": "x"}[line.level]
    at = f"{datetime.fromisoformat(line.time).astimezone():%a %H:%M} " if line.time else ""
    return f"{mark} {at}{line.text}"


def duration(seconds: float) -> str:
    """`3 d 4 h`, `12 min`, `5 s`: the two largest units."""
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts, rest = [], int(seconds)
    for name, size in units:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
