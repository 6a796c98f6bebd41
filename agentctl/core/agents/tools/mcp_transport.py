"""How an MCP server is reached: the standard streams of a process, or HTTP, both within limits.

The SDK's own transports read lines and bodies of any length, and pass on what a server asks of its
client. Here both come to an end: a server that sends too much is cut off, and one that asks is
refused.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from agentctl.core.agents.tools.mcp_process import end_process, spawn
from agentctl.core.agents.tools.mcp_schema import Taken
from agentctl.core.agents.tools.mcp_servers import McpServer
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.child_processes import find_program
from agentctl.core.errors import ToolFailed
from agentctl.core.paths import expand, make_private

if TYPE_CHECKING:
    from asyncio.subprocess import Process

    from httpx2 import Request, Response
    from mcp.client._transport import ReadStream, TransportStreams, WriteStream
    from mcp.shared.message import SessionMessage
    from mcp_types import JSONRPCRequest

# What a server may send in answer to one request, what else it says meanwhile included.
MOST_BYTES = 10_000_000
_LOG_BYTES = 1_000_000
_CONNECT_S = 5.0
_GOODBYE_S = 2.0


class Link(Protocol):
    """The way to a server, for one life of it.

    `problem` says why it ended, as far as that is known here; `taken` are the tools of the lists
    that came along.
    """

    problem: str
    taken: Taken
    ended: asyncio.Event

    def open(self) -> AbstractAsyncContextManager["TransportStreams"]:
        """A transport of the SDK; leaving it ends the server, if it is ours."""
        ...


def link_to(server: McpServer, logs: Path, environ: Mapping[str, str]) -> Link:
    """Raises ToolFailed when a variable that the server needs is not set."""
    if server.url:
        return HttpLink(server)
    return StdioLink(server, server.environment(environ), logs / f"{server.name}.log")


class _Link:
    """What both ways share."""

    def __init__(self, server: McpServer) -> None:
        self.problem = ""
        self.taken = Taken(server.tools)
        self.ended = asyncio.Event()

    def cut(self, problem: str) -> None:
        """Ends it. The first problem counts."""
        self.problem = self.problem or problem
        self.ended.set()


class StdioLink(_Link):
    """A process that is started here. What it says on stderr goes into its log."""

    def __init__(self, server: McpServer, env: Mapping[str, str], log: Path) -> None:
        super().__init__(server)
        self._server = server
        self._env = env
        self._log = log
        self._left = MOST_BYTES
        self._has_closed = False

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["TransportStreams", None]:
        process = await self._start()
        log = asyncio.create_task(self._keep_log(process))
        try:
            writer = _ProcessInput(self, process)
            yield _Answers(self, self._messages(process), writer), writer
        finally:
            code = await end_process(process, at_once=bool(self.problem))
            if self._has_closed:
                end = "it closed its output" if code is None else f"it ended with code {code}"
                self.problem = self.problem or end
            # What it said last is read by now, unless something that left its tree holds on.
            await asyncio.wait({log}, timeout=0.5)
            log.cancel()

    def renew(self) -> None:
        """A new request: the server may speak again."""
        self._left = MOST_BYTES

    async def _start(self) -> "Process":
        """Raises ToolFailed when there is nothing to start."""
        name, *arguments = self._server.command
        folder = self._server.folder
        path = expand(name)
        found = str(folder / path) if path.name != name else name
        program = find_program(found, self._env)
        if program is None:
            raise ToolFailed(f"there is no program {name}")
        try:
            return await spawn([program, *arguments], self._env, folder, MOST_BYTES)
        except (OSError, ValueError) as error:
            raise ToolFailed(f"{name} cannot be started: {error}") from None

    async def _messages(self, process: "Process") -> AsyncIterator["SessionMessage"]:
        from mcp.shared.message import SessionMessage
        from mcp_types import jsonrpc_message_adapter

        if process.stdout is None:
            return
        while line := await self._line(process.stdout):
            # Many servers greet on stdout, which is none of their business.
            with suppress(ValueError):
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                yield SessionMessage(message)

    async def _line(self, stdout: asyncio.StreamReader) -> bytes:
        """The next line, empty at the end."""
        try:
            line = await stdout.readline()
            self._left -= len(line)
        except ValueError:
            self._left = -1
        if self._left < 0:
            self.problem = f"it sent more than {MOST_BYTES:,} bytes at once"
            return b""
        self._has_closed = not line
        return line

    async def _keep_log(self, process: "Process") -> None:
        """Reads stderr to its end, so that the server can write, and keeps the beginning of it."""
        left = _LOG_BYTES
        while process.stderr and (data := await process.stderr.read(65_536)):
            with suppress(OSError):
                left -= _append(self._log, data[:left]) if left else 0


class _ProcessInput:
    """The input of a process as a write stream of the SDK: never waits for its reader."""

    def __init__(self, link: StdioLink, process: "Process") -> None:
        self._link = link
        self._pipe = process.stdin

    async def send(self, item: "SessionMessage", /) -> None:
        from anyio import BrokenResourceError
        from mcp_types import JSONRPCRequest

        if self._pipe is None or self._pipe.is_closing():
            raise BrokenResourceError
        if self._pipe.transport.get_write_buffer_size() > MOST_BYTES:
            self._link.cut("it does not read what it is sent")
            raise BrokenResourceError
        if isinstance(item.message, JSONRPCRequest):
            self._link.renew()
        data = item.message.model_dump_json(by_alias=True, exclude_unset=True)
        self._pipe.write(data.encode() + b"\n")

    async def aclose(self) -> None:
        """Left open: it is closed with the process."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


class HttpLink(_Link):
    """A server that runs already and is asked over streamable HTTP."""

    def __init__(self, server: McpServer) -> None:
        super().__init__(server)
        self._server = server

    @asynccontextmanager
    async def open(self) -> AsyncGenerator["TransportStreams", None]:
        from httpx2 import AsyncClient, Timeout
        from mcp.client.streamable_http import streamable_http_client

        async with (
            AsyncClient(
                # What is meant for this machine goes through nobody's proxy.
                trust_env=self._server.remote,
                timeout=Timeout(_CONNECT_S, read=self._server.timeout_s),
                # Compressed, a few bytes could be gigabytes.
                headers={"Accept-Encoding": "identity"},
                event_hooks={"request": [_hurry_goodbye], "response": [self._limit]},
            ) as client,
            streamable_http_client(
                self._server.url, http_client=client, max_sse_event_size=MOST_BYTES
            ) as (incoming, outgoing),
        ):
            yield _Answers(self, incoming, outgoing), outgoing

    async def _limit(self, response: "Response") -> None:
        from httpx2 import AsyncByteStream, StreamError

        if not isinstance(response.stream, AsyncByteStream):
            return
        stream = response.stream
        # What it sends unasked is no loss.
        cut = self.cut if response.request.method == "POST" else lambda _: None
        response.headers.pop("Content-Encoding", None)

        class Limited(AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                left = MOST_BYTES
                async for data in stream:
                    left -= len(data)
                    if left < 0:
                        cut(f"it sent more than {MOST_BYTES:,} bytes at once")
                        raise StreamError("too much")
                    yield data

            async def aclose(self) -> None:
                await stream.aclose()

        response.stream = Limited()


async def _hurry_goodbye(request: "Request") -> None:
    """A server that hangs must not keep a run from ending."""
    if request.method == "DELETE":
        limits = dict.fromkeys(("connect", "read", "write", "pool"), _GOODBYE_S)
        request.extensions["timeout"] = limits


class _Answers:
    """What a server sends in answer, as a read stream of the SDK.

    What it asks of its client is refused here, one request after the other: passed on, requests of
    a server that reads no answers would pile up. Nobody listens to what it says unasked.
    """

    def __init__(
        self,
        link: _Link,
        messages: "ReadStream[SessionMessage | Exception] | AsyncIterator[SessionMessage]",
        replies: "WriteStream[SessionMessage]",
    ) -> None:
        self._link = link
        self._messages = messages
        self._replies = replies

    async def receive(self) -> "SessionMessage | Exception":
        from anyio import EndOfStream

        try:
            return await anext(self)
        except StopAsyncIteration:
            raise EndOfStream from None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> "SessionMessage | Exception":
        from mcp_types import JSONRPCError, JSONRPCRequest, JSONRPCResponse

        while True:
            item = await self._messages.__anext__()
            message = None if isinstance(item, Exception) else item.message
            if isinstance(message, JSONRPCResponse):
                await self._take_tools(message.result)
            if isinstance(message, JSONRPCResponse | JSONRPCError):
                return item
            if isinstance(message, JSONRPCRequest):
                await self._refuse(message)

    async def aclose(self) -> None:
        self._link.ended.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _refuse(self, request: "JSONRPCRequest") -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import METHOD_NOT_FOUND, ErrorData, JSONRPCError, JSONRPCResponse

        if request.method == "ping":
            reply: JSONRPCResponse | JSONRPCError
            reply = JSONRPCResponse(jsonrpc="2.0", id=request.id, result={})
        else:
            error = ErrorData(code=METHOD_NOT_FOUND, message="Method not found")
            reply = JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
        await self._replies.send(SessionMessage(reply))

    async def _take_tools(self, result: dict[str, Any]) -> None:
        if isinstance(tools := result.get("tools"), list):
            # Checking many schemas takes a while.
            result["tools"] = await run_in_thread(lambda: self._link.taken.take(tools))


def _append(path: Path, data: bytes) -> int:
    """Adds to a log that only its owner may read, or begins it anew when it is full."""
    make_private(path.parent)
    is_full = path.exists() and path.stat().st_size > 2 * _LOG_BYTES
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if is_full else os.O_APPEND)
    descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)
    try:
        return os.write(descriptor, data)
    finally:
        os.close(descriptor)
