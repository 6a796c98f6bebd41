"""The MCP server of `agentctl mcp`: other programs' calls, behind the rules that agents obey.

Nobody can be asked on stdio: a call that needs the user is refused with the rule that would allow
it. Rules are read for each call, so that one that was added counts at once.
"""

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from agentctl import __version__
from agentctl.core.agents.gate import check_arguments
from agentctl.core.agents.permissions.policy import Policy, Rule, load_rules, rule_for
from agentctl.core.agents.permissions.rules import KINDS, TABLE
from agentctl.core.agents.tools.base import Tool, ToolOutput, Workplace, clip
from agentctl.core.errors import AgentctlError, ToolFailed
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import Paths
from agentctl.daemon.mcp_tools import Open, Tell, offered_tools

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult
    from mcp_types import Tool as OfferedTool

SPEAKER = "mcp"
"""What rules call the programs that call here, as their `agent`."""

_LONGEST_RESULT = 200_000
_ABOUT = (
    "agentctl: the user's own documents and language models, on this machine. Search first; cite "
    "what you use. Calls that change something need a rule in the user's permissions.toml."
)

logger = logging.getLogger(__name__)


class McpGate:
    """Judges each call, and makes it."""

    def __init__(self, paths: Paths, open_workspace: Open) -> None:
        self._paths = paths
        self._open = open_workspace
        # No folder was given to these programs: every place needs a rule that names it.
        nowhere = paths.runs / "nowhere"
        self._place = Workplace(folder=nowhere, scratch=nowhere)

    def tools(self, tell: Tell) -> dict[str, Tool]:
        return offered_tools(self._open, tell)

    async def call(self, name: str, args: JsonObject, tell: Tell) -> ToolOutput:
        """Raises AgentctlError for whatever keeps the call from being made, or ends it."""
        tools = self.tools(tell)
        if name not in tools:
            raise ToolFailed(f"there is no tool {name}; the tools are: {', '.join(tools)}")
        tool = tools[name]
        check_arguments(tool, args)
        self._permit(tool, args)
        return await tool.run(args, self._place)

    def _permit(self, tool: Tool, args: JsonObject) -> None:
        """Raises ToolFailed unless a rule allows the call, ConfigError for rules that are none."""
        touches = tool.touches(args, self._place)
        policy = Policy(load_rules(self._paths))
        verdict = policy.decide(agent=SPEAKER, tool=tool, touches=touches, place=self._place)
        told = {"tool": tool.spec.name, "decision": verdict.decision, "reason": verdict.reason}
        logger.info("a call by MCP was judged", extra={**told, "content": args})
        if verdict.decision == "deny":
            raise ToolFailed(f"the user's rules forbid this call ({verdict.reason})")
        if verdict.decision == "ask":
            rule = replace(rule_for(tool, touches, self._place), agent=SPEAKER)
            raise ToolFailed(
                f"this call needs the user's permission ({verdict.reason}), and nobody can be asked"
                f" here. To allow it, the user adds to {self._paths.permissions}:\n\n{_toml(rule)}"
            )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """The two requests that are answered."""

    gate: McpGate

    async def list_tools(
        self, context: "ServerRequestContext", params: object
    ) -> "ListToolsResult":
        from mcp_types import ListToolsResult

        return ListToolsResult(tools=[_offered(each) for each in self.gate.tools(_silent).values()])

    async def call_tool(
        self, context: "ServerRequestContext", params: "CallToolRequestParams"
    ) -> "CallToolResult":
        try:
            output = await self.gate.call(
                params.name, params.arguments or {}, context.session.report_progress
            )
        except ToolFailed as error:
            return _refusal(error.slug, error.message)
        except AgentctlError as error:
            return _refusal(error.slug, f"{error.message}\ntry: {error.hint}")
        except Exception as error:  # a call must not take the server with it
            logger.exception("a tool failed")
            return _refusal("unexpected", f"{type(error).__name__}: {error}")
        return _result(output.text, output.data)


def make_server(gate: McpGate) -> "Server":
    from mcp.server.lowlevel import Server

    handlers = _Handlers(gate)
    return Server(
        "agentctl",
        version=__version__,
        instructions=_ABOUT,
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,
    )


async def serve_stdio(paths: Paths, open_workspace: Open) -> None:
    """Serves until stdin ends. Meanwhile whatever is printed goes to stderr: stdout is for MCP."""
    from mcp.server.stdio import stdio_server

    server = make_server(McpGate(paths, open_workspace))
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


async def _silent(progress: float, total: float | None, message: str) -> None:
    return


def _offered(tool: Tool) -> "OfferedTool":
    from mcp_types import Tool as OfferedTool
    from mcp_types import ToolAnnotations

    is_reading = tool.risk in ("harmless", "read")
    return OfferedTool(
        name=tool.spec.name,
        description=tool.spec.description,
        input_schema=dict(tool.spec.parameters),
        annotations=ToolAnnotations(
            read_only_hint=is_reading,
            # Tasks may do anything; what is added or taken in replaces nothing.
            destructive_hint=tool.spec.name == "run_task",
            idempotent_hint=is_reading or tool.spec.name == "ingest",
            open_world_hint=tool.spec.name in ("ingest", "run_task"),
        ),
    )


def _result(text: str, data: JsonObject | None, *, is_error: bool = False) -> "CallToolResult":
    from mcp_types import CallToolResult, TextContent

    shown = clip(well_formed(text), _LONGEST_RESULT)
    return CallToolResult(
        content=[TextContent(type="text", text=shown)],
        structured_content=data,
        is_error=is_error,
    )


def _refusal(code: str, message: str) -> "CallToolResult":
    return _result(message, {"code": code, "message": message}, is_error=True)


def _toml(rule: Rule) -> str:
    """The rule as it is written in a file."""
    import tomlkit

    values = {key: getattr(rule, key) for key in KINDS}
    return tomlkit.dumps({TABLE: [{key: each for key, each in values.items() if each}]})
