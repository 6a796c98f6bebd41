"""`agentctl mcp`: what agentctl can do, for other programs by the Model Context Protocol."""

import sys
from contextlib import AbstractAsyncContextManager

import typer

from agentctl.commands.common import Command, load_config, new_app
from agentctl.connect import open_workspace, user_config, user_paths
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output

app = new_app()


@app.command(cls=Command)
def mcp(ctx: typer.Context) -> None:
    """Offer search, ask, ingest, tasks and status by MCP, on stdin and stdout.

    Started by other programs: they name `agentctl` as the command and `mcp` as its argument.

    Example: agentctl mcp
    """
    import asyncio

    from agentctl.daemon.mcp_server import serve_stdio

    output: Output = ctx.obj
    load_config()
    if sys.stdin is not None and sys.stdin.isatty():
        output.note("waiting for a program that speaks MCP on stdin; Ctrl+C ends it")

    def open_anew() -> AbstractAsyncContextManager[Workspace]:
        # Settings and daemons come and go while this runs.
        return open_workspace(user_config())

    asyncio.run(serve_stdio(user_paths(), open_anew))
