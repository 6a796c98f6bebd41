"""A new way to say when a task is due: `python examples/add_trigger.py`.

Whatever it is written as, it becomes one of the three kinds of `Trigger`.
"""

import asyncio
import os
import re
import tempfile

from agentctl.core.automation.schedule import cron, explain, local_timezone
from agentctl.core.automation.tasks import Action, TaskRequest, Trigger
from agentctl.core.config import default_settings
from agentctl.core.errors import UsageProblem
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths

DAYS = {"weekdays": "mon-fri", "weekends": "sat,sun", "daily": "*"}


def spoken(text: str, timezone: str) -> Trigger:
    """`weekdays at 8:30` as the clocks of `timezone` go. Raises UsageProblem."""
    found = re.fullmatch(rf"({'|'.join(DAYS)}) at (\d\d?):(\d\d)", text.strip().lower())
    if found is None:
        raise UsageProblem(f"{text!r} is no time", '"weekdays at 8:30"')
    days, hour, minute = found.groups()
    return cron(f"{int(minute)} {hour} * * {DAYS[days]}", timezone)


async def main(home: str) -> None:
    paths = find_paths({"AGENTCTL_HOME": home})
    workspace = LocalWorkspace(default_settings(), paths, os.environ)
    trigger = spoken("weekdays at 8:30", local_timezone())
    action = Action(kind="ask", text="What is due today?")
    task = await workspace.add_task(TaskRequest(name="morning", trigger=trigger, action=action))
    print(f"{task.name}: {explain(task.trigger)}, next at {task.next_run}")
    await workspace.close()


with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
