"""Models of an Ollama server, over its native `/api/chat`.

The OpenAI-compatible `/v1` of the same server cannot set the context window and swallows errors
in the middle of an answer.
"""

import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import get_args

from agentctl.core.backends.base import (
    Capability,
    ChatRequest,
    Delta,
    Done,
    FinishReason,
    Message,
    ModelInfo,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.ollama_server import ModelDetails, OllamaServer, is_cloud_name
from agentctl.core.backends.ollama_wire import (
    Call,
    ChatLine,
    read_line,
    translate_message,
    translate_status,
)
from agentctl.core.backends.token_estimate import estimate_request_tokens
from agentctl.core.backends.transport import StatusError, stream_lines
from agentctl.core.errors import (
    AnswerInterrupted,
    BackendFailed,
    ModelForbidden,
    ModelIncapable,
    RetryError,
)
from agentctl.core.jsontypes import Json, JsonObject

_OPTION_NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repeat_penalty": "repeat_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "seed": "seed",
    "stop": "stop",
    "max_tokens": "num_predict",
}


class OllamaModel:
    """One model of a server. Streams may overlap: the server queues them.

    Args:
        context_window: tokens, lowered to what the model can see; the same for every call, since
            the server loads the model anew for another. 0 leaves it to each request.
        keep_alive: how long the model stays loaded, such as `5m`; `-1` is for ever.
        allow_cloud: whether a model may run on somebody else's machine.
    """

    def __init__(
        self,
        server: OllamaServer,
        name: str,
        *,
        context_window: int,
        keep_alive: str,
        allow_cloud: bool,
    ) -> None:
        self._server = server
        self._name = name
        self._context_window = context_window
        self._keep_alive = keep_alive
        self._allow_cloud = allow_cloud
        self._known: ModelDetails | None = None

    async def info(self) -> ModelInfo:
        details = await self._details()
        window = self._window(details, ModelOptions())
        return ModelInfo(
            name=self._name,
            backend="ollama",
            context_window=window,
            max_context_window=details.context_window or window,
            capabilities=frozenset(
                name for name in get_args(Capability) if name in details.capabilities
            ),
            parameters=details.parameters,
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """An estimate: Ollama has no tokenizer to ask."""
        return estimate_request_tokens(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        details = await self._details()
        self._check_capable(request, details)
        earlier = sum(len(message.tool_calls) for message in request.messages)
        calls = 0
        async with aclosing(self._answer(self._body(request, details))) as lines:
            async for line in lines:
                message = line.get("message", {})
                if thinking := message.get("thinking"):
                    yield ThinkingDelta(thinking)
                if text := message.get("content"):
                    yield TextDelta(text)
                for call in message.get("tool_calls") or ():
                    yield ToolCallDelta(_read_call(call, f"call_{earlier + calls}"))
                    calls += 1
                if line.get("done"):
                    read = line.get("prompt_eval_count", 0)
                    check_whole(request, read, self._window(details, request.options))
                    yield _done(line, called=calls > 0)

    async def device(self) -> str | None:
        with suppress(RetryError):
            for model in await self._server.loaded():
                if model.name in (self._name, f"{self._name}:latest") and model.size:
                    return _device(round(100 * model.size_vram / model.size))
        return None

    async def close(self) -> None:
        """Nothing to free: each call has a connection of its own."""

    async def _details(self) -> ModelDetails:
        if self._known is None:
            check_local(self._name, is_cloud_name(self._name), allow_cloud=self._allow_cloud)
            details = await self._server.details(self._name)
            check_local(self._name, details.is_remote, allow_cloud=self._allow_cloud)
            self._known = details
        return self._known

    def _check_capable(self, request: ChatRequest, details: ModelDetails) -> None:
        images = any(message.images for message in request.messages)
        for capability, needed, what in (
            ("tools", bool(request.tools), "call tools"),
            ("vision", images, "see images"),
        ):
            if needed and capability not in details.capabilities:
                raise ModelIncapable(
                    f"{self._name} cannot {what}",
                    f"choose one with {capability}: agentctl models list",
                )

    def _window(self, details: ModelDetails, options: ModelOptions) -> int:
        asked = self._context_window or options.context_window or details.context_window
        return min(asked, details.context_window or asked)

    def _body(self, request: ChatRequest, details: ModelDetails) -> JsonObject:
        options = request.options
        body: JsonObject = {
            "model": self._name,
            "messages": [_write_message(message) for message in request.messages],
            "stream": True,
            # Without these two the server drops the oldest messages in silence.
            "truncate": False,
            "shift": False,
            "keep_alive": write_keep_alive(options.keep_alive or self._keep_alive),
            "options": _write_options(options, self._window(details, options)),
        }
        if options.think is not None and "thinking" in details.capabilities:
            body["think"] = options.think
        if request.tools:
            body["tools"] = [_write_tool(tool) for tool in request.tools]
        if request.schema is not None:
            body["format"] = dict(request.schema)
        return body

    async def _answer(self, body: JsonObject) -> AsyncGenerator[ChatLine, None]:
        """The lines of an answer, the last of them `done`."""
        try:
            async with aclosing(
                stream_lines(self._server.endpoint, "POST", "/api/chat", body)
            ) as lines:
                async for raw in lines:
                    if not raw.strip():
                        continue
                    line = read_line(raw, ChatLine)
                    if "error" in line:
                        raise translate_message(line["error"])
                    yield line
                    if line.get("done"):
                        return
        except StatusError as error:
            raise translate_status(error, self._name) from None
        raise AnswerInterrupted(f"{self._name} stopped before its answer was complete")


def check_local(name: str, is_remote: bool, *, allow_cloud: bool) -> None:
    """Raises ModelForbidden when the model would leave this machine and may not."""
    if is_remote and not allow_cloud:
        raise ModelForbidden(
            f"{name} runs on somebody else's machine",
            "if that is what you want: agentctl config set ollama.allow_cloud true",
        )


def _write_message(message: Message) -> JsonObject:
    written: JsonObject = {"role": message.role, "content": message.content}
    if message.images:
        written["images"] = [b64encode(image.data).decode() for image in message.images]
    if message.tool_calls:
        written["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.role == "tool":
        written["tool_name"] = message.tool_name
        written["tool_call_id"] = message.tool_call_id
    return written


def _write_tool(tool: ToolSpec) -> JsonObject:
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters,
        },
    }


def _write_options(options: ModelOptions, window: int) -> JsonObject:
    written: JsonObject = {"num_ctx": window}
    for ours, theirs in _OPTION_NAMES.items():
        value = getattr(options, ours)
        if value is not None:
            written[theirs] = list(value) if isinstance(value, tuple) else value
    return written


def write_keep_alive(duration: str) -> Json:
    """Ollama reads text as a Go duration, which needs a unit; a bare number must be one."""
    try:
        return int(duration)
    except ValueError:
        return duration


def _read_call(call: Call, default_id: str) -> ToolCall:
    name, arguments = call["function"]["name"], call["function"].get("arguments")
    if isinstance(arguments, str):
        with suppress(ValueError):
            arguments = json.loads(arguments)
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, dict):
        raise BackendFailed(
            f"the model called {name} with arguments that are no object", "try again"
        )
    return ToolCall(call.get("id") or default_id, name, arguments)


def _done(line: ChatLine, *, called: bool) -> Done:
    reason: FinishReason = "length" if line.get("done_reason") == "length" else "stop"
    return Done(
        "tool_calls" if called else reason,
        line.get("prompt_eval_count", 0),
        line.get("eval_count", 0),
    )


def check_whole(request: ChatRequest, read: int, window: int) -> None:
    """Raises AnswerInterrupted when the server has seen only part of the prompt.

    Servers that do not know `truncate: false` yet cut in silence, and fill the window with what
    is left. No tokenizer makes one token of more than 8 bytes on the average.
    """
    sent = sum(len(message.content.encode(errors="replace")) for message in request.messages) // 8
    if sent > read >= 0.9 * window:
        raise AnswerInterrupted(
            f"the server cut the prompt: it read {read} of over {sent} tokens",
            "shorten the prompt, or update Ollama",
        )


def _device(gpu_percent: int) -> str:
    if gpu_percent == 0:
        return "CPU"
    return "GPU 100%" if gpu_percent == 100 else f"GPU {gpu_percent}% CPU {100 - gpu_percent}%"
