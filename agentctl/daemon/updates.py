"""`/ws/updates`: what a dashboard wants to hear of, as it happens."""

from contextlib import aclosing, suppress

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from agentctl.daemon.hub import Hub


def add_updates(app: FastAPI, hub: Hub) -> None:
    @app.websocket("/ws/updates")
    async def updates(socket: WebSocket) -> None:
        """JSON objects with a `type`: `changed` (some row was), `journal`, `stats`."""
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):
            async with aclosing(hub.updates()) as news:
                async for update in news:
                    await socket.send_json(update)
