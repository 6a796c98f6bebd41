"""`agentctl restore`: a backup in the place of what is here.

It opens no workspace: the database may be damaged, and the settings wrong.
"""

import shlex
from typing import Annotated

import typer

from agentctl.commands.common import Command, new_app
from agentctl.commands.confirmation import check_can_ask, confirm
from agentctl.commands.inputs import named_file
from agentctl.connect import user_paths
from agentctl.core.backup_file import Counts, Manifest
from agentctl.core.chat.attachments import STDIN_NAME
from agentctl.core.home_swap import finish_swap
from agentctl.render.backup import BackupPrinter, show_both, show_check, show_restored
from agentctl.render.output import Output

app = new_app()


@app.command(cls=Command)
def restore(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="What agentctl backup has written; - is stdin.")
    ],
    check: Annotated[
        bool, typer.Option("--check", help="Only check the file; nothing is replaced.")
    ] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    discard_old: Annotated[
        bool, typer.Option("--discard-old", help="Do not keep what is replaced.")
    ] = False,
) -> None:
    """Replace everything that is here by a backup, from this or another machine.

    All of it is checked first. What is replaced is kept beside.

    Example: agentctl restore ~/backups/agentctl.zip
    """
    from agentctl.core import restore as restoring

    output: Output = ctx.obj
    paths = user_paths()
    finish_swap(paths)
    with named_file(file) as path:
        manifest, present = restoring.look_into(path), restoring.present_counts(paths)
        if not check and not yes:
            _confirm(output, file, manifest, present)
        printer = BackupPrinter(output)
        try:
            if check:
                restoring.check(path, paths, printer.show)
            else:
                report = restoring.restore(path, paths, printer.show, keeps_old=not discard_old)
        finally:
            printer.close()
    shown = STDIN_NAME if file == "-" else str(path)
    if check:
        show_check(output, shown, manifest, present)
    else:
        show_restored(output, shown, report, present)


def _confirm(output: Output, file: str, manifest: Manifest, present: Counts | None) -> None:
    check_can_ask("restoring", f"agentctl restore {shlex.quote(file)} --yes")
    show_both(output, manifest, present)
    output.note("its permissions, MCP servers and tasks come with it: take only one that you trust")
    confirm(output, "Replace what is here by the backup?", "nothing was replaced")
