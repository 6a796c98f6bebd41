"""`agentctl doctor`: what works, what does not, and what to do."""

import asyncio
import os

import typer

from agentctl.commands.common import Command, new_app
from agentctl.connect import user_paths, working_directory
from agentctl.core.doctor import run_checks
from agentctl.core.doctor_checks import Check
from agentctl.core.errors import AgentctlError
from agentctl.core.paths import Paths
from agentctl.render.output import Output

MARKS = {"ok": "ok", "warning": "warning", "error": "ERROR"}

app = new_app()


@app.command(cls=Command)
def doctor(ctx: typer.Context) -> None:
    """Check the machine, the models and the data, and say what to do.

    Works offline and with a broken configuration; exits with 1 when something is an error.

    Example: agentctl doctor
    """
    output: Output = ctx.obj
    asked = run_checks(user_paths(), os.environ, working_directory())
    checks = [*asyncio.run(asked), asyncio.run(check_daemon(user_paths()))]
    is_ok = all(check.status != "error" for check in checks)
    if output.form == "json":
        output.data({"ok": is_ok, "checks": checks})
    else:
        for check in checks:
            output.line(f"{MARKS[check.status]:<8} {check.name}: {check.detail}")
            if check.fix:
                output.line(f"{'':<8} do: {check.fix}")
    raise typer.Exit(0 if is_ok else 1)


async def check_daemon(paths: Paths) -> Check:
    """What the daemon says of itself; one that nobody started is no trouble."""
    from agentctl.daemon.client import fetch_state
    from agentctl.daemon.process import read_address

    address = read_address(paths)
    if address is None:
        return Check("daemon", "ok", "not running: nothing happens by itself")
    try:
        state = await fetch_state(address)
    except AgentctlError as error:
        return Check("daemon", "error", error.message, "agentctl daemon restart")
    if state.problems:
        return Check("daemon", "error", "; ".join(state.problems), "agentctl daemon report")
    return Check("daemon", "ok", f"healthy, pid {state.pid}, {state.url}")
