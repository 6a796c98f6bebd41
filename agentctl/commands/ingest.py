"""`agentctl ingest`: files, folders, pages and stdin into the knowledge base."""

import asyncio
import os
import shlex
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import StreamingCommand, load_config, new_app, with_workspace
from agentctl.commands.places import absolute
from agentctl.connect import working_directory
from agentctl.core.errors import InputMissing, InputTooLarge, InputUnreadable, UsageProblem
from agentctl.core.files import from_code_page, read_up_to
from agentctl.core.knowledge.library import IngestReport, IngestRequest, IngestStep
from agentctl.core.web_page import URL_SCHEMES
from agentctl.core.workspace import Workspace
from agentctl.render.console import code_page
from agentctl.render.ingest import IngestPrinter
from agentctl.render.links import short_path
from agentctl.render.output import Output

# Seconds between two looks at the watched folders.
SWEEP_S = 2.0

app = new_app()


@app.command(cls=StreamingCommand)
def ingest(
    ctx: typer.Context,
    path: Annotated[
        list[str] | None,
        typer.Argument(
            help="Take in these files, folders and URLs; - is stdin.", metavar="PATH..."
        ),
    ] = None,
    collection: Annotated[
        str,
        typer.Option(help="Put them into this collection.", autocompletion=complete.collections),
    ] = "default",
    title: Annotated[
        str | None, typer.Option(help="Call what comes from stdin so; - needs it.")
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(help="Take only these files of a folder; repeatable.", metavar="GLOB"),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Leave out these files of a folder; repeatable.", metavar="GLOB"),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove what is gone from the named folders.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Read also what has not changed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done.")] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", help="Follow every change: the daemon does, else this command until Ctrl+C."
        ),
    ] = False,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Ignore standard input.")] = False,
) -> None:
    """Add files, folders, pages or stdin to the knowledge base.

    What has not changed since the last time is left alone; Ctrl+C keeps what is done.

    Example: agentctl ingest notes/ report.pdf --exclude "*.log"
    """
    output: Output = ctx.obj
    names = path or []
    takes_stdin = "-" in names or (not names and not no_stdin and not _is_terminal())
    _check_usage(names, title, takes_stdin=takes_stdin, no_stdin=no_stdin)
    if watch:
        _check_watch(names, output, takes_stdin=takes_stdin, dry_run=dry_run)
    config = load_config()
    request = IngestRequest(
        sources=tuple(absolute(name) for name in names if name != "-"),
        stdin=_read_stdin(config.settings.knowledge.file_bytes) if takes_stdin else None,
        title=title,
        collection=collection,
        include=tuple(include or ()),
        exclude=tuple(exclude or ()),
        force=force,
        prune=prune or watch,
        dry_run=dry_run,
    )
    printer = IngestPrinter(output, working_directory(), dry_run=dry_run)

    async def use(workspace: Workspace) -> IngestReport:
        with printer:
            report = await take_in(workspace.ingest(request), printer)
            if watch and _is_for_daemon(request):
                await _hand_over(workspace, request, output)
            elif watch:
                printer.watch()
                output.note("in the background a daemon would do it: agentctl daemon start")
                await _follow(workspace, replace(request, force=False), printer)
        return report

    raise typer.Exit(exit_code(with_workspace(use, config)))


async def take_in(
    steps: AsyncGenerator[IngestStep | IngestReport, None], printer: IngestPrinter
) -> IngestReport:
    """Shows the steps of an ingest or an import as they come; its report."""
    report = IngestReport()
    async with aclosing(steps):
        async for step in steps:
            if isinstance(step, IngestReport):
                report = step
            else:
                printer.show(step)
    printer.finish(report)
    return report


def exit_code(report: IngestReport) -> int:
    """That of the worst failure: an input that is there but unreadable, then a missing one."""
    codes = {failure.code for failure in report.failed}
    if codes - {InputMissing.slug}:
        return InputUnreadable.exit_code
    return InputMissing.exit_code if codes else 0


async def _follow(workspace: Workspace, request: IngestRequest, printer: IngestPrinter) -> None:
    while True:
        await asyncio.sleep(SWEEP_S)
        await take_in(workspace.ingest(request), printer)


def _is_for_daemon(request: IngestRequest) -> bool:
    """Whether one runs that can follow it: it follows folders."""
    from agentctl.connect import is_daemon_running

    return all(Path(each).is_dir() for each in request.sources) and is_daemon_running()


async def _hand_over(workspace: Workspace, request: IngestRequest, output: Output) -> None:
    from agentctl.core.automation.watching import WatchRequest

    for source in request.sources:
        folder = await workspace.watch_folder(
            WatchRequest(
                path=source,
                collection=request.collection,
                include=request.include,
                exclude=request.exclude,
            )
        )
        name = os.path.join(short_path(folder.path, working_directory()), "")  # noqa: PTH118 - a / at its end
        output.note(
            f"the daemon follows {name} from now on;"
            f" stop that: agentctl docs unwatch {shlex.quote(name)}"
        )


def _check_usage(names: list[str], title: str | None, *, takes_stdin: bool, no_stdin: bool) -> None:
    if not names and not (takes_stdin and title):
        raise UsageProblem(
            "there is nothing to take in",
            'agentctl ingest PATH, or agentctl ingest - --title "NAME"',
        )
    if no_stdin and "-" in names:
        raise UsageProblem("- and --no-stdin exclude each other", "agentctl ingest PATH")
    if takes_stdin and not (title or "").strip():
        raise UsageProblem(
            "text from stdin needs a name to be found by", 'agentctl ingest - --title "NAME"'
        )
    if title is not None and not takes_stdin:
        raise UsageProblem("--title names what comes from stdin", "agentctl ingest - --title NAME")


def _check_watch(names: list[str], output: Output, *, takes_stdin: bool, dry_run: bool) -> None:
    if takes_stdin or any(name.startswith(URL_SCHEMES) for name in names):
        raise UsageProblem("only files and folders can be watched", "agentctl ingest PATH --watch")
    if dry_run:
        raise UsageProblem("--watch and --dry-run exclude each other", "agentctl ingest PATH")
    if output.form == "json":
        raise UsageProblem("--watch never ends in one object", "agentctl ingest --watch --jsonl")


def _is_terminal() -> bool:
    return sys.stdin is None or sys.stdin.isatty()


def _read_stdin(limit: int) -> bytes:
    """Raises InputTooLarge before more than `limit` bytes are held."""
    try:
        data = read_up_to(sys.stdin.buffer, limit + 1) if sys.stdin is not None else b""
    except OSError:
        data = b""
    if not data.strip():
        raise UsageProblem("there is nothing to take in: stdin is empty", "agentctl ingest PATH")
    if len(data) > limit:
        raise InputTooLarge(
            f"stdin is larger than {limit:,} bytes",
            f"agentctl config set knowledge.file_bytes {limit * 2}",
        )
    return from_code_page(data, code_page())
