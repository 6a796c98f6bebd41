"""The wire format of OpenAI's chat completions, both ways.

https://platform.openai.com/docs/api-reference/chat, with what llama.cpp's server and vLLM add:
`reasoning_content`, more sampling options, `chat_template_kwargs`.
"""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agentctl.core.backends.base import (
    ChatRequest,
    Delta,
    Done,
    FinishReason,
    Image,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    AnswerInvalid,
    BackendBusy,
    BackendFailed,
    ContextOverflow,
)
from agentctl.core.jsontypes import Json, JsonObject

_FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_OVERFLOWS = ("exceed_context_size_error", "context_length_exceeded")
# Servers without a code for it (vLLM, LM Studio) all speak of one of these.
_OVERFLOW_TEXT = re.compile(r"\bcontext.{0,9}(length|size|window|overflow)", re.IGNORECASE)


def encode_request(request: ChatRequest) -> JsonObject:
    """The body of a streaming request that asks for usage; the caller adds `model`."""
    body: JsonObject = {
        "messages": [_encode_message(message) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_encode_options(request.options),
    }
    if request.tools:
        body["tools"] = [_encode_tool(tool) for tool in request.tools]
    if request.schema is not None:
        schema: JsonObject = {"name": "answer", "strict": True, "schema": dict(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def translate_error(error: Json, overflow_hint: str) -> AgentctlError:
    """An `error` object of a body or of a chunk, as what it means to the caller."""
    fields = error if isinstance(error, dict) else {"message": error}
    message = " ".join(str(fields.get("message") or "no reason given").split())[:300]
    if is_overflow(error):
        taken, window = fields.get("n_prompt_tokens"), fields.get("n_ctx")
        if isinstance(taken, int) and isinstance(window, int):
            return overflow(taken, window, overflow_hint)
        return ContextOverflow(message, overflow_hint.format(n="N"))
    if fields.get("code") in (429, 503):
        return BackendBusy(f"the model server is busy: {message}", "try again in a moment")
    return BackendFailed(f"the model server failed: {message}", "try again, or another model")


def is_overflow(error: Json) -> bool:
    """Whether an `error` object says that the prompt is larger than the context window."""
    if not isinstance(error, dict):
        return False
    return (
        error.get("type") in _OVERFLOWS
        or error.get("code") in _OVERFLOWS
        or _OVERFLOW_TEXT.search(str(error.get("message"))) is not None
    )


def overflow(prompt_tokens: int, context_window: int, hint: str) -> ContextOverflow:
    """`hint` may hold `{n}`: a window that holds the prompt, and as much again as an answer."""
    enough = 1024 * (2 * prompt_tokens // 1024 + 1)
    return ContextOverflow(
        f"the prompt takes {prompt_tokens} tokens, the context window holds {context_window}",
        hint.format(n=enough),
    )


@dataclass(slots=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


class AnswerParser:
    """Reads one answer, chunk by chunk.

    Args:
        prompt_tokens: what `Done` reports when the server sends no usage; the completion is then
            counted as one token a text chunk, which is how such servers send it.
        overflow_hint: what mends a prompt over the window; `{n}` stands for one that holds it.
    """

    def __init__(self, prompt_tokens: int, overflow_hint: str) -> None:
        self._done = Done("stop", prompt_tokens, 0)
        self._overflow_hint = overflow_hint
        self._has_usage = False
        self._is_finished = False
        self._calls: dict[int, _PartialCall] = {}

    def feed(self, chunk: Json) -> Iterator[Delta]:
        """The deltas of one decoded chunk.

        Raises:
            ContextOverflow, BackendBusy, BackendFailed: the chunk reports an error, or is none.
            AnswerInterrupted: the server's content filter ended the answer.
            AnswerInvalid: a tool call whose arguments are no object.
        """
        if not isinstance(chunk, dict):
            raise BackendFailed("the model server sent a chunk that is no object", "try again")
        if error := chunk.get("error"):
            raise translate_error(error, self._overflow_hint)
        self._read_usage(chunk.get("usage"))
        for choice in _objects(chunk.get("choices")):
            if isinstance(delta := choice.get("delta"), dict):
                yield from self._read_delta(delta)
            if isinstance(reason := choice.get("finish_reason"), str):
                yield from self._finish(reason, str(chunk.get("id") or "call"))

    def end(self) -> Done:
        """Call it when the stream has ended.

        Raises:
            AnswerInterrupted: it ended before the answer did.
        """
        if not self._is_finished:
            raise AnswerInterrupted("the answer broke off before its end", "try again")
        return self._done

    def _read_delta(self, delta: JsonObject) -> Iterator[Delta]:
        thinking = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(thinking, str) and thinking:
            yield self._counted(ThinkingDelta(thinking))
        if isinstance(text := delta.get("content"), str) and text:
            yield self._counted(TextDelta(text))
        for fragment in _objects(delta.get("tool_calls")):
            self._read_fragment(fragment)

    def _read_fragment(self, fragment: JsonObject) -> None:
        index = fragment.get("index")
        if not isinstance(index, int):
            # Servers that leave the index out send one call after the other.
            index = len(self._calls) if fragment.get("id") else max(self._calls, default=0)
        call = self._calls.setdefault(index, _PartialCall())
        function = fragment.get("function")
        fields = function if isinstance(function, dict) else {}
        call.id = call.id or str(fragment.get("id") or "")
        call.name = call.name or str(fields.get("name") or "")
        arguments = fields.get("arguments") or ""
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def _finish(self, reason: str, answer_id: str) -> Iterator[Delta]:
        if reason == "content_filter":
            raise AnswerInterrupted(
                "the server's content filter ended the answer", "ask in other words"
            )
        self._is_finished = True
        for index, call in sorted(self._calls.items()):
            yield ToolCallDelta(_whole(call, f"{answer_id}-{index}"))
        finish_reason = _FINISH_REASONS.get(reason, "stop")
        if self._calls and finish_reason == "stop":
            finish_reason = "tool_calls"
        self._done = replace(self._done, finish_reason=finish_reason)
        self._calls = {}

    def _read_usage(self, usage: Json) -> None:
        if not isinstance(usage, dict):
            return
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if isinstance(prompt, int) and isinstance(completion, int):
            self._has_usage = True
            self._done = Done(self._done.finish_reason, prompt, completion)

    def _counted(self, delta: Delta) -> Delta:
        if not self._has_usage:
            self._done = replace(self._done, completion_tokens=self._done.completion_tokens + 1)
        return delta


def _encode_message(message: Message) -> JsonObject:
    encoded: JsonObject = {"role": message.role, "content": message.content}
    if message.images:
        text: list[Json] = [{"type": "text", "text": message.content}] if message.content else []
        encoded["content"] = [*text, *map(_encode_image, message.images)]
    if message.tool_calls:
        encoded["tool_calls"] = [_encode_call(call) for call in message.tool_calls]
    if message.role == "tool":
        encoded |= {"tool_call_id": message.tool_call_id, "name": message.tool_name}
    return encoded


def _encode_image(image: Image) -> Json:
    data = base64.b64encode(image.data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:{image.media_type};base64,{data}"}}


def _encode_call(call: ToolCall) -> Json:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    function: Json = {"name": call.name, "arguments": arguments}
    return {"id": call.id, "type": "function", "function": function}


def _encode_tool(tool: ToolSpec) -> Json:
    function: Json = {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }
    return {"type": "function", "function": function}


def _encode_options(options: ModelOptions) -> JsonObject:
    fields: JsonObject = {
        "temperature": options.temperature,
        "top_p": options.top_p,
        "top_k": options.top_k,
        "min_p": options.min_p,
        "repeat_penalty": options.repeat_penalty,  # llama.cpp
        "repetition_penalty": options.repeat_penalty,  # vLLM
        "presence_penalty": options.presence_penalty,
        "frequency_penalty": options.frequency_penalty,
        "seed": options.seed,
        "stop": None if options.stop is None else list(options.stop),
        "max_tokens": options.max_tokens,
    }
    if options.think is not None:
        fields["chat_template_kwargs"] = {"enable_thinking": options.think}
    return {name: value for name, value in fields.items() if value is not None}


def _whole(call: _PartialCall, fallback_id: str) -> ToolCall:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or not call.name:
        raise AnswerInvalid(
            f"the call of the tool {call.name or '(no name)'} has no JSON object as its arguments",
            "ask again, or take a larger model: agentctl models list",
        )
    return ToolCall(call.id or fallback_id, call.name, arguments)


def _objects(items: Json) -> list[JsonObject]:
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []
