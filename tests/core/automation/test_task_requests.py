"""Tasks from the words of a tool."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.core.automation.task_requests import read_request, schedule_task
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.automation.tasks import Action, TaskEntry, TaskRequest
from agentctl.core.errors import AgentctlError, InputMissing, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.storage import open_database

NOW = datetime(2027, 3, 15, 8, 0, tzinfo=UTC)
ASK: JsonObject = {"name": "weekly", "ask": "What is due?"}


@pytest.mark.parametrize(
    ("when", "kind", "expression"),
    [
        ({"cron": "0 9 * * 1"}, "cron", "0 9 * * 1"),
        ({"every": "10m"}, "interval", "600"),
        ({"at": "in 2 hours"}, "once", "2027-03-15T10:00:00Z"),
    ],
)
def test_a_time_is_a_trigger(when: JsonObject, kind: str, expression: str) -> None:
    trigger = read_request({**ASK, **when}, NOW).trigger

    assert (trigger.kind, trigger.expression) == (kind, expression)


def test_a_question_and_an_agents_task_are_actions(tmp_path: Path) -> None:
    asked = read_request({**ASK, "every": "1h", "folder": str(tmp_path)}, NOW).action
    given: JsonObject = {"name": "a", "every": "1h", "agent": "researcher", "task": "Look."}
    worked = read_request({**given, "folder": str(tmp_path)}, NOW).action

    assert asked == Action(kind="ask", text="What is due?")
    assert worked == Action(kind="agent", text="Look.", agent="researcher", folder=str(tmp_path))


@pytest.mark.parametrize(
    ("words", "kind", "told"),
    [
        (ASK, UsageProblem, "say one of cron, every, at: none of them was given"),
        ({**ASK, "cron": "@daily", "every": "1h"}, UsageProblem, "cron and every were given"),
        ({"name": "a", "every": "1h"}, UsageProblem, "say one of ask, agent"),
        ({**ASK, "every": "soon"}, UsageProblem, "soon"),
        ({"name": "a", "every": "1h", "agent": "b"}, UsageProblem, "what is b to do"),
        (
            {"name": "a", "every": "1h", "agent": "b", "task": "c", "folder": "/no/such"},
            InputMissing,
            "there is no folder /no/such",
        ),
    ],
)
def test_words_that_are_no_task_are_refused(
    words: JsonObject, kind: type[AgentctlError], told: str
) -> None:
    with pytest.raises(kind, match=told):
        read_request(words, NOW)


def test_what_is_added_says_when_it_is_due(tmp_path: Path) -> None:
    store = TaskStore(open_database(tmp_path / "agentctl.db"), lambda: NOW)

    async def add(request: TaskRequest) -> TaskEntry:
        return store.add(request)

    told = asyncio.run(schedule_task(add, {**ASK, "every": "1h"}, lambda: NOW))

    assert told == "the task weekly was added: every hour, next at 2027-03-15T09:00:00Z"
    assert [entry.name for entry in store.entries()] == ["weekly"]
