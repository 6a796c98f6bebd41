"""Tasks as tools ask for them: by words, `cron`, `every` or `at`, and `ask` or `agent`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from agentctl.core.agents.tools.arguments import text
from agentctl.core.automation import schedule
from agentctl.core.automation.tasks import Action, TaskEntry, TaskRequest, Trigger
from agentctl.core.errors import InputMissing, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.moments import utc_now

AddTask = Callable[[TaskRequest], Awaitable[TaskEntry]]


async def schedule_task(
    add: AddTask,
    words: JsonObject,
    now: Callable[[], datetime] = utc_now,
) -> str:
    """Adds the task that `words` describe; says when it is due.

    Raises what is wrong with it: UsageProblem, InputMissing.
    """
    entry = await add(read_request(words, now()))
    return f"the task {entry.name} was added: {explain(entry)}"


def explain(entry: TaskEntry) -> str:
    """When a task is due, in words."""
    due = f"next at {entry.next_run}" if entry.next_run else "not due again"
    return f"{schedule.explain(entry.trigger)}, {due}"


def read_request(words: JsonObject, now: datetime) -> TaskRequest:
    """What `schedule_task` was called with, as a request. `folder` is a whole path.

    Raises:
        UsageProblem: none or several of `cron`, `every` and `at`, or of `ask` and `agent`; a time
            that is no time.
        InputMissing: the agent's folder is not there.
    """
    return TaskRequest(
        name=text(words, "name"), trigger=_trigger(words, now), action=_action(words)
    )


def _trigger(words: JsonObject, now: datetime) -> Trigger:
    key = _only(words, ("cron", "every", "at"))
    said = text(words, key)
    if key == "every":
        return schedule.interval(said)
    zone = schedule.local_timezone()
    return schedule.cron(said, zone) if key == "cron" else schedule.once(said, now, zone)


def _action(words: JsonObject) -> Action:
    if _only(words, ("ask", "agent")) == "ask":
        return Action(kind="ask", text=text(words, "ask"))
    agent, task = text(words, "agent"), text(words, "task")
    if not task.strip():
        raise UsageProblem(f"what is {agent} to do?", "say it in task")
    folder = Path(text(words, "folder"))
    if not folder.is_dir():
        raise InputMissing(f"there is no folder {folder}", "name one that exists in folder")
    return Action(kind="agent", text=task, agent=agent, folder=str(folder))


def _only(words: JsonObject, keys: tuple[str, ...]) -> str:
    """The one of the keys that was given."""
    given = [key for key in keys if key in words]
    if len(given) != 1:
        told = "none of them was given" if not given else f"{' and '.join(given)} were given"
        raise UsageProblem(f"say one of {', '.join(keys)}: {told}", "leave out all others")
    return given[0]
