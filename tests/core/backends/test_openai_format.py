import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import (
    ChatRequest,
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
from agentctl.core.backends.openai_format import AnswerParser, encode_request
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    AnswerInvalid,
    BackendBusy,
    BackendFailed,
    ContextOverflow,
)

Chunk = Any  # Any: whatever a server might send
END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}
ARGUMENTS = st.dictionaries(
    st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5)
)


def encode(*messages: Message, **rest: Any) -> dict[str, Any]:
    return encode_request(ChatRequest(messages=messages, **rest))


def parse(*chunks: Chunk) -> list[Delta]:
    parser = AnswerParser(7, "raise it to {n}")
    return [delta for chunk in chunks for delta in parser.feed(chunk)] + [parser.end()]


def delta(**fields: Any) -> Chunk:
    return {"id": "answer", "choices": [{"delta": fields, "finish_reason": None}]}


# What is sent.


def test_plain_messages_are_sent_as_they_are() -> None:
    body = encode(Message("system", "Be brief."), Message("user", "Hi"))

    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]


def test_every_request_streams_and_asks_for_usage() -> None:
    body = encode(Message("user", "Hi"))

    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_images_become_data_urls() -> None:
    message = Message("user", "What is it?", images=(Image("image/png", b"\x89PNG"),))

    assert encode(message)["messages"][0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
    ]


def test_a_call_and_its_result_go_back_with_one_id() -> None:
    call = ToolCall("c1", "weather", {"city": "Zürich"})

    asked, answered = encode(
        Message("assistant", "", tool_calls=(call,)),
        Message("tool", "rain", tool_call_id="c1", tool_name="weather"),
    )["messages"]

    function = {"name": "weather", "arguments": '{"city": "Zürich"}'}
    assert asked["tool_calls"] == [{"id": "c1", "type": "function", "function": function}]
    assert (answered["role"], answered["tool_call_id"]) == ("tool", "c1")


def test_tools_are_sent_as_functions() -> None:
    tool = ToolSpec("weather", "Tells the weather.", {"type": "object"})

    assert encode(Message("user", "?"), tools=(tool,))["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": {"type": "object"},
            },
        }
    ]


def test_a_schema_is_sent_as_response_format() -> None:
    sent = encode(Message("user", "?"), schema={"type": "object"})["response_format"]

    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == {"type": "object"}


def test_only_options_that_are_set_are_sent() -> None:
    options = ModelOptions(temperature=0.0, stop=("END",), max_tokens=5, think=False)

    body = encode(Message("user", "?"), options=options)

    assert (body["temperature"], body["stop"], body["max_tokens"]) == (0.0, ["END"], 5)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert "top_p" not in body
    assert "seed" not in body


# What comes back.


def test_text_and_thinking_arrive_in_order() -> None:
    assert parse(delta(reasoning_content="Hm."), delta(content="Yes"), delta(content="."), END) == [
        ThinkingDelta("Hm."),
        TextDelta("Yes"),
        TextDelta("."),
        Done("stop", 7, 3),
    ]


def test_reasoning_is_thinking_too() -> None:
    assert parse(delta(reasoning="Hm."), END)[0] == ThinkingDelta("Hm.")


def test_usage_after_the_end_replaces_the_estimate() -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4}}

    assert parse(delta(content="Yes."), END, usage)[-1] == Done("stop", 11, 4)


def test_an_answer_without_a_finish_reason_was_interrupted() -> None:
    with pytest.raises(AnswerInterrupted):
        parse(delta(content="Yes"))


@pytest.mark.parametrize(
    ("wire", "ours"),
    [("stop", "stop"), ("length", "length"), ("tool_calls", "tool_calls"), ("new", "stop")],
)
def test_finish_reasons(wire: str, ours: str) -> None:
    assert parse({"choices": [{"finish_reason": wire}]}) == [Done(ours, 7, 0)]  # type: ignore[arg-type]  # any of the three


@given(st.lists(st.tuples(st.text(min_size=1), ARGUMENTS), min_size=1, max_size=3), st.data())
def test_fragments_of_tool_calls_in_any_split_are_the_same_calls(
    calls: list[tuple[str, dict[str, Any]]], data: st.DataObject
) -> None:
    waiting = {}
    for index, (name, arguments) in enumerate(calls):
        text = json.dumps(arguments)
        cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=4)))
        pieces = [text[i:j] for i, j in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        waiting[index] = [_fragment(index, "", id=f"c{index}", name=name)] + [
            _fragment(index, piece) for piece in pieces
        ]
    chunks = []
    while waiting:
        index = data.draw(st.sampled_from(sorted(waiting)))
        chunks.append(waiting[index].pop(0))
        waiting = {index: left for index, left in waiting.items() if left}

    deltas = parse(*chunks, END)

    assert deltas[:-1] == [
        ToolCallDelta(ToolCall(f"c{index}", name, arguments))
        for index, (name, arguments) in enumerate(calls)
    ]
    assert deltas[-1] == Done("tool_calls", 7, 0)


def test_calls_without_an_index_follow_one_another() -> None:
    first = {"id": "a", "function": {"name": "one", "arguments": "{"}}
    rest = {"function": {"arguments": "}"}}
    second = {"id": "b", "function": {"name": "two", "arguments": {"n": 1}}}

    deltas = parse(delta(tool_calls=[first]), delta(tool_calls=[rest, second]), END)

    assert deltas[:-1] == [
        ToolCallDelta(ToolCall("a", "one", {})),
        ToolCallDelta(ToolCall("b", "two", {"n": 1})),
    ]


def test_a_call_without_an_id_gets_one() -> None:
    parsed = parse(_fragment(0, "", name="one"), END)[0]

    assert isinstance(parsed, ToolCallDelta)
    assert parsed.call.id


@pytest.mark.parametrize("arguments", ['{"city": "Zü', "[1]", '"text"', "[" * 100_000])
def test_arguments_that_are_no_object_are_for_the_model_to_mend(arguments: str) -> None:
    with pytest.raises(AnswerInvalid, match="weather"):
        parse(_fragment(0, arguments, name="weather"), END)


def test_a_filtered_answer_was_interrupted() -> None:
    with pytest.raises(AnswerInterrupted, match="filter"):
        parse({"choices": [{"finish_reason": "content_filter"}]})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "exceed_context_size_error", "message": "too large"}, ContextOverflow),
        ({"code": "context_length_exceeded", "message": "too large"}, ContextOverflow),
        ({"message": "This model's maximum context length is 4096 tokens."}, ContextOverflow),
        ({"code": 503, "message": "Loading model"}, BackendBusy),
        ({"message": "out of memory"}, BackendFailed),
        ("out of memory", BackendFailed),
    ],
)
def test_an_error_in_a_chunk_is_raised_as_its_type(error: Any, kind: type[AgentctlError]) -> None:
    with pytest.raises(kind):
        parse(delta(content="Yes"), {"error": error}, END)


def test_an_overflow_names_both_numbers_and_a_window_that_is_enough() -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": 5000, "n_ctx": 4096}

    with pytest.raises(ContextOverflow, match=r"5000 tokens.* 4096") as caught:
        parse({"error": error})

    assert caught.value.hint == "raise it to 10240"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["choices", "delta", "content", "tool_calls", "usage", "error"]),
                inner,
            )
        ),
    )
)
def test_whatever_a_server_sends_ends_in_deltas_or_in_an_error_of_ours(chunk: Chunk) -> None:
    try:
        parse(chunk)
    except AgentctlError:
        return


def _fragment(index: int, arguments: str, **named: str) -> Chunk:
    call_id = {"id": named["id"]} if "id" in named else {}
    function = {"arguments": arguments} | ({"name": named["name"]} if "name" in named else {})
    return delta(tool_calls=[{"index": index, **call_id, "function": function}])
