"""OpenAI's chat, models and embeddings API, so that any client can use agentctl as its model.

Wire format: https://platform.openai.com/docs/api-reference/chat. An extension: `knowledge`
("auto" or "always"; `collection` narrows it) lets passages of the knowledge base go along with the
last question; the answer then has `agentctl.sources`, a stream in its first chunk.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from secrets import token_hex
from typing import Annotated, Any, Literal

import msgspec
from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import JSONResponse, Response

from agentctl.core.backends.base import (
    Delta,
    Done,
    Image,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.chat.passthrough import ChatBegan, ChatCall
from agentctl.core.errors import AnswerInterrupted, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.daemon.calls import Calls
from agentctl.daemon.hub import Hub
from agentctl.daemon.streams import LinesResponse
from agentctl.daemon.wire import ALIVE, CANCELLED, END, Value, encode_error

OWN_NAME = "agentctl"
"""In place of a model's name: the one of the settings."""

_MOST_TEXTS = 2048


class _Lenient(BaseModel):
    """Clients send more than is understood here."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class ChatMessage(_Lenient):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, JsonValue]] | None = None
    tool_calls: list[dict[str, JsonValue]] | None = None
    tool_call_id: str = ""
    name: str = ""


class ChatCompletion(_Lenient):
    """A conversation to go on with."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=10_000)]
    model: str = OWN_NAME
    stream: bool = False
    stream_options: dict[str, JsonValue] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    stop: str | list[str] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    response_format: dict[str, JsonValue] | None = None
    tools: list[dict[str, JsonValue]] | None = None
    knowledge: Literal["auto", "always", "off"] = "off"
    collection: str | None = None


class EmbeddingsCall(_Lenient):
    """Texts to turn into vectors."""

    input: str | Annotated[list[str], Field(min_length=1, max_length=_MOST_TEXTS)]
    model: str = OWN_NAME
    encoding_format: Literal["float", "base64"] = "float"


def add_openai_routes(app: FastAPI, hub: Hub, calls: Calls) -> None:
    @app.get("/v1/models", response_model=None)
    async def models() -> Response:
        """The models that answer, in OpenAI's shape."""
        async with hub.workspace() as workspace:
            listed = await workspace.list_models()
        names = [OWN_NAME, *(each.name for each in listed.models if each.installed)]
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": "agentctl"}
            for name in dict.fromkeys(names)
        ]
        return JSONResponse({"object": "list", "data": data})

    @app.post("/v1/chat/completions", response_model=None)
    async def complete(asked: ChatCompletion, client: Request) -> Response:
        """An answer in OpenAI's shape, streamed when asked so."""
        answer = _Answer(asked.model, wants_usage=_wants_usage(asked))
        work = calls.begin(_deltas(hub, _chat_call(asked)))
        if asked.stream:
            # What is refused before the first word still has its status.
            answer.begin(await work.first())
            lines = _events(work.lines(answer.chunks))
            return LinesResponse(work, lines, "text/event-stream")
        async with aclosing(work.items(client.is_disconnected)) as items:
            async for delta in items:
                answer.add(delta)
        return JSONResponse(answer.whole())

    @app.post("/v1/embeddings", response_model=None)
    async def embed(asked: EmbeddingsCall) -> Response:
        """Vectors in OpenAI's shape."""
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        name = None if asked.model == OWN_NAME else asked.model
        async with hub.workspace() as workspace:
            found = await workspace.embed(texts, name)
        data = [
            {"object": "embedding", "index": n, "embedding": _vector(vector, asked.encoding_format)}
            for n, vector in enumerate(found.vectors)
        ]
        usage = {"prompt_tokens": 0, "total_tokens": 0}
        return JSONResponse({"object": "list", "data": data, "model": found.model, "usage": usage})


async def _deltas(hub: Hub, call: ChatCall) -> AsyncGenerator[ChatBegan | Delta, None]:
    async with AsyncExitStack() as stack:
        workspace = await stack.enter_async_context(hub.workspace())
        async for delta in await stack.enter_async_context(aclosing(workspace.chat(call))):
            yield delta


async def _events(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(lines):
        async for line in lines:
            if line == END:
                yield b"data: [DONE]\n\n"
            elif line == ALIVE:
                yield b": still at it\n\n"
            elif line == CANCELLED:
                yield b"data: " + encode_error(_cut_short()) + b"\n"
            elif line.startswith(b'{"error"'):
                yield b"data: " + line + b"\n"
            else:
                yield line


class _Answer:
    """One answer as it grows, in OpenAI's shapes."""

    def __init__(self, model: str, *, wants_usage: bool) -> None:
        self._model = model
        self._id = f"chatcmpl-{token_hex(12)}"
        self._created = int(time.time())
        self._wants_usage = wants_usage
        self._began = ChatBegan(model=model, backend="")
        self._has_spoken = False
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[JsonObject] = []
        self._done: Done | None = None

    def begin(self, began: ChatBegan | Delta) -> None:
        self.add(began)

    def add(self, delta: ChatBegan | Delta) -> None:
        match delta:
            case ChatBegan(model=model):
                self._began, self._model = delta, model
            case TextDelta(text=text):
                self._text.append(text)
            case ThinkingDelta(text=text):
                self._thinking.append(text)
            case ToolCallDelta(call=call):
                self._calls.append(_call(call, len(self._calls)))
            case Done():
                self._done = delta

    def chunks(self, delta: Value) -> bytes:
        """The server-sent events of one delta."""
        before = len(self._calls)
        self.add(delta)
        change: JsonObject = {}
        finish: str | None = None
        match delta:
            case TextDelta(text=text):
                change = {"content": text}
            case ThinkingDelta(text=text):
                change = {"reasoning_content": text}
            case ToolCallDelta():
                change = {"tool_calls": [self._calls[before]]}
            case Done():
                finish = delta.finish_reason
        chunk = self._object("chat.completion.chunk")
        if not self._has_spoken:
            change = {"role": "assistant", **change}
            chunk |= self._extension()
            self._has_spoken = True
        chunk["choices"] = [{"index": 0, "delta": change, "finish_reason": finish}]
        lines = _sse(chunk)
        if isinstance(delta, Done) and self._wants_usage:
            chunk = self._object("chat.completion.chunk")
            lines += _sse(chunk | {"choices": [], "usage": _usage(delta)})
        return lines

    def whole(self) -> JsonObject:
        """Raises AnswerInterrupted when the end is missing."""
        if self._done is None:
            raise _cut_short()
        message: JsonObject = {"role": "assistant", "content": "".join(self._text) or None}
        if self._thinking:
            message["reasoning_content"] = "".join(self._thinking)
        if self._calls:
            message["tool_calls"] = [*self._calls]
        choice: JsonObject = {
            "index": 0,
            "message": message,
            "finish_reason": self._done.finish_reason,
        }
        told = self._object("chat.completion") | self._extension()
        return told | {"choices": [choice], "usage": _usage(self._done)}

    def _object(self, kind: str) -> JsonObject:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
        }

    def _extension(self) -> JsonObject:
        """What OpenAI's answers do not have; a stream has it once."""
        if not (self._began.sources or self._began.warnings):
            return {}
        return {
            "agentctl": {
                "sources": [msgspec.to_builtins(each) for each in self._began.sources],
                "warnings": [*self._began.warnings],
            }
        }


def _usage(done: Done) -> JsonObject:
    prompt, answer = done.prompt_tokens, done.completion_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
    }


def _cut_short() -> AnswerInterrupted:
    return AnswerInterrupted("the daemon was stopped before the answer's end")


def _sse(chunk: JsonObject) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _wants_usage(asked: ChatCompletion) -> bool:
    return bool((asked.stream_options or {}).get("include_usage"))


def _call(call: ToolCall, index: int) -> JsonObject:
    function: JsonObject = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"index": index, "id": call.id, "type": "function", "function": function}


def _chat_call(asked: ChatCompletion) -> ChatCall:
    stop = [asked.stop] if isinstance(asked.stop, str) else asked.stop
    return ChatCall(
        messages=tuple(map(_message, asked.messages)),
        model=None if asked.model == OWN_NAME else asked.model,
        tools=tuple(map(_tool, asked.tools or ())),
        schema=_schema(asked.response_format),
        options=ModelOptions(
            temperature=asked.temperature,
            top_p=asked.top_p,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            seed=asked.seed,
            stop=tuple(stop) if stop else None,
            max_tokens=asked.max_completion_tokens or asked.max_tokens,
        ),
        knowledge=asked.knowledge,
        collection=asked.collection,
    )


# What clients send is JSON of a shape that only the next lines find out.
def _message(asked: ChatMessage) -> Message:
    text, images = _content(asked.content)
    return Message(
        role="system" if asked.role == "developer" else asked.role,
        content=text,
        images=images,
        tool_calls=tuple(map(_tool_call, asked.tool_calls or ())),
        tool_call_id=asked.tool_call_id,
        tool_name=asked.name if asked.role == "tool" else "",
    )


def _content(content: str | list[dict[str, Any]] | None) -> tuple[str, tuple[Image, ...]]:
    """Raises UsageProblem for a picture that is not in the request itself."""
    if content is None or isinstance(content, str):
        return content or "", ()
    texts = [str(part.get("text") or "") for part in content if part.get("type") == "text"]
    images = [_image(part) for part in content if part.get("type") == "image_url"]
    return "\n".join(texts), tuple(images)


def _image(part: dict[str, Any]) -> Image:
    import base64
    import binascii

    place = part.get("image_url")
    address = str(place.get("url", "") if isinstance(place, dict) else place)
    head, _, data = address.partition(";base64,")
    with suppress(binascii.Error, ValueError):
        if head.startswith("data:image/"):
            return Image(head.removeprefix("data:"), base64.b64decode(data, validate=True))
    raise UsageProblem(
        "a picture is not in the message itself", "send it as data:image/png;base64,…"
    )


def _tool_call(told: dict[str, Any]) -> ToolCall:
    match told:
        case {"function": {"name": str(name), "arguments": str(arguments)}}:
            # Python reads no JSON that is nested very deep.
            with suppress(ValueError, RecursionError):
                decoded = json.loads(arguments or "{}")
                if isinstance(decoded, dict):
                    return ToolCall(str(told.get("id", "")), name, decoded)
    raise UsageProblem("a tool call has no name or no arguments", "see OpenAI's API")


def _tool(told: dict[str, Any]) -> ToolSpec:
    function = told.get("function")
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise UsageProblem("a tool has no name", "see OpenAI's API")
    parameters = function.get("parameters") or {"type": "object"}
    if not isinstance(parameters, dict):
        raise UsageProblem("a tool's parameters are no schema", "see OpenAI's API")
    return ToolSpec(function["name"], str(function.get("description") or ""), parameters)


def _schema(form: dict[str, Any] | None) -> JsonObject | None:
    match form:
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return schema
        case {"type": "json_object"}:
            return {"type": "object"}
        case _:
            return None


def _vector(vector: tuple[float, ...], form: str) -> list[float] | str:
    if form == "float":
        return [*vector]
    import base64
    import struct

    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
