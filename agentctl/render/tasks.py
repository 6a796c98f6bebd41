"""Scheduled tasks: the list of them, one in full, and what became of them.

Times are shown as the clocks of this machine go.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from agentctl.core.automation.schedule import explain
from agentctl.core.automation.time_words import duration_words
from agentctl.render.output import Output
from agentctl.render.tool_calls import clipped

if TYPE_CHECKING:
    from agentctl.core.automation.tasks import Action, TaskEntry, TaskRun

_LONGEST_TEXT = 50
_LONGEST_RESULT = 80


def show_tasks(output: Output, tasks: "Sequence[TaskEntry]", now: datetime) -> None:
    output.table(
        ("task", "when", "what", "next run", "last run"),
        [
            (
                task.name,
                explain(task.trigger),
                action_words(task.action),
                next_run(task, now),
                task.last_run.status if task.last_run else "-",
            )
            for task in tasks
        ],
    )


def show_task(output: Output, task: "TaskEntry", now: datetime) -> None:
    """All that is known of it but its history; what it does stands last, in full."""
    output.fields(task_fields(task, now))
    output.line(f"\n[{_actor(task.action)}]\n{task.action.text}")


def task_fields(task: "TaskEntry", now: datetime) -> dict[str, str]:
    """What is known of it, by names, but what it does."""
    action, options, last = task.action, task.options, task.last_run
    whom = ", ".join(options.notify)
    return {
        "task": f"{task.name} ({task.id})",
        "when": explain(task.trigger),
        "next run": next_run(task, now),
        "last run": f"{local(last.started)}: {last.status}" if last else "-",
        "model": action.model or "-",
        "collection": action.collection or "-",
        "folder": action.folder or "-",
        "missed": options.missed,
        "interrupted": options.interrupted,
        "timeout": duration_words(int(options.timeout_s)),
        "retries": str(options.retries),
        "notify": f"{whom} ({options.notify_on})" if whom else "-",
        "added": local(task.created),
    }


def show_history(output: Output, runs: "Sequence[TaskRun]") -> None:
    output.table(
        ("task", "due", "started", "took", "status", "result"),
        [(run.task, *history_row(run)) for run in runs],
    )


def history_row(run: "TaskRun") -> tuple[str, str, str, str, str]:
    """One attempt: when it was due, began, how long it took, how it ended, what came of it."""
    return (
        local(run.due) if run.due else "by hand",
        local(run.started),
        _took(run),
        run.status if run.attempt == 1 else f"{run.status} (attempt {run.attempt})",
        _first_line(run.error or run.result),
    )


def action_words(action: "Action") -> str:
    """What it does, on one line: `coder: Count the lines.`"""
    return f"{_actor(action)}: {clipped(' '.join(action.text.split()), _LONGEST_TEXT)}"


def next_run(task: "TaskEntry", now: datetime) -> str:
    """When it is due next, and how far away that is."""
    if not task.enabled:
        return "paused"
    if task.next_run is None:
        return "never again"
    return f"{local(task.next_run)} ({ahead(task.next_run, now)})"


def local(moment: str) -> str:
    """A moment (ISO 8601) as clocks show it here: `Fri 2026-11-27 03:00`."""
    shown = datetime.fromisoformat(moment).astimezone().strftime("%a %Y-%m-%d %H:%M:%S")
    return shown.removesuffix(":00")


def _actor(action: "Action") -> str:
    return action.agent or "auto" if action.kind == "agent" else action.kind


def ahead(moment: str, now: datetime) -> str:
    """How far away a moment (ISO 8601) is: `in 3 h`."""
    seconds = (datetime.fromisoformat(moment) - now).total_seconds()
    if seconds < 0:
        return "overdue"
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"in {seconds:.0f} s"
    if minutes < 60:
        return f"in {minutes} min"
    hours = round(minutes / 60)
    return f"in {hours} h" if hours < 48 else f"in {round(hours / 24)} d"


def _took(run: "TaskRun") -> str:
    if run.finished is None:
        return "-"
    began, ended = map(datetime.fromisoformat, (run.started, run.finished))
    return duration_words(round((ended - began).total_seconds())) or "0 seconds"


def _first_line(text: str) -> str:
    return clipped(next(iter(text.strip().splitlines()), ""), _LONGEST_RESULT)
