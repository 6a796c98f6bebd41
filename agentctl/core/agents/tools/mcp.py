"""The tools of MCP servers: started for one run, offered under names of ours, never trusted.

What a server says about itself decides nothing: its risk is the user's configuration, its schema is
taken over once, in a plain form, and its descriptions are clipped.
"""

import asyncio
import json
import logging
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from agentctl.core.agents.tools.base import Risk, Tool, ToolOutput, Touches, Workplace, clip
from agentctl.core.agents.tools.mcp_connection import McpConnection
from agentctl.core.agents.tools.mcp_schema import TakenTool, plain_line, plain_name, plain_text
from agentctl.core.agents.tools.mcp_servers import McpServer
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import Paths

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock

_LONGEST_RESULT = 100_000
_MOST_WARNINGS = 5


@dataclass(frozen=True, slots=True)
class McpOffer:
    """What the servers of a run have to offer, and what went wrong with them, in sentences."""

    tools: tuple[Tool, ...] = ()
    warnings: tuple[str, ...] = ()


class McpTools:
    """The MCP servers of one run. `close` must follow `open`, however that ends.

    async with McpTools(read_mcp_servers(paths), paths, environ) as mcp:
        offer = await mcp.open(["read_file", "mcp_github_*"])
    """

    def __init__(
        self, servers: Sequence[McpServer], paths: Paths, environ: Mapping[str, str]
    ) -> None:
        self._servers = tuple(servers)
        self._paths = paths
        self._environ = environ
        self._connections: list[McpConnection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self, wanted: Collection[str] = ("mcp_*",)) -> McpOffer:
        """Starts the servers whose tools are `wanted` (names or globs) at the same time.

        A server that cannot be used costs a warning. Never raises one of our errors.
        """
        chosen = [
            server
            for server in self._servers
            if any(_may_name(pattern, server.prefix) for pattern in wanted)
        ]
        if chosen:
            # The SDK takes a second to import, and writes to the terminal unless it is told not to.
            await run_in_thread(partial(import_module, "mcp"))
            _quieten(("mcp", "client", "httpx2"))
        logs = self._paths.mcp_logs
        connections = [McpConnection(server, logs, self._environ) for server in chosen]
        self._connections += connections
        offers = await asyncio.gather(*map(self._offer, connections))
        tools = [tool for offer in offers for tool in offer.tools if _is_wanted(tool, wanted)]
        warnings = [warning for offer in offers for warning in offer.warnings]
        if not warnings:
            warnings = self._unmet(wanted, tools)
        return McpOffer(tuple(tools), tuple(warnings))

    async def close(self) -> None:
        """Ends the servers that were started, with all they have started themselves."""
        await asyncio.gather(*(each.close() for each in self._connections))

    async def _offer(self, connection: McpConnection) -> McpOffer:
        server = connection.server
        try:
            taken = await connection.start()
        except ToolFailed as error:
            more = "" if server.url else f"; its log: {self._paths.mcp_logs / server.name}.log"
            text = f"the MCP server {server.name} is not used: {error.message}{more}"
            return McpOffer(warnings=(text,))
        tools: dict[str, Tool] = {}
        problems = list(taken.problems)
        for each in list(taken.tools.values()):
            name = plain_name(server.prefix, each.name, tools)
            owner = max((s.prefix for s in self._servers if name.startswith(s.prefix)), key=len)
            if owner == server.prefix:
                tools[name] = McpTool(name, each, connection)
            else:
                problems.append(f"{name} is left out, its name is that of another server's")
        if not tools and not problems:
            problems.append("there are none, or none that `tools` names")
        return McpOffer(tuple(tools.values()), _warnings(server, problems))

    def _unmet(self, wanted: Iterable[str], tools: Collection[Tool]) -> list[str]:
        """A word about each name or glob that means nothing; `mcp_*` means whatever there is."""
        return [
            f"no MCP server offers {pattern}: see {self._paths.mcp_servers}"
            for pattern in wanted
            if _beginning(pattern).startswith("mcp_")
            and _beginning(pattern) != "mcp_"
            and not any(_is_wanted(tool, [pattern]) for tool in tools)
        ]


class McpTool:
    """One tool of a server."""

    def __init__(self, name: str, taken: TakenTool, connection: McpConnection) -> None:
        server = connection.server
        about = plain_text(f"(MCP server {server.name}) {taken.description}")
        self.spec = ToolSpec(name, about, taken.schema)
        self.risk: Risk = server.risk
        # The call has its own limit; this one is for a server that has to be started anew as well.
        self.timeout_s = server.timeout_s + server.start_timeout_s
        self._connection = connection
        self._origin = taken.name
        self._host = urlsplit(server.url).hostname if server.remote else None

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(host=self._host)

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        result = await self._connection.call(self._origin, args)
        text = clip(_text(result), _LONGEST_RESULT)
        if result.is_error:
            raise ToolFailed(text or "it failed and does not say why")
        return ToolOutput(text or "(it answered nothing)")


def _text(result: "CallToolResult") -> str:
    """What a model can read of a result: text, structure where there is none, names of the rest."""
    parts = [_shown(block) for block in result.content]
    is_told = any(block.type == "text" and block.text for block in result.content)
    if not is_told and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return "\n".join(parts)


def _shown(block: "ContentBlock") -> str:
    if block.type == "text":
        return block.text
    if block.type == "resource_link":
        return f"[a link: {plain_line(f'{block.name} {block.uri}')}]"
    if block.type == "resource":
        resource = block.resource
        kind = f"{resource.uri} {resource.mime_type or ''}"
        text, data = getattr(resource, "text", None), getattr(resource, "blob", "")
        if isinstance(text, str):
            return f"[{plain_line(kind)}]\n{text}"
    else:
        kind, data = f"{block.type} {block.mime_type}", block.data
    # Base64 has four characters for three bytes.
    return f"[{plain_line(kind)}, {len(data) * 3 // 4 - data[-2:].count('='):,} bytes, not shown]"


def _warnings(server: McpServer, problems: Sequence[str]) -> tuple[str, ...]:
    """A sentence each, and not more than a user would read."""
    shown = [f"tools of the MCP server {server.name}: {each}" for each in problems]
    if len(shown) > _MOST_WARNINGS:
        rest = len(shown) - _MOST_WARNINGS + 1
        shown[_MOST_WARNINGS - 1 :] = [
            f"tools of the MCP server {server.name}: {rest} more like it"
        ]
    return tuple(shown)


def _is_wanted(tool: Tool, wanted: Iterable[str]) -> bool:
    return any(fnmatchcase(tool.spec.name, pattern) for pattern in wanted)


def _may_name(pattern: str, prefix: str) -> bool:
    """Whether a name or glob may be one of a name with this prefix."""
    beginning = _beginning(pattern)
    return beginning.startswith(prefix) or (beginning != pattern and prefix.startswith(beginning))


def _beginning(pattern: str) -> str:
    """What a glob has before its first wildcard."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def _quieten(loggers: Iterable[str]) -> None:
    """Without a handler of its own, a logger's warnings go to the terminal."""
    for name in loggers:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
