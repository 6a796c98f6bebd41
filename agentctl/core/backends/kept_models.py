"""Models that stay loaded between answers: what makes the second answer of a daemon quick."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from dataclasses import dataclass, field

from agentctl.core.backends.base import ChatModel, ChatRequest, Delta, ModelInfo

KEEP_S = 300.0
"""Seconds that a model nobody asks stays loaded."""


@dataclass(slots=True)
class _Kept:
    model: ChatModel
    users: int = 0
    freeing: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class KeptModels:
    """Hands out models that are shared by all who ask for the same one, while an event loop runs.

    One that nobody uses is freed after `keep_s` seconds, or as soon as another is wanted: two
    at once may be more than the memory holds.
    """

    keep_s: float = KEEP_S
    _kept: dict[Hashable, _Kept] = field(default_factory=dict)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    def take(self, key: Hashable, make: Callable[[], ChatModel]) -> ChatModel:
        """The model of `key`; closing what is returned gives it back."""
        for other in [each for each in self._kept if each != key]:
            if not self._kept[other].users:
                self._free(other)
        kept = self._kept.get(key) or self._kept.setdefault(key, _Kept(make()))
        kept.users += 1
        if kept.freeing is not None:
            kept.freeing.cancel()
            kept.freeing = None
        return _Borrowed(kept.model, lambda: self._give_back(key, kept))

    async def close(self) -> None:
        for key in list(self._kept):
            self._free(key)
        await asyncio.gather(*self._closing)

    def _give_back(self, key: Hashable, kept: _Kept) -> None:
        kept.users -= 1
        if not kept.users and self._kept.get(key) is kept:
            loop = asyncio.get_running_loop()
            kept.freeing = loop.call_later(self.keep_s, self._free, key)

    def _free(self, key: Hashable) -> None:
        kept = self._kept.pop(key)
        if kept.freeing is not None:
            kept.freeing.cancel()
        closing = asyncio.get_running_loop().create_task(kept.model.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


class _Borrowed:
    """A `ChatModel` that is not closed, but given back, and that once."""

    def __init__(self, model: ChatModel, give_back: Callable[[], None]) -> None:
        self._model = model
        self._give_back: Callable[[], None] | None = give_back

    async def info(self) -> ModelInfo:
        return await self._model.info()

    async def count_tokens(self, request: ChatRequest) -> int:
        return await self._model.count_tokens(request)

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        return self._model.stream(request)

    async def device(self) -> str | None:
        return await self._model.device()

    async def close(self) -> None:
        if self._give_back is not None:
            self._give_back()
            self._give_back = None
