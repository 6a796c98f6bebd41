"""`agentctl tui`: the dashboard, in the terminal, in plain lines, or in a browser."""

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, load_config, new_app
from agentctl.commands.options import model_name
from agentctl.connect import has_daemon, open_workspace, user_paths, working_directory
from agentctl.core.config import Config
from agentctl.core.errors import UsageProblem
from agentctl.render.console import is_terminal
from agentctl.render.output import Output

if TYPE_CHECKING:
    from agentctl.tui.app import Dashboard
    from agentctl.tui.link import Link

app = new_app()


@app.command(cls=Command)
def tui(
    ctx: typer.Context,
    session: Annotated[
        str | None,
        typer.Option(
            "-s", "--session", help="Go on with this session.", autocompletion=complete.sessions
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "-m",
            "--model",
            help="Let this model answer.",
            autocompletion=complete.models,
            callback=model_name,
        ),
    ] = None,
    web: Annotated[
        bool, typer.Option("--web", help="Show it in a browser, on this machine only.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Serve --web at this port; without it, at any that is free."
        ),
    ] = None,
) -> None:
    """Open the dashboard: chat, agents, tasks, knowledge and the machine on one screen.

    With --plain it is a chat of plain lines, for screen readers.

    Example: agentctl tui
    """
    output: Output = ctx.obj
    _refuse(output, is_web=web, has_port=port is not None)
    config = load_config()
    if web:
        _serve(output, session, model, port or 0)
    elif output.plain:
        raise typer.Exit(_talk(output, config, session, model))
    else:
        _show(config, session, model)


def _refuse(output: Output, *, is_web: bool, has_port: bool) -> None:
    if output.form != "text":
        raise UsageProblem("the dashboard prints no JSON", 'agentctl ask --json "your question"')
    if has_port and not is_web:
        raise UsageProblem("--port is for --web", "agentctl tui --web --port 8422")
    if is_web and output.plain:
        raise UsageProblem("--web and --plain exclude each other", "agentctl tui --plain")
    if not is_web and not _is_terminal():
        raise UsageProblem("the dashboard needs a terminal", 'agentctl ask "your question"')


def _is_terminal() -> bool:
    """Whether somebody looks, be it by the page of --web."""
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return True
    # Textual draws on stderr.
    return all(map(is_terminal, (sys.stdin, sys.stdout, sys.stderr)))


def _link(config: Config) -> "Link":
    from agentctl.tui.link import Link

    return Link(lambda: open_workspace(config), lambda: has_daemon(config))


def make_dashboard(config: Config, session: str | None, model: str | None) -> "Dashboard":
    from agentctl.tui.app import Dashboard
    from agentctl.tui.tour import is_first_start

    return Dashboard(
        config.settings,
        _link(config),
        session=session,
        model=model,
        shows_tour=is_first_start(user_paths().state),
    )


def _show(config: Config, session: str | None, model: str | None) -> None:
    """Raises what nobody had foreseen, when the terminal is as it was again."""
    dashboard = make_dashboard(config, session, model)
    dashboard.run()
    if dashboard.failure is not None:
        raise dashboard.failure


def _talk(output: Output, config: Config, session: str | None, model: str | None) -> int:
    from agentctl.tui.plain import PlainChat, run_plain

    folder = working_directory()
    return run_plain(PlainChat(_link(config), output, folder, session=session, model=model))


def _serve(output: Output, session: str | None, model: str | None, port: int) -> None:
    import asyncio

    from agentctl.daemon.process import own_command
    from agentctl.tui.web import serve

    command = [*own_command(), "tui"]
    for option, value in (("--session", session), ("--model", model)):
        if value is not None:
            command.append(f"{option}={value}")

    def announce(url: str) -> None:
        output.line(url)
        output.note("open it in a browser on this machine: it works once; Ctrl+C ends")

    asyncio.run(serve(command, port, announce))
