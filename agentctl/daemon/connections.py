"""A connection to the daemon: whoever has no token cannot keep one, and so not use them all up.

uvicorn ends those that are idle between two requests, but waits for ever for a first one, and for
the rest of one that has begun.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_SILENT = 128
"""Connections that may be without a request at once; for one more, the oldest of them ends."""

# Seconds in which the head of a request must have come.
_HEAD_S = 10.0


class Connection(H11Protocol):
    # While a request is waited for: when that ends.
    _until: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._wait_for_head()
        waits = {
            each: each._until.when()
            for each in self.connections
            if isinstance(each, Connection) and each._until is not None
        }
        if len(waits) > MOST_SILENT:
            min(waits, key=waits.__getitem__)._give_up()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._until is None:
            self._wait_for_head()

    def on_response_complete(self) -> None:
        # What the guard has found out.
        if not self.scope["state"].get("is_known", False):
            self.transport.close()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait_for_head(self) -> None:
        self._until = self.loop.call_later(_HEAD_S, self._give_up)

    def _stop_waiting(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def _give_up(self) -> None:
        self._stop_waiting()
        self.transport.abort()
