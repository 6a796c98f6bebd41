"""`agentctl doctor`: what works, what does not, and what to do."""

import asyncio
import os

import typer

from agentctl.commands.common import Command, new_app
from agentctl.connect import user_paths, working_directory
from agentctl.core.doctor import run_checks
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
    checks = asyncio.run(run_checks(user_paths(), os.environ, working_directory()))
    is_ok = all(check.status != "error" for check in checks)
    if output.form == "json":
        output.data({"ok": is_ok, "checks": checks})
    else:
        for check in checks:
            output.line(f"{MARKS[check.status]:<8} {check.name}: {check.detail}")
            if check.fix:
                output.line(f"{'':<8} do: {check.fix}")
    raise typer.Exit(0 if is_ok else 1)
