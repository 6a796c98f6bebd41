"""`agentctl models`: what answers, and where it comes from."""

from contextlib import aclosing
from typing import Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, load_config, new_app, with_workspace
from agentctl.commands.confirmation import confirm_removal
from agentctl.commands.options import model_name
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output, human_size
from agentctl.render.progress import PullPrinter

app = new_app()
Name = Annotated[
    str,
    typer.Argument(
        help="Name the model.",
        metavar="NAME",
        autocompletion=complete.models,
        callback=model_name,
    ),
]
FITS = {"yes": "fits", "tight": "just fits", "no": "too large"}


@app.callback()
def models() -> None:
    """Look after the models that answer: Ollama's and the embedded engine's.

    Example: agentctl models list
    """


@app.command("list", cls=Command)
def list_(
    ctx: typer.Context,
    installed: Annotated[
        bool, typer.Option("--installed", help="Leave out what could be pulled.")
    ] = False,
) -> None:
    """List the models that are here and those that could be pulled.

    Example: agentctl models list
    """
    output: Output = ctx.obj
    listed = with_workspace(lambda workspace: workspace.list_models())
    entries = [entry for entry in listed.models if entry.installed or not installed]
    if output.form == "json":
        output.data(entries)
        return
    for note in listed.notes:
        output.note(note)
    output.table(
        ("model", "backend", "size", "state", "this machine", "can"),
        [
            (
                entry.name + (" *" if entry.is_default else ""),
                entry.backend,
                human_size(entry.size),
                "loaded" if entry.loaded else "installed" if entry.installed else "to pull",
                FITS.get(entry.fits or "", "-"),
                ", ".join(sorted(entry.capabilities)),
            )
            for entry in entries
        ],
    )


@app.command(cls=Command)
def pull(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            help="Name the model.", metavar="NAME", autocompletion=complete.known_models
        ),
    ],
) -> None:
    """Fetch a model; an interrupted pull goes on where it stopped.

    Example: agentctl models pull smollm2-135m
    """
    output: Output = ctx.obj

    async def use(workspace: Workspace) -> None:
        printer = PullPrinter(output)
        try:
            async with aclosing(workspace.pull_model(name)) as steps:
                async for step in steps:
                    printer.show(step)
        finally:
            printer.close()
        entry = await workspace.show_model(name)
        if output.form == "json":
            output.data(entry)
            return
        output.note(f'{entry.name} is here; try it: agentctl ask -m {entry.name} "hello"')
        if entry.fits == "no":
            output.warning(f"{entry.name} is larger than this machine's memory")

    with_workspace(use)


@app.command(cls=Command)
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove a model from this machine.

    Example: agentctl models remove smollm2-135m --yes
    """
    output: Output = ctx.obj
    config = load_config()
    entry = with_workspace(lambda workspace: workspace.show_model(name), config)
    if not yes:
        question = f"Remove {entry.name} ({human_size(entry.size)})?"
        confirm_removal(output, "a model", question)
    with_workspace(lambda workspace: workspace.remove_model(name), config)
    if output.form == "json":
        output.data(entry)
        return
    output.note(f"removed {entry.name}")


@app.command(cls=Command)
def show(ctx: typer.Context, name: Name) -> None:
    """Show what a model is and can do.

    Example: agentctl models show smollm2-135m
    """
    output: Output = ctx.obj
    entry = with_workspace(lambda workspace: workspace.show_model(name))
    if output.form == "json":
        output.data(entry)
        return
    values = {
        "model": entry.name,
        "backend": entry.backend,
        "size": human_size(entry.size),
        "parameters": entry.parameters or "-",
        "context window": f"{entry.context_window:,} tokens" if entry.context_window else "-",
        "can": ", ".join(sorted(entry.capabilities)) or "-",
        "license": entry.license or "-",
        "this machine": FITS.get(entry.fits or "", "-"),
        "installed": "yes" if entry.installed else f"no: agentctl models pull {entry.name}",
    }
    output.fields({field: str(value) for field, value in values.items()})


@app.command(cls=Command)
def use(ctx: typer.Context, name: Name) -> None:
    """Make a model the one that answers; auto chooses again.

    Example: agentctl models use qwen3:4b
    """
    output: Output = ctx.obj
    with_workspace(lambda workspace: workspace.use_model(name))
    if output.form == "json":
        output.data({"model": name})
        return
    output.note(f"{name} answers from now on")
