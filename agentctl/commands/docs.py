"""`agentctl docs`: what is in the knowledge base."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from agentctl.commands import complete, docs_watch
from agentctl.commands.common import Command, StreamingCommand, new_app, with_workspace
from agentctl.commands.confirmation import confirm_removal
from agentctl.commands.ingest import exit_code, take_in
from agentctl.commands.inputs import named_file
from agentctl.commands.places import absolute, located
from agentctl.connect import working_directory
from agentctl.core.errors import InputMissing, NotFound, UsageProblem
from agentctl.core.files import clipped
from agentctl.core.knowledge.library import DocumentEntry, IngestReport, Passage
from agentctl.core.open_files import move_over
from agentctl.core.paths import when_unwritable
from agentctl.core.workspace import Workspace
from agentctl.render.ingest import IngestPrinter, ReindexPrinter, count
from agentctl.render.links import short_path
from agentctl.render.output import Output, human_size
from agentctl.render.passages import show_passage

app = new_app()
Reference = Annotated[
    str,
    typer.Argument(
        metavar="DOCUMENT",
        help="Name the document by its path or its id.",
        autocompletion=complete.documents,
    ),
]
Collection = Annotated[
    str | None, typer.Option(help="Keep to this collection.", autocompletion=complete.collections)
]


@app.callback()
def docs() -> None:
    """Look after the documents of the knowledge base; the files themselves are never touched.

    Example: agentctl docs list
    """


@app.command("list", cls=Command)
def list_(ctx: typer.Context, collection: Collection = None) -> None:
    """List the documents.

    Example: agentctl docs list --collection work
    """
    output: Output = ctx.obj

    async def use(workspace: Workspace) -> list[DocumentEntry]:
        await _check_collection(workspace, collection)
        return await workspace.list_documents(collection)

    found = with_workspace(use)
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note("no documents yet; add some: agentctl ingest PATH")
    folder = working_directory()
    output.table(
        ("id", "collection", "path", "chunks", "size", "changed", "title"),
        [
            (
                str(each.id),
                each.collection,
                short_path(each.path, folder),
                str(each.chunks),
                human_size(each.size),
                each.modified[:16],
                each.title,
            )
            for each in found
        ],
    )


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    document: Reference,
    chunk: Annotated[
        int | None,
        typer.Option(help="Print only this passage, by a search's chunk_id.", metavar="ID"),
    ] = None,
    lines: Annotated[
        str | None,
        typer.Option(
            help="Print only these lines, such as 10:20 or 10: to the end.", metavar="A:B"
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(help="Mean the one of this collection.", autocompletion=complete.collections),
    ] = None,
) -> None:
    """Print a document's text, as it was taken in.

    Example: agentctl docs show notes.md --lines 10:20
    """
    output: Output = ctx.obj
    span = _span(lines) if lines is not None else None
    if span is not None and chunk is not None:
        raise UsageProblem("--chunk and --lines exclude each other", "--lines A:B")
    name = located(document)

    async def use(workspace: Workspace) -> Passage:
        meant = await _in_collection(workspace, name, collection) if collection else name
        return await workspace.show_document(meant, chunk)

    passage = with_workspace(use)
    if span is not None:
        passage = _only(passage, *span)
    if output.form == "json":
        output.data(passage)
        return
    show_passage(output, passage, working_directory())


@app.command(cls=Command)
def remove(
    ctx: typer.Context,
    documents: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DOCUMENT...",
            help="Name them by paths, ids, folders or globs.",
            autocompletion=complete.documents,
        ),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(
            help="Remove only from this collection; alone, all of it.",
            autocompletion=complete.collections,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
) -> None:
    """Take documents out of the knowledge base; the files stay.

    Example: agentctl docs remove notes/old --yes
    """
    output: Output = ctx.obj
    names = [located(name) for name in documents or []]
    if not names and collection is None:
        raise UsageProblem("which documents?", "agentctl docs remove PATH, or --collection NAME")

    async def look(workspace: Workspace) -> None:
        from agentctl.core.knowledge.references import resolve_all

        await _check_collection(workspace, collection)
        resolve_all(await workspace.list_documents(collection), names)

    async def use(workspace: Workspace) -> list[DocumentEntry]:
        await _check_collection(workspace, collection)
        return await workspace.remove_documents(names, collection)

    if not yes:
        with_workspace(look)
        what = ", ".join(documents or []) or f"all of the collection {collection}"
        question = f"Remove {what} from the knowledge base (the files stay)?"
        confirm_removal(output, "documents", question)

    removed = with_workspace(use)
    if output.form == "json":
        output.data(removed)
        return
    for each in removed:
        output.note(f"removed {short_path(each.path, working_directory())}")
    if len(removed) != 1:
        output.note(f"{count(len(removed), 'document')} removed")


@app.command(cls=Command)
def collections(ctx: typer.Context) -> None:
    """List the collections and what they hold.

    Example: agentctl docs collections
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.list_collections())
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note("no collections yet; make one: agentctl ingest PATH --collection NAME")
    output.table(
        ("collection", "documents", "chunks", "size"),
        [(c.name, str(c.documents), str(c.chunks), human_size(c.size)) for c in found],
    )


@app.command(cls=Command)
def verify(ctx: typer.Context) -> None:
    """Check the documents, their vectors and their files.

    Exits with 1 when something is wrong; a file that is gone is only told.

    Example: agentctl docs verify
    """
    output: Output = ctx.obj
    report = with_workspace(lambda workspace: workspace.verify_documents())
    if output.form == "json":
        output.data(report)
    else:
        for path in report.missing:
            output.note(f"the file is gone: {short_path(path, working_directory())}")
        for problem in report.problems:
            output.line(f"ERROR  {problem}")
        if report.ok:
            counted = f"{count(report.documents, 'document')}, {count(report.chunks, 'chunk')}"
            output.line(f"ok     {counted}")
        else:
            output.note("mend it: agentctl docs reindex --force")
    raise typer.Exit(0 if report.ok else 1)


@app.command(cls=StreamingCommand)
def reindex(
    ctx: typer.Context,
    force: Annotated[
        bool, typer.Option("--force", help="Do it although the settings did not change.")
    ] = False,
) -> None:
    """Cut and embed all documents anew.

    Searches use the old vectors until the last is done; stopped, it goes on where it was.

    Example: agentctl docs reindex
    """
    output: Output = ctx.obj

    async def use(workspace: Workspace) -> int:
        done = 0
        with ReindexPrinter(output, working_directory()) as printer:
            async with aclosing(workspace.reindex_documents(force=force)) as steps:
                async for step in steps:
                    printer.show(step)
                    done += bool(step.path)
        return done

    done = with_workspace(use)
    if output.form == "json":
        output.data({"documents": done})
    elif output.form == "text":
        output.note(f"{count(done, 'document')} reindexed" if done else "nothing has to be done")


@app.command(cls=Command)
def export(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Write to this file; - is stdout.")
    ] = "-",
    collection: Collection = None,
) -> None:
    """Write documents as lines of JSON.

    Example: agentctl docs export knowledge.jsonl
    """
    output: Output = ctx.obj
    kept: list[str] = []
    to_stdout = kept.append if output.form == "json" else output.text
    target = nullcontext(to_stdout) if file == "-" else _whole_file(Path(absolute(file)))

    async def use(workspace: Workspace) -> int:
        await _check_collection(workspace, collection)
        number = -1  # the first line tells of the others
        with target as write:
            async with aclosing(workspace.export_documents(collection)) as lines:
                async for line in lines:
                    write(line.rstrip("\n") + "\n")
                    number += 1
        return max(number, 0)

    number = with_workspace(use)
    if output.form == "json":
        written = {"path": absolute(file), "documents": number}
        output.data([json.loads(line) for line in kept] if file == "-" else written)
    elif file != "-":
        output.note(f"{count(number, 'document')} in {file}")


@app.command("import", cls=StreamingCommand)
def import_(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="Read this file, as `docs export` writes it; - is stdin."
        ),
    ],
) -> None:
    """Add the documents of an export.

    Example: agentctl docs import knowledge.jsonl
    """
    output: Output = ctx.obj
    printer = IngestPrinter(output, working_directory())

    async def use(workspace: Workspace) -> IngestReport:
        with printer:
            return await take_in(workspace.import_documents(str(path)), printer)

    with named_file(file) as path:
        report = with_workspace(use)
    raise typer.Exit(exit_code(report))


app.command(cls=Command)(docs_watch.watched)
app.command(cls=Command)(docs_watch.unwatch)


async def _in_collection(workspace: Workspace, name: str, collection: str) -> str:
    """A name that means one document of this collection, where `name` may mean several."""
    from agentctl.core.knowledge.references import resolve

    await _check_collection(workspace, collection)
    meant = resolve(await workspace.list_documents(collection), name)
    return str(meant[0].id) if len(meant) == 1 else name


async def _check_collection(workspace: Workspace, name: str | None) -> None:
    """Raises NotFound for one that nobody has."""
    names = [each.name for each in await workspace.list_collections()] if name is not None else []
    if name is not None and name not in names:
        raise NotFound(
            f"no collection {clipped(name)}; there are: {', '.join(names) or 'none yet'}",
            "agentctl docs collections",
        )


def _span(text: str) -> tuple[int, int | None]:
    """The first line and the last, from 1; None for the end."""
    match = re.fullmatch(r"(\d*)(:?)(\d*)", text)
    if match is None or not any(match.group(1, 3)):
        raise UsageProblem(f"{text} names no lines", "--lines 10:20")
    first = int(match[1] or 1)
    last = int(match[3]) if match[3] else None if match[2] else first
    if first < 1 or (last is not None and last < first):
        raise UsageProblem(f"{text} names no lines", "--lines 10:20")
    return first, last


def _only(passage: Passage, first: int, last: int | None) -> Passage:
    """Its lines from `first` to `last`, counted in the text itself where the format has none."""
    all_lines = passage.text.removesuffix("\n").split("\n")
    lines = all_lines[first - 1 : last]
    if not lines:
        total = len(all_lines)
        raise UsageProblem(f"it has only {count(total, 'line')}", f"--lines 1:{total}")
    numbers = passage.line_start is not None
    return replace(
        passage,
        text="".join(f"{line}\n" for line in lines),
        line_start=first if numbers else None,
        line_end=first + len(lines) - 1 if numbers else None,
    )


@contextmanager
def _whole_file(path: Path) -> Iterator[Callable[[str], object]]:
    """Writes a file that is there whole at the end, or as it was. Raises InputMissing."""
    import tempfile

    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            yield file.write
        move_over(temporary, path)
    except OSError as error:
        raise InputMissing(
            f"{path} cannot be written: {error.strerror}",
            when_unwritable(path, "agentctl docs export"),
        ) from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
