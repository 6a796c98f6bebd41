"""The door between a framework and a model: a `ChatModel` that keeps a run's turns.

A turn that the run has had before is played again, at no cost: so a run goes on in another process
with nothing of the framework's own state stored. A new one is counted against the limits, fitted
into the window, told as events, and stored.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from agentctl.core.agents.compaction import compact
from agentctl.core.agents.run_context import RunContext
from agentctl.core.agents.run_store import Turn
from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Delta,
    Done,
    Message,
    ModelInfo,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from agentctl.core.chat.context import FittedContext, prompt_budget
from agentctl.core.chat.prompt import without_turn_marks
from agentctl.core.chat.stopwatch import Stopwatch
from agentctl.core.errors import AgentctlError, AnswerInvalid, ContextOverflow
from agentctl.core.events import MessageFinished, TextArrived, ThinkingArrived
from agentctl.core.files import well_formed

# Times that a model is asked again after an answer that made no sense.
MOST_REPAIRS = 2
# What is tried next, as a share of a prompt that was counted too low.
_NEXT_BUDGET = 0.75
_MOST_FITTINGS = 4


class RecordedModel:
    """One speaker's model in a run; `key` tells its turns from those of all other speakers."""

    def __init__(self, model: ChatModel, context: RunContext, speaker: str, key: str) -> None:
        self._model = model
        self._context = context
        self._speaker = speaker
        self._key = key
        self._noted = ""

    async def info(self) -> ModelInfo:
        try:
            return await self._model.info()
        except AgentctlError as error:
            self._context.fail(error)
            raise

    async def count_tokens(self, request: ChatRequest) -> int:
        return await self._model.count_tokens(request)

    async def device(self) -> str | None:
        return await self._model.device()

    async def close(self) -> None:
        """The runner, which has opened the model, closes it."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        key = self._context.next_key(self._key)
        turn = self._context.record.turns.get(key)
        if turn is None:
            await self._context.begin_round()
            try:
                async with aclosing(self._ask(key, request)) as deltas:
                    async for delta in deltas:
                        yield delta
            except AgentctlError as error:
                self._context.fail(error)
                raise
            return
        self._context.last_text = turn.text or self._context.last_text
        for delta in _played(turn):
            yield delta

    def _for_an_answer(self, request: ChatRequest) -> ChatRequest:
        """Without tools, where the speaker goes round in circles or has no further round: what it
        has found out is worth more than one more call."""
        context = self._context
        has_called = any(message.tool_calls for message in request.messages)
        is_cut = context.is_last_round() and has_called
        if not request.tools or not (is_cut or self._speaker in context.must_answer):
            return request
        context.was_cut |= is_cut
        context.must_answer.discard(self._speaker)
        now = Message("user", "You can call no more tools. Give your answer now.")
        return replace(request, messages=(*request.messages, now), tools=())

    async def _ask(self, key: str, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """A live turn. An answer that makes no sense is shown to the model, which tries again."""
        repairs = 0
        request = self._for_an_answer(request)
        while True:
            heard = _Heard(key)
            try:
                async with aclosing(self._answer(request, heard)) as deltas:
                    async for delta in deltas:
                        yield delta
            except AnswerInvalid as error:
                repairs += 1
                if repairs > MOST_REPAIRS or heard.text:
                    raise
                self._context.warn("answer-invalid", f"{self._speaker}: {error.message}")
                problem = Message("user", f"That made no sense: {error.message}. Try again.")
                request = replace(request, messages=(*request.messages, problem))
                await self._context.begin_round()
            else:
                return

    async def _answer(self, request: ChatRequest, heard: "_Heard") -> AsyncGenerator[Delta, None]:
        info = await self._model.info()
        budget = prompt_budget(info.context_window, request.options.max_tokens)
        for fitting in range(_MOST_FITTINGS):
            fitted = await self._fit(request, budget)
            watch = Stopwatch(self._context.monotonic)
            sent = replace(request, messages=fitted.messages)
            try:
                async with aclosing(self._model.stream(sent)) as deltas:
                    async for delta in deltas:
                        await self._take(delta, heard, watch, is_data=request.schema is not None)
                        if not isinstance(delta, ToolCallDelta | Done):
                            yield delta
                break
            except ContextOverflow:
                # Only some backends count exactly; the others refuse before they begin.
                if heard.text or fitting == _MOST_FITTINGS - 1:
                    raise
                budget = int(fitted.prompt_tokens * _NEXT_BUDGET)
        for delta in self._finish(heard, watch, fitted, info, is_data=request.schema is not None):
            yield delta

    async def _fit(self, request: ChatRequest, budget: int) -> FittedContext:
        async def count(messages: tuple[Message, ...]) -> int:
            return await self._model.count_tokens(replace(request, messages=messages))

        harmless = tuple(
            replace(each, content=without_turn_marks(each.content))
            if each.role != "system"
            else each
            for each in request.messages
        )
        found = await compact(harmless, budget, count)
        if found.note and found.note != self._noted:
            self._noted = found.note
            self._context.warn("compacted", f"{self._speaker}: {found.note}")
        return FittedContext(found.messages, found.tokens, 0, found.truncated_tokens)

    async def _take(
        self, delta: Delta, heard: "_Heard", watch: Stopwatch, *, is_data: bool
    ) -> None:
        context = self._context
        if isinstance(delta, Done):
            watch.end()
            heard.done = delta
        elif isinstance(delta, ToolCallDelta):
            heard.calls.append(delta.call)
        else:
            watch.word()
            await context.check_running()
            context.used.tokens += 1
            if context.used.tokens > context.limits.tokens:
                await context.stop_at_limit(f"it has taken its {context.limits.tokens:,} tokens")
            delta = replace(delta, text=well_formed(delta.text))
            if isinstance(delta, TextDelta):
                heard.text += delta.text
            else:
                heard.thinking += delta.text
            kind = TextArrived if isinstance(delta, TextDelta) else ThinkingArrived
            event = kind(**context.stamp(), text=delta.text, agent=self._speaker)
            if not (is_data and isinstance(delta, TextDelta)):
                context.emit_piece(event, delta)

    def _finish(
        self,
        heard: "_Heard",
        watch: Stopwatch,
        fitted: FittedContext,
        info: ModelInfo,
        *,
        is_data: bool,
    ) -> list[Delta]:
        """Stores the turn, tells what was not told yet; the deltas that are left."""
        context, turn = self._context, heard.turn()
        if not (turn.calls or is_data):
            context.latest_calls.pop(self._speaker, None)
        context.store.append_turn(context.run_id, turn)
        context.used.tokens += turn.prompt_tokens
        said = _thought(turn.text) if is_data else turn.text
        if said:
            context.emit(
                MessageFinished(
                    **context.stamp(), agent=self._speaker, role="assistant", content=said
                )
            )
        if not is_data:
            context.last_text = turn.text or context.last_text
        context.emit(
            watch.usage(
                heard.done,
                fitted,
                **context.stamp(),
                context_window=info.context_window,
                device=None,
            )
        )
        return [delta for delta in _played(turn) if isinstance(delta, ToolCallDelta | Done)]


class _Heard:
    """What has arrived of a turn."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.text = ""
        self.thinking = ""
        self.calls: list[ToolCall] = []
        self.done = Done("stop", 0, 0)

    def turn(self) -> Turn:
        """The turn, its calls numbered: ids that models give need not differ from turn to turn."""
        calls = tuple(
            replace(call, id=f"{self.key}-{number}") for number, call in enumerate(self.calls, 1)
        )
        return Turn(
            key=self.key,
            text=self.text,
            thinking=self.thinking,
            calls=calls,
            finish_reason=self.done.finish_reason,
            prompt_tokens=self.done.prompt_tokens,
            completion_tokens=self.done.completion_tokens,
        )


def _played(turn: Turn) -> list[Delta]:
    deltas: list[Delta] = []
    if turn.thinking:
        deltas.append(ThinkingDelta(turn.thinking))
    if turn.text:
        deltas.append(TextDelta(turn.text))
    deltas += map(ToolCallDelta, turn.calls)
    return [*deltas, Done(turn.finish_reason, turn.prompt_tokens, turn.completion_tokens)]


def _thought(text: str) -> str:
    """What an answer that is data says in words."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text
    thought = data.get("thought") if isinstance(data, dict) else None
    return thought if isinstance(thought, str) else ""
