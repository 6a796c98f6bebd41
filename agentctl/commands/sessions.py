"""`agentctl sessions`: past conversations."""

from typing import Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.commands.confirmation import confirm_removal
from agentctl.core.chat.conversations import StoredMessage
from agentctl.core.chat.export import message_data
from agentctl.core.errors import UsageProblem
from agentctl.core.knowledge.citations import source_line, sources_heading
from agentctl.core.workspace import ExportFormat
from agentctl.render.output import Output

app = new_app()
Reference = Annotated[
    str,
    typer.Argument(
        metavar="SESSION",
        help="Name the session, by its name, id, the beginning of one, or latest.",
        autocompletion=complete.sessions,
    ),
]


@app.callback()
def sessions() -> None:
    """Look after past conversations, which are kept on this machine only.

    Example: agentctl sessions list
    """


@app.command("list", cls=Command)
def list_(
    ctx: typer.Context,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, help="List at most this many.")
    ] = 20,
) -> None:
    """List the latest sessions first.

    Example: agentctl sessions list -n 5
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.list_sessions(limit))
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note('no sessions yet; begin one: agentctl ask "your question"')
    output.table(
        ("session", "name", "messages", "model", "updated", "title"),
        [
            (s.id, s.name or "", str(s.messages), s.model or "", s.updated[:16], s.title)
            for s in found
        ],
    )


@app.command(cls=Command)
def show(ctx: typer.Context, session: Reference = "latest") -> None:
    """Show a session's messages.

    Example: agentctl sessions show latest
    """
    output: Output = ctx.obj
    found, messages = with_workspace(lambda workspace: workspace.show_session(session))
    if output.form == "json":
        output.data({"session": found, "messages": [message_data(m) for m in messages]})
        return
    if found.summary:
        output.note(f"in short: {found.summary}\n")
    for message in messages:
        _show_message(output, message)


@app.command(cls=Command)
def search(
    ctx: typer.Context,
    query: Annotated[str, typer.Argument(help="Name words that the message holds.")],
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, help="List at most this many.")
    ] = 20,
) -> None:
    """Find messages by their words, the best first.

    Example: agentctl sessions search "release date"
    """
    output: Output = ctx.obj
    matches = with_workspace(lambda workspace: workspace.search_sessions(query, limit))
    if output.form == "json":
        output.data(matches)
        return
    if not matches:
        output.note(f"no message holds all of: {query}")
    output.table(
        ("session", "role", "when", "text"),
        [(m.name or m.session, m.role, m.created[:16], m.excerpt) for m in matches],
    )


@app.command(cls=Command)
def export(
    ctx: typer.Context,
    session: Reference = "latest",
    form: Annotated[
        str, typer.Option("--format", help="Print it as md or json.", metavar="FORMAT")
    ] = "md",
) -> None:
    """Print a session as a Markdown or JSON document.

    Example: agentctl sessions export latest --format json > session.json
    """
    output: Output = ctx.obj
    if form not in ("md", "json"):
        raise UsageProblem(f"no format {form}", "--format md, or --format json")
    chosen: ExportFormat = "json" if form == "json" or output.form == "json" else "md"
    text = with_workspace(lambda workspace: workspace.export_session(session, chosen))
    if output.form == "json":
        import json

        output.data(json.loads(text))
        return
    output.text(text)


@app.command(cls=Command)
def remove(
    ctx: typer.Context,
    session: Reference,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove a session for good.

    Example: agentctl sessions remove 3f9c21 --yes
    """
    output: Output = ctx.obj
    if not yes:
        found, _ = with_workspace(lambda workspace: workspace.show_session(session))
        title = found.title or found.id
        confirm_removal(output, "a session", f"Remove {title!r} ({found.messages} messages)?")
    removed = with_workspace(lambda workspace: workspace.remove_session(session))
    if output.form == "json":
        output.data(removed)
        return
    output.note(f"removed {removed.name or removed.id} ({removed.messages} messages)")


@app.command(cls=Command)
def fork(
    ctx: typer.Context,
    session: Reference = "latest",
    name: Annotated[str | None, typer.Option(help="Name the copy so.")] = None,
    at: Annotated[
        int | None, typer.Option(help="Copy up to the message of this id.", metavar="MESSAGE")
    ] = None,
) -> None:
    """Copy a session, whole or up to a message, to go on with it another way.

    Example: agentctl sessions fork latest --name attempt-2
    """
    output: Output = ctx.obj
    copy = with_workspace(lambda workspace: workspace.fork_session(session, name, at))
    if output.form == "json":
        output.data(copy)
        return
    output.line(copy.id)
    output.note(f'go on with it: agentctl ask -s {copy.name or copy.id} "…"')


def _show_message(output: Output, message: StoredMessage) -> None:
    speaker = message.model if message.role == "assistant" and message.model else message.role
    mark = "" if message.status == "done" else f" ({message.status})"
    output.line(f"[{message.id}] {speaker}{mark}")
    for attachment in message.attachments:
        output.line(f"  + {attachment.name} ({attachment.media_type})")
    output.line(message.content)
    if heading := sources_heading(message.content, message.sources):
        output.line(f"  {heading}")
    for source in message.sources:
        output.line(f"  {source_line(source)}")
    if message.error:
        output.note(f"ended with: {message.error}")
    output.line("")
