"""A tool of your own, in the hands of an agent of your own: `python examples/add_tool.py`."""

import asyncio
import os
from contextlib import aclosing
from pathlib import Path

from agentctl.connect import user_config, user_paths
from agentctl.core.agents.run_request import AgentRequest
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.backends.base import ToolSpec
from agentctl.core.events import MessageFinished, ToolFinished
from agentctl.core.jsontypes import JsonObject
from agentctl.core.local_workspace import LocalWorkspace

AGENT = """
name = "counter"
kind = "graph"
instructions = "Use the tool to count."
tools = ["word_length"]
"""


class WordLength:
    """A `Tool`: it says what a call would touch, here nothing, and the gate decides."""

    spec = ToolSpec("word_length", "Counts letters.", object_schema({"word": {"type": "string"}}))
    risk: Risk = "harmless"
    timeout_s = 5.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        return ToolOutput(f"{len(str(args['word']))} letters")


async def main() -> None:
    paths = user_paths()
    paths.agents.mkdir(parents=True, exist_ok=True)
    (paths.agents / "counter.toml").write_text(AGENT)
    settings = user_config().settings
    workspace = LocalWorkspace(settings, paths, os.environ, tools=[WordLength()])
    task = AgentRequest(agent="counter", task="How long is 'lighthouse'?", folder=Path.cwd())
    async with aclosing(workspace.run_agent(task)) as events:
        async for event in events:
            if isinstance(event, ToolFinished):
                print(f"{event.tool}: {event.result}")
            elif isinstance(event, MessageFinished):
                print(event.content)
    await workspace.close()


asyncio.run(main())
