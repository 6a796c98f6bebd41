"""From an agent's definition to an agent at work: its roles, each with its model and its tools."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from agentctl.core.agents.base import Agent, Role
from agentctl.core.agents.definitions import AgentDefinition
from agentctl.core.agents.gate import Gate
from agentctl.core.agents.recorded_model import RecordedModel
from agentctl.core.agents.run_context import RunContext
from agentctl.core.agents.tool_calling import SchemaToolCalls
from agentctl.core.agents.tools.base import (
    Risk,
    Tool,
    ToolOutput,
    Touches,
    Workplace,
    object_schema,
)
from agentctl.core.backends.base import ChatModel, ModelOptions, ToolSpec
from agentctl.core.backends.options import parse_options
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject

DELEGATE = "delegate"
# Tokens of one answer, where the agent's file does not say.
ANSWER_TOKENS = 2000

OpenModel = Callable[[AgentDefinition], Awaitable[ChatModel]]


@dataclass(frozen=True, slots=True)
class Crew:
    """What agents of one run are made with. Those that `stack` was given are closed by it."""

    context: RunContext
    gate: Gate
    tools: dict[str, Tool]
    open_model: OpenModel
    stack: AsyncExitStack

    def let_delegate(self, agents: Mapping[str, AgentDefinition]) -> None:
        """Offers the tool that gives work to these agents."""
        tool = DelegateTool(agents, self)
        self.tools[tool.spec.name] = tool
        self.gate.add(tool)

    async def make(self, definition: AgentDefinition, scope: str = "") -> Agent:
        """The agent, ready to run. Raises what opening its model raises."""
        model = await self.open_model(definition)
        if definition.tool_calls == "schema" or (
            definition.tool_calls == "auto" and "tools" not in (await model.info()).capabilities
        ):
            model = SchemaToolCalls(model)
        agent = self._agent(definition, model, scope)
        self.context.on_stop.append(agent.stop)
        self.stack.push_async_callback(agent.close)
        return agent

    def _agent(self, definition: AgentDefinition, model: ChatModel, scope: str) -> Agent:
        """Each framework is imported only where its kind is made: they are heavy."""
        own = self.chosen(definition.tools)
        # To depth one: those who were given work give none away.
        if definition.agents and not scope:
            own.append(DELEGATE)
        if definition.kind == "team":
            from agentctl.core.agents.autogen_team import Team

            roles = [
                self._role(
                    each.name,
                    each.description or each.name,
                    "\n\n".join(filter(None, (each.instructions.strip(), definition.instructions))),
                    [name for name in own if _fits(name, each.tools)],
                    (definition, model, scope),
                )
                for each in definition.roles
            ]
            selector = RecordedModel(model, self.context, "selector", f"{scope}selector")
            return Team(roles, definition.team, selector)
        role = self._role(
            definition.name,
            definition.description,
            definition.instructions,
            own,
            (definition, model, scope),
        )
        if definition.kind == "code":
            from agentctl.core.agents.smolagents_agent import CodingAgent

            return CodingAgent(role, definition.style)
        from agentctl.core.agents.langgraph_agent import GraphAgent

        return GraphAgent(role)

    def _role(
        self,
        name: str,
        description: str,
        instructions: str,
        tools: Sequence[str],
        made_with: tuple[AgentDefinition, ChatModel, str],
    ) -> Role:
        definition, model, scope = made_with
        key = scope + name
        return Role(
            name=name,
            description=description,
            instructions=instructions.strip(),
            model=RecordedModel(model, self.context, name, key),
            tools=[self.tools[each].spec for each in tools],
            call=self.gate.for_speaker(name, tools),
            options=_options(definition),
            new_call_id=lambda: self.context.next_key(f"{key}-code"),
        )

    def chosen(self, patterns: Sequence[str]) -> list[str]:
        """Names of the tools that patterns choose, in the order of the patterns."""
        return [
            name
            for pattern in dict.fromkeys(patterns)
            for name in self.tools
            if fnmatchcase(name, pattern)
        ]


class DelegateTool:
    """Gives another agent a task of its own; its tools pass the same gate, in the same run."""

    risk: Risk = "harmless"
    # What bounds it is the run itself.
    timeout_s = 86_400.0

    def __init__(self, agents: Mapping[str, AgentDefinition], crew: Crew) -> None:
        self._agents = dict(agents)
        self._crew = crew
        known = "; ".join(f"{name}: {each.description}" for name, each in agents.items())
        self.spec = ToolSpec(
            DELEGATE,
            f"Give a task to another agent and get its answer. The agents are: {known}",
            object_schema(
                {
                    "agent": {"type": "string", "enum": [*agents]},
                    "task": {"type": "string", "description": "all the agent needs to know"},
                }
            ),
        )

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return f"{args['agent']}: {args['task']}"

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        task = str(args["task"])
        if not task.strip():
            raise ToolFailed("the task is empty: say what the agent is to do")
        agent = await self._crew.make(self._agents[str(args["agent"])], f"{place.call_id}/")
        answer = await agent.run(task)
        return ToolOutput(answer or "(the agent gave no answer)")


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _options(definition: AgentDefinition) -> ModelOptions:
    """Without an end to its answers, a small model may go on until the window is full."""
    options = parse_options(definition.options)
    return replace(options, max_tokens=options.max_tokens or ANSWER_TOKENS)
