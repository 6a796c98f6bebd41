"""Tool calls of models that cannot make any, by a schema of the answer."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from agentctl.core.agents.tool_calling import SchemaToolCalls, answer_schema, bounded
from agentctl.core.backends.base import (
    ChatRequest,
    Delta,
    Done,
    Message,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.scripted import ScriptedModel
from agentctl.core.errors import AnswerInvalid

NOW = ToolSpec("now", "Tells the time.", {"type": "object", "properties": {}})
READ = ToolSpec(
    "read_file",
    "Reads a file.",
    {
        "type": "object",
        "properties": {"path": {"type": "string", "description": "where"}},
        "required": ["path"],
    },
)


def ask(answer: str, *messages: Message) -> tuple[list[Delta], ChatRequest]:
    """What comes of an answer, and what the model was asked."""
    model = ScriptedModel([answer], capabilities=())
    request = ChatRequest(messages=messages or (Message("user", "Hi."),), tools=(NOW, READ))

    async def collect() -> list[Delta]:
        async with aclosing(SchemaToolCalls(model).stream(request)) as deltas:
            return [delta async for delta in deltas]

    return asyncio.run(collect()), model.requests[0]


def test_an_object_that_names_a_tool_is_a_call() -> None:
    deltas, _ = ask('{"thought": "I look.", "tool": "read_file", "args": {"path": "a.md"}}')

    assert deltas[:2] == [
        ThinkingDelta("I look."),
        ToolCallDelta(ToolCall("call", "read_file", {"path": "a.md"})),
    ]
    assert isinstance(deltas[2], Done)
    assert deltas[2].finish_reason == "tool_calls"


def test_an_object_with_an_answer_is_text() -> None:
    deltas, _ = ask('{"thought": "I know.", "final": "It is noon."}')

    assert deltas[:2] == [ThinkingDelta("I know."), TextDelta("It is noon.")]


@pytest.mark.parametrize("answer", ['{"thought": "cut', "[]", "{}", '{"tool": "now"}', "noon"])
def test_what_is_neither_is_refused(answer: str) -> None:
    with pytest.raises(AnswerInvalid):
        ask(answer)


def test_the_model_is_told_of_the_tools_and_sees_earlier_calls_in_words() -> None:
    call = ToolCall("c1", "now", {})
    _, request = ask(
        '{"thought": "", "final": "x"}',
        Message("system", "Be brief."),
        Message("user", "What time is it?"),
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "12:00", tool_call_id="c1", tool_name="now"),
    )

    roles = [each.role for each in request.messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert "- read_file(path): Reads a file." in request.messages[0].content
    assert json.loads(request.messages[2].content)["tool"] == "now"
    assert request.messages[3].content == "Result of now:\n12:00"
    assert request.tools == ()


def test_the_schema_takes_each_call_and_the_answer_and_nothing_else() -> None:
    fits = Draft202012Validator(answer_schema([NOW, READ])).is_valid

    assert fits({"thought": "", "tool": "now", "args": {}})
    assert fits({"thought": "", "tool": "read_file", "args": {"path": "x"}})
    assert fits({"thought": "", "final": "done"})
    assert not fits({"thought": "", "tool": "read_file", "args": {}})
    assert not fits({"thought": "", "tool": "rm", "args": {}})
    assert not fits({"thought": "", "tool": "now", "args": {}, "final": "both"})


def test_every_string_and_list_of_the_schema_has_an_end() -> None:
    def check(schema: Any) -> None:
        if schema.get("type") == "string" and not {"enum", "const", "pattern"} & schema.keys():
            assert schema["maxLength"] <= 2000
        if schema.get("type") == "array":
            assert schema["maxItems"] <= 20
            check(schema["items"])
        for each in schema.get("properties", {}).values():
            check(each)

    check(
        bounded(
            {
                "type": "object",
                "properties": {
                    "text": {"type": "string"},
                    "long": {"type": "string", "maxLength": 10**9},
                    "list": {"type": "array", "items": {"type": "string"}},
                    "inner": {"type": "object", "properties": {"x": {"type": "string"}}},
                },
            }
        )
    )
