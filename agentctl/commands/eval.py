"""`agentctl eval`: how well retrieval answers the user's own questions."""

from typing import Annotated, get_args

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, new_app, with_workspace
from agentctl.commands.inputs import named_file
from agentctl.core.knowledge.library import Evaluation, SearchMode
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output

app = new_app()


@app.command("eval", cls=Command)
def evaluate(
    ctx: typer.Context,
    questions: Annotated[
        str,
        typer.Argument(
            help="Read the questions from this file, one a line; - is stdin.", metavar="SET.jsonl"
        ),
    ],
    mode: Annotated[
        SearchMode | None,
        typer.Option(help="Measure this way of searching only; without it, all, to compare."),
    ] = None,
    collection: Annotated[
        str | None,
        typer.Option(help="Keep to this collection.", autocompletion=complete.collections),
    ] = None,
) -> None:
    """Measure how well your questions find the right documents.

    Each line of the file is {"query": "…", "relevant": [{"path": "notes.md"}]}.

    Example: agentctl eval questions.jsonl
    """
    output: Output = ctx.obj
    modes: tuple[SearchMode, ...] = get_args(SearchMode) if mode is None else (mode,)

    async def use(workspace: Workspace) -> list[Evaluation]:
        return [
            await workspace.evaluate(str(path), mode=each, collection=collection) for each in modes
        ]

    with named_file(questions) as path:
        measured = with_workspace(use)
    if output.form == "json":
        output.data(measured)
        return
    output.table(
        ("mode", "questions", "nDCG@10", "recall@3", "recall@10", "MRR", "median", "95%"),
        [
            (
                each.mode,
                str(each.questions),
                f"{each.ndcg_at_10:.3f}",
                f"{each.recall_at_3:.3f}",
                f"{each.recall_at_10:.3f}",
                f"{each.mrr:.3f}",
                f"{each.p50_ms:.1f} ms",
                f"{each.p95_ms:.1f} ms",
            )
            for each in measured
        ],
    )
