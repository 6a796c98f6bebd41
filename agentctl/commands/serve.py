"""`agentctl serve`: the daemon's HTTP API at a fixed address, for other programs."""

from typing import Annotated

import typer

from agentctl.commands.common import Command, load_config, new_app
from agentctl.commands.daemon import run_in_front
from agentctl.connect import is_daemon_running, user_paths
from agentctl.core.errors import BackendBusy

PORT = 8421

app = new_app()


@app.command(cls=Command)
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Listen at this address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Listen at this port.")] = PORT,
    tls_cert: Annotated[
        str | None,
        typer.Option(
            help="Use this certificate; needed for all but this machine's addresses.",
            metavar="FILE",
        ),
    ] = None,
    tls_key: Annotated[
        str | None, typer.Option(help="Use this key of the certificate.", metavar="FILE")
    ] = None,
) -> None:
    """Serve the HTTP API in front, until Ctrl+C.

    Programs need the token that is shown; other machines need TLS, too.

    Example: agentctl serve --port 8421
    """
    from agentctl.daemon.listening import Place

    load_config()
    place = Place(
        host=host, port=port, certificate=tls_cert, key=tls_key, socket=user_paths().daemon_socket
    )
    place.check()
    if is_daemon_running():
        # One alone hosts the schedules, at one place.
        raise BackendBusy("a daemon runs already", "agentctl daemon stop, then the same again")
    run_in_front(ctx.obj, place, shows_token=True)
