"""`agentctl monitor`: what the machine and the models do, now or over the last hours."""

import asyncio
import time
from typing import Annotated

import typer

from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.commands.options import a_number
from agentctl.core.automation.time_words import duration_s
from agentctl.core.errors import UsageProblem
from agentctl.core.workspace import Workspace
from agentctl.render.monitor import (
    LiveScreen,
    one_line,
    quits_within,
    show_history,
    show_once,
    single_keys,
)
from agentctl.render.output import Output

app = new_app()
_HISTORY_EXAMPLE = "agentctl monitor --history 1h"


@app.command(cls=Command)
def monitor(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Measure once and leave.")] = False,
    interval: Annotated[
        float,
        typer.Option(
            help="Wait this many seconds between two measurements.",
            min=0.2,
            metavar="S",
            callback=a_number,
        ),
    ] = 2.0,
    history: Annotated[
        str | None,
        typer.Option(
            help="Show what the daemon measured in the last 30m, 1h or 2d.", metavar="DURATION"
        ),
    ] = None,
) -> None:
    """Show what the machine and the models do: live charts, or --once.

    In a pipe, or with --plain, each measurement is one line. q or Ctrl+C leaves.

    Example: agentctl monitor --history 1h
    """
    output: Output = ctx.obj
    if once and history is not None:
        raise UsageProblem("--once and --history exclude each other", "agentctl monitor --once")
    if history is not None:
        seconds = _seconds(history)
        rows = with_workspace(lambda workspace: workspace.measurements(seconds))
        show_history(output, rows, seconds)
    elif once or output.form == "json":
        show_once(output, with_workspace(lambda workspace: workspace.measure()))
    else:
        _watch(output, interval)


def _seconds(text: str) -> float:
    try:
        seconds = duration_s(text)
    except UsageProblem as error:
        raise UsageProblem(error.message, _HISTORY_EXAMPLE) from None
    if not seconds:
        raise UsageProblem("--history 0 is no time at all", _HISTORY_EXAMPLE)
    return seconds


def _watch(output: Output, interval_s: float) -> None:
    """Until the user leaves, which is no failure."""
    try:
        if output.is_rich:
            with single_keys(), LiveScreen(output) as screen:
                with_workspace(lambda workspace: _draw(workspace, screen, interval_s))
        else:
            with_workspace(lambda workspace: _print(workspace, output, interval_s))
    except KeyboardInterrupt:
        return


async def _draw(workspace: Workspace, screen: LiveScreen, interval_s: float) -> None:
    while True:
        stats = await workspace.measure()
        screen.show(time.monotonic(), stats)
        if await quits_within(interval_s):
            return


async def _print(workspace: Workspace, output: Output, interval_s: float) -> None:
    while True:
        output.line(one_line(await workspace.measure()))
        await asyncio.sleep(interval_s)
