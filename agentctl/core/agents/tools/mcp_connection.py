"""One MCP server while a run lasts: it is started, asked, and started anew when it has ended."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import agentctl
from agentctl.core.agents.tools.mcp_schema import Taken, plain_line
from agentctl.core.agents.tools.mcp_servers import McpServer
from agentctl.core.agents.tools.mcp_transport import Link, link_to
from agentctl.core.errors import AgentctlError, ToolFailed
from agentctl.core.jsontypes import JsonObject

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp_types import CallToolResult

_MOST_PAGES = 20
_MOST_RESTARTS = 3

logger = logging.getLogger(__name__)


class McpConnection:
    """A server over as many lives as one run allows it. Calls may be made at the same time."""

    def __init__(self, server: McpServer, logs: Path, environ: Mapping[str, str]) -> None:
        self.server = server
        self._logs = logs
        self._environ = environ
        self._lives: list[_Life] = []
        self._starting = asyncio.Lock()
        self._is_closed = False

    async def start(self) -> Taken:
        """The tools it offers now.

        Raises:
            ToolFailed: why it cannot be used.
        """
        return (await self._begin()).link.taken

    async def call(self, tool: str, arguments: JsonObject) -> "CallToolResult":
        """What the tool answers, an error of its own included.

        Raises:
            ToolFailed: no answer, none that makes sense, or the server has ended.
        """
        from mcp import MCPError
        from mcp_types import CallToolResult

        life = await self._running()
        name = self.server.name
        try:
            result = await life.call(tool, arguments, self.server.timeout_s)
        except ToolFailed:
            raise
        except Exception as error:  # the SDK raises anything
            lost = _loss(error)
            if life.has_ended or lost:
                await life.close()
                reason = life.link.problem or lost or "the connection was lost"
                raise ToolFailed(f"the MCP server {name} broke off the call: {reason}") from None
            if isinstance(error, MCPError):
                raise ToolFailed(plain_line(error.message, 1_000) or "it failed") from None
            logger.info("nonsense from an MCP server", extra={"server": name}, exc_info=True)
            raise ToolFailed(f"the MCP server {name} answered with nonsense") from None
        if not isinstance(result, CallToolResult):
            raise ToolFailed(f"the MCP server {name} asks for input, which it is not given")
        return result

    async def close(self) -> None:
        """Ends it for good."""
        self._is_closed = True
        await asyncio.gather(*(life.close() for life in self._lives))

    async def _running(self) -> "_Life":
        async with self._starting:
            life = self._lives[-1] if self._lives else None
            if life is None or life.has_ended:
                if self._is_closed or len(self._lives) > _MOST_RESTARTS:
                    often = f"has ended {len(self._lives)} times and is not started again"
                    raise ToolFailed(f"the MCP server {self.server.name} {often}")
                try:
                    life = await self._begin()
                except ToolFailed as error:
                    again = f"the MCP server {self.server.name} did not start again"
                    raise ToolFailed(f"{again}: {error.message}") from None
            return life

    async def _begin(self) -> "_Life":
        life = _Life(link_to(self.server, self._logs, self._environ))
        self._lives.append(life)
        logger.info("starting an MCP server", extra={"server": self.server.name})
        await life.open(self.server.start_timeout_s)
        return life


class _Life:
    """One life of a server, in a task of its own: the SDK's contexts belong to one task."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._session: ClientSession | None = None
        self._is_ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    @property
    def has_ended(self) -> bool:
        return self._task is None or self._task.done() or self.link.ended.is_set()

    async def open(self, limit_s: float) -> None:
        """Raises ToolFailed with the reason when it does not start; then nothing is left of it."""
        self._task = asyncio.create_task(self._live())
        ready = asyncio.create_task(self._is_ready.wait())
        try:
            first = asyncio.FIRST_COMPLETED
            done, _ = await asyncio.wait({self._task, ready}, timeout=limit_s, return_when=first)
        except asyncio.CancelledError:
            self._leave()
            raise
        finally:
            ready.cancel()
        if not self._is_ready.is_set():
            await self.close()
            silence = f"it did not answer within {limit_s:g} seconds"
            raise ToolFailed(self.link.problem or silence if done else silence)

    async def call(self, tool: str, arguments: JsonObject, limit_s: float) -> object:
        """Raises what the SDK does, and ToolFailed when there is no answer in time."""
        if self._session is None:
            raise RuntimeError("a life is opened before it is asked")
        asked = self._session.call_tool(tool, dict(arguments), allow_input_required=True)
        # The SDK takes its time to tell the server that nobody waits: that is done behind us.
        task = asyncio.create_task(asked)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            done, _ = await asyncio.wait({task}, timeout=limit_s)
        finally:
            task.cancel()
        if not done:
            shown = plain_line(tool, 60)
            raise ToolFailed(f"{shown} did not answer within {limit_s:g} seconds")
        return task.result()

    async def close(self) -> None:
        """Returns when the server has ended, if it is ours. Harmless when called twice."""
        self._leave()
        if self._task is not None:
            await asyncio.wait({self._task})

    def _leave(self) -> None:
        """Lets its task end, once: a second time would cut short how it does."""
        if self._task is not None and not self.link.ended.is_set() and not self._is_closing:
            self._is_closing = True
            self.link.taken.is_full = True  # nobody waits for more
            self._task.cancel()

    async def _live(self) -> None:
        """Its task, from the start of the server to its end."""
        from mcp import ClientSession
        from mcp_types import Implementation

        us = Implementation(name="agentctl", version=agentctl.__version__)
        try:
            async with (
                self.link.open() as (incoming, outgoing),
                ClientSession(incoming, outgoing, client_info=us) as session,
            ):
                await _greet(session)
                await _list_tools(session, self.link.taken)
                self.link.taken.is_full = True  # what it says later does not count
                self._session = session
                self._is_ready.set()
                await self.link.ended.wait()
        except Exception as error:  # the SDK raises anything, groups too
            self.link.problem = self.link.problem or _reason(error)
            logger.info("an MCP server ended", exc_info=True)
        finally:
            self.link.ended.set()


async def _greet(session: "ClientSession") -> None:
    """The older handshake, or the newer one where it is refused.

    The SDK's own client does it the other way round, which ends some servers before they start.
    """
    from mcp import MCPError
    from mcp_types import CONNECTION_CLOSED

    try:
        await session.initialize()
    except MCPError as refusal:
        if refusal.code == CONNECTION_CLOSED:
            raise
        try:
            await session.discover()
        except MCPError:
            raise refusal from None


async def _list_tools(session: "ClientSession", taken: Taken) -> None:
    """Asks for the tools, page by page, until enough are taken over on their way here."""
    from mcp import MCPError
    from mcp_types import METHOD_NOT_FOUND, PaginatedRequestParams

    cursor = None
    for _ in range(_MOST_PAGES):
        try:
            page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND:  # a server of other things than tools
                return
            raise
        cursor = page.next_cursor
        if not cursor or taken.is_full:
            return


def _loss(error: Exception) -> str:
    """What the SDK says of a server over HTTP that went away or knows us no longer, else ""."""
    message = str(getattr(error, "message", ""))
    return plain_line(message) if message.startswith(("Session terminated", "SSE stream ")) else ""


def _reason(error: BaseException) -> str:
    """Why a server cannot be used, on one line."""
    from httpx2 import ConnectError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, AgentctlError):
        return error.message
    if isinstance(error, ConnectError):
        return "nothing answers at its url"
    if isinstance(error, ValueError):
        return "it answered with nonsense"
    return plain_line(str(error)) or type(error).__name__
