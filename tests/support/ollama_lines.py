"""The lines of both wires: Ollama's JSON lines, and OpenAI's server-sent events."""

import json
import zlib
from collections.abc import Iterator
from typing import Any

from tests.support.ollama_script import Json, Reply, ScriptedModel

DIMENSIONS = 48


def tag(model: ScriptedModel) -> Json:
    """An entry of `/api/tags`; `remote_host` and `capabilities` are missing, not empty."""
    entry: Json = {
        "name": model.name,
        "model": model.name,
        "modified_at": "2026-01-01T00:00:00Z",
        "size": model.size,
        "digest": "0" * 64,
        "details": _details(model),
    }
    return entry | _sometimes(model)


def show_model(model: ScriptedModel) -> Json:
    shown: Json = {
        "license": model.license,
        "template": model.template,
        "details": _details(model),
        "model_info": {
            "general.architecture": model.family,
            f"{model.family}.context_length": model.context_window,
            "tokenizer.ggml.tokens": None,
        },
    }
    return shown | _sometimes(model)


def _details(model: ScriptedModel) -> Json:
    return {
        "format": "gguf",
        "family": model.family,
        "families": None,
        "parameter_size": model.parameters,
        "quantization_level": model.quantization,
    }


def _sometimes(model: ScriptedModel) -> Json:
    fields: Json = {}
    if model.remote_host:
        fields["remote_host"] = model.remote_host
    if model.capabilities is not None:
        fields["capabilities"] = list(model.capabilities)
    return fields


def ollama_pieces(request: Json, reply: Reply) -> Iterator[bytes]:
    for text in reply.thinking_pieces:
        yield _chat_line(request, {"content": "", "thinking": text})
    for text in reply.text_pieces:
        yield _chat_line(request, {"content": text})
    for index, call in enumerate(reply.tool_calls):
        function = {"index": index, "name": call.name, "arguments": call.arguments}
        made = {"function": function} if call.id is None else {"id": call.id, "function": function}
        yield _chat_line(request, {"content": "", "tool_calls": [made]})


def ollama_end(request: Json, reply: Reply) -> bytes:
    """The last line. Durations are nanoseconds."""
    prompt_tokens, completion_tokens = _usage(request, reply)
    return _chat_line(
        request,
        {"content": ""},
        done=True,
        done_reason=reply.finish,
        total_duration=2_000_000,
        load_duration=1_000_000,
        prompt_eval_count=prompt_tokens,
        prompt_eval_duration=500_000,
        eval_count=completion_tokens,
        eval_duration=500_000,
    )


def _chat_line(request: Json, message: Json, *, done: bool = False, **rest: Any) -> bytes:
    written = {
        "model": request["model"],
        "created_at": "2026-01-01T00:00:00.000000000Z",
        "message": {"role": "assistant", **message},
        "done": done,
    }
    return line(written | rest)


def embeddings(request: Json) -> Json:
    """The answer of `/api/embed`."""
    vectors = [_vector(text) for text in request["input"]]
    return {"model": request["model"], "embeddings": vectors, "prompt_eval_count": 1}


def openai_embeddings(request: Json) -> Json:
    """The answer of `/v1/embeddings`; its protocol promises no order."""
    rows = [
        {"object": "embedding", "index": index, "embedding": _vector(text)}
        for index, text in enumerate(request["input"])
    ]
    return {"object": "list", "model": request["model"], "data": rows[::-1]}


def _vector(text: str) -> list[float]:
    """Of no particular length; texts that share words point in like directions."""
    numbers = [0.5] * DIMENSIONS
    for word in text.casefold().split():
        numbers[zlib.crc32(word.encode(errors="replace")) % DIMENSIONS] += 3.0
    return numbers


def line(value: Json) -> bytes:
    return json.dumps(value).encode() + b"\n"


# OpenAI's server-sent events.


def openai_pieces(request: Json, reply: Reply) -> Iterator[bytes]:
    """The arguments of a tool call are text, and arrive in fragments."""
    for text in reply.thinking_pieces:
        yield _openai_chunk(request, {"reasoning_content": text})
    for text in reply.text_pieces:
        yield _openai_chunk(request, {"content": text})
    for index, call in enumerate(reply.tool_calls):
        head = {"id": call.id or f"call_{index}", "type": "function"}
        named = {"name": call.name, "arguments": ""}
        yield _openai_chunk(request, {"tool_calls": [{"index": index, **head, "function": named}]})
        text = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments)
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            fragment = {"index": index, "function": {"arguments": part}}
            yield _openai_chunk(request, {"tool_calls": [fragment]})


def openai_end(request: Json, reply: Reply) -> bytes:
    """The reason, the usage if it was asked for (a chunk without choices), and `[DONE]`."""
    end = _openai_chunk(request, {}, "tool_calls" if reply.tool_calls else reply.finish)
    if (request.get("stream_options") or {}).get("include_usage"):
        prompt_tokens, completion_tokens = _usage(request, reply)
        usage = {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }
        end += event({"id": "chatcmpl-1", "choices": [], "usage": usage})
    return end + b"data: [DONE]\n\n"


def _openai_chunk(request: Json, delta: Json, finish: str | None = None) -> bytes:
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_767_225_600,
            "model": request["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
    )


def event(value: Json) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def _usage(request: Json, reply: Reply) -> tuple[int, int]:
    """Tokens of the prompt and of the answer: its words, its pieces."""
    words = sum(len(str(message.get("content")).split()) for message in request["messages"])
    pieces = len(reply.thinking_pieces) + len(reply.text_pieces) + len(reply.tool_calls)
    return words if reply.prompt_tokens is None else reply.prompt_tokens, pieces
