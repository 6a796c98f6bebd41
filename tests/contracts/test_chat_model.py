"""What every `ChatModel` keeps to, over all backends.

The embedded engine answers for real. Ollama and the OpenAI-compatible backend talk to a scripted
server over HTTP.
"""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, aclosing, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TypeAlias

import pytest

from agentctl.core.backends.base import (
    ChatModel,
    ChatRequest,
    Delta,
    Done,
    Message,
    ModelOptions,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolSpec,
)
from agentctl.core.backends.langchain_ollama import LangChainOllamaModel
from agentctl.core.backends.llama_cpp import LlamaCppModel
from agentctl.core.backends.ollama import OllamaModel
from agentctl.core.backends.ollama_server import OllamaServer
from agentctl.core.backends.openai_compatible import OpenAICompatibleModel
from agentctl.core.backends.scripted import Reply, ScriptedCall, ScriptedModel
from agentctl.core.backends.transport import Endpoint
from agentctl.core.errors import ContextOverflow
from tests.support import ollama_server as wire
from tests.support.embedded_model import embedded_model_path

WINDOW = 512
HELLO = ChatRequest(messages=(Message("user", "Say hello."),), options=ModelOptions(max_tokens=16))
LONG = ChatRequest(messages=HELLO.messages, options=ModelOptions(max_tokens=400))
TOO_LONG = ChatRequest(messages=(Message("user", "word " * 1000),))
WEATHER = ToolSpec(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)


@dataclass(frozen=True)
class Script:
    """What a model that can be told what to say shall say."""

    text: tuple[str, ...] = ("Hello ", "there.")
    thinking: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    refuses_as_too_long: bool = False


OpenModel: TypeAlias = Callable[[Script], AbstractContextManager[ChatModel]]


@pytest.fixture(scope="module")
def embedded() -> Iterator[ChatModel]:
    model = LlamaCppModel(
        embedded_model_path(), "smollm2", context_window=WINDOW, threads=0, gpu_layers=-1
    )
    yield model
    asyncio.run(model.close())


@pytest.fixture(params=["scripted", "ollama", "openai", "langchain_ollama", "embedded"])
def open_model(request: pytest.FixtureRequest) -> OpenModel:
    if request.param == "embedded":
        model = request.getfixturevalue("embedded")
        return lambda script: nullcontext(model)
    return {
        "scripted": open_scripted,
        "ollama": open_ollama,
        "openai": open_openai,
        "langchain_ollama": open_langchain_ollama,
    }[request.param]


TALKATIVE = pytest.mark.parametrize(
    "open_model", ["scripted", "ollama", "openai", "langchain_ollama"], indirect=True
)


def open_scripted(script: Script) -> AbstractContextManager[ChatModel]:
    calls = tuple(ScriptedCall(name=call.name, arguments=call.arguments) for call in script.calls)
    reply = Reply(chunks=script.text, thinking="".join(script.thinking), tool_calls=calls)
    return nullcontext(ScriptedModel([reply] * 9, context_window=WINDOW))


@contextmanager
def open_ollama(script: Script) -> Iterator[ChatModel]:
    with wire.ScriptedOllama([wire_reply(script)]) as server:
        yield OllamaModel(
            OllamaServer(Endpoint(server.url, 5, 5, 5)),
            "scripted:1b",
            context_window=WINDOW,
            keep_alive="5m",
            allow_cloud=False,
        )


@contextmanager
def open_langchain_ollama(script: Script) -> Iterator[ChatModel]:
    with wire.ScriptedOllama([wire_reply(script)]) as server:
        yield LangChainOllamaModel(
            OllamaServer(Endpoint(server.url, 5, 5, 5)),
            "scripted:1b",
            context_window=WINDOW,
            keep_alive="5m",
            allow_cloud=False,
        )


@contextmanager
def open_openai(script: Script) -> Iterator[ChatModel]:
    with wire.ScriptedOllama([wire_reply(script)]) as server:
        endpoint = Endpoint(f"{server.url}/v1", 5, 5, 5)
        yield OpenAICompatibleModel(endpoint, "scripted:1b", context_window=WINDOW)


def wire_reply(script: Script) -> wire.Reply:
    too_long = wire.status(400, "the input length exceeds the context length")
    return wire.Reply(
        text=script.text,
        thinking=script.thinking,
        tool_calls=[wire.Call(call.name, call.arguments) for call in script.calls],
        fault=too_long if script.refuses_as_too_long else None,
    )


async def collect(model: ChatModel, request: ChatRequest = HELLO) -> list[Delta]:
    return [delta async for delta in model.stream(request)]


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def test_an_answer_is_text_and_then_one_done(open_model: OpenModel) -> None:
    with open_model(Script()) as model:
        *deltas, done = asyncio.run(collect(model))

    assert text_of(deltas)
    assert all(isinstance(delta, TextDelta) for delta in deltas)
    assert isinstance(done, Done)
    assert done.prompt_tokens > 0
    assert done.completion_tokens > 0


def test_the_stream_is_the_answer_in_pieces(open_model: OpenModel) -> None:
    request = ChatRequest(messages=HELLO.messages, schema={"const": "Hello there."})
    with open_model(Script(text=('"Hello ', 'there."'))) as model:
        deltas = asyncio.run(collect(model, request))

    assert len(deltas) > 2
    assert text_of(deltas) == '"Hello there."'


def test_an_answer_by_schema_is_json_that_fits_it(open_model: OpenModel) -> None:
    request = ChatRequest(
        messages=HELLO.messages,
        schema={
            "type": "object",
            "properties": {"mood": {"enum": ["good", "bad"]}},
            "required": ["mood"],
            "additionalProperties": False,
        },
    )
    with open_model(Script(text=('{"mood":', ' "good"}'))) as model:
        answer = json.loads(text_of(asyncio.run(collect(model, request))))

    assert answer["mood"] in ("good", "bad")


def test_more_text_counts_as_more_tokens(open_model: OpenModel) -> None:
    async def count(model: ChatModel) -> list[int]:
        return [
            await model.count_tokens(ChatRequest(messages=(Message("user", "word " * words),)))
            for words in (1, 10, 100)
        ]

    with open_model(Script()) as model:
        few, more, most = asyncio.run(count(model))

    assert 0 < few < more < most


@pytest.mark.parametrize(
    "messages",
    [
        (Message("user", "Hi"),),
        (
            Message("system", "Be brief."),
            Message("user", "Größe? 数字 🙂"),
            Message("assistant", "5"),
        ),
        (Message("user", "def f(x):\n    return x ** 2  # <|im_end|>"),),
    ],
    ids=["short", "conversation", "code"],
)
def test_a_count_is_not_below_what_the_prompt_took(
    open_model: OpenModel, messages: tuple[Message, ...]
) -> None:
    request = ChatRequest(messages=messages, options=ModelOptions(max_tokens=1))

    async def count_and_ask(model: ChatModel) -> tuple[int, Delta]:
        return await model.count_tokens(request), (await collect(model, request))[-1]

    with open_model(Script()) as model:
        counted, done = asyncio.run(count_and_ask(model))

    assert isinstance(done, Done)
    assert counted >= done.prompt_tokens


def test_info_names_the_backend_and_stays_the_same(
    open_model: OpenModel, request: pytest.FixtureRequest
) -> None:
    async def ask_twice(model: ChatModel) -> None:
        info = await model.info()
        await collect(model)
        # Whatever the client, it is Ollama that answers.
        name = request.node.callspec.params["open_model"]
        assert info.backend == name.removeprefix("langchain_")
        assert info.context_window == WINDOW <= info.max_context_window
        assert await model.info() == info

    with open_model(Script()) as model:
        asyncio.run(ask_twice(model))


def test_leaving_in_mid_stream_stops_the_model(open_model: OpenModel) -> None:
    async def leave(model: ChatModel) -> list[Delta]:
        async with aclosing(model.stream(LONG)) as stream:
            await anext(stream)
        assert_nothing_runs()
        return await collect(model)

    with open_model(Script()) as model:
        deltas = asyncio.run(leave(model))

    assert isinstance(deltas[-1], Done)


def test_cancelling_in_mid_stream_stops_the_model(open_model: OpenModel) -> None:
    async def cancel(model: ChatModel) -> list[Delta]:
        began = asyncio.Event()

        async def read() -> None:
            async with aclosing(model.stream(LONG)) as stream:
                await anext(stream)
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(read())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert_nothing_runs()
        return await collect(model)

    with open_model(Script()) as model:
        deltas = asyncio.run(cancel(model))

    assert isinstance(deltas[-1], Done)


def test_a_prompt_over_the_window_is_refused_before_any_answer(open_model: OpenModel) -> None:
    deltas: list[Delta] = []

    async def ask(model: ChatModel) -> None:
        async for delta in model.stream(TOO_LONG):
            deltas.append(delta)

    with (
        open_model(Script(refuses_as_too_long=True)) as model,
        pytest.raises(ContextOverflow) as caught,
    ):
        asyncio.run(ask(model))

    assert deltas == []
    assert caught.value.hint


@TALKATIVE
def test_thinking_is_apart_from_the_answer(open_model: OpenModel) -> None:
    with open_model(Script(thinking=("Let me", " see."))) as model:
        deltas = asyncio.run(collect(model))

    thoughts = [delta.text for delta in deltas if isinstance(delta, ThinkingDelta)]
    assert "".join(thoughts) == "Let me see."
    assert text_of(deltas) == "Hello there."


@TALKATIVE
def test_tool_calls_arrive_whole(open_model: OpenModel) -> None:
    calls = (
        ToolCall("", "weather", {"city": "Zürich", "days": [1, 2]}),
        ToolCall("", "weather", {}),
    )
    request = ChatRequest(messages=HELLO.messages, tools=(WEATHER,))
    with open_model(Script(text=(), calls=calls)) as model:
        *deltas, done = asyncio.run(collect(model, request))

    asked = [delta.call for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert [(call.name, call.arguments) for call in asked] == [
        (call.name, call.arguments) for call in calls
    ]
    assert len({call.id for call in asked}) == 2
    assert isinstance(done, Done)
    assert done.finish_reason == "tool_calls"


def test_two_streams_at_once_both_come_to_their_end(open_model: OpenModel) -> None:
    async def ask_both(model: ChatModel) -> tuple[list[Delta], list[Delta]]:
        return await asyncio.gather(collect(model), collect(model))

    with open_model(Script()) as model:
        answers = asyncio.run(ask_both(model))

    assert all(isinstance(deltas[-1], Done) for deltas in answers)


def test_a_model_outlives_its_event_loop(open_model: OpenModel) -> None:
    with open_model(Script()) as model:
        for _ in range(2):
            assert isinstance(asyncio.run(collect(model))[-1], Done)


def test_closing_twice_is_harmless(open_model: OpenModel) -> None:
    async def close_twice(model: ChatModel) -> None:
        await collect(model)
        await model.close()
        await model.close()

    with open_model(Script()) as model:
        asyncio.run(close_twice(model))


def assert_nothing_runs() -> None:
    """Every stream from a thread has ended with it."""
    for thread in threading.enumerate():
        if thread.name == "agentctl-stream":
            thread.join(timeout=10)
            assert not thread.is_alive()
