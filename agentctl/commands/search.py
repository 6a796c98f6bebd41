"""`agentctl search`: the passages of the knowledge base that fit a query."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.commands.places import located
from agentctl.connect import working_directory
from agentctl.core.errors import UsageProblem
from agentctl.core.files import clipped
from agentctl.core.knowledge.library import SearchMode, SearchRequest, SearchResult
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output
from agentctl.render.passages import show_hits

app = new_app()


@app.command(cls=Command)
def search(
    ctx: typer.Context,
    words: Annotated[
        list[str], typer.Argument(help="Say what to look for, in any words.", metavar="QUERY")
    ],
    limit: Annotated[
        int,
        typer.Option("-n", "--limit", min=1, max=10_000, help="Show at most this many passages."),
    ] = 10,
    collection: Annotated[
        str | None,
        typer.Option(help="Keep to this collection.", autocompletion=complete.collections),
    ] = None,
    mode: Annotated[
        SearchMode, typer.Option(help="Search by meaning (vector), by words (keyword), or by both.")
    ] = "hybrid",
    path: Annotated[
        str | None,
        typer.Option(help="Keep to documents of this path, folder or pattern.", metavar="GLOB"),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--type", help="Keep to files that end so, such as md; repeatable.", metavar="ENDING"
        ),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Keep to what changed on this day or later.", metavar="DATE")
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Keep to what changed on this day or before.", metavar="DATE")
    ] = None,
) -> None:
    """Find passages of the knowledge base, the best first.

    Example: agentctl search "how do sextants work" -n 5
    """
    output: Output = ctx.obj
    query = words[0]
    if len(words) > 1:
        quoted = '"{}"'.format(" ".join(words).replace('"', "'"))
        raise UsageProblem("a query of several words needs quotes", f"agentctl search {quoted}")
    if not query.strip():
        raise UsageProblem("the query is empty", 'agentctl search "your words"')
    request = SearchRequest(
        query=query,
        n=limit,
        collection=collection,
        mode=mode,
        path=located(path) if path else None,
        kinds=tuple(each.removeprefix(".").casefold() for each in kind or ()),
        since=_moment("--since", since),
        until=_moment("--until", until, ends_day=True),
    )

    async def use(workspace: Workspace) -> tuple[SearchResult, bool]:
        found = await workspace.search(request)
        return found, not found.hits and not await workspace.list_collections()

    result, is_empty = with_workspace(use)
    if output.form == "json":
        output.data(
            {
                "query": result.query,
                "mode": result.mode,
                "took_ms": result.took_ms,
                "hits": result.hits,
            }
        )
        return
    if is_empty:
        output.note("the knowledge base is empty; fill it: agentctl ingest PATH")
    elif not result.hits:
        output.note(f"nothing found for: {clipped(query)}")
    show_hits(output, result.hits, query, working_directory())


def _moment(option: str, text: str | None, *, ends_day: bool = False) -> str | None:
    """A local date or time as one in UTC; a day alone is its first moment, or the next day's."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageProblem(f"{text} is no date", f"{option} 2026-01-31") from None
    if ends_day and len(text) <= len("2026-01-31"):
        moment += timedelta(days=1)
    return moment.astimezone(UTC).isoformat(timespec="seconds")
