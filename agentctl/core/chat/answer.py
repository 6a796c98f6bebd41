"""One answer from beginning to end: the run behind `ask`.

The order of things: read the inputs, open the model, look into the knowledge base, fit the
context, store the question, then store each piece of the answer before it is passed on. So
whatever was shown is kept, and every way a run can end (done, failed, timed out, cancelled,
killed) leaves a readable session.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import TypedDict, TypeVar

from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Done,
    Message,
    ModelInfo,
    TextDelta,
    ThinkingDelta,
)
from agentctl.core.backends.registry import Opened, Registry
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.chat.attachments import STDIN_NAME, InputLimits, Loaded, load_attachments
from agentctl.core.chat.context import FittedContext, fit_context, prompt_budget
from agentctl.core.chat.conversation import AskRequest, Conversation, Prepared
from agentctl.core.chat.grounding import Found, Grounder, fit_passages
from agentctl.core.chat.recording import Recording
from agentctl.core.chat.schema import check_schema, validate_answer
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.chat.stopwatch import Stopwatch, find_device
from agentctl.core.errors import AgentctlError, BackendTimeout, ContextOverflow, UsageProblem
from agentctl.core.events import (
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    RunStatus,
    SourcesFound,
    TextArrived,
    ThinkingArrived,
    WarningRaised,
)
from agentctl.core.files import well_formed
from agentctl.core.knowledge.citations import CitationFilter, listed
from agentctl.core.moments import moment_text, utc_now

# What is tried next, as a share of a prompt that was counted too low.
NEXT_BUDGET = 0.75

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Answerer:
    """Answers questions with a registry's models.

    `sessions` opens the store when needed; without a `grounder` there is no knowledge base.
    """

    def __init__(
        self,
        registry: Registry,
        sessions: Callable[[], SessionStore],
        limits: InputLimits,
        now: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.perf_counter,
        *,
        grounder: Grounder | None = None,
    ) -> None:
        self._registry = registry
        self._sessions = sessions
        self._limits = limits
        self._grounder = grounder
        self._now = now
        self._monotonic = monotonic

    async def prepare(self, request: AskRequest) -> Prepared:
        """What `ask` would send. Raises what the inputs, the model or the window object to."""
        conversation, loaded = await self.read(request)
        async with _closing(await self.open(request)) as opened:
            info = await opened.model.info()
            budget = prompt_budget(info.context_window, request.options.max_tokens)
            found = await self.find(request, conversation, info)
            conversation = replace(conversation, passages=found.passages)
            fitted = await _fit(opened.model, budget, conversation, request)
        return Prepared(
            model=opened.name,
            backend=opened.backend,
            reason=opened.reason,
            messages=fitted.messages,
            prompt_tokens=fitted.prompt_tokens,
            context_window=info.context_window,
            truncated_tokens=fitted.truncated_tokens,
            warnings=(*loaded.warnings, *found.warnings, *_left_out(conversation, fitted)),
        )

    async def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        """The run's events. Raises nothing of ours: failures are events too.

        A cancelled run still yields its `RunFinished`, then raises CancelledError.
        """
        run = _Run(self, request, self._now, self._monotonic)
        cancelled: asyncio.CancelledError | None = None
        error: AgentctlError | None = None
        try:
            async with aclosing(run.answer()) as events:
                async for event in events:
                    yield event
        except AgentctlError as problem:
            error = problem
        except asyncio.CancelledError as problem:
            cancelled = problem
        except Exception as problem:
            # A mistake of ours must not take the end of the run with it.
            logger.exception("unexpected error")
            error = AgentctlError(f"{type(problem).__name__}: {problem}")
        except BaseException:
            await run.recording.finish("cancelled")
            raise
        async with aclosing(run.finish(error, cancelled)) as events:
            async for event in events:
                yield event

    def recording(self, request: AskRequest) -> Recording:
        return Recording(self._sessions if request.log else None)

    async def read(self, request: AskRequest) -> tuple[Conversation, Loaded]:
        """The conversation to send, with the files, pages and standard input of its last turn."""
        if request.schema is not None:
            check_schema(request.schema)
        loaded = await run_in_thread(
            lambda: load_attachments(request.files, request.stdin, self._limits)
        )
        request = request.well_formed()
        prompt = request.prompt
        if not prompt.strip() and loaded.attachments and loaded.attachments[0].name == STDIN_NAME:
            # `agentctl ask < question.txt`: what is piped in is the question.
            prompt = loaded.attachments.pop(0).text or ""
        if not prompt.strip():
            raise UsageProblem("the prompt is empty", 'agentctl ask "your question"')
        sessions = self._sessions() if request.session is not None else None
        return Conversation.resume(sessions, request, prompt, loaded.attachments), loaded

    async def find(
        self, request: AskRequest, conversation: Conversation, model: ModelInfo
    ) -> Found:
        """Passages of the knowledge base, when they are wanted and there are any."""
        if self._grounder is None:
            return Found()
        return await self._grounder.find(request, conversation, model)

    async def open(self, request: AskRequest) -> Opened:
        return await self._registry.open(
            request.model,
            context_window=request.options.context_window,
            keep_alive=request.options.keep_alive,
        )


class _Run:
    def __init__(
        self,
        answerer: Answerer,
        request: AskRequest,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self.recording = answerer.recording(request)
        self._answerer = answerer
        self._request = request
        self._id = secrets.token_hex(5)
        self._now = now
        self._monotonic = monotonic
        self._deadline = None if request.timeout_s is None else request.timeout_s + monotonic()
        self._is_started = False
        self._citations = CitationFilter(0)

    async def answer(self) -> AsyncGenerator[Event, None]:
        """From the first event to the usage; what goes wrong is raised."""
        request = self._request
        conversation, loaded = await self._in_time(self._answerer.read(request))
        async with _closing(await self._in_time(self._answerer.open(request))) as opened:
            info = await self._in_time(opened.model.info())
            budget = prompt_budget(info.context_window, request.options.max_tokens)
            found = await self._in_time(self._answerer.find(request, conversation, info))
            conversation = replace(conversation, passages=found.passages)
            fitted = await self._in_time(_fit(opened.model, budget, conversation, request))
            session = await self.recording.begin(conversation, opened)
            yield self._started(opened.name, opened.backend, session, opened.reason)
            for message in loaded.warnings:
                yield self._warning("input", message)
            for message in found.warnings:
                yield self._warning("knowledge", message)
            events = self._stream_fitted(opened.model, info.context_window, conversation, fitted)
            async with aclosing(events):
                async for event in events:
                    yield event
        if request.schema is not None:
            validate_answer(self.recording.text, request.schema)

    async def finish(
        self, error: AgentctlError | None, cancelled: asyncio.CancelledError | None
    ) -> AsyncGenerator[Event, None]:
        """The events that end every run; then a cancelled one raises `cancelled`."""
        status = _status(error, is_cancelled=cancelled is not None)
        rest: list[Event] = []
        try:
            rest = await self._pass_on(TextDelta(self._citations.end()))
            problem = await self.recording.finish(status, error.message if error else None)
            if problem is not None and error is None:
                error, status = problem, "failed"
        except asyncio.CancelledError as impatience:
            # What was shown is stored already, as an answer that has no end.
            cancelled, status = impatience, "cancelled"
        if not self._is_started:
            yield self._started(self._request.model or "", "", None, None)
        for event in rest:
            yield event
        if self._citations.invented:
            numbers = listed(self._citations.invented)
            message = f"the model cited what it was not given; taken out: {numbers}"
            yield self._warning("citation", message)
        if error is not None:
            yield self._error(error)
        logger.info(
            "run finished",
            extra={
                "run_id": self._id,
                "status": status,
                "error": error and f"{error.slug}: {error.message}",
                "content": self.recording.text,
            },
        )
        yield RunFinished(**self._stamp(), status=status, answer=self.recording.text)
        if cancelled is not None:
            raise cancelled

    async def _stream_fitted(
        self, model: ChatModel, window: int, conversation: Conversation, fitted: FittedContext
    ) -> AsyncGenerator[Event, None]:
        """Leaves out more when a backend finds more tokens than were counted.

        Only some backends can count exactly; the others refuse a prompt before they begin.
        """
        while True:
            for message in _left_out(conversation, fitted):
                yield self._warning("context", message)
            try:
                async with aclosing(self._stream(model, fitted, window)) as events:
                    async for event in events:
                        yield event
            except ContextOverflow as overflow:
                if self.recording.has_arrived:
                    raise
                budget = int(fitted.prompt_tokens * NEXT_BUDGET)
                try:
                    fitted = await self._in_time(_fit(model, budget, conversation, self._request))
                except ContextOverflow:
                    raise overflow from None
            else:
                return

    async def _stream(
        self, model: ChatModel, fitted: FittedContext, window: int
    ) -> AsyncGenerator[Event, None]:
        request = ChatRequest(
            messages=fitted.messages, schema=self._request.schema, options=self._request.options
        )
        said = [message.content for message in fitted.messages]
        logger.debug("asking", extra={"run_id": self._id, "content": said})
        self.recording.sources = fitted.passages
        # An answer that fits a schema is data: it cites nothing, and its lists are lists.
        self._citations = CitationFilter(0 if self._request.schema else len(fitted.passages))
        stopwatch = Stopwatch(self._monotonic)
        async with aclosing(model.stream(request)) as deltas:
            delta = await self._in_time(anext(deltas, None))
            if fitted.passages:
                # Only now is it certain that the model takes all of them.
                yield SourcesFound(**self._stamp(), sources=fitted.passages)
            while delta is not None:
                if isinstance(delta, Done):
                    stopwatch.end()
                    for event in await self._pass_on(TextDelta(self._citations.end())):
                        yield event
                    device = await find_device(model)
                    self.recording.usage = stopwatch.usage(
                        delta, fitted, **self._stamp(), context_window=window, device=device
                    )
                    yield self.recording.usage
                    if not self.recording.text:
                        yield self._warning("empty", "the model answered nothing")
                    if delta.finish_reason == "length":
                        yield self._warning("length", "the answer stopped at the token limit")
                elif isinstance(delta, TextDelta | ThinkingDelta):
                    stopwatch.word()
                    text = well_formed(delta.text)
                    if isinstance(delta, TextDelta):
                        text = self._citations.feed(text)
                    for event in await self._pass_on(replace(delta, text=text)):
                        yield event
                delta = await self._in_time(anext(deltas, None))

    async def _pass_on(self, delta: TextDelta | ThinkingDelta) -> list[Event]:
        """Stored first, then said."""
        if not delta.text:
            return []
        problem = await self.recording.append(delta)
        kind = TextArrived if isinstance(delta, TextDelta) else ThinkingArrived
        said = kind(**self._stamp(), text=delta.text)
        return [said, self._warning(problem.slug, problem.message)] if problem else [said]

    async def _in_time(self, awaitable: Awaitable[T]) -> T:
        """Waits no longer than the run's deadline. Raises BackendTimeout."""
        if self._deadline is None:
            return await awaitable
        try:
            async with asyncio.timeout(max(self._deadline - self._monotonic(), 0)):
                return await awaitable
        except TimeoutError:
            seconds = self._request.timeout_s
            raise BackendTimeout(
                f"the answer was not finished within {seconds:g} seconds", "give more: --timeout"
            ) from None

    def _stamp(self) -> "_Stamp":
        time = moment_text(self._now())
        return {"run_id": self._id, "time": time}

    def _started(
        self, model: str, backend: str, session: str | None, reason: str | None
    ) -> RunStarted:
        self._is_started = True
        return RunStarted(
            **self._stamp(), model=model, backend=backend, session=session, reason=reason
        )

    def _warning(self, code: str, message: str) -> WarningRaised:
        return WarningRaised(**self._stamp(), code=code, message=message)

    def _error(self, error: AgentctlError) -> ErrorRaised:
        return ErrorRaised(
            **self._stamp(),
            code=error.slug,
            message=error.message,
            hint=error.hint,
            exit_code=error.exit_code,
        )


class _Stamp(TypedDict):
    run_id: str
    time: str


@asynccontextmanager
async def _closing(opened: Opened) -> AsyncIterator[Opened]:
    try:
        yield opened
    finally:
        await opened.model.close()


async def _fit(
    model: ChatModel, budget: int, conversation: Conversation, request: AskRequest
) -> FittedContext:
    async def count(messages: tuple[Message, ...]) -> int:
        return await model.count_tokens(
            ChatRequest(messages=messages, schema=request.schema, options=request.options)
        )

    widest = (await model.info()).max_context_window
    conversation = await fit_passages(conversation, budget, count)
    fitted = await fit_context(conversation.messages(), budget, count, widest)
    return replace(fitted, passages=conversation.passages)


def _left_out(conversation: Conversation, fitted: FittedContext) -> Iterator[str]:
    if fitted.dropped_messages:
        yield (
            f"the oldest {fitted.dropped_messages} messages ({fitted.truncated_tokens:,} tokens) "
            "of this session were left out to fit the context window"
        )
    if conversation.passages and not fitted.passages:
        yield "answered without sources: none of them fits into the context window"


def _status(error: AgentctlError | None, *, is_cancelled: bool) -> RunStatus:
    if is_cancelled:
        return "cancelled"
    if isinstance(error, BackendTimeout):
        return "timeout"
    return "failed" if error is not None else "done"
