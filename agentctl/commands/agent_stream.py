"""A run of agents on the command line: its events are shown, what needs the user is asked."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

import typer

from agentctl.commands.options import a_number
from agentctl.core.agents.run_request import Approve, LimitChanges, ResumeRequest
from agentctl.core.errors import AgentctlError, BackendBusy, NotFound
from agentctl.core.events import ApprovalGiven, ApprovalRequired, Event, RunFinished, RunStarted
from agentctl.core.workspace import Workspace
from agentctl.render.agents import AgentRunPrinter, AgentSummary, run_data
from agentctl.render.output import Output, is_terminal_in
from agentctl.render.tool_calls import ASK_USER, CallRecord, call_line, folded

if TYPE_CHECKING:
    import asyncio

# Lines of a preview that are shown when nobody is there to be asked.
_PREVIEW_LINES = 20
_LIMITS = {
    "timeout": "the run was stopped: its time is over",
    "max_rounds": "the run was stopped by one of its limits",
}

MaxRounds = Annotated[
    int | None, typer.Option("--max-rounds", min=1, help="Stop after this many answers of a model.")
]
Timeout = Annotated[
    float | None,
    typer.Option(min=0.001, help="Stop after this many seconds.", callback=a_number),
]
Usage = Annotated[
    bool, typer.Option("-u", "--usage", help="Show rounds, tokens and speed on stderr.")
]
APPROVE_HELP = "Deny calls that need you, ask for them, or allow them all."
NoResume = Annotated[
    bool, typer.Option("--no-resume", help="Only record the answer; the run goes on later.")
]
CallId = Annotated[
    str | None, typer.Option("--call", help="Mean this call, when several wait.", metavar="ID")
]


def is_attended(output: Output) -> bool:
    """Whether somebody is there to be asked about calls."""
    return output.form == "text" and is_terminal_in()


async def go_on(  # one run, from wherever it is
    workspace: Workspace,
    run: str,
    output: Output,
    *,
    task: str | None = None,
    approve: Approve | None = None,
    limits: LimitChanges = LimitChanges(),  # noqa: B008 - frozen
    usage: bool = False,
) -> int:
    """Resumes a run here, to its end; the exit code."""
    request = ResumeRequest(
        run=run, task=task, approve=approve, is_attended=is_attended(output), limits=limits
    )
    printer = AgentRunPrinter(output, shows_usage=usage)
    return await play(workspace, workspace.resume_run(request), output, printer)


async def play(
    workspace: Workspace,
    events: AsyncGenerator[Event, None],
    output: Output,
    printer: AgentRunPrinter,
) -> int:
    """Shows a run to its end, and the result; the exit code."""
    from asyncio import CancelledError

    try:
        await follow(workspace, events, output, printer)
    except CancelledError:
        if output.form == "json" and printer.summary.finished is not None:
            output.data(run_data(printer.summary))
        raise
    if output.form == "json":
        output.data(run_data(printer.summary))
    show_problem(output, printer.summary)
    return printer.summary.exit_code


async def follow(
    workspace: Workspace,
    events: AsyncGenerator[Event, None],
    output: Output,
    printer: AgentRunPrinter,
) -> None:
    """Shows the events. While the user is asked, what else happens is shown afterwards."""
    desk = _Desk(workspace, output) if is_attended(output) else None
    held: list[Event] = []
    try:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, RunStarted):
                    kind = (await workspace.show_run(event.run_id)).run.kind
                    printer.is_conversation = kind == "team"
                held.append(event)
                if desk is not None and desk.is_asking and not desk.is_over(event):
                    continue
                if desk is not None:
                    await desk.close()
                _show_all(held, printer)
                if desk is not None and isinstance(event, ApprovalRequired):
                    printer.pause()
                    desk.open(event)
    finally:
        if desk is not None:
            await desk.close()
        _show_all(held, printer)
        printer.close()


def show_problem(output: Output, summary: AgentSummary, way_on: str | None = None) -> None:
    """Why a run did not end well, and the next command; `way_on` is the one after a limit."""
    error, finished = summary.error, summary.finished
    if error is not None:
        output.problem(error.code, error.message, error.hint)
    elif finished is not None and finished.status in _LIMITS:
        way_on = way_on or f"agentctl runs resume {finished.run_id}"
        output.problem("limit", _LIMITS[finished.status], way_on)
    elif finished is not None and finished.status == "denied":
        waiting = [call for call in summary.calls if call.is_waiting]
        for call in waiting:
            _show_waiting(output, call)
        if waiting:
            names = ", ".join(call.tool for call in waiting)
            output.problem(
                "approval-required",
                f"the run waits for your approval of {names}",
                f"agentctl runs approve {finished.run_id}{_how(waiting)}",
            )
            return
        _show_denied(output, [call for call in summary.calls if call.approved is False])


def _how(waiting: list[CallRecord]) -> str:
    return ' --answer "…"' if [call.tool for call in waiting] == [ASK_USER] else ""


def _show_denied(output: Output, denied: list[CallRecord]) -> None:
    by_rule = [call for call in denied if call.by.startswith("policy")]
    if by_rule:
        output.problem(
            "denied",
            f"{by_rule[-1].tool} was denied by {by_rule[-1].by}",
            "allow it by a rule in your permissions.toml, or say --approve ask",
        )
    elif denied and output.form == "text":
        output.note(f"{denied[-1].tool} was denied by the {denied[-1].by}")


def _show_waiting(output: Output, call: CallRecord) -> None:
    if output.form != "text":
        return
    lines = folded(call.preview, _PREVIEW_LINES)
    for line in list(lines) or [call_line(call.tool, call.args)]:
        output.note(f"    {line}")


def _show_all(held: list[Event], printer: AgentRunPrinter) -> None:
    for event in held:
        printer.show(event)
    held.clear()


class _Desk:
    """Where the user is asked about one call at a time, while the run's events are read on.

    So an answer from elsewhere, the end of the run and Ctrl+C end the question, too.
    """

    def __init__(self, workspace: Workspace, output: Output) -> None:
        import asyncio

        self._workspace = workspace
        self._output = output
        self._reader = asyncio.current_task()
        self._asked: ApprovalRequired | None = None
        self._asking: asyncio.Task[None] | None = None

    @property
    def is_asking(self) -> bool:
        return self._asked is not None

    def open(self, asked: ApprovalRequired) -> None:
        import asyncio

        self._asked = asked
        self._asking = asyncio.create_task(self._ask(asked))
        self._asking.add_done_callback(self._stop_on_failure)

    def is_over(self, event: Event) -> bool:
        """Whether with this event there is nothing left to ask."""
        if isinstance(event, ApprovalGiven):
            return self._asked is not None and event.call_id == self._asked.call_id
        return isinstance(event, RunFinished)

    async def close(self) -> None:
        """Takes the question back if it is still there. Raises what went wrong with it."""
        from asyncio import wait

        asking, self._asking, self._asked = self._asking, None, None
        if asking is None:
            return
        if not asking.done():
            asking.cancel()
            await wait((asking,))
            self._output.note("\n(the question is over)")
        elif not asking.cancelled() and (error := asking.exception()) is not None:
            raise error

    def _stop_on_failure(self, asking: "asyncio.Task[None]") -> None:
        failed = not asking.cancelled() and asking.exception() is not None
        if failed and self._reader is not None:
            self._reader.cancel()

    async def _ask(self, asked: ApprovalRequired) -> None:
        from agentctl.render.approval import ask_approval

        while True:
            answer = await ask_approval(self._output, asked)
            if answer is None:
                await self._workspace.cancel_run(asked.run_id)
                return
            try:
                await self._workspace.answer_run(answer)
            except (NotFound, BackendBusy):
                return  # somebody else was faster
            except AgentctlError as error:
                self._output.error(error)
            else:
                return
