"""What is sent to Ollama, what is made of its answers, and every way it can fail."""

import asyncio
import threading
from contextlib import aclosing, suppress
from typing import Any

import pytest

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
from agentctl.core.backends.ollama import OllamaModel
from agentctl.core.backends.ollama_server import OllamaServer
from agentctl.core.backends.transport import Endpoint
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendBusy,
    BackendFailed,
    BackendTimeout,
    BackendUnreachable,
    ContextOverflow,
    ModelForbidden,
    ModelIncapable,
    ModelNotFound,
)
from tests.support.ollama_server import (
    Call,
    Fault,
    Gate,
    Reply,
    ScriptedModel,
    ScriptedOllama,
    error_line,
    hang,
    malformed_line,
    no_done,
    reset,
    status,
)

HELLO = ChatRequest(messages=(Message("user", "Say hello."),))
WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object", "properties": {}})
PICTURE = Message("user", "What is it?", images=(Image("image/png", b"\x89PNG"),))


def model_on(
    server: ScriptedOllama,
    name: str = "scripted:1b",
    *,
    context_window: int = 8192,
    keep_alive: str = "5m",
    allow_cloud: bool = False,
    silence_s: float = 10,
) -> OllamaModel:
    return OllamaModel(
        OllamaServer(Endpoint(server.url, 10, silence_s, silence_s)),
        name,
        context_window=context_window,
        keep_alive=keep_alive,
        allow_cloud=allow_cloud,
    )


def answer(model: OllamaModel, request: ChatRequest = HELLO) -> list[Delta]:
    async def collect() -> list[Delta]:
        return [delta async for delta in model.stream(request)]

    return asyncio.run(collect())


def ask(request: ChatRequest, **settings: Any) -> dict[str, Any]:
    """The body that the server gets for a request."""
    with ScriptedOllama() as server:
        answer(model_on(server, **settings), request)
        return server.requests[0]


def with_options(**options: Any) -> ChatRequest:
    return ChatRequest(messages=HELLO.messages, options=ModelOptions(**options))


# What is sent


def test_a_prompt_is_sent_whole_or_not_at_all() -> None:
    body = ask(HELLO)

    assert body["model"] == "scripted:1b"
    assert body["messages"] == [{"role": "user", "content": "Say hello."}]
    assert (body["stream"], body["truncate"], body["shift"]) == (True, False, False)


def test_the_context_window_is_sent_with_every_call_and_stays_the_same() -> None:
    with ScriptedOllama() as server:
        model = model_on(server)
        for request in (HELLO, with_options(context_window=100), with_options(temperature=0.0)):
            answer(model, request)
        assert [body["options"]["num_ctx"] for body in server.requests] == [8192] * 3


def test_the_context_window_is_no_larger_than_the_models() -> None:
    with ScriptedOllama(models=[ScriptedModel(context_window=2048)]) as server:
        model = model_on(server)
        answer(model)
        assert server.requests[0]["options"] == {"num_ctx": 2048}
        assert asyncio.run(model.info()).context_window == 2048


def test_a_model_without_a_window_of_its_own_takes_the_requests() -> None:
    body = ask(with_options(context_window=100), context_window=0)
    assert body["options"]["num_ctx"] == 100


def test_options_have_ollamas_names() -> None:
    body = ask(with_options(max_tokens=9, temperature=0.5, stop=("a", "b"), seed=7, min_p=0.1))

    assert body["options"] == {
        "num_ctx": 8192,
        "num_predict": 9,
        "temperature": 0.5,
        "stop": ["a", "b"],
        "seed": 7,
        "min_p": 0.1,
    }


@pytest.mark.parametrize(("setting", "sent"), [("5m", "5m"), ("-1", -1), ("0", 0)])
def test_a_bare_keep_alive_is_sent_as_a_number(setting: str, sent: str | int) -> None:
    assert ask(HELLO, keep_alive=setting)["keep_alive"] == sent


def test_a_request_may_keep_the_model_for_longer() -> None:
    assert ask(with_options(keep_alive="1h"))["keep_alive"] == "1h"


@pytest.mark.parametrize("think", [True, False])
def test_thinking_is_switched_for_a_model_that_can(think: bool) -> None:
    assert ask(with_options(think=think))["think"] is think


def test_thinking_is_left_to_the_model_by_default() -> None:
    assert "think" not in ask(HELLO)


def test_thinking_is_never_asked_of_a_model_that_cannot() -> None:
    with ScriptedOllama(models=[ScriptedModel(capabilities=["completion"])]) as server:
        answer(model_on(server), with_options(think=True))
        assert "think" not in server.requests[0]


def test_tools_and_a_schema_are_sent() -> None:
    schema = {"type": "object"}
    body = ask(ChatRequest(messages=HELLO.messages, tools=(WEATHER,), schema=schema))

    assert body["format"] == schema
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "Tells the weather.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


def test_images_are_sent_as_base64() -> None:
    body = ask(ChatRequest(messages=(PICTURE,)))
    assert body["messages"][0]["images"] == ["iVBORw=="]


def test_a_tool_call_and_its_result_are_sent_back_as_they_came() -> None:
    call = ToolCall("call_0", "weather", {"city": "Rome"})
    body = ask(
        ChatRequest(
            messages=(
                *HELLO.messages,
                Message("assistant", "", tool_calls=(call,)),
                Message("tool", "sunny", tool_call_id="call_0", tool_name="weather"),
            )
        )
    )

    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "call_0",
                    "function": {"name": "weather", "arguments": {"city": "Rome"}},
                }
            ],
        },
        {
            "role": "tool",
            "content": "sunny",
            "tool_name": "weather",
            "tool_call_id": "call_0",
        },
    ]


def test_the_model_is_looked_up_once() -> None:
    with ScriptedOllama() as server:
        model = model_on(server)
        answer(model)
        answer(model)
        assert server.calls.count(("POST", "/api/show")) == 1


# What is made of the answer


def test_text_and_thinking_arrive_in_pieces() -> None:
    reply = Reply(["Hi", "!"], thinking=["Let me ", "see."], prompt_tokens=12)
    with ScriptedOllama([reply]) as server:
        assert answer(model_on(server)) == [
            ThinkingDelta("Let me "),
            ThinkingDelta("see."),
            TextDelta("Hi"),
            TextDelta("!"),
            Done("stop", 12, 4),
        ]


def test_an_answer_that_reached_its_limit_says_so() -> None:
    with ScriptedOllama([Reply("Hi", finish="length", prompt_tokens=1)]) as server:
        assert answer(model_on(server))[-1] == Done("length", 1, 1)


def test_tool_calls_keep_their_ids() -> None:
    reply = Reply((), tool_calls=[Call("weather", {"city": "Rome"}, id="x1")], prompt_tokens=1)
    with ScriptedOllama([reply]) as server:
        assert answer(model_on(server)) == [
            ToolCallDelta(ToolCall("x1", "weather", {"city": "Rome"})),
            Done("tool_calls", 1, 1),
        ]


def test_tool_calls_without_ids_are_counted_through_the_conversation() -> None:
    earlier = Message("assistant", "", tool_calls=(ToolCall("call_0", "weather", {}),))
    reply = Reply((), tool_calls=[Call("weather", {}), Call("weather", None)])
    with ScriptedOllama([reply]) as server:
        deltas = answer(model_on(server), ChatRequest(messages=(*HELLO.messages, earlier)))
    calls = [delta.call for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert calls == [ToolCall("call_1", "weather", {}), ToolCall("call_2", "weather", {})]


def test_arguments_that_are_text_are_read_as_json() -> None:
    with ScriptedOllama([Reply((), tool_calls=[Call("weather", '{"city": "Rome"}')])]) as server:
        delta = answer(model_on(server))[0]
    assert delta == ToolCallDelta(ToolCall("call_0", "weather", {"city": "Rome"}))


@pytest.mark.parametrize("arguments", ["Rome", "[1]", ""])
def test_arguments_that_are_no_object_fail(arguments: str) -> None:
    with (
        ScriptedOllama([Reply((), tool_calls=[Call("weather", arguments)])]) as server,
        pytest.raises(BackendFailed, match="weather"),
    ):
        answer(model_on(server))


@pytest.mark.parametrize(
    ("share", "device"),
    [(None, None), (0.0, "CPU"), (0.6, "GPU 60% CPU 40%"), (1.0, "GPU 100%")],
)
def test_the_device_is_where_the_server_put_the_model(
    share: float | None, device: str | None
) -> None:
    with ScriptedOllama(models=[ScriptedModel("plain:latest", loaded_vram=share)]) as server:
        assert asyncio.run(model_on(server, "plain").device()) == device


def test_the_device_of_a_server_that_is_gone_is_unknown() -> None:
    with ScriptedOllama() as server:
        model = model_on(server)
    assert asyncio.run(model.device()) is None


def test_info_tells_the_window_in_use_and_the_largest() -> None:
    with ScriptedOllama() as server:
        info = asyncio.run(model_on(server).info())
    assert (info.name, info.backend) == ("scripted:1b", "ollama")
    assert (info.context_window, info.max_context_window) == (8192, 32_768)
    assert info.capabilities == {"tools", "vision", "thinking"}


# What is refused


def test_a_model_that_is_not_there_is_named_with_its_neighbour() -> None:
    with ScriptedOllama() as server, pytest.raises(ModelNotFound) as caught:
        answer(model_on(server, "scriped:1b"))
    assert "did you mean scripted:1b?" in caught.value.message
    assert caught.value.hint == "agentctl models pull scriped:1b"


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "qwen3:cloud"])
def test_a_name_of_the_cloud_is_refused_before_anything_is_sent(name: str) -> None:
    with ScriptedOllama() as server:
        with pytest.raises(ModelForbidden) as caught:
            answer(model_on(server, name))
        assert server.calls == []
    assert caught.value.hint.endswith("agentctl config set ollama.allow_cloud true")


def test_a_model_with_a_remote_host_is_refused_before_the_prompt_is_sent() -> None:
    models = [ScriptedModel("mine", remote_host="https://ollama.com:443")]
    with ScriptedOllama(models=models) as server:
        with pytest.raises(ModelForbidden):
            answer(model_on(server, "mine"))
        assert server.requests == []


def test_a_cloud_model_answers_once_it_is_allowed() -> None:
    models = [ScriptedModel("big:cloud", remote_host="https://ollama.com:443")]
    with ScriptedOllama(models=models) as server:
        assert answer(model_on(server, "big:cloud", allow_cloud=True))


@pytest.mark.parametrize(
    "request_",
    [ChatRequest(messages=HELLO.messages, tools=(WEATHER,)), ChatRequest(messages=(PICTURE,))],
    ids=["tools", "images"],
)
def test_a_model_is_not_asked_for_what_it_cannot_do(request_: ChatRequest) -> None:
    with ScriptedOllama(models=[ScriptedModel(capabilities=["completion"])]) as server:
        with pytest.raises(ModelIncapable) as caught:
            answer(model_on(server), request_)
        assert server.requests == []
    assert "agentctl models list" in caught.value.hint


def test_a_server_too_old_to_tell_is_judged_by_the_models_template() -> None:
    models = [ScriptedModel(capabilities=None, template="{{ range .Tools }}")]
    with ScriptedOllama(models=models) as server:
        assert asyncio.run(model_on(server).info()).capabilities == {"tools"}


# How it fails

OVERFLOWS = [
    "the input length exceeds the context length",
    "input length exceeds maximum context length",
    "the prompt is longer than the context length currently available to the model; shorten it",
    '{"error":{"code":400,"message":"request (302 tokens) exceeds the available context size '
    '(256 tokens), try increasing it","type":"exceed_context_size_error"}}',
]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(status(404, "model 'x' not found"), ModelNotFound, id="404"),
        pytest.param(status(503, "maximum pending requests"), BackendBusy, id="503"),
        pytest.param(status(500, "out of memory"), BackendFailed, id="500"),
        pytest.param(status(400, "bad option"), BackendFailed, id="400"),
        pytest.param(status(400, '"x" does not support chat'), ModelIncapable, id="no chat"),
        *(pytest.param(status(400, text), ContextOverflow, id=text[:30]) for text in OVERFLOWS),
        pytest.param(reset(), BackendUnreachable, id="reset before"),
        pytest.param(reset(after=1), AnswerInterrupted, id="reset in the middle"),
        pytest.param(hang(), BackendTimeout, id="hang before"),
        pytest.param(hang(after=1), BackendTimeout, id="hang in the middle"),
        pytest.param(malformed_line(after=0), AnswerInterrupted, id="malformed first line"),
        pytest.param(malformed_line(after=1), AnswerInterrupted, id="malformed line"),
        pytest.param(error_line(), BackendFailed, id="error line"),
        pytest.param(error_line(OVERFLOWS[0]), ContextOverflow, id="error line, overflow"),
        pytest.param(no_done(after=0), AnswerInterrupted, id="nothing at all"),
        pytest.param(no_done(after=2), AnswerInterrupted, id="no last line"),
    ],
)
def test_no_fault_passes_for_an_answer(fault: Fault, error: type[AgentctlError]) -> None:
    with ScriptedOllama([Reply(fault=fault)]) as server:
        model = model_on(server, silence_s=0.3 if fault.kind == "hang" else 10)
        with pytest.raises(error) as caught:
            answer(model)
    assert type(caught.value) is error


def test_the_servers_own_words_are_told() -> None:
    with (
        ScriptedOllama([Reply(fault=status(500, "llama runner\nhas terminated"))]) as server,
        pytest.raises(BackendFailed, match="llama runner has terminated"),
    ):
        answer(model_on(server))


def test_the_numbers_of_an_overflow_are_dug_out() -> None:
    with (
        ScriptedOllama([Reply(fault=status(400, OVERFLOWS[-1]))]) as server,
        pytest.raises(ContextOverflow, match=r"^the prompt does not fit: request \(302 tokens\)"),
    ):
        answer(model_on(server))


def test_what_arrived_before_the_fault_is_kept() -> None:
    async def collect(model: OllamaModel) -> list[Delta]:
        deltas = []
        with suppress(AnswerInterrupted):
            async for delta in model.stream(HELLO):
                deltas.append(delta)
        return deltas

    with ScriptedOllama([Reply(["a", "b", "c"], fault=no_done(after=2))]) as server:
        assert asyncio.run(collect(model_on(server))) == [TextDelta("a"), TextDelta("b")]


def test_a_prompt_that_an_old_server_cut_in_silence_is_no_answer() -> None:
    long = ChatRequest(messages=(Message("user", "word " * 10_000),))
    with (
        ScriptedOllama([Reply(prompt_tokens=4000)]) as server,
        pytest.raises(AnswerInterrupted, match="cut the prompt: it read 4000"),
    ):
        answer(model_on(server, context_window=4096), long)


def test_a_prompt_whose_beginning_was_cached_is_not_taken_for_cut() -> None:
    long = ChatRequest(messages=(Message("user", "word " * 10_000),))
    with ScriptedOllama([Reply(prompt_tokens=7)]) as server:
        assert isinstance(answer(model_on(server, context_window=4096), long)[-1], Done)


# How it is left


def all_threads_ended() -> bool:
    """Whether each thread that streams comes to its end, now that nobody reads it."""
    threads = [one for one in threading.enumerate() if one.name == "agentctl-stream"]
    for one in threads:
        one.join(10)
    return not any(one.is_alive() for one in threads)


@pytest.mark.parametrize("after", [0, 1])
def test_cancelling_hangs_up_and_leaves_no_thread(after: int) -> None:
    gate = Gate(after)

    async def cancel_at_the_gate(server: ScriptedOllama) -> None:
        async def read() -> None:
            async for _ in model_on(server).stream(HELLO):
                pass

        task = asyncio.create_task(read())
        await asyncio.to_thread(gate.reached.wait)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert all_threads_ended()

    with ScriptedOllama([Reply(gate=gate, fault=hang(after))]) as server:
        asyncio.run(cancel_at_the_gate(server))
        gate.opened.set()
        assert server.client_left.wait(10)


def test_closing_the_stream_hangs_up_and_leaves_no_thread() -> None:
    async def read_one(model: OllamaModel) -> Delta:
        async with aclosing(model.stream(HELLO)) as stream:
            return await anext(stream)

    with ScriptedOllama([Reply("Hi", fault=hang(after=1))]) as server:
        assert asyncio.run(read_one(model_on(server))) == TextDelta("Hi")
        assert server.client_left.wait(10)
        assert all_threads_ended()
