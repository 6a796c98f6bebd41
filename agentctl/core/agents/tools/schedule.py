"""`schedule_task`: a task that is done later, or again and again, when nobody is there."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from agentctl.core.agents.tools.arguments import text
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.backends.base import ToolSpec
from agentctl.core.jsontypes import JsonObject

Schedule: TypeAlias = Callable[[JsonObject], Awaitable[str]]
"""Adds the task that the tool's arguments describe, `folder` by its whole path; says when it is
due. Raises what is wrong with it: UsageProblem, InputMissing."""

_NAME: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100}
_TIME: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100}
_TEXT: JsonObject = {"type": "string", "minLength": 1, "maxLength": 20_000}


class ScheduleTask:
    """Adds by `schedule`; that it is allowed to is for the gate to say."""

    spec = ToolSpec(
        "schedule_task",
        "Adds a task that is done on a schedule, without anybody there. When: one of cron, every "
        "and at. What: ask, a question to a model, or agent and task. Example: "
        '{"name": "weekly", "cron": "0 9 * * 1", "ask": "What is due this week?"}',
        object_schema(
            {
                "name": {**_NAME, "description": "what to call it"},
                "cron": {**_TIME, "description": "minute hour day month weekday, or @daily"},
                "every": {**_TIME, "description": "how often: 10m, 2 hours, day"},
                "at": {**_TIME, "description": "once: tomorrow 09:00, 2026-12-24 18:00"},
                "ask": {**_TEXT, "description": "a question to a model"},
                "agent": {**_NAME, "description": "an agent's name; auto for the one that fits"},
                "task": {**_TEXT, "description": "what the agent is to do"},
                "folder": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 4_096,
                    "description": "where the agent works; this work folder if left out",
                },
            },
            optional=("cron", "every", "at", "ask", "agent", "task", "folder"),
        ),
    )
    risk: Risk = "execute"
    timeout_s = 30.0

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        """An agent reads where it works; what else it does, it has to ask for."""
        if "agent" not in args:
            return Touches()
        return Touches(reads=(place.resolve(text(args, "folder", ".")),))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return "\n".join(f"{name}: {text(args, name)}" for name in args)

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        folder = place.resolve(text(args, "folder", "."))
        return ToolOutput(await self._schedule({**args, "folder": str(folder)}))
