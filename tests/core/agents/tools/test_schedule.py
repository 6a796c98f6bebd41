"""`schedule_task`: what an agent may put on the schedule."""

import asyncio
from pathlib import Path

import pytest

from agentctl.core.agents.gate import check_arguments
from agentctl.core.agents.permissions.policy import Policy, load_rules
from agentctl.core.agents.tools.base import Touches, Workplace
from agentctl.core.agents.tools.schedule import ScheduleTask
from agentctl.core.errors import ToolFailed, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import find_paths
from tests.support.agents import GRAPH, Bench, call, end_of, say

WEEKLY: JsonObject = {"name": "weekly", "cron": "0 9 * * 1", "ask": "What is due?"}
AGENT: JsonObject = {"name": "tidy", "every": "1h", "agent": "assistant", "task": "Tidy up."}


class Schedule:
    def __init__(self) -> None:
        self.asked: list[JsonObject] = []

    async def __call__(self, words: JsonObject) -> str:
        self.asked.append(words)
        if words["name"] == "taken":
            raise UsageProblem("there is a task taken already", "take another name")
        return "it was added"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    (tmp_path / "work").mkdir()
    return Workplace(folder=tmp_path / "work", scratch=tmp_path / "scratch")


def test_the_words_go_on_with_the_work_folder(place: Workplace) -> None:
    schedule = Schedule()

    output = asyncio.run(ScheduleTask(schedule).run(AGENT, place))

    assert output.text == "it was added"
    assert schedule.asked == [{**AGENT, "folder": str(place.folder)}]


def test_an_agents_folder_is_read_and_a_question_touches_nothing(place: Workplace) -> None:
    tool = ScheduleTask(Schedule())

    assert tool.touches(WEEKLY, place) == Touches()
    assert tool.touches(AGENT, place) == Touches(reads=(place.folder,))
    outside = tool.touches({**AGENT, "folder": "/srv"}, place)
    assert outside == Touches(reads=(Path("/srv"),))


def test_the_user_sees_what_is_to_be_done_and_when(place: Workplace) -> None:
    shown = ScheduleTask(Schedule()).preview(WEEKLY, place)

    assert shown == "name: weekly\ncron: 0 9 * * 1\nask: What is due?"


@pytest.mark.parametrize("args", [WEEKLY, AGENT])
def test_the_user_is_always_asked(place: Workplace, tmp_path: Path, args: JsonObject) -> None:
    tool = ScheduleTask(Schedule())
    policy = Policy(load_rules(find_paths({"AGENTCTL_HOME": str(tmp_path)})))

    verdict = policy.decide(
        agent="assistant", tool=tool, touches=tool.touches(args, place), place=place
    )

    assert verdict.decision == "ask"


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"name": ""},
        {**WEEKLY, "command": "rm"},
        {**WEEKLY, "ask": "x" * 20_001},
    ],
)
def test_the_schema_refuses_what_is_no_task(args: JsonObject) -> None:
    with pytest.raises(ToolFailed, match="called wrongly"):
        check_arguments(ScheduleTask(Schedule()), args)


def test_an_agent_that_is_allowed_to_adds_a_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    file = GRAPH.file.replace('"now"', '"now", "schedule_task"')
    (bench.paths.agents / "graph.toml").write_text(file)

    told = bench.run(GRAPH, [call("schedule_task", **AGENT), say("Done.")], approve="all")

    async def tasks() -> list[tuple[str, str]]:
        workspace = bench.workspace()
        try:
            return [(each.name, each.action.folder) for each in await workspace.list_tasks()]
        finally:
            await workspace.close()

    assert end_of(told).answer == "Done."
    assert asyncio.run(tasks()) == [("tidy", str(bench.folder))]
