"""`agentctl backup`: everything of yours in one file."""

from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.commands.places import absolute
from agentctl.core.backup import BackupReport, BackupRequest
from agentctl.core.errors import AnswerInterrupted, UsageProblem
from agentctl.core.workspace import Workspace
from agentctl.render.backup import BackupPrinter, is_terminal_out, send_backup, show_backup
from agentctl.render.output import Output

app = new_app()


@app.command(cls=Command)
def backup(
    ctx: typer.Context,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Where to; - is stdout.", show_default=False),
    ] = None,
    models: Annotated[
        bool, typer.Option("--models", help="With the models of the embedded engine.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Save conversations, documents, runs, tasks and settings in one file.

    Everything may go on meanwhile. Without FILE it is agentctl-backup-DATE.zip in this folder.

    Example: agentctl backup ~/backups/agentctl.zip
    """
    output: Output = ctx.obj
    if file == "-":
        _to_stdout(output, models=models)
        return
    name = file or f"agentctl-backup-{datetime.now().astimezone():%Y-%m-%d}.zip"
    request = BackupRequest(path=absolute(name), models=models, replaces=force)
    show_backup(output, _back_up(output, request))


def _to_stdout(output: Output, *, models: bool) -> None:
    """Only a backup that is whole is sent."""
    from tempfile import TemporaryDirectory

    if output.form == "json" or is_terminal_out():
        raise UsageProblem("a backup is no text: stdout must be a pipe or a file", "- > FILE")
    with TemporaryDirectory() as folder:
        path = Path(folder).resolve() / "backup.zip"
        _back_up(output, BackupRequest(path=str(path), models=models))
        send_backup(path)


def _back_up(output: Output, request: BackupRequest) -> BackupReport:
    printer = BackupPrinter(output)

    async def use(workspace: Workspace) -> BackupReport:
        async with aclosing(workspace.back_up(request)) as steps:
            async for step in steps:
                if isinstance(step, BackupReport):
                    return step
                printer.show(step)
        raise AnswerInterrupted("the backup ended before it was whole", "agentctl backup")

    try:
        return with_workspace(use)
    finally:
        printer.close()
