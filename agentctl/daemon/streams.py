"""A run's events over HTTP: as they happen (server-sent events), or its result in one object."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from agentctl.core.errors import AgentctlError, AnswerInterrupted
from agentctl.core.events import Event, RunStarted, encode_event
from agentctl.core.jsontypes import JsonObject
from agentctl.core.workspace import Workspace
from agentctl.daemon.calls import Calls, Work
from agentctl.daemon.hub import Hub
from agentctl.daemon.problems import STATUS_OF_EXIT
from agentctl.daemon.wire import ALIVE, CANCELLED, END, Value
from agentctl.render.agents import AgentSummary, run_data
from agentctl.render.run import RunSummary, answer_data

T = TypeVar("T")
Begin = Callable[[Workspace], AsyncGenerator[T, None]]


class LinesResponse(StreamingResponse):
    """Lines of some work, which is cancelled at once when their reader leaves."""

    def __init__(self, work: Work, lines: AsyncGenerator[bytes, None], media_type: str) -> None:
        super().__init__(lines, media_type=media_type, headers={"Cache-Control": "no-store"})
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._work.cancel()


class Runs:
    """Starts runs for the routes. One that was started to go on does, whoever leaves."""

    def __init__(self, hub: Hub, calls: Calls) -> None:
        self._hub = hub
        self._calls = calls
        self._going_on: set[asyncio.Task[None]] = set()

    async def stream(self, begin: Begin[Event]) -> Response:
        """Server-sent events, each an event of the run as JSON; leaving cancels the run.

        Raises what is refused before the first of them.
        """
        work = self._calls.begin(self._begun(begin))
        first = await work.first()
        return LinesResponse(work, _sent(first, work), "text/event-stream")

    async def answer(self, begin: Begin[Event], client: Request) -> Response:
        """The answer in the shape of `ask --json`; an error has its status."""
        summary = RunSummary()
        async with aclosing(self.items(begin, client)) as events:
            async for event in events:
                summary.add(event)
        if summary.error is not None and not summary.answer:
            error = summary.error
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            return JSONResponse({"error": told}, STATUS_OF_EXIT.get(error.exit_code, 502))
        data: JsonObject = answer_data(summary, summary.answer)
        if summary.finished is not None:
            data |= {"run_id": summary.finished.run_id, "status": summary.finished.status}
        return JSONResponse(data)

    async def result(self, begin: Begin[Event], client: Request) -> Response:
        """A run of agents to its end, in the shape of `agents run --json`."""
        summary = AgentSummary()
        async with aclosing(self.items(begin, client)) as events:
            async for event in events:
                summary.add(event)
        return JSONResponse(run_data(summary))

    def items(self, begin: Begin[T], client: Request) -> AsyncGenerator[T, None]:
        """What comes of a verb, for a client that waits for its end; leaving cancels it."""
        return self._calls.begin(self._begun(begin)).items(client.is_disconnected)

    async def set_going(self, begin: Begin[Event]) -> Response:
        """Starts the run, and leaves it to itself; 202 with its id. Raises what it refuses."""
        loop = asyncio.get_running_loop()
        started: asyncio.Future[str] = loop.create_future()
        task = loop.create_task(self._go(begin, started))
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return JSONResponse({"run_id": await started, "status": "running"}, 202)

    async def _go(self, begin: Begin[Event], started: "asyncio.Future[str]") -> None:
        problem: AgentctlError = AnswerInterrupted("the run ended before it had begun")
        try:
            async with aclosing(self._calls.begin(self._begun(begin)).items(_never)) as events:
                async for event in events:
                    if isinstance(event, RunStarted) and not started.done():
                        started.set_result(event.run_id)
        except AgentctlError as error:
            problem = error
        finally:
            if not started.done():
                started.set_exception(problem)

    async def _begun(self, begin: Begin[T]) -> AsyncGenerator[T, None]:
        async with AsyncExitStack() as stack:
            workspace = await stack.enter_async_context(self._hub.workspace())
            async for item in await stack.enter_async_context(aclosing(begin(workspace))):
                self._hub.heard(item)
                yield item


async def _never() -> bool:
    return False


def _sse(event: Value) -> bytes:
    return f"data: {encode_event(event)}\n\n".encode()


async def _sent(first: Event, work: Work) -> AsyncGenerator[bytes, None]:
    """Server-sent events have no last line, and say by a comment that they go on."""
    yield _sse(first)
    async for line in work.lines(_sse):
        if line == ALIVE:
            yield b": still at it\n\n"
        elif line.startswith(b'{"error"'):
            yield b"event: error\ndata: " + line + b"\n"
        elif line not in (END, CANCELLED):
            yield line
