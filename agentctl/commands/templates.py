"""`agentctl templates`: saved questions."""

from dataclasses import asdict
from typing import Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.render.output import Output

app = new_app()


@app.callback()
def templates() -> None:
    """Look at saved questions; `agentctl ask --save NAME` makes one.

    Example: agentctl templates list
    """


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List your own templates and the shipped ones.

    Example: agentctl templates list
    """
    output: Output = ctx.obj
    names = with_workspace(lambda workspace: workspace.templates())
    if output.form == "json":
        output.data(names)
        return
    for name in names:
        output.line(name)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Name the template.", autocompletion=complete.templates)
    ],
) -> None:
    """Show what a template asks.

    Example: agentctl templates show commit
    """
    output: Output = ctx.obj
    values = asdict(with_workspace(lambda workspace: workspace.template(name)))
    if output.form == "json":
        output.data(values)
        return
    output.fields({key: str(value) for key, value in values.items() if value})
