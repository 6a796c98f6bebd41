"""What an answer took: time, tokens, and where the model ran."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from agentctl.core.backends.base import ChatModel, Done
from agentctl.core.chat.context import FittedContext
from agentctl.core.errors import AgentctlError
from agentctl.core.events import UsageMeasured

# Seconds: an answer is not kept waiting for where it came from.
DEVICE_S = 1.5
ONE_PIECE_S = 0.02


class Stopwatch:
    """Runs from when it is made; `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._started = monotonic()
        self._first: float | None = None
        self._ended: float | None = None

    def word(self) -> None:
        """A piece of the answer has arrived."""
        if self._first is None:
            self._first = self._monotonic()

    def end(self) -> None:
        self._ended = self._monotonic()

    def usage(
        self,
        done: Done,
        fitted: FittedContext,
        *,
        run_id: str,
        time: str,
        context_window: int,
        device: str | None,
    ) -> UsageMeasured:
        ended = self._ended or self._monotonic()
        first = self._first or ended
        # An answer in one piece has no speed of its own: then all of the time counts.
        speaking = ended - (first if ended - first > ONE_PIECE_S else self._started)
        return UsageMeasured(
            run_id=run_id,
            time=time,
            prompt_tokens=done.prompt_tokens,
            completion_tokens=done.completion_tokens,
            ttft_ms=round(1000 * (first - self._started), 1),
            total_ms=round(1000 * (ended - self._started), 1),
            tokens_per_s=round(done.completion_tokens / max(speaking, 1e-3), 1),
            context_window=context_window,
            truncated_tokens=fitted.truncated_tokens,
            device=device,
        )


async def find_device(model: ChatModel) -> str | None:
    with suppress(AgentctlError, TimeoutError):
        async with asyncio.timeout(DEVICE_S):
            return await model.device()
    return None
