"""`/ws/updates`: what a dashboard wants to hear of, as it happens."""

import asyncio
from contextlib import aclosing, suppress

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from agentctl.daemon.hub import Hub

_GOING_AWAY = 1001


def add_updates(app: FastAPI, hub: Hub) -> None:
    @app.websocket("/ws/updates")
    async def updates(socket: WebSocket) -> None:
        """JSON objects with a `type`: `changed` (some row was), `stats`, `notice`."""
        await socket.accept()
        telling = asyncio.ensure_future(_tell(socket, hub))
        leaving = asyncio.ensure_future(_has_left(socket))
        try:
            await asyncio.wait((telling, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            leaving.cancel()


async def _tell(socket: WebSocket, hub: Hub) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        async with aclosing(hub.updates()) as news:
            async for update in news:
                await socket.send_json(update)
        # The daemon is being stopped.
        await socket.close(_GOING_AWAY)


async def _has_left(socket: WebSocket) -> None:
    """What the other side says is nothing to us."""
    with suppress(WebSocketDisconnect, RuntimeError):
        while (await socket.receive())["type"] != "websocket.disconnect":
            pass
