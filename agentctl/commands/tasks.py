"""`agentctl tasks`: what is done on a schedule, and what became of it."""

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

import typer

from agentctl.commands import complete
from agentctl.commands.common import Command, StreamingCommand, new_app, with_workspace
from agentctl.commands.confirmation import confirm_removal
from agentctl.commands.options import Model
from agentctl.commands.task_request import (
    EXAMPLE,
    read_action,
    read_target,
    read_timeout,
    read_trigger,
)
from agentctl.connect import working_directory
from agentctl.core.agents.run_request import ROUTER
from agentctl.core.automation import schedule
from agentctl.core.automation.tasks import (
    Interrupted,
    Missed,
    TaskEntry,
    TaskOptions,
    TaskRequest,
    Trigger,
)
from agentctl.core.files import well_formed
from agentctl.core.workspace import Workspace
from agentctl.render.output import Output
from agentctl.render.tasks import action_words, local, next_run, show_history, show_task, show_tasks

NotifyOn: TypeAlias = Literal["failure", "always"]

_NEXT_TIMES = 5


app = new_app()
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name the task.", autocompletion=complete.tasks)
]


@app.callback()
def tasks() -> None:
    """Have things done on a schedule, by the daemon.

    Example: agentctl tasks list
    """


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List the tasks, and when each is due next.

    Example: agentctl tasks list
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.list_tasks())
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note(f"no tasks yet; add one: {EXAMPLE}")
        return
    show_tasks(output, found, datetime.now(UTC))
    if any(task.enabled for task in found):
        _note_daemon(output)


@app.command(cls=Command)
def add(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name the new task.")],
    task: Annotated[
        str | None, typer.Argument(metavar="TASK", help="Say what the agent is to do.")
    ] = None,
    cron: Annotated[
        str | None,
        typer.Option(help="Do it at minute, hour, day, month, weekday; or @daily.", metavar="EXPR"),
    ] = None,
    every: Annotated[
        str | None, typer.Option(help="Do it so often, such as 10m, 2 hours, day.", metavar="TIME")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help='Do it once, such as "tomorrow 09:00" or "2026-12-24 18:00".', metavar="TIME"
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(
            help="Give this agent the TASK; auto takes the one that fits.",
            metavar="NAME",
            autocompletion=complete.agents,
        ),
    ] = None,
    ask: Annotated[
        str | None, typer.Option(help="Ask a model this question.", metavar="PROMPT")
    ] = None,
    ingest: Annotated[
        str | None, typer.Option(help="Take this file, folder or page in.", metavar="PATH")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            help="Go by the clocks of this time zone.",
            metavar="NAME",
            show_default="this machine's",
        ),
    ] = None,
    missed: Annotated[
        Missed,
        typer.Option(help="Run once for times that pass while no daemon runs, or skip them."),
    ] = "run",
    interrupted: Annotated[
        Interrupted,
        typer.Option(help="Let a run that was killed go on, start again, or be left."),
    ] = "resume",
    timeout: Annotated[
        str, typer.Option(help="Stop a run after this time.", metavar="TIME")
    ] = "1h",
    retries: Annotated[
        int, typer.Option(min=0, max=100, help="Try so many times more after a failure.")
    ] = 0,
    notify: Annotated[
        list[str] | None,
        typer.Option(
            help="Tell them: desktop, file:PATH, command:WORDS; repeatable.", metavar="WHOM"
        ),
    ] = None,
    notify_on: Annotated[
        NotifyOn, typer.Option(help="Tell them of failures only, or always.")
    ] = "always",
    model: Model = None,
    collection: Annotated[
        str | None,
        typer.Option(
            help="Put documents into this collection, or look for them there.",
            autocompletion=complete.collections,
        ),
    ] = None,
    workdir: Annotated[
        str | None,
        typer.Option(
            help="Let the agent work in this folder; without it, in the current one.", metavar="DIR"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show when it would be due; add nothing.")
    ] = False,
) -> None:
    """Add a task, with its times and what is done then.

    Say one of --cron, --every and --at, and one of --agent, --ask and --ingest.

    Example: agentctl tasks add news --cron "0 8 * * mon-fri" --agent researcher "What is new?"
    """
    output: Output = ctx.obj
    trigger = read_trigger({"--cron": cron, "--every": every, "--at": at}, timezone)
    actions = {"--agent": agent, "--ask": ask, "--ingest": ingest}
    action = read_action(actions, task, model, collection, workdir)
    options = TaskOptions(
        missed=missed,
        interrupted=interrupted,
        timeout_s=read_timeout(timeout),
        retries=retries,
        notify=tuple(read_target(each) for each in notify or ()),
        notify_on=notify_on,
    )
    request = TaskRequest(name=well_formed(name), trigger=trigger, action=action, options=options)

    async def use(workspace: Workspace) -> TaskEntry | list[str]:
        if action.agent not in (None, ROUTER):
            await workspace.show_agent(action.agent)
        if dry_run:
            return await workspace.preview_task(request, _NEXT_TIMES)
        return await workspace.add_task(request)

    made = with_workspace(use)
    if isinstance(made, TaskEntry):
        _show_added(output, made)
    else:
        _show_preview(output, trigger, made)


@app.command(cls=Command)
def show(ctx: typer.Context, name: Name) -> None:
    """Show a task: when it is due, what it does, and how.

    Example: agentctl tasks show nightly
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.show_task(name))
    if output.form == "json":
        output.data(found)
        return
    show_task(output, found, datetime.now(UTC))


@app.command(cls=StreamingCommand)
def run(ctx: typer.Context, name: Name) -> None:
    """Run a task now, and see it work.

    When it is due next stays as it is.

    Example: agentctl tasks run nightly
    """
    output: Output = ctx.obj
    raise typer.Exit(with_workspace(lambda workspace: _play(workspace, name, output)))


@app.command(cls=Command)
def pause(ctx: typer.Context, name: Name) -> None:
    """Start a task no longer, until it is resumed.

    Example: agentctl tasks pause nightly
    """
    _enable(ctx.obj, name, is_enabled=False)


@app.command(cls=Command)
def resume(ctx: typer.Context, name: Name) -> None:
    """Go on with a paused task, from its next time on.

    Example: agentctl tasks resume nightly
    """
    _enable(ctx.obj, name, is_enabled=True)


@app.command(cls=Command)
def remove(
    ctx: typer.Context,
    name: Name,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Remove without asking.")] = False,
) -> None:
    """Remove a task and its history; the agents' runs and the sessions stay.

    Example: agentctl tasks remove nightly --yes
    """
    output: Output = ctx.obj
    if not yes:
        task = with_workspace(lambda workspace: workspace.show_task(name))
        confirm_removal(output, "a task", f"Remove {task.name} and its history?")
    removed = with_workspace(lambda workspace: workspace.remove_task(name))
    if output.form == "json":
        output.data(removed)
        return
    output.note(f"removed {removed.name}")


@app.command(cls=Command)
def history(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]", help="List only this task's.", autocompletion=complete.tasks
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option("-n", "--limit", min=1, help="List at most this many.")
    ] = 20,
) -> None:
    """List what became of tasks, the latest first.

    Example: agentctl tasks history nightly -n 5
    """
    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.task_history(name, limit))
    if output.form == "json":
        output.data(found)
        return
    if not found:
        output.note(f"nothing was run yet: agentctl tasks run {name or 'NAME'}")
    show_history(output, found)


async def _play(workspace: Workspace, name: str, output: Output) -> int:
    """Runs it to its end; the exit code."""
    from agentctl.commands.agent_stream import show_problem
    from agentctl.render.agents import AgentRunPrinter, AgentSummary, run_data
    from agentctl.render.run import RunPrinter

    task = await workspace.show_task(name)
    summary = AgentSummary()
    is_answer = task.action.kind == "ask"
    printer = RunPrinter(output, working_directory()) if is_answer else AgentRunPrinter(output)
    try:
        async with aclosing(workspace.run_task(name)) as events:
            async for event in events:
                summary.add(event)
                printer.show(event)
    finally:
        printer.close()
        if output.form == "json" and summary.finished is not None:
            output.data(run_data(summary))
    # What failed at first may have been done by a further attempt.
    if summary.finished is not None and summary.finished.status == "done":
        return 0
    way_on = None if task.action.kind == "agent" else f"agentctl tasks run {task.name}"
    show_problem(output, summary, way_on)
    return summary.exit_code


def _enable(output: Output, name: str, *, is_enabled: bool) -> None:
    task = with_workspace(lambda workspace: workspace.enable_task(name, is_enabled=is_enabled))
    if output.form == "json":
        output.data(task)
    elif is_enabled:
        output.note(f"{task.name} goes on: {next_run(task, datetime.now(UTC))}")
        _note_daemon(output)
    else:
        output.note(f"{task.name} is paused; go on: agentctl tasks resume {task.name}")


def _show_added(output: Output, task: TaskEntry) -> None:
    if output.form == "json":
        output.data(task)
        return
    output.note(f"added {task.name}, {schedule.explain(task.trigger)}: {action_words(task.action)}")
    output.note(f"next run: {next_run(task, datetime.now(UTC))}")
    _note_daemon(output)


def _show_preview(output: Output, trigger: Trigger, times: list[str]) -> None:
    words = schedule.explain(trigger)
    if output.form == "json":
        output.data({"trigger": trigger, "explanation": words, "next": times})
        return
    output.line(words)
    for moment in times:
        output.line(local(moment))
    output.note("nothing was added")


def _note_daemon(output: Output) -> None:
    from agentctl.connect import is_daemon_running

    if not is_daemon_running():
        output.note(
            "no daemon runs, so nothing is started by itself; start it: agentctl daemon start"
        )
