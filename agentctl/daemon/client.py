"""The Workspace of a running daemon, over HTTP: each verb is one call."""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, cast

import msgspec

from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json, stream_lines
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendBusy,
    BackendFailed,
    BackendUnreachable,
    RetryError,
)
from agentctl.core.moments import moment_text
from agentctl.core.workspace import Workspace
from agentctl.daemon.process import DaemonAddress
from agentctl.daemon.wire import END, KEEP_ALIVE_S, Value, Verb, find_verb, read_error

if TYPE_CHECKING:
    from agentctl.core.events import Event
    from agentctl.daemon.hub import DaemonState

_CONNECT_S = 2.0
# The daemon says every few seconds that it is still at it.
_SILENCE_S = 12 * KEEP_ALIVE_S
_GLANCE_S = 5.0
_HINT = "start it again: agentctl daemon restart"
_TOO_MANY_REQUESTS = 429


def daemon_endpoint(address: DaemonAddress, silence_s: float = _SILENCE_S) -> Endpoint:
    return Endpoint(
        base_url=address.url,
        connect_s=_CONNECT_S,
        first_byte_s=silence_s,
        idle_s=silence_s,
        headers={"Authorization": f"Bearer {address.token}"},
        hint=_HINT,
    )


def remote_workspace(endpoint: Endpoint) -> Workspace:
    """Its verbs are the Protocol's, whose annotations say how they travel: none is missing."""
    return cast(Workspace, _RemoteWorkspace(endpoint))


class _RemoteWorkspace:
    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def __getattr__(self, name: str) -> Value:
        verb = find_verb(name)
        if verb is None:
            raise AttributeError(name)
        if verb.name == "ask":
            return partial(self._ask, verb)
        return partial(self._stream if verb.streams else self._call, verb)

    async def close(self) -> None:
        """There is nothing to close: each call has a connection of its own."""

    async def _call(self, verb: Verb, *positional: Value, **named: Value) -> Value:
        async with aclosing(self._stream(verb, *positional, **named)) as items:
            async for item in items:
                return item
        raise AnswerInterrupted("the daemon answered nothing", _HINT)

    async def _ask(
        self, verb: Verb, *positional: Value, **named: Value
    ) -> "AsyncGenerator[Event, None]":
        """An answer whose daemon is lost ends as every failed one does: with events."""
        from agentctl.core.events import RunFinished, TextArrived

        last, text, problem = None, "", None
        try:
            async with aclosing(self._stream(verb, *positional, **named)) as events:
                async for event in events:
                    last = event
                    text += event.text if isinstance(event, TextArrived) else ""
                    yield event
        except AgentctlError as error:
            problem = error
        if problem is not None and not isinstance(last, RunFinished):
            for event in _failed(problem, last, text):
                yield event

    async def _stream(
        self, verb: Verb, *positional: Value, **named: Value
    ) -> AsyncGenerator[Value, None]:
        """What the verb returns or yields.

        When the reading task is cancelled, the work is cancelled there, what still comes of it is
        passed on, and only then CancelledError raised: as the verb itself does it.
        """
        call = secrets.token_hex(8)
        path = f"/workspace/{verb.name}?call={call}"
        cancelled: asyncio.CancelledError | None = None
        item: Value = None
        lines = stream_lines(self._endpoint, "POST", path, verb.bind(*positional, **named))
        async with aclosing(lines):
            while True:
                reading = asyncio.ensure_future(_next_line(lines))
                try:
                    line = await asyncio.shield(reading)
                except asyncio.CancelledError as error:
                    if cancelled is not None:
                        await _give_up(reading)
                        raise
                    cancelled = error
                    line = await self._cancel(call, reading)
                told = msgspec.json.decode(line)
                if "item" not in told:
                    break
                item = verb.decode_item(told["item"])
                yield item
        if cancelled is not None:
            raise cancelled
        if "error" in told:
            raise read_error(told["error"])
        if "cancelled" in told and not _is_end(item):
            raise AnswerInterrupted("the daemon was stopped before the work was done", _HINT)

    async def _cancel(self, call: str, reading: "asyncio.Future[bytes]") -> bytes:
        """The next line that still comes; the end, when the daemon is lost."""
        try:
            await fetch_json(self._endpoint, "POST", f"/calls/{call}/cancel", {})
            return await reading
        except (AgentctlError, StatusError):
            return END
        finally:
            await _give_up(reading)


def _is_end(item: Value) -> bool:
    """A run that was cancelled from elsewhere has told its end itself."""
    from agentctl.core.events import RunFinished

    return isinstance(item, RunFinished)


def _failed(error: AgentctlError, last: "Event | None", text: str) -> "Iterator[Event]":
    """The end of an answer whose `last` event was not the one that ends it."""
    from agentctl.core.events import ErrorRaised, RunFinished, RunStarted

    now = moment_text(datetime.now(UTC))
    run_id, time = (last.run_id, last.time) if last is not None else ("", now)
    if last is None:
        yield RunStarted(run_id=run_id, time=time, model="", backend="")
    yield ErrorRaised(
        run_id=run_id,
        time=time,
        code=error.slug,
        message=error.message,
        hint=error.hint,
        exit_code=error.exit_code,
    )
    yield RunFinished(run_id=run_id, time=time, status="failed", answer=text)


async def _give_up(reading: "asyncio.Future[bytes]") -> None:
    """Nothing else may close the lines while they are read."""
    reading.cancel()
    await asyncio.wait({reading})


async def _next_line(lines: AsyncGenerator[bytes, None]) -> bytes:
    """The next line that says something."""
    try:
        async for line in lines:
            if line:
                return line
    except StatusError as error:
        raise _translate(error) from None
    raise AnswerInterrupted("the daemon broke off its answer", _HINT)


def _translate(error: StatusError) -> AgentctlError:
    try:
        fields = msgspec.json.decode(error.body, type=dict[str, dict[str, str]])["error"]
    except (msgspec.DecodeError, KeyError):
        return BackendFailed(f"the daemon answered with HTTP {error.status}", _HINT)
    if error.status == _TOO_MANY_REQUESTS:
        return BackendBusy(fields["message"], fields["hint"])
    return read_error(fields)


async def fetch_state(address: DaemonAddress) -> "DaemonState":
    """How the daemon is. Raises RetryError when it does not hear."""
    from agentctl.daemon.hub import DaemonState

    endpoint = daemon_endpoint(address, _GLANCE_S)
    try:
        return msgspec.convert(await fetch_json(endpoint, "GET", "/health"), DaemonState)
    except StatusError as error:
        raise _translate(error) from None


async def is_answering(endpoint: Endpoint) -> bool:
    """Whether the daemon is there, and this user's."""
    try:
        await fetch_json(endpoint, "GET", "/health")
    except (RetryError, BackendUnreachable, StatusError):
        return False
    return True
