"""What goes on, told to all who listen: dashboards hear of it within a second."""

import asyncio
from collections.abc import AsyncGenerator

from agentctl.core.jsontypes import JsonObject

# A listener that is so far behind has stopped reading; the oldest news are of no use to it.
_MOST_WAITING = 256


class Feed:
    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[JsonObject | None]] = set()

    def tell(self, update: JsonObject) -> None:
        for queue in self._listeners:
            if queue.qsize() >= _MOST_WAITING:
                queue.get_nowait()
            queue.put_nowait(update)

    def close(self) -> None:
        """Ends all that listen."""
        for queue in self._listeners:
            queue.put_nowait(None)

    async def listen(self) -> AsyncGenerator[JsonObject, None]:
        queue: asyncio.Queue[JsonObject | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            while (update := await queue.get()) is not None:
                yield update
        finally:
            self._listeners.discard(queue)
