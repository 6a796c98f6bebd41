"""A model for programs that keep their own conversation; nothing is stored."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Literal

from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Delta,
    Message,
    ModelInfo,
    ModelOptions,
    TextDelta,
    ToolSpec,
)
from agentctl.core.backends.registry import Registry
from agentctl.core.chat.context import fit_context, prompt_budget
from agentctl.core.chat.conversation import AskRequest, Conversation
from agentctl.core.chat.grounding import Grounder
from agentctl.core.chat.prompt import user_message
from agentctl.core.errors import UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.citations import CitationFilter
from agentctl.core.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCall:
    """A conversation to answer, by the settings' model when none is named.

    `knowledge` lets passages go along with its last question.
    """

    messages: tuple[Message, ...]
    model: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    schema: JsonObject | None = None
    options: ModelOptions = field(default_factory=ModelOptions)
    knowledge: Literal["auto", "always", "off"] = "off"
    collection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatBegan:
    """The first thing that comes: who answers, and with which passages."""

    model: str
    backend: str
    sources: tuple[Source, ...] = ()
    warnings: tuple[str, ...] = ()


class Passthrough:
    def __init__(self, registry: Registry, grounder: Grounder) -> None:
        self._registry = registry
        self._grounder = grounder

    async def chat(self, call: ChatCall) -> AsyncGenerator[ChatBegan | Delta, None]:
        """Raises what the model, the knowledge base and the window object to."""
        if not call.messages:
            raise UsageProblem("there are no messages", "send at least one of a user")
        opened = await self._registry.open(
            call.model,
            context_window=call.options.context_window,
            keep_alive=call.options.keep_alive,
        )
        try:
            info = await opened.model.info()
            messages, sources, warnings = await self._grounded(call, info)
            messages, dropped = await _fitted(opened.model, info, call, messages)
            if dropped:
                warnings += (f"the oldest {dropped} messages were left out to fit the window",)
            yield ChatBegan(
                model=opened.name, backend=opened.backend, sources=sources, warnings=warnings
            )
            request = ChatRequest(
                messages=messages, tools=call.tools, schema=call.schema, options=call.options
            )
            citations = CitationFilter(len(sources) if call.schema is None else 0)
            async with aclosing(opened.model.stream(request)) as deltas:
                async for delta in deltas:
                    if isinstance(delta, TextDelta):
                        yield TextDelta(citations.feed(delta.text))
                        continue
                    if rest := citations.end():
                        yield TextDelta(rest)
                    yield delta
        finally:
            await opened.model.close()

    async def _grounded(
        self, call: ChatCall, info: ModelInfo
    ) -> tuple[tuple[Message, ...], tuple[Source, ...], tuple[str, ...]]:
        """The messages with passages in the last question, these, and what the user must know."""
        *past, last = call.messages
        if call.knowledge == "off" or last.role != "user":
            return call.messages, (), ()
        request = AskRequest(
            prompt=last.content, knowledge=call.knowledge, collection=call.collection, log=False
        )
        talk = Conversation(
            session=None,
            name=None,
            past=tuple(past),
            past_prompts=tuple(each.content for each in past if each.role == "user"),
            system=None,
            prompt=last.content,
            attachments=(),
        )
        found = await self._grounder.find(request, talk, info)
        asked = replace(user_message(last.content, (), found.passages), images=last.images)
        return (*past, asked), found.passages, found.warnings


async def _fitted(
    model: ChatModel, info: ModelInfo, call: ChatCall, messages: tuple[Message, ...]
) -> tuple[tuple[Message, ...], int]:
    """The messages that fit, and how many of the oldest do not. Raises ContextOverflow."""

    async def count(some: tuple[Message, ...]) -> int:
        return await model.count_tokens(
            ChatRequest(messages=some, tools=call.tools, schema=call.schema, options=call.options)
        )

    budget = prompt_budget(info.context_window, call.options.max_tokens)
    fitted = await fit_context(messages, budget, count, info.max_context_window)
    return fitted.messages, fitted.dropped_messages
