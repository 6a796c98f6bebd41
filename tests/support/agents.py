"""Agents of every kind on scripted models, for the tests of what they have in common."""

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.config import Settings, default_settings
from agentctl.core.events import Event, RunFinished, UsageMeasured
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths

Json = dict[str, Any]  # any JSON

INSTANT = """
name = "{name}"
kind = "{kind}"
{more}
tools = ["now", "read_file", "write_file", "list_files", "run_python", "ask_user"]
"""
TEAM = """
[team]
ends_by = "critic"
answers = "executor"
[[roles]]
name = "planner"
[[roles]]
name = "executor"
tools = ["*"]
[[roles]]
name = "critic"
"""


def say(text: str, thinking: str = "") -> Json:
    """A reply in words."""
    return {"text": text, "thinking": thinking}


def call(tool: str, **arguments: Any) -> Json:
    """A reply that calls a tool."""
    return {"tool_calls": [{"name": tool, "arguments": arguments}]}


@dataclass(frozen=True)
class Kind:
    """One kind of agent: its file, and how its model says what the test wants said.

    `steps` turns calls and a last answer into a script's replies.
    """

    name: str
    file: str
    steps: Callable[[Sequence[Json], str], list[Json]]

    def __str__(self) -> str:
        return self.name


def _looping(calls: Sequence[Json], answer: str) -> list[Json]:
    return [*calls, say(answer)]


def _coding(calls: Sequence[Json], answer: str) -> list[Json]:
    return [*map(_in_code, calls), _code(f"final_answer({answer!r})")]


def _in_code(reply: Json) -> Json:
    asked = reply["tool_calls"][0]
    arguments = ", ".join(f"{name}={value!r}" for name, value in asked["arguments"].items())
    if asked["name"] == "run_python":
        return _code(asked["arguments"]["code"])
    return _code(f"print({asked['name']}({arguments}))")


def _code(code: str) -> Json:
    return say(json.dumps({"thought": "I go on.", "code": code}))


def _in_a_team(calls: Sequence[Json], answer: str) -> list[Json]:
    return [say("Do it."), *calls, say(answer), say("APPROVED")]


GRAPH = Kind("graph", INSTANT.format(name="graph", kind="graph", more=""), _looping)
CODE = Kind("code", INSTANT.format(name="code", kind="code", more=""), _coding)
TOOLS = Kind("tools", INSTANT.format(name="tools", kind="code", more='style = "tools"'), _looping)
TEAM_KIND = Kind("crew", INSTANT.format(name="crew", kind="team", more="") + TEAM, _in_a_team)
KINDS = (GRAPH, CODE, TOOLS, TEAM_KIND)


class Bench:
    """A workspace with one agent of each kind, whose model replays a script."""

    def __init__(
        self, folder: Path, settings: Settings | None = None, *, keeps_agents: bool = False
    ) -> None:
        self.folder = folder / "work"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._home = folder / "home"
        self._script = folder / "script.jsonl"
        self._settings = settings or default_settings()
        self._left: Sequence[Json] = ()
        paths = find_paths({"AGENTCTL_HOME": str(self._home)})
        self.paths = paths
        paths.agents.mkdir(parents=True, exist_ok=True)
        for kind in () if keeps_agents else KINDS:
            (paths.agents / f"{kind.name}.toml").write_text(kind.file)

    def workspace(self) -> LocalWorkspace:
        """As another process would open it."""
        return LocalWorkspace(self._settings, self.paths, {"OLLAMA_HOST": "127.0.0.1:1"})

    def script(self, replies: Sequence[Json]) -> str:
        """The name of a model that gives these replies."""
        self._script.write_text("\n".join(map(json.dumps, replies)))
        return f"scripted:{self._script}"

    def request(self, kind: Kind, replies: Sequence[Json], **changes: Any) -> AgentRequest:
        request = AgentRequest(
            agent=kind.name, task="Do the task.", folder=self.folder, model=self.script(replies)
        )
        return replace(request, **changes)

    def run(self, kind: Kind, replies: Sequence[Json], **changes: Any) -> list[Event]:
        """All events of a new run."""
        told = self.run_request(self.request(kind, replies, **changes))
        self._left = replies[len(only(UsageMeasured, told)) :]
        return told

    def run_request(self, request: AgentRequest) -> list[Event]:
        async def run() -> list[Event]:
            workspace = self.workspace()
            try:
                async with aclosing(workspace.run_agent(request)) as events:
                    return [event async for event in events]
            finally:
                await workspace.close()

        return asyncio.run(run())

    def resume(self, request: ResumeRequest, replies: Sequence[Json] | None = None) -> list[Event]:
        """A run that goes on; its model says what it has not said yet, or `replies`."""
        self.script(self._left if replies is None else replies)

        async def resume() -> list[Event]:
            workspace = self.workspace()
            try:
                async with aclosing(workspace.resume_run(request)) as events:
                    return [event async for event in events]
            finally:
                await workspace.close()

        return asyncio.run(resume())


def only(kind: type[Event], events: Sequence[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def end_of(events: Sequence[Event]) -> RunFinished:
    """The one end of a run, which comes last."""
    ends = only(RunFinished, events)
    assert len(ends) == 1
    assert events[-1] is ends[0]
    return ends[0]
