"""The `graph` agents: LangChain's `create_agent` (a LangGraph graph) on a `ChatModel`.

The only file that knows LangChain and LangGraph. `LangChainModel` is of use alone, too: any
LangChain code takes it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.prebuilt.tool_node import ToolCallRequest
from langgraph.types import Command
from langsmith import tracing_context
from pydantic import ConfigDict

from agentctl.core.agents.base import CallTool, Role
from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Done,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.threads import run_to_end
from agentctl.core.jsontypes import JsonObject

# Steps of a graph; the run's own limits are what ends it.
_MOST_STEPS = 10_000


class LangChainModel(BaseChatModel):
    """A `ChatModel` for LangChain: streams, calls tools, keeps thinking and usage."""

    chat_model: Any  # Any: pydantic cannot check a Protocol
    options: Any = ModelOptions()

    model_config = ConfigDict(arbitrary_types_allowed=True)

    @property
    def _llm_type(self) -> str:
        return "agentctl"

    def bind_tools(
        self,
        tools: Sequence[Any],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        model: ChatModel = self.chat_model
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                chunk = ChatGenerationChunk(message=_chunk(delta))
                if run_manager is not None and isinstance(delta, TextDelta):
                    await run_manager.on_llm_new_token(delta.text, chunk=chunk)
                yield chunk

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = AIMessageChunk(content="")
        async for chunk in self._astream(messages, stop, run_manager, **kwargs):
            if isinstance(chunk.message, AIMessageChunk):
                message += chunk.message
        answer = AIMessage(
            content=message.content,
            additional_kwargs=message.additional_kwargs,
            tool_calls=message.tool_calls,
            usage_metadata=message.usage_metadata,
            response_metadata=message.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=answer)])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return run_to_end(lambda: self._agenerate(messages, stop, None, **kwargs))

    def _request(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ChatRequest:
        options: ModelOptions = self.options
        if stop:
            options = replace(options, stop=tuple(stop))
        tools = tuple(
            ToolSpec(
                tool["function"]["name"],
                tool["function"].get("description", ""),
                tool["function"].get("parameters", {"type": "object", "properties": {}}),
            )
            for tool in kwargs.get("tools") or ()
        )
        return ChatRequest(messages=tuple(map(_ours, messages)), tools=tools, options=options)


class GraphAgent:
    """One role that loops: model, tools, model, until it answers without a call."""

    def __init__(self, role: Role) -> None:
        self._messages: list[BaseMessage] = []
        self._work: asyncio.Task[str] | None = None
        self._graph = create_agent(
            LangChainModel(chat_model=role.model, options=role.options),
            [_stub(spec) for spec in role.tools],
            system_prompt=role.instructions or None,
            middleware=[_ToGate(role.call)],
        )

    async def run(self, task: str) -> str:
        self._work = asyncio.current_task()
        state: Any = {"messages": [*self._messages, HumanMessage(task)]}
        # Whatever the environment says: what is said here is sent to no tracing service.
        with tracing_context(enabled=False):
            result = await self._graph.ainvoke(state, {"recursion_limit": _MOST_STEPS})
        self._messages = result["messages"]
        return _text(self._messages[-1])

    def stop(self) -> None:
        if self._work is not None:
            self._work.cancel()

    async def close(self) -> None:
        """Holds nothing."""


class _ToGate(AgentMiddleware):
    """Sends every tool call to the gate: the tools themselves have no code."""

    def __init__(self, call: CallTool) -> None:
        super().__init__()
        self._call = call

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]],
    ) -> ToolMessage | Command[Any]:
        asked = request.tool_call
        result = await self._call(ToolCall(asked["id"] or "", asked["name"], dict(asked["args"])))
        return ToolMessage(
            content=result.text,
            name=asked["name"],
            tool_call_id=asked["id"],
            status="error" if result.is_error else "success",
        )


def _stub(spec: ToolSpec) -> StructuredTool:
    async def unreachable(**_: object) -> str:
        raise AssertionError("every call goes to the gate")

    return StructuredTool(
        name=spec.name,
        description=spec.description,
        args_schema=spec.parameters,
        coroutine=unreachable,
    )


def _ours(message: BaseMessage) -> Message:
    text = _text(message)
    if isinstance(message, SystemMessage):
        return Message("system", text)
    if isinstance(message, AIMessage):
        calls = tuple(
            ToolCall(call["id"] or "", call["name"], dict(call["args"]))
            for call in message.tool_calls
        )
        return Message("assistant", text, tool_calls=calls)
    if isinstance(message, ToolMessage):
        return Message(
            "tool", text, tool_call_id=message.tool_call_id, tool_name=message.name or ""
        )
    return Message("user", text)


def _text(message: BaseMessage) -> str:
    if isinstance(message.content, str):
        return message.content
    return "".join(_texts(message.content))


def _texts(blocks: Sequence[str | JsonObject]) -> Iterator[str]:
    for block in blocks:
        if isinstance(block, str):
            yield block
        elif isinstance(text := block.get("text"), str):
            yield text


def _chunk(delta: TextDelta | ThinkingDelta | ToolCallDelta | Done) -> AIMessageChunk:
    if isinstance(delta, TextDelta):
        return AIMessageChunk(content=delta.text)
    if isinstance(delta, ThinkingDelta):
        return AIMessageChunk(content="", additional_kwargs={"reasoning_content": delta.text})
    if isinstance(delta, ToolCallDelta):
        call = delta.call
        args = json.dumps(call.arguments, ensure_ascii=False)
        # Without an index, chunks that are added up stay calls of their own.
        chunk = tool_call_chunk(name=call.name, args=args, id=call.id)
        return AIMessageChunk(content="", tool_call_chunks=[chunk])
    return AIMessageChunk(
        content="",
        usage_metadata={
            "input_tokens": delta.prompt_tokens,
            "output_tokens": delta.completion_tokens,
            "total_tokens": delta.prompt_tokens + delta.completion_tokens,
        },
        response_metadata={"finish_reason": delta.finish_reason, "done": True},
        chunk_position="last",
    )
