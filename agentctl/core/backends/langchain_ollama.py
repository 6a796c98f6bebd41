"""Models of an Ollama server by LangChain's own client, `ChatOllama`, made safe.

For those who want their agents on the stock client. Left alone it takes the end of a connection
for the end of an answer; here a stream without `done` is an error, silence has its limit, and every
failure has its type. What a model is and may do is asked the server as for `OllamaModel`.
"""

import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol, cast

from agentctl.core.backends.base import (
    ChatRequest,
    Delta,
    Done,
    FinishReason,
    Image,
    Message,
    ModelInfo,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from agentctl.core.backends.ollama import OllamaModel, check_whole
from agentctl.core.backends.ollama_wire import translate_status
from agentctl.core.backends.transport import StatusError
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendFailed,
    BackendTimeout,
    BackendUnreachable,
)

if TYPE_CHECKING:
    from langchain_ollama import ChatOllama


class _Chunk(Protocol):
    """What is read of a piece of LangChain's: an `AIMessageChunk`."""

    content: str | list[Any]
    tool_calls: list[dict[str, Any]]
    additional_kwargs: dict[str, Any]
    response_metadata: dict[str, Any]
    usage_metadata: dict[str, Any] | None


class LangChainOllamaModel(OllamaModel):
    """An `OllamaModel` whose answers come by `ChatOllama`."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        info = await self.info()
        self._check_capable(request, await self._details())
        client = self._client(request, info)
        tools = [_tool(spec.name, spec.description, spec.parameters) for spec in request.tools]
        done: Done | None = None
        called = False
        # Bound only where there are any: an older server refuses an empty list.
        stream = (client.bind_tools(tools) if tools else client).astream(
            [_theirs(message) for message in request.messages]
        )
        try:
            async with aclosing(cast("AsyncGenerator[_Chunk, None]", stream)) as chunks:
                async for chunk in chunks:
                    if thinking := chunk.additional_kwargs.get("reasoning_content"):
                        yield ThinkingDelta(str(thinking))
                    if isinstance(chunk.content, str) and chunk.content:
                        yield TextDelta(chunk.content)
                    for call in chunk.tool_calls:
                        called = True
                        yield ToolCallDelta(ToolCall(call["id"] or "", call["name"], call["args"]))
                    done = _done(chunk) or done
        except Exception as error:
            raise self._translate(error) from error
        if done is None:
            raise AnswerInterrupted(f"{self._name} stopped before its answer was complete")
        check_whole(request, done.prompt_tokens, info.context_window)
        yield Done("tool_calls", done.prompt_tokens, done.completion_tokens) if called else done

    def _client(self, request: ChatRequest, info: ModelInfo) -> "ChatOllama":
        import httpx
        from langchain_ollama import ChatOllama

        endpoint, options = self._server.endpoint, request.options
        can_think = "thinking" in info.capabilities
        return ChatOllama(
            model=self._name,
            base_url=endpoint.base_url,
            num_ctx=info.context_window,
            keep_alive=self._keep_alive,
            temperature=options.temperature,
            top_p=options.top_p,
            top_k=options.top_k,
            repeat_penalty=options.repeat_penalty,
            seed=options.seed,
            stop=list(options.stop) if options.stop else None,
            num_predict=options.max_tokens,
            # Models that can think do; the client shows it only when it is told to.
            reasoning=options.think if options.think is not None else can_think or None,
            format=dict(request.schema) if request.schema is not None else None,
            client_kwargs={
                # A proxy of the environment would see what is said.
                "trust_env": False,
                "timeout": httpx.Timeout(endpoint.idle_s, connect=endpoint.connect_s),
            },
        )

    def _translate(self, error: Exception) -> AgentctlError:
        """What the client's errors mean."""
        import httpx
        from ollama import ResponseError

        if isinstance(error, AgentctlError):
            return error
        if isinstance(error, ResponseError):
            status = error.status_code if error.status_code > 0 else 500
            return translate_status(StatusError(status, error.error), self._name)
        if isinstance(error, httpx.TimeoutException):
            return BackendTimeout(f"{self._name} was silent for too long")
        if isinstance(error, ConnectionError | httpx.ConnectError):
            endpoint = self._server.endpoint
            return BackendUnreachable(f"no Ollama answers at {endpoint.address}", endpoint.hint)
        if isinstance(error, httpx.TransportError | json.JSONDecodeError):
            return AnswerInterrupted(f"the answer of {self._name} broke off: {error}")
        return BackendFailed(f"langchain-ollama failed: {type(error).__name__}: {error}")


def _tool(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


def _theirs(message: Message) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        text = {"type": "text", "text": message.content}
        written["content"] = [text, *map(_image_block, message.images)]
    if message.tool_calls:
        written["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written |= {"tool_call_id": message.tool_call_id, "name": message.tool_name}
    return written


def _image_block(image: Image) -> dict[str, Any]:
    data = b64encode(image.data).decode()
    return {"type": "image_url", "image_url": f"data:{image.media_type};base64,{data}"}


def _done(chunk: _Chunk) -> Done | None:
    if not chunk.response_metadata.get("done"):
        return None
    usage = chunk.usage_metadata
    reason: FinishReason = "stop"
    if chunk.response_metadata.get("done_reason") == "length":
        reason = "length"
    return (
        Done(reason, usage["input_tokens"], usage["output_tokens"]) if usage else Done(reason, 0, 0)
    )
