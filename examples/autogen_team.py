"""An AutoGen agent of your own on agentctl's model: `python examples/autogen_team.py`."""

import asyncio

from autogen_agentchat.agents import AssistantAgent

from agentctl.integrations import autogen_model


def word_length(word: str) -> int:
    """How many letters a word has."""
    return len(word)


async def main() -> None:
    agent = AssistantAgent("counter", autogen_model(), tools=[word_length], max_tool_iterations=3)
    result = await agent.run(task="How many letters has 'lighthouse'?")
    print(result.messages[-1].to_text())


asyncio.run(main())
