import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from agentctl.core.backends.base import ChatRequest, Delta, Done, Message, ModelOptions, TextDelta
from agentctl.core.backends.openai_compatible import OpenAICompatibleModel, list_models
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
    Fault,
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

KEY = "sk-a-secret"
HELLO = ChatRequest(messages=(Message("user", "Hello"),))


def model_at(url: str, name: str = "scripted:1b", *, idle_s: float = 5.0) -> OpenAICompatibleModel:
    headers = {"Authorization": f"Bearer {KEY}"}
    endpoint = Endpoint(
        f"{url}/v1", connect_s=5, first_byte_s=idle_s, idle_s=idle_s, headers=headers
    )
    return OpenAICompatibleModel(endpoint, name, context_window=512, api_key_env="THE_KEY")


def answer(model: OpenAICompatibleModel, request: ChatRequest = HELLO) -> list[Delta]:
    async def collect() -> list[Delta]:
        return [delta async for delta in model.stream(request)]

    return asyncio.run(collect())


@contextmanager
def raw_server(body: bytes, code: int = 200) -> Iterator[str]:
    """Answers every request with these bytes, then closes the connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def chunk(text: str, finish_reason: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]})


# What the server does wrong.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (status(400, "no such role"), ModelIncapable),
        (status(400, "the maximum context length is 8 tokens"), ContextOverflow),
        (status(401), ModelForbidden),
        (status(403), ModelForbidden),
        (status(404), ModelNotFound),
        (status(429), BackendBusy),
        (status(500), BackendFailed),
        (status(503), BackendBusy),
        (reset(), BackendUnreachable),
        (reset(1), AnswerInterrupted),
        (malformed_line(), AnswerInterrupted),
        (error_line(), BackendFailed),
        (no_done(), AnswerInterrupted),
        (no_done(0), AnswerInterrupted),
    ],
    ids=lambda value: (
        f"{value.kind} {value.code} {value.after}" if isinstance(value, Fault) else ""
    ),
)
def test_each_fault_is_an_error_of_its_type(fault: Fault, kind: type[AgentctlError]) -> None:
    with ScriptedOllama([Reply(fault=fault)]) as server, pytest.raises(kind) as caught:
        answer(model_at(server.url))

    assert caught.type is kind
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("after", [0, 1])
def test_silence_is_a_timeout(after: int) -> None:
    with ScriptedOllama([Reply(fault=hang(after))]) as server, pytest.raises(BackendTimeout):
        answer(model_at(server.url, idle_s=0.05))


def test_nothing_listening_is_unreachable() -> None:
    with raw_server(b"") as url:
        pass

    with pytest.raises(BackendUnreachable):
        answer(model_at(url))


@pytest.mark.parametrize("code", [400, 401, 403, 429, 500])
def test_the_key_is_never_in_an_error(code: int) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}).encode()

    with raw_server(body, code) as url, pytest.raises(AgentctlError) as caught:
        answer(model_at(url))

    assert KEY not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_refused_key_names_its_variable() -> None:
    with raw_server(b"", 401) as url, pytest.raises(ModelForbidden) as caught:
        answer(model_at(url))

    assert "THE_KEY" in caught.value.hint


def test_an_unknown_model_names_the_nearest() -> None:
    models = [ScriptedModel("qwen3:4b"), ScriptedModel("other")]
    with ScriptedOllama(models=models) as server, pytest.raises(ModelNotFound) as caught:
        answer(model_at(server.url, "qwen3:4"))

    assert "agentctl models use openai:qwen3:4b" in caught.value.hint


def test_an_address_that_knows_no_models_is_suspect() -> None:
    with raw_server(b"not here", 404) as url, pytest.raises(ModelNotFound) as caught:
        answer(model_at(url))

    assert "/v1" in caught.value.hint


def test_a_prompt_over_the_window_is_not_sent() -> None:
    long = ChatRequest(messages=(Message("user", "word " * 2000),))

    with ScriptedOllama() as server, pytest.raises(ContextOverflow, match="512"):
        answer(model_at(server.url), long)

    assert server.requests == []


def test_a_request_may_widen_the_window() -> None:
    messages = (Message("user", "word " * 2000),)
    long = ChatRequest(messages=messages, options=ModelOptions(context_window=8192))

    with ScriptedOllama() as server:
        assert answer(model_at(server.url), long)[0] == TextDelta("Hello ")


# What is on the wire.


@pytest.mark.parametrize(
    "stream",
    [
        f"data: {chunk('Yes', 'stop')}\n\ndata: [DONE]\n\n",
        f"data:{chunk('Yes', 'stop')}\n\ndata:[DONE]\n\n",
        f"data: {chunk('Yes', 'stop')}\r\n\r\ndata: [DONE]\r\n\r\n",
        f": ping\n\n\n\nevent: message\nid: 1\ndata: {chunk('Yes', 'stop')}\n\ndata: [DONE]\n\n",
        'data: {"choices": [{"finish_reason": "stop",\ndata: "delta": {"content": "Yes"}}]}\n\n',
        f"data: {chunk('Yes')}\n\ndata: {chunk('', 'stop')}\n\n",
        f"data: {chunk('Yes', 'stop')}\n\n",
        f"data: {chunk('Yes', 'stop')}",
        f"data: {chunk('Yes', 'stop')}\n\ndata: [DONE]\n\ndata: what follows is not read",
    ],
    ids=[
        "plain",
        "no space",
        "carriage returns",
        "comments and other fields",
        "data over two lines",
        "finish apart",
        "no [DONE]",
        "no last blank line",
        "after [DONE]",
    ],
)
def test_server_sent_events_are_read_as_their_standard_says(stream: str) -> None:
    with raw_server(stream.encode()) as url:
        text, done = answer(model_at(url))

    assert text == TextDelta("Yes")
    assert isinstance(done, Done)
    assert done.finish_reason == "stop"


def test_without_usage_the_prompt_is_estimated_and_the_chunks_are_counted() -> None:
    stream = f"data: {chunk('Yes')}\n\ndata: {chunk('.', 'stop')}\n\n"
    with raw_server(stream.encode()) as url:
        model = model_at(url)
        done = answer(model)[-1]

    assert done == Done("stop", asyncio.run(model.count_tokens(HELLO)), 2)


# What the server has.


def test_models_are_listed() -> None:
    with ScriptedOllama(models=[ScriptedModel("a"), ScriptedModel("b")]) as server:
        assert asyncio.run(list_models(Endpoint(f"{server.url}/v1", 5, 5, 5))) == ["a", "b"]


@pytest.mark.parametrize("body", [b"[]", b'{"data": 5}', b"<html>"])
def test_a_server_of_another_kind_lists_nothing(body: bytes) -> None:
    with raw_server(body) as url, pytest.raises(BackendFailed):
        asyncio.run(list_models(Endpoint(url, 5, 5, 5)))
