"""Which agent a task is for."""

import pytest

from agentctl.core.agents.router import choose_agent

NAMES = ["assistant", "coder", "ops", "researcher", "team", "gardener"]


@pytest.mark.parametrize(
    ("task", "agent"),
    [
        ("Why is my machine so slow?", "ops"),
        ("How full is the disk? Show disk usage.", "ops"),
        ("Calculate the average of the third column of sales.csv", "coder"),
        ("What is 12 * 34?", "coder"),
        ("What do my notes say about sextants?", "researcher"),
        ("According to the handbook, who signs?", "researcher"),
        ("Write a report, then review it", "team"),
        ("Rename the file a.txt to b.txt", "assistant"),
        ("Hello", "assistant"),
        ("Let the gardener water the plants", "gardener"),
    ],
)
def test_a_task_goes_to_whom_it_suits(task: str, agent: str) -> None:
    chosen, why = choose_agent(task, NAMES)

    assert chosen == agent
    assert why.startswith("auto: ")


def test_an_agent_that_is_not_there_is_not_chosen() -> None:
    assert choose_agent("What is 2 + 2?", ["assistant"])[0] == "assistant"
