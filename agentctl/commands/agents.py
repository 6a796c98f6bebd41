"""`agentctl agents`: who can be given a task, and the runs of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from agentctl.commands import complete
from agentctl.commands.agent_stream import (
    APPROVE_HELP,
    MaxRounds,
    Timeout,
    Usage,
    go_on,
    is_attended,
    play,
)
from agentctl.commands.common import Command, StreamingCommand, load_config, new_app, with_workspace
from agentctl.commands.inputs import read_stdin
from agentctl.commands.options import Model
from agentctl.connect import working_directory
from agentctl.core.agents.run_request import ROUTER, AgentRequest, Approve, LimitChanges
from agentctl.core.chat.attachments import STDIN_NAME
from agentctl.core.chat.prompt import fenced
from agentctl.core.config import nearest
from agentctl.core.errors import InputMissing, NotFound, UsageProblem
from agentctl.core.files import decode_text, well_formed
from agentctl.core.paths import expand
from agentctl.core.workspace import Workspace
from agentctl.render.agents import AgentRunPrinter
from agentctl.render.output import Output

Kind: TypeAlias = Literal["graph", "code", "team"]

app = new_app()
Name = Annotated[
    str, typer.Argument(help="Name the agent.", autocompletion=complete.agents, metavar="NAME")
]


@app.callback()
def agents() -> None:
    """Give a task to an agent: a model that works with tools, and asks you first.

    Example: agentctl agents run assistant "Tidy the notes"
    """


@app.command("list", cls=Command)
def list_(ctx: typer.Context) -> None:
    """List your own agents and those that are shipped.

    Example: agentctl agents list
    """
    from agentctl.render.agent_files import entry_data

    output: Output = ctx.obj
    found = with_workspace(lambda workspace: workspace.list_agents())
    if output.form == "json":
        output.data([entry_data(entry) for entry in found])
        return
    output.table(
        ("agent", "kind", "model", "from", "description"),
        [
            (
                entry.definition.name,
                entry.definition.kind,
                entry.definition.model or "-",
                "you" if entry.is_own else "agentctl",
                entry.definition.description,
            )
            for entry in found
        ],
    )


@app.command(cls=Command)
def show(ctx: typer.Context, name: Name) -> None:
    """Show what an agent is told, and the tools it has.

    Example: agentctl agents show assistant
    """
    from agentctl.render.agent_files import details_data, show_entry

    output: Output = ctx.obj
    entry = with_workspace(lambda workspace: workspace.show_agent(name))
    if output.form == "json":
        output.data(details_data(entry))
        return
    show_entry(output, entry)


@app.command(cls=Command)
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name it in small letters.", metavar="NAME")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="Choose how it works: in a loop, by writing Python, or as several roles."
        ),
    ] = "graph",
) -> None:
    """Write the file of a new agent, for you to edit.

    Example: agentctl agents new reviewer --kind team
    """
    output: Output = ctx.obj
    path = with_workspace(lambda workspace: workspace.new_agent(name, kind))
    if output.form == "json":
        output.data({"name": name, "kind": kind, "path": path})
        return
    output.line(path)
    output.note(f'edit it, then: agentctl agents run {name} "the task"')


@dataclass(frozen=True, slots=True)
class _Words:
    """The arguments of `run` as they came: a name and a task, or one of them."""

    words: tuple[str, ...]
    stdin: str | None

    @property
    def alone(self) -> str | None:
        """The only argument, which may be either."""
        return self.words[0] if len(self.words) == 1 and self.words != ("-",) else None

    def task(self, text: str) -> str:
        """The task with what is piped in."""
        text = "" if text == "-" else text
        if self.stdin is None or not self.stdin.strip():
            return text
        return f"{text}\n\n{fenced(STDIN_NAME, self.stdin)}" if text.strip() else self.stdin


@app.command(cls=StreamingCommand)
def run(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Name the agent; without a name the one that fits the task is taken.",
            autocompletion=complete.agents,
            metavar="[NAME]",
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Argument(help="Say what to do; - reads it from stdin.", metavar="TASK")
    ] = None,
    model: Model = None,
    max_rounds: MaxRounds = None,
    timeout: Timeout = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this many tokens, prompts and answers together."),
    ] = None,
    max_tool_calls: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many calls of tools.")
    ] = None,
    approve: Annotated[Approve | None, typer.Option(help=APPROVE_HELP, show_default="ask")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            help="Give this run a further task; it keeps its agent, model and folder.",
            metavar="RUN",
            autocompletion=complete.runs,
        ),
    ] = None,
    workdir: Annotated[
        str | None,
        typer.Option(
            help="Work in this folder, which its code may change; without it, in the current one, "
            "which its code may only read.",
            metavar="DIR",
        ),
    ] = None,
    usage: Usage = False,
    no_stdin: Annotated[bool, typer.Option("--no-stdin", help="Ignore standard input.")] = False,
) -> None:
    """Give an agent a task, and see it work.

    What is piped in goes along with the task. Ctrl+C stops the run; `agentctl runs resume` goes on.

    Example: agentctl agents run coder "How many lines have the files here?"
    """
    output: Output = ctx.obj
    if resume is not None and (model or workdir):
        excluded = "-m" if model else "--workdir"
        raise UsageProblem(
            f"a run keeps its model and its folder: {excluded} and --resume exclude each other",
            f'agentctl agents run NAME "…" --resume {resume}',
        )
    folder = _folder(workdir)
    config = load_config()
    limits = LimitChanges(
        rounds=max_rounds, seconds=timeout, tokens=max_tokens, tool_calls=max_tool_calls
    )
    given = tuple(well_formed(each) for each in (name, task) if each is not None)
    limit = config.settings.limits.input_bytes
    words = _Words(given, None if no_stdin else _piped(limit, is_named="-" in given))

    async def use(workspace: Workspace) -> int:
        agent, asked = await _agent_and_task(workspace, words, resume)
        if resume is not None:
            return await go_on(
                workspace,
                await _run_of(workspace, resume, agent),
                output,
                task=asked,
                approve=approve,
                limits=limits,
                usage=usage,
            )
        request = AgentRequest(
            agent=agent,
            task=asked,
            folder=folder,
            code_may_write=workdir is not None,
            model=model,
            approve=approve or "ask",
            is_attended=is_attended(output),
            limits=limits,
        )
        printer = AgentRunPrinter(output, shows_usage=usage)
        return await play(workspace, workspace.run_agent(request), output, printer)

    raise typer.Exit(with_workspace(use, config))


async def _agent_and_task(
    workspace: Workspace, words: _Words, resumed: str | None
) -> tuple[str, str]:
    """Who is to do what; `auto` leaves the first to the router, or to the run that goes on."""
    agent, text = ROUTER, words.words[-1] if words.words else ""
    if len(words.words) > 1:
        agent = words.words[0]
    elif words.alone is not None:
        names = [entry.definition.name for entry in await workspace.list_agents()]
        if words.alone in (*names, ROUTER):
            agent, text = words.alone, ""
        elif resumed is None and (close := _meant(words.alone, names)):
            raise NotFound(
                f"no agent {words.alone!r} (did you mean {close}?)", "agentctl agents list"
            )
    task = words.task(text)
    if not task.strip():
        hint = (
            f'agentctl agents run {agent} "the task"'
            if resumed is None
            else f"agentctl runs resume {resumed}, to go on without a further task"
        )
        raise UsageProblem("the task is missing", hint)
    return agent, task


def _meant(word: str, names: list[str]) -> str | None:
    """The agent that a misspelt name is probably for; a task has several words."""
    return None if len(word.split()) > 1 else nearest(word, names)


async def _run_of(workspace: Workspace, reference: str, agent: str) -> str:
    """The run's id. Raises UsageProblem when it is another agent's."""
    row = (await workspace.show_run(reference)).run
    if agent not in (ROUTER, row.agent):
        raise UsageProblem(
            f"run {row.id} is {row.agent}'s, not {agent}'s",
            f'agentctl agents run {row.agent} "…" --resume {row.id}',
        )
    return row.id


def _folder(name: str | None) -> Path:
    """Raises InputMissing."""
    folder = working_directory() if name is None else expand(name)
    try:
        resolved = folder.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise InputMissing(f"there is no folder {folder}", f"mkdir {folder}") from None
    if not resolved.is_dir():
        raise InputMissing(f"{folder} is no folder", "--workdir DIR")
    return resolved


def _piped(limit: int, *, is_named: bool) -> str | None:
    data = read_stdin(limit, is_named=is_named)
    return None if data is None else decode_text(data, STDIN_NAME)[0]
