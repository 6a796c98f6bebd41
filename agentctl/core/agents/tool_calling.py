"""Tool calls for models that cannot make any: the answer is held to a JSON Schema.

The schema offers one object for each tool (`thought`, the tool's name, its arguments) and one for
the answer, so that even a model of 135 million parameters asks in a form that can be read.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

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
    ToolSpec,
)
from agentctl.core.errors import AnswerInvalid
from agentctl.core.jsontypes import Json, JsonObject

# Characters; without a bound a small model goes on for ever inside a string.
_LONGEST_THOUGHT = 300
_LONGEST_STRING = 1500
_LONGEST_ANSWER = 1900
_MOST_ITEMS = 20
# What grammars can hold a model to. The gate checks the arguments against the whole schema.
_KEYWORDS = {
    *("type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf"),
    *("minimum", "maximum", "maxLength", "minLength", "maxItems", "minItems", "pattern"),
}

_GUIDE = """\
You may use tools. Answer with one JSON object, either to call a tool:
{"thought": "why", "tool": "NAME", "args": {…}}
or, when you know the answer:
{"thought": "why", "final": "the answer for the user"}
Call a tool only when you need it, and never twice with the same args. The tools:
"""


class SchemaToolCalls:
    """A `ChatModel` that can call tools, around one that only keeps to schemas."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    async def info(self) -> ModelInfo:
        info = await self._model.info()
        return replace(info, capabilities=info.capabilities | {"tools"})

    async def count_tokens(self, request: ChatRequest) -> int:
        return await self._model.count_tokens(_as_schema_request(request))

    async def device(self) -> str | None:
        return await self._model.device()

    async def close(self) -> None:
        await self._model.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        sent = _as_schema_request(request)
        async with aclosing(self._model.stream(sent)) as deltas:
            if sent.schema is request.schema:
                async for delta in deltas:
                    yield delta
                return
            text = ""
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    text += delta.text
                elif isinstance(delta, Done):
                    said = _read_answer(text)
                    for each in said:
                        yield each
                    called = any(isinstance(each, ToolCallDelta) for each in said)
                    reason = "tool_calls" if called else delta.finish_reason
                    yield replace(delta, finish_reason=reason)
                else:
                    yield delta


def answer_schema(tools: Sequence[ToolSpec]) -> JsonObject:
    """What an answer may be: a call of one of the tools, or the final answer."""
    thought: Json = {"type": "string", "maxLength": _LONGEST_THOUGHT}
    final: Json = {"type": "string", "minLength": 1, "maxLength": _LONGEST_ANSWER}
    calls: list[Json] = [
        _object(
            {"thought": thought, "tool": {"const": tool.name}, "args": bounded(tool.parameters)}
        )
        for tool in tools
    ]
    return {"anyOf": [*calls, _object({"thought": thought, "final": final})]}


def bounded(schema: Mapping[str, Json]) -> JsonObject:
    """The part of a tool's schema that a grammar keeps, every string and list with an end."""
    kept: JsonObject = {}
    for name, value in schema.items():
        if name == "properties" and isinstance(value, dict):
            kept[name] = {key: _bounded(each) for key, each in value.items()}
        elif name in ("anyOf", "oneOf") and isinstance(value, list):
            kept["anyOf"] = [_bounded(each) for each in value]
        elif name in _KEYWORDS:
            kept[name] = _bounded(value) if name == "items" else value
    if kept.get("type") == "string" and not {"enum", "const", "pattern"} & kept.keys():
        kept["maxLength"] = min(_length(kept.get("maxLength")), _LONGEST_STRING)
    if kept.get("type") == "array":
        kept["maxItems"] = min(_length(kept.get("maxItems")), _MOST_ITEMS)
    if kept.get("type") == "object":
        kept["additionalProperties"] = False
    return kept


def _bounded(schema: Json) -> Json:
    return bounded(schema) if isinstance(schema, dict) else schema


def _length(value: Json) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else _LONGEST_STRING


def _object(properties: JsonObject) -> JsonObject:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _as_schema_request(request: ChatRequest) -> ChatRequest:
    """The same in words that a model without tools knows."""
    messages = tuple(map(_in_words, request.messages))
    if not request.tools:
        # Who has called tools goes on to, in words, unless only the answer is left to give.
        has_called = any(message.tool_calls for message in request.messages)
        schema = answer_schema(()) if has_called and request.schema is None else request.schema
        return replace(request, messages=messages, schema=schema)
    guide = _GUIDE + "\n".join(map(_described, request.tools))
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{guide}")
        messages = (first, *messages[1:])
    else:
        messages = (Message("system", guide), *messages)
    return replace(request, messages=messages, tools=(), schema=answer_schema(request.tools))


def _described(tool: ToolSpec) -> str:
    properties = tool.parameters.get("properties")
    names = ", ".join(properties) if isinstance(properties, dict) else ""
    return f"- {tool.name}({names}): {tool.description}"


def _in_words(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"Result of {message.tool_name}:\n{message.content}")
    if not message.tool_calls:
        return message
    calls = [
        json.dumps({"thought": message.content, "tool": call.name, "args": call.arguments})
        for call in message.tool_calls
    ]
    return Message("assistant", "\n".join(calls), message.images)


def _read_answer(text: str) -> list[Delta]:
    """Raises AnswerInvalid when the answer was cut short, or the engine kept to no schema."""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise AnswerInvalid("the answer is not one whole JSON object")
    deltas: list[Delta] = []
    if isinstance(thought := answer.get("thought"), str) and thought:
        deltas.append(ThinkingDelta(thought))
    if isinstance(final := answer.get("final"), str):
        return [*deltas, TextDelta(final)]
    name, arguments = answer.get("tool"), answer.get("args")
    if isinstance(name, str) and isinstance(arguments, dict):
        return [*deltas, ToolCallDelta(ToolCall("call", name, arguments))]
    raise AnswerInvalid('the answer has neither "tool" with "args" nor "final"')
