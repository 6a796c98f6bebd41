"""`agentctl runs`: what agents did, and what they wait for."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from agentctl.commands import complete
from agentctl.commands.agent_stream import (
    APPROVE_HELP,
    CallId,
    MaxRounds,
    NoResume,
    Timeout,
    Usage,
    go_on,
)
from agentctl.commands.common import Command, StreamingCommand, new_app, with_workspace
from agentctl.core.agents.run_request import ApprovalAnswer, Approve, LimitChanges, Scope
from agentctl.core.errors import BackendBusy, InputMissing, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import expand, when_unwritable
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output
from agentctl.render.runs import (
    ListedRun,
    details_data,
    pending,
    show_calls,
    show_details,
    show_pending,
    show_runs,
    to_json,
    to_markdown,
)
from agentctl.render.tool_calls import ASK_USER

if TYPE_CHECKING:
    from agentctl.core.agents.run_store import Decision

DocumentForm: TypeAlias = Literal["md", "json"]

app = new_app()
_RUN_HELP = "Name the run by its id, the beginning of one, or latest."
Run = Annotated[str, typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=complete.runs)]
WaitingRun = Annotated[
    str, typer.Argument(metavar="RUN", help=_RUN_HELP, autocompletion=complete.waiting_runs)
]


@app.callback()
def runs() -> None:
    """See what agents did, and answer what they wait for.

    Example: agentctl runs list --waiting
    """


@app.command("list", cls=Command)
def list_(
    ctx: typer.Context,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, max=1_000_000, help="List at most this many.")
    ] = 20,
    waiting: Annotated[
        bool, typer.Option("--waiting", help="List only those that wait for your approval.")
    ] = False,
) -> None:
    """List the latest runs first.

    Example: agentctl runs list --waiting
    """
    output: Output = ctx.obj

    async def use(workspace: Workspace) -> list[ListedRun]:
        found = []
        for run in await workspace.list_runs(None if waiting else limit):
            can_wait = run.status in ("waiting", "running")
            calls = pending(await workspace.show_run(run.id)) if can_wait else []
            if calls or not waiting:
                found.append(ListedRun(run, calls))
        return found[:limit]

    found = with_workspace(use)
    if output.form == "json":
        output.data([each.data() for each in found])
        return
    if not found:
        output.note("nothing waits" if waiting else 'no runs yet: agentctl agents run "the task"')
    show_runs(output, found)


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    run: Run = "latest",
    calls: Annotated[
        bool, typer.Option("--calls", help="Show only the tool calls, with all of their results.")
    ] = False,
) -> None:
    """Show what was said and done in a run.

    Example: agentctl runs show latest
    """
    output: Output = ctx.obj
    details = with_workspace(lambda workspace: workspace.show_run(run))
    if output.form == "json":
        output.data(details_data(details))
        return
    if calls:
        show_calls(output, details)
    else:
        show_details(output, details)
    show_pending(output, details)


@app.command(cls=Command)
def cancel(ctx: typer.Context, run: Run) -> None:
    """Stop a run, wherever it runs.

    Example: agentctl runs cancel latest
    """
    output: Output = ctx.obj
    row = with_workspace(lambda workspace: workspace.cancel_run(run))
    if output.form == "json":
        output.data(ListedRun(row).data())
        return
    is_over = row.status == "cancelled"
    output.note(f"run {row.id} is cancelled" if is_over else f"run {row.id} was told to stop")


@app.command(cls=StreamingCommand)
def approve(
    ctx: typer.Context,
    run: WaitingRun,
    call: CallId = None,
    for_run: Annotated[
        bool, typer.Option("--for-run", help="Allow all calls like it, too, in this run.")
    ] = False,
    always: Annotated[
        bool, typer.Option("--always", help="Allow all calls like it, too, by a rule that is kept.")
    ] = False,
    args: Annotated[
        str | None,
        typer.Option(help="Give these arguments in place of the agent's.", metavar="JSON"),
    ] = None,
    answer: Annotated[
        str | None, typer.Option(help="Answer a question of ask_user with this.", metavar="TEXT")
    ] = None,
    no_resume: NoResume = False,
    usage: Usage = False,
) -> None:
    """Allow a call that waits; the run goes on.

    Example: agentctl runs approve latest --for-run
    """
    if for_run and always:
        raise UsageProblem("--for-run and --always exclude each other", "--always")
    if args is not None and answer is not None:
        raise UsageProblem("--args and --answer exclude each other", '--answer "…"')
    edited = _arguments(args) if args is not None else None
    scope: Scope = "always" if always else "run" if for_run else "once"

    async def made(workspace: Workspace) -> ApprovalAnswer:
        own = edited
        if own is None:
            own = _answered(pending(await workspace.show_run(run)), call, answer)
        return ApprovalAnswer(run=run, allow=True, call_id=call, scope=scope, args=own)

    async def use(workspace: Workspace) -> int:
        return await _answer(
            workspace, await made(workspace), ctx.obj, resumes=not no_resume, usage=usage
        )

    raise typer.Exit(with_workspace(use))


@app.command(cls=StreamingCommand)
def deny(
    ctx: typer.Context,
    run: WaitingRun,
    call: CallId = None,
    reason: Annotated[str, typer.Option(help="Tell the agent why.", metavar="TEXT")] = "",
    no_resume: NoResume = False,
    usage: Usage = False,
) -> None:
    """Deny a call that waits; the run goes on without it.

    Example: agentctl runs deny latest --reason "not in this folder"
    """
    answer = ApprovalAnswer(run=run, allow=False, call_id=call, reason=reason)
    raise typer.Exit(
        with_workspace(
            lambda workspace: _answer(
                workspace, answer, ctx.obj, resumes=not no_resume, usage=usage
            )
        )
    )


@app.command(cls=StreamingCommand)
def resume(
    ctx: typer.Context,
    run: Run,
    max_rounds: MaxRounds = None,
    timeout: Timeout = None,
    approve: Annotated[
        Approve | None, typer.Option(help=APPROVE_HELP, show_default="as it was begun")
    ] = None,
    usage: Usage = False,
) -> None:
    """Go on with a run that did not end well.

    One that was interrupted, stopped by a limit or cancelled, or that failed. What was done is
    not done again.

    Example: agentctl runs resume latest --max-rounds 40
    """
    limits = LimitChanges(rounds=max_rounds, seconds=timeout)
    raise typer.Exit(
        with_workspace(
            lambda workspace: go_on(
                workspace, run, ctx.obj, approve=approve, limits=limits, usage=usage
            )
        )
    )


@app.command(cls=Command)
def export(
    ctx: typer.Context,
    run: Run = "latest",
    form: Annotated[
        DocumentForm, typer.Option("--format", help="Write this kind of document.")
    ] = "md",
    file: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", help="Write to this file; without it, to stdout.", metavar="FILE"
        ),
    ] = None,
) -> None:
    """Write a run as a Markdown or JSON document.

    Example: agentctl runs export latest -o run.md
    """
    output: Output = ctx.obj
    details = with_workspace(lambda workspace: workspace.show_run(run))
    text = to_json(details) if form == "json" else to_markdown(details)
    if file is not None and file != "-":
        path = _write(file, text, details.run.id)
        if output.form == "json":
            output.data({"id": details.run.id, "path": path})
        else:
            output.note(f"wrote {path}")
    elif output.form == "json":
        output.data(details_data(details))
    else:
        output.text(text)


async def _answer(
    workspace: Workspace, answer: ApprovalAnswer, output: Output, *, resumes: bool, usage: bool
) -> int:
    """Answers, and goes on with a run that no other process holds; the exit code."""
    decision = await workspace.answer_run(answer)
    is_live = (await workspace.show_run(decision.run)).is_live
    if resumes and not is_live:
        with suppress(BackendBusy):
            return await go_on(workspace, decision.run, output, usage=usage)
        is_live = True  # the process that was about to let it wait goes on with it
    if output.form == "json":
        output.data(decision)
    elif output.form == "text":
        done = "allowed" if answer.allow else "denied"
        further = "its run goes on" if is_live else f"to go on: agentctl runs resume {decision.run}"
        output.note(f"{done} {decision.tool}; {further}")
    return 0


def _answered(waiting: "list[Decision]", call: str | None, answer: str | None) -> JsonObject | None:
    """The arguments of a question, with its answer; None for other calls.

    Raises UsageProblem when a question has no answer, or an answer no question.
    """
    meant = [each for each in waiting if call in (None, each.call_id)]
    question = next((each for each in meant if each.tool == ASK_USER), None)
    if answer is not None:
        if question is None:
            raise UsageProblem("no question waits for an answer", "agentctl runs list --waiting")
        return {**question.args, "answer": answer}
    if question is not None and len(meant) == 1:
        raise UsageProblem(
            f"the agent asks: {question.args.get('question')}",
            f'agentctl runs approve {question.run} --answer "…"',
        )
    return None


def _arguments(text: str) -> JsonObject:
    try:
        args = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageProblem(
            f"--args is not JSON: {error}", """--args '{"path": "a.txt"}'"""
        ) from None
    if not isinstance(args, dict):
        raise UsageProblem("--args is no JSON object", """--args '{"path": "a.txt"}'""")
    return args


def _write(name: str, text: str, run: str) -> str:
    """The file's whole path. Raises InputMissing."""
    path = Path(expand(name)).absolute()
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputMissing(
            f"{path} cannot be written: {error.strerror}",
            when_unwritable(path, f"agentctl runs export {run} -o"),
        ) from None
    return str(path)
