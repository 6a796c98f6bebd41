"""A backend of your own: its model says the question backwards. `python examples/add_backend.py`"""

import asyncio
import os
from collections.abc import AsyncGenerator

from agentctl.connect import user_config, user_paths
from agentctl.core.backends.base import ChatRequest, Delta, Done, ModelInfo, TextDelta
from agentctl.core.backends.registry import Opened, Registry
from agentctl.core.chat.answer import Answerer
from agentctl.core.chat.attachments import InputLimits
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.events import TextArrived
from agentctl.core.storage import open_database

INFO = ModelInfo(
    name="backwards",
    backend="toy",
    context_window=4096,
    max_context_window=4096,
    capabilities=frozenset(),
)


class BackwardsModel:
    async def info(self) -> ModelInfo:
        return INFO

    async def count_tokens(self, request: ChatRequest) -> int:
        return sum(len(message.content.split()) for message in request.messages)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        words = request.messages[-1].content.split()[::-1]
        for word in words:  # a real one awaits its server here
            yield TextDelta(f"{word} ")
        yield Done("stop", await self.count_tokens(request), len(words))

    async def device(self) -> str | None:
        return "CPU"

    async def close(self) -> None: ...


class ToyRegistry(Registry):
    async def open(self, name: str | None, **options: str | int | None) -> Opened:
        return Opened(BackwardsModel(), "backwards", "toy")


async def main() -> None:
    registry = ToyRegistry(user_config().settings, user_paths(), os.environ)
    sessions = SessionStore(open_database(user_paths().database))
    limits = InputLimits(bytes=20_000_000, files=500, seconds=60)
    answerer = Answerer(registry, lambda: sessions, limits)
    async for event in answerer.ask(AskRequest(prompt="sea the by lighthouse A")):
        if isinstance(event, TextArrived):
            print(event.text, end="", flush=True)


asyncio.run(main())
