"""Runs of agents afterwards: the list of them, one as a transcript, one as a document."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from agentctl.core.chat.prompt import fenced
from agentctl.core.events import (
    ErrorRaised,
    Event,
    MessageFinished,
    ToolCallRequested,
    WarningRaised,
)
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.render.agents import AgentSummary, calls_data, messages_data
from agentctl.render.output import Output, keep_whole, printable
from agentctl.render.tool_calls import CallRecord, call_line, clipped, folded, result_line

if TYPE_CHECKING:
    from agentctl.core.agents.run_store import Decision, RunDetails, RunRow

_LONGEST_TASK = 60
_LONGEST_TITLE = 120
_STYLES = {
    "done": "green",
    "running": "cyan",
    "waiting": "bold yellow",
    "failed": "red",
    "interrupted": "red",
}


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run and what of it waits for the user."""

    run: "RunRow"
    pending: "Sequence[Decision]" = ()

    @property
    def status(self) -> str:
        """With what it waits for, if it does."""
        tools = ", ".join(decision.tool for decision in self.pending)
        return f"{self.run.status}: {tools}" if tools else self.run.status

    def data(self) -> JsonObject:
        run = self.run
        return {
            "id": run.id,
            "agent": run.agent,
            "kind": run.kind,
            "task": run.task,
            "status": run.status,
            "answer": run.answer,
            "created": run.created,
            "updated": run.updated,
            "model": run.model,
            "waits_for": [
                {"call_id": each.call_id, "tool": each.tool, "preview": each.preview}
                for each in self.pending
            ],
        }


def show_runs(output: Output, runs: Sequence[ListedRun]) -> None:
    columns = ("run", "agent", "status", "task", "when")
    rows = [
        (
            each.run.id,
            each.run.agent,
            each.status,
            clipped(" ".join(each.run.task.split()), _LONGEST_TASK),
            each.run.updated[:16],
        )
        for each in runs
    ]
    if not output.is_rich:
        output.table(columns, rows)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for each, row in zip(runs, rows, strict=True):
        status = "waiting" if each.pending else each.run.status
        cells = [Text(printable(cell)) for cell in row]
        cells[2].stylize(_STYLES.get(status, ""))
        table.add_row(*cells)
    console = output.console()
    keep_whole(table.columns[0], console.width)
    console.print(table)


def details_data(details: "RunDetails") -> JsonObject:
    summary = _summary(details.events)
    decisions: list[Json] = [asdict(each) for each in details.decisions]
    return {
        **ListedRun(details.run, pending(details)).data(),
        "folder": details.run.folder,
        "is_live": details.is_live,
        "tasks": [*details.tasks],
        "rounds": summary.usage_sum.rounds,
        "messages": messages_data(summary),
        "tool_calls": calls_data(summary),
        "decisions": decisions,
        "usage": summary.usage_sum.data(),
    }


def show_details(output: Output, details: "RunDetails") -> None:
    """The transcript: who said and called what, who allowed it, what came of it."""
    run = details.run
    output.fields(
        {
            "run": run.id,
            "agent": f"{run.agent} ({run.kind})",
            "model": run.model or "-",
            "status": ListedRun(run, pending(details)).status,
            "folder": run.folder,
            "begun": run.created[:19],
        }
    )
    for number, task in enumerate(details.tasks, 1):
        name = "task" if len(details.tasks) == 1 else f"task {number}"
        output.line(f"\n[{name}]\n{task}")
    summary = _summary(details.events)
    told: set[str] = set()
    for event in details.events:
        match event:
            case MessageFinished(agent=agent, content=content):
                output.line(f"\n[{agent or run.agent}]\n{content.rstrip()}")
            case ToolCallRequested(call_id=call_id) if call_id not in told:
                told.add(call_id)
                _show_call(output, summary.log.calls[call_id])
            case WarningRaised(message=message):
                output.line(f"\nwarning: {message}")
    if summary.error is not None:
        output.line(f"\nended with: {summary.error.message}")
    if run.answer.strip() and not _ends_with(summary, run.answer):
        output.line(f"\n[answer]\n{run.answer.rstrip()}")


def show_calls(output: Output, details: "RunDetails") -> None:
    """Every call with all of its arguments and all that came of it."""
    for call in _summary(details.events).calls:
        output.line(f"[{call.call_id}] {call.tool}{_decided(call)}")
        output.line(json.dumps(call.args, ensure_ascii=False, indent=2))
        if call.took_ms is not None:
            output.line(result_line(call) if call.error is None else f"error: {call.error}")
        if call.result:
            output.line(call.result.rstrip("\n"))
        output.line("")


def show_pending(output: Output, details: "RunDetails") -> None:
    """What waits for the user, in full, and how to answer."""
    waiting = pending(details)
    for decision in waiting:
        output.note(f"waits for your approval: {decision.tool} (call {decision.call_id})")
        text = decision.preview or json.dumps(decision.args, ensure_ascii=False, indent=2)
        for line in text.rstrip("\n").split("\n"):
            output.note(f"    {line}")
    if waiting:
        output.note(f"answer: agentctl runs approve {details.run.id}, or: agentctl runs deny …")


def pending(details: "RunDetails") -> "list[Decision]":
    return [each for each in details.decisions if each.decision == "pending"]


def to_markdown(details: "RunDetails") -> str:
    """A run as a document."""
    run, summary = details.run, _summary(details.events)
    title = clipped(" ".join(run.task.split()), _LONGEST_TITLE)
    blocks = [f"# {title}", f"Run {run.id} of {run.agent}, {run.created}: {run.status}"]
    blocks += [f"## Task\n\n{task}" for task in details.tasks]
    told: set[str] = set()
    for event in details.events:
        match event:
            case MessageFinished(agent=agent, content=content):
                blocks.append(f"## {agent or run.agent}\n\n{content}")
            case ToolCallRequested(call_id=call_id) if call_id not in told:
                told.add(call_id)
                blocks += _call_blocks(summary.log.calls[call_id])
            case WarningRaised(message=message):
                blocks.append(f"Warning: {message}")
            case ErrorRaised(message=message):
                blocks.append(f"Ended with: {message}")
    if run.answer.strip() and not _ends_with(summary, run.answer):
        blocks.append(f"## Answer\n\n{run.answer}")
    return "\n\n".join(block.rstrip() for block in blocks) + "\n"


def to_json(details: "RunDetails") -> str:
    return json.dumps(details_data(details), ensure_ascii=False, indent=2) + "\n"


def _call_blocks(call: CallRecord) -> list[str]:
    blocks = [f"### {call.tool}{_decided(call)}"]
    blocks.append(fenced("arguments", json.dumps(call.args, ensure_ascii=False, indent=2)))
    if call.error is not None:
        blocks.append(fenced("error", call.error))
    elif call.result is not None:
        blocks.append(fenced("result", call.result))
    return blocks


def _show_call(output: Output, call: CallRecord) -> None:
    output.line(f"\n{call_line(call.tool, call.args)}{_decided(call)}")
    if call.took_ms is not None:
        output.line(result_line(call))
    for line in folded(call.result or ""):
        output.line(f"    {line}")
    for name in call.files:
        output.line(f"  wrote {name}")


def _decided(call: CallRecord) -> str:
    if call.is_waiting:
        return " (waits for your approval)"
    if call.approved is None:
        return ""
    return f" ({'allowed' if call.approved else 'denied'} by {call.by})"


def _summary(events: Sequence[Event]) -> AgentSummary:
    summary = AgentSummary()
    for event in events:
        summary.add(event)
    return summary


def _ends_with(summary: AgentSummary, answer: str) -> bool:
    """Whether the answer is what was said last."""
    return bool(summary.messages) and summary.messages[-1].content.strip() == answer.strip()
