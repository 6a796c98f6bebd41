import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import (
    ChatRequest,
    Delta,
    Done,
    Message,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from agentctl.core.backends.scripted import Reply, ScriptedModel
from agentctl.core.errors import (
    BackendBusy,
    BackendFailed,
    ContextOverflow,
    InputMissing,
    InputUnreadable,
)

HELLO = ChatRequest(messages=(Message("user", "Hello to you"),))


def answer(model: ScriptedModel, request: ChatRequest = HELLO) -> list[Delta]:
    async def collect() -> list[Delta]:
        return [delta async for delta in model.stream(request)]

    return asyncio.run(collect())


def write(path: Path, *lines: Any) -> Path:
    path.write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    return path


def test_replies_come_in_order() -> None:
    model = ScriptedModel(["One.", "Two."])

    assert answer(model) == [TextDelta("One."), Done("stop", 3, 1)]
    assert answer(model) == [TextDelta("Two."), Done("stop", 3, 1)]


def test_past_the_end_the_script_says_so() -> None:
    model = ScriptedModel(["Only."])
    answer(model)

    with pytest.raises(BackendFailed, match="no more replies"):
        answer(model)


@given(st.text())
def test_text_streams_word_by_word_and_loses_nothing(text: str) -> None:
    *deltas, done = answer(ScriptedModel([text]))

    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == text
    assert done == Done("stop", 3, len(text.split()))


def test_requests_are_kept() -> None:
    model = ScriptedModel(["Yes."])

    answer(model)

    assert model.requests == [HELLO]


def test_a_prompt_over_the_window_uses_up_no_reply() -> None:
    model = ScriptedModel(["Yes."], context_window=4)
    long = ChatRequest(messages=(Message("user", "one two three four five"),))

    with pytest.raises(ContextOverflow, match=r"5 tokens.* 4"):
        answer(model, long)

    assert answer(model)[0] == TextDelta("Yes.")


def test_info_is_what_the_test_wants() -> None:
    model = ScriptedModel([], name="blind", context_window=9, capabilities={"tools"})

    info = asyncio.run(model.info())

    assert (info.name, info.context_window) == ("blind", 9)
    assert info.capabilities == frozenset({"tools"})


def test_a_file_holds_one_reply_a_line(tmp_path: Path) -> None:
    path = write(
        tmp_path / "replies.jsonl",
        {"text": "Line\u2028separated.", "thinking": "Hm."},
        {"chunks": ["a b", "c"], "prompt_tokens": 99, "finish_reason": "length"},
        {"tool_calls": [{"name": "weather", "arguments": {"days": [1, 2]}}]},
    )

    model = ScriptedModel.from_file(path)

    assert answer(model)[0] == ThinkingDelta("Hm.")
    assert answer(model) == [TextDelta("a b"), TextDelta("c"), Done("length", 99, 2)]
    call = ToolCall("call-1", "weather", {"days": [1, 2]})
    assert answer(model) == [ToolCallDelta(call), Done("tool_calls", 3, 0)]


def test_an_error_is_raised_after_the_chunks(tmp_path: Path) -> None:
    error = {"slug": "backend-busy", "message": "the queue is full"}
    model = ScriptedModel.from_file(write(tmp_path / "r", {"chunks": ["a"], "error": error}))
    deltas = []

    async def collect() -> None:
        async for delta in model.stream(HELLO):
            deltas.append(delta)

    with pytest.raises(BackendBusy, match="the queue is full"):
        asyncio.run(collect())
    assert deltas == [TextDelta("a")]


def test_a_reply_can_be_stopped_in_its_delay() -> None:
    model = ScriptedModel([Reply(chunks=("a", "b"), delay_s=3600)])

    async def give_up() -> None:
        async with asyncio.timeout(0):
            await anext(model.stream(HELLO))

    with pytest.raises(TimeoutError):
        asyncio.run(give_up())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 1"),
        ("[]", "object"),
        ('{"text": 5}', r"\$.text"),
        ('{"txt": "a"}', "unknown key txt"),
        ('{"tool_calls": [{"name": "a", "arguments": "b"}]}', "arguments"),
        ('{"finish_reason": "done"}', "done"),
        ('{"error": {"slug": "oops", "message": ""}}', "oops"),
    ],
)
def test_a_line_that_is_no_reply_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "replies.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")

    with pytest.raises(InputUnreadable, match=f"replies.jsonl:3: .*{problem}"):
        ScriptedModel.from_file(path)


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputMissing):
        ScriptedModel.from_file(tmp_path / "none.jsonl")


def test_a_file_that_is_no_text_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "replies.jsonl").write_bytes(b"\xff\xfe")

    with pytest.raises(InputUnreadable, match="UTF-8"):
        ScriptedModel.from_file(tmp_path / "replies.jsonl")
