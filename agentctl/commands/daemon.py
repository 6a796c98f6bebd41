"""`agentctl daemon`: the host of schedules, watched folders, the monitor and the recovery."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentctl.commands.common import Command, load_config, new_app
from agentctl.connect import user_paths
from agentctl.core.config import load_config as read_config
from agentctl.core.paths import make_private
from agentctl.render.output import Output

if TYPE_CHECKING:
    from agentctl.core.config import Config
    from agentctl.daemon.listening import Place
    from agentctl.daemon.service import Service

app = new_app()


@app.callback()
def daemon() -> None:
    """Run in the background what happens by itself: tasks, watched folders, recovery.

    Example: agentctl daemon start
    """


@app.command(cls=Command)
def run(
    ctx: typer.Context,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Listen at this port; 0 takes any that is free."),
    ] = None,
) -> None:
    """Run the daemon in front, until Ctrl+C.

    Example: agentctl daemon run
    """
    from agentctl.daemon.listening import Place

    config = load_config()
    paths = user_paths()
    chosen = config.settings.daemon.port if port is None else port
    run_in_front(ctx.obj, Place(port=chosen, socket=paths.daemon_socket))


def run_in_front(output: Output, place: "Place", *, shows_token: bool = False) -> None:
    """Runs a daemon in this process; also what `serve` does."""
    import asyncio

    from agentctl.daemon.hub import DaemonState
    from agentctl.daemon.process import read_address
    from agentctl.daemon.serving import run_daemon

    paths = user_paths()

    def load() -> "Config":
        return read_config(paths, os.environ, Path.home())

    def ready(state: DaemonState) -> None:
        output.note(f"the daemon listens at {state.url} (pid {state.pid}); Ctrl+C ends it")
        address = read_address(paths)
        if shows_token and address is not None:
            output.note(f"token: {address.token}")

    asyncio.run(run_daemon(load(), paths, os.environ, load, place, ready))


@app.command(cls=Command)
def start(ctx: typer.Context) -> None:
    """Start the daemon in the background.

    Example: agentctl daemon start
    """
    import asyncio

    from agentctl.daemon import process

    output: Output = ctx.obj
    load_config()
    address = asyncio.run(process.start(user_paths(), os.environ))
    if output.form == "json":
        output.data({"pid": address.pid, "url": address.url, "socket": address.socket})
    else:
        output.line(f"the daemon runs (pid {address.pid})")


@app.command(cls=Command)
def stop(ctx: typer.Context) -> None:
    """Stop the daemon; it finishes or stores what runs.

    Example: agentctl daemon stop
    """
    import asyncio

    from agentctl.daemon import process

    output: Output = ctx.obj
    load_config()
    was_running = asyncio.run(process.stop(user_paths()))
    if output.form == "json":
        output.data({"was_running": was_running})
    else:
        output.line("the daemon was stopped" if was_running else "no daemon runs")


@app.command(cls=Command)
def restart(ctx: typer.Context) -> None:
    """Stop the daemon if one runs, and start it.

    Example: agentctl daemon restart
    """
    import asyncio

    from agentctl.daemon import process

    output: Output = ctx.obj
    load_config()

    async def again() -> process.DaemonAddress:
        await process.stop(user_paths())
        return await process.start(user_paths(), os.environ)

    address = asyncio.run(again())
    if output.form == "json":
        output.data({"pid": address.pid, "url": address.url, "socket": address.socket})
    else:
        output.line(f"the daemon runs (pid {address.pid})")


@app.command(cls=Command)
def status(
    ctx: typer.Context,
    token: Annotated[
        bool, typer.Option("--token", help="Also show the token that programs need.")
    ] = False,
) -> None:
    """Show whether the daemon runs, how it is, and what it does.

    Example: agentctl daemon status
    """
    import asyncio

    from agentctl.daemon.client import fetch_state
    from agentctl.daemon.process import is_running, read_address
    from agentctl.render.daemon import show_state

    output: Output = ctx.obj
    config = load_config()
    address = read_address(user_paths())
    if address is None:
        is_starting = is_running(user_paths())
        told = "starting" if is_starting else "stopped"
        if output.form == "json":
            output.data({"status": told})
        else:
            output.line("the daemon is starting" if is_starting else "no daemon runs")
            output.note("start it: agentctl daemon start")
        return
    state = asyncio.run(fetch_state(address))
    show_state(output, state, token=address.token if token else None)
    from agentctl.daemon.process import fingerprint

    if address.settings != fingerprint(config, os.environ):
        output.note("it works with other settings than the ones here: commands here do without it")
    if state.problems:
        raise typer.Exit(1)


@app.command(cls=Command)
def logs(
    ctx: typer.Context,
    lines: Annotated[
        int, typer.Option("-n", min=1, help="Print this many lines of each file.")
    ] = 50,
) -> None:
    """Print the last lines of the log files.

    Example: agentctl daemon logs -n 20
    """
    output: Output = ctx.obj
    paths = user_paths()
    told = {path.name: tail(path, lines) for path in (paths.log, paths.daemon_log) if path.exists()}
    if output.form == "json":
        output.data({name: [*each] for name, each in told.items()})
        return
    for name, each in told.items():
        output.note(f"{name}:")
        for line in each:
            output.line(line)


def tail(path: Path, lines: int) -> list[str]:
    from collections import deque

    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, lines)]


@app.command(cls=Command)
def report(
    ctx: typer.Context,
    since: Annotated[
        str | None,
        typer.Option(help="Begin at this time, such as 8h or 2d ago, or a date.", metavar="TIME"),
    ] = None,
) -> None:
    """Tell what happened while you were away, in a dozen lines.

    Without --since it begins where the last report ended.

    Example: agentctl daemon report --since 2d
    """
    from agentctl.commands.report import tell

    tell(ctx.obj, since)


@app.command(cls=Command)
def install(
    ctx: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would be written, and where.")
    ] = False,
) -> None:
    """Have the machine start the daemon whenever you log in.

    Example: agentctl daemon install --dry-run
    """
    import asyncio

    from agentctl.daemon import process
    from agentctl.daemon import service as services

    output: Output = ctx.obj
    service, left_out = _own_service()
    if left_out:
        output.note(f"not written down, for they may be secrets: {', '.join(left_out)}")
    if not dry_run:
        program = Path(process.lasting_command(os.environ)[0]).absolute().parent
        # A frozen program has no files of code that could lie elsewhere.
        code = program if getattr(sys, "frozen", False) else Path(__file__).parent
        services.check_stays((program, code), os.environ)
        services.check_manager(service, services.run_command)
        # The service is to be the one that runs.
        asyncio.run(process.stop(user_paths()))
        make_private(user_paths().state)
        services.install(service, services.run_command)
    if output.form == "json":
        told = {"manager": service.manager, "path": str(service.path), "text": service.text}
        output.data(told | {"is_installed": not dry_run, "left_out": left_out})
        return
    if dry_run:
        output.note(f"would be written to {service.path}:")
        output.text(service.text)
    else:
        output.line(f"{service.manager} starts the daemon from now on: {service.path}")
    if service.advice:
        output.note(service.advice)


@app.command(cls=Command)
def uninstall(ctx: typer.Context) -> None:
    """Stop the daemon, and have it started at login no more.

    Example: agentctl daemon uninstall
    """
    from agentctl.daemon import service as services

    output: Output = ctx.obj
    service, _ = _own_service()
    was_installed = services.uninstall(service, services.run_command)
    if output.form == "json":
        output.data({"was_installed": was_installed, "path": str(service.path)})
    else:
        output.line(f"removed {service.path}" if was_installed else "it is not installed")


def _own_service() -> "tuple[Service, list[str]]":
    """The service of this program, and the variables that are no part of it."""
    import getpass

    from agentctl.daemon.process import lasting_command
    from agentctl.daemon.service import describe_program, describe_service

    key = load_config().settings.openai.api_key_env
    program = describe_program(lasting_command(os.environ), os.environ, Path.home(), secret=key)
    user, number = getpass.getuser(), 0
    if sys.platform == "win32":
        user = f"{os.environ.get('USERDOMAIN', '.')}\\{user}"
    else:
        number = os.getuid()
    service = describe_service(program, user_paths(), sys.platform, user=user, number=number)
    return service, [*program.left_out]
