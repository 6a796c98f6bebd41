"""`agentctl daemon report`: what happened while the user was away."""

from datetime import UTC, datetime, timedelta

from agentctl.commands.common import with_workspace
from agentctl.connect import user_paths
from agentctl.core.automation.report import Report, write_report
from agentctl.core.automation.schedule import interval
from agentctl.core.errors import UsageProblem
from agentctl.core.moments import moment_text
from agentctl.core.paths import make_private, owner_only
from agentctl.core.workspace import Workspace
from agentctl.render.daemon import show_report
from agentctl.render.output import Output

# Where there was no report before.
_FIRST = timedelta(days=1)


def tell(output: Output, since: str | None) -> None:
    now = datetime.now(UTC)
    begin = _last_report(now) if since is None else _moment(since, now)
    text = moment_text(begin)

    async def use(workspace: Workspace) -> Report:
        return write_report(
            text,
            await workspace.journal(text),
            [run for run in await workspace.task_history(limit=500) if run.started >= text],
            await workspace.list_runs(200),
        )

    show_report(output, with_workspace(use), now)
    if since is None:
        make_private(user_paths().state)
        with open(user_paths().last_report, "w", encoding="utf-8", opener=owner_only) as file:
            file.write(now.isoformat())


def _last_report(now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(user_paths().last_report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return now - _FIRST


def _moment(text: str, now: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        pass
    try:
        return now - timedelta(seconds=float(interval(text).expression))
    except (UsageProblem, OverflowError):
        raise UsageProblem(
            f"{text} is no time", "agentctl daemon report --since 8h, or --since 2026-01-31"
        ) from None
