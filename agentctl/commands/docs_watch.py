"""`agentctl docs watched` and `docs unwatch`: the folders that the daemon follows."""

from typing import Annotated

import typer

from agentctl.commands.common import with_workspace
from agentctl.commands.places import absolute
from agentctl.connect import working_directory
from agentctl.core.automation.watching import WatchedFolder
from agentctl.render.links import short_path
from agentctl.render.output import Output


def watched(ctx: typer.Context) -> None:
    """List the folders that the daemon follows.

    Example: agentctl docs watched
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.list_watched())
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note("no watched folders yet; add one: agentctl ingest FOLDER --watch")
    folder = working_directory()
    output.table(
        ("folder", "collection", "status", "files", "added"),
        [
            (short_path(each.path, folder), each.collection, each.status, _files(each), each.added)
            for each in found
        ],
    )
    if any(each.status == "idle" for each in found):
        output.note("no daemon follows them now; start one: agentctl daemon start")


def unwatch(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="Name a folder that is followed.")],
) -> None:
    """Follow a folder no longer; its documents stay.

    Example: agentctl docs unwatch notes
    """
    output: Output = ctx.obj
    folder = absolute(path)
    removed = with_workspace(lambda workspace: workspace.unwatch_folder(folder))
    if output.form == "json":
        output.data(removed)
        return
    name = short_path(removed.path, working_directory())
    output.note(f"{name} is no longer followed; its documents stay")


def _files(folder: WatchedFolder) -> str:
    """The globs as they were given; empty for all files."""
    return " ".join([*folder.include, *(f"not:{glob}" for glob in folder.exclude)])
