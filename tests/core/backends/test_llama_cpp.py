"""The embedded engine for real: each test loads the model, which takes about a second."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from agentctl.core.backends.base import (
    ChatRequest,
    Delta,
    Done,
    Image,
    Message,
    ModelOptions,
    TextDelta,
    ToolSpec,
)
from agentctl.core.backends.llama_cpp import LlamaCppModel
from agentctl.core.errors import ContextOverflow, InputUnreadable, ModelIncapable, ModelNotFound
from agentctl.core.jsontypes import JsonObject
from tests.support.embedded_model import embedded_model_path, gguf_header

HELLO = (Message("user", "Say hello."),)
SHORT = ModelOptions(max_tokens=4)
WEATHER = ToolSpec("weather", "Tells the weather.", {"type": "object"})


def open_model(path: Path, context_window: int = 512) -> LlamaCppModel:
    return LlamaCppModel(path, "tiny", context_window=context_window, threads=1, gpu_layers=0)


@pytest.fixture
def model() -> Iterator[LlamaCppModel]:
    opened = open_model(embedded_model_path())
    yield opened
    asyncio.run(opened.close())


def answer(model: LlamaCppModel, request: ChatRequest) -> list[Delta]:
    async def collect() -> list[Delta]:
        return [delta async for delta in model.stream(request)]

    return asyncio.run(collect())


def listening_ports() -> set[int]:
    connections = psutil.Process().net_connections("inet")
    return {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}


# The listener, which the engine opens whatever it is told.


def test_the_listener_answers_nobody_without_the_key(model: LlamaCppModel) -> None:
    before = listening_ports()
    answer(model, ChatRequest(messages=HELLO, options=SHORT))
    (port,) = listening_ports() - before

    for method, path in (
        ("GET", "/v1/models"),
        ("GET", "/props"),
        ("GET", "/slots"),
        ("POST", "/tokenize"),
        ("POST", "/v1/chat/completions"),
    ):
        connection = HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(method, path, "{}", {"Authorization": "Bearer guess"})
        assert connection.getresponse().status == 401, path
        connection.close()


def test_the_listener_lets_no_web_page_in(model: LlamaCppModel) -> None:
    before = listening_ports()
    asyncio.run(model.count_tokens(ChatRequest(messages=HELLO)))
    (port,) = listening_ports() - before
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    for method, path in (("OPTIONS", "/v1/chat/completions"), ("GET", "/health")):
        connection.request(method, path, headers=asked)
        response = connection.getresponse()
        response.read()
        assert not response.headers["Access-Control-Allow-Origin"]
    connection.close()


def test_closing_closes_the_listener(model: LlamaCppModel) -> None:
    before = listening_ports()
    answer(model, ChatRequest(messages=HELLO, options=SHORT))
    (port,) = listening_ports() - before

    asyncio.run(model.close())

    assert socket.socket().connect_ex(("127.0.0.1", port)) != 0


# What the process around it notices.

PROGRAM = """
import asyncio, os, signal, sys
from pathlib import Path
from agentctl.core.backends.base import ChatRequest, Message, ModelOptions
from agentctl.core.backends.llama_cpp import LlamaCppModel
from agentctl.core.errors import AgentctlError

async def use(path, text):
    model = LlamaCppModel(Path(path), "tiny", context_window=512, threads=1, gpu_layers=-1)
    request = ChatRequest(messages=(Message("user", text),), options=ModelOptions(max_tokens=4))
    try:
        await model.count_tokens(request)
        async for _ in model.stream(request):
            pass
        await model.device()
    except AgentctlError:
        pass
    return model
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PROGRAM + program, *arguments]
    return subprocess.run(command, capture_output=True, timeout=120, check=False)


def test_nothing_is_printed_whatever_happens(tmp_path: Path) -> None:
    path = embedded_model_path()
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(path.read_bytes()[:20_000_000])
    program = """
for path, text in ((sys.argv[1], "Hi"), (sys.argv[1], "word " * 1000), (sys.argv[2], "Hi")):
    asyncio.run(asyncio.run(use(path, text)).close())
left_open = asyncio.run(use(sys.argv[1], "Hi"))
"""

    finished = run(program, str(path), str(damaged))

    assert (finished.stdout, finished.stderr, finished.returncode) == (b"", b"", 0)


def test_ctrl_c_stays_with_python() -> None:
    program = """
model = asyncio.run(use(sys.argv[1], "Hi"))
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""

    finished = run(program, str(embedded_model_path()))

    assert finished.stdout == b"interrupted\n"


# What it is asked.


def test_an_answer_ends_at_its_token_limit(model: LlamaCppModel) -> None:
    done = answer(model, ChatRequest(messages=HELLO, options=SHORT))[-1]

    assert isinstance(done, Done)
    assert (done.finish_reason, done.completion_tokens) == ("length", 4)


def test_an_answer_that_would_repeat_itself_for_ever_ends(model: LlamaCppModel) -> None:
    prompt = (Message("user", "Repeat after me: the sea, the sea, the sea, the sea, the sea."),)
    unbound = ModelOptions(temperature=0, repeat_penalty=1.0)

    *_, by_default = answer(
        model, ChatRequest(messages=prompt, options=ModelOptions(temperature=0))
    )
    *_, without = answer(model, ChatRequest(messages=prompt, options=unbound))

    assert isinstance(by_default, Done) and by_default.finish_reason == "stop"
    assert isinstance(without, Done) and without.finish_reason == "length"


def test_an_answer_of_a_small_model_has_a_limit_unless_one_is_given() -> None:
    roomy = open_model(embedded_model_path(), context_window=2048)
    system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
    prompt = (Message("system", system), Message("user", "Name ten colours."))
    unending = ModelOptions(temperature=0, repeat_penalty=1.0)

    *_, done = answer(roomy, ChatRequest(messages=prompt, options=unending))
    asyncio.run(roomy.close())

    assert isinstance(done, Done) and done.completion_tokens == 1000


def test_a_small_model_keeps_to_the_point(model: LlamaCppModel) -> None:
    question = (Message("user", "What is the capital of France?"),)

    said = [
        "".join(
            part.text
            for part in answer(model, ChatRequest(messages=question, options=option))
            if isinstance(part, TextDelta)
        )
        for option in (ModelOptions(seed=seed, max_tokens=40) for seed in range(5))
    ]

    assert [each.startswith("The capital of France is Paris") for each in said] == [True] * 5


def test_a_count_is_exact(model: LlamaCppModel) -> None:
    messages = (Message("system", "Be brief."), Message("user", "Größe? 数字 🙂 <|im_end|>"))
    request = ChatRequest(messages=messages, options=SHORT)

    done = answer(model, request)[-1]

    assert isinstance(done, Done)
    assert asyncio.run(model.count_tokens(request)) == done.prompt_tokens


def test_an_overflow_names_both_numbers(model: LlamaCppModel) -> None:
    request = ChatRequest(messages=(Message("user", "word " * 1000),))
    tokens = asyncio.run(model.count_tokens(request))

    with pytest.raises(ContextOverflow, match=f"{tokens} tokens.* 512") as caught:
        answer(model, request)

    assert "agentctl config set embedded.context_window" in caught.value.hint


def test_a_request_may_ask_for_another_window(model: LlamaCppModel) -> None:
    messages = (Message("user", "word " * 300),)
    narrow = ModelOptions(context_window=256)

    assert answer(model, ChatRequest(messages=messages, options=SHORT))
    with pytest.raises(ContextOverflow, match="256"):
        answer(model, ChatRequest(messages=messages, options=narrow))


def test_the_window_is_never_wider_than_the_model_was_trained_for() -> None:
    info = asyncio.run(open_model(embedded_model_path(), context_window=1_000_000).info())

    assert info.context_window == info.max_context_window == 8192


def test_a_schema_is_kept_to(model: LlamaCppModel) -> None:
    schema: JsonObject = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }

    deltas = answer(model, ChatRequest(messages=HELLO, schema=schema))

    text = "".join(getattr(delta, "text", "") for delta in deltas)
    assert json.loads(text)["colour"] in ("red", "blue")


def test_a_schema_that_is_none_is_refused_and_the_model_goes_on(model: LlamaCppModel) -> None:
    for refused in (answer, lambda *asked: asyncio.run(asked[0].count_tokens(asked[1]))):
        with pytest.raises(InputUnreadable, match="schema"):
            refused(model, ChatRequest(messages=HELLO, schema={"type": "nonsense"}))

    assert answer(model, ChatRequest(messages=HELLO, options=SHORT))


def test_a_second_stream_waits_for_the_first_and_can_be_cancelled(model: LlamaCppModel) -> None:
    async def overlap() -> list[Delta]:
        first = model.stream(ChatRequest(messages=HELLO, options=ModelOptions(max_tokens=64)))
        deltas = [await anext(first)]
        second = asyncio.create_task(anext(model.stream(ChatRequest(messages=HELLO))))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        return deltas + [delta async for delta in first]

    assert isinstance(asyncio.run(overlap())[-1], Done)


# What it cannot do, which needs no weights to be known.

CHAT: dict[str, str | int] = {"general.architecture": "llama", "llama.context_length": 2048}


def made_up_model(folder: Path, **fields: str | int) -> LlamaCppModel:
    path = folder / "made-up.gguf"
    path.write_bytes(gguf_header(CHAT | fields))
    return open_model(path)


def test_capabilities_are_read_from_the_template(tmp_path: Path) -> None:
    template = {"tokenizer.chat_template": "{% if tools %}...{% endif %}<think>"}

    info = asyncio.run(made_up_model(tmp_path, **template).info())

    assert info.capabilities == {"tools", "thinking"}


@pytest.mark.parametrize(
    ("fields", "request_", "problem"),
    [
        ({}, ChatRequest(messages=(Message("user", "?", (Image("image/png", b""),)),)), "images"),
        ({}, ChatRequest(messages=HELLO, tools=(WEATHER,)), "tools"),
        (
            {"tokenizer.chat_template": "{{ tools }}"},
            ChatRequest(messages=HELLO, tools=(WEATHER,), schema={}),
            "tools and keep to a schema",
        ),
        ({"llama.pooling_type": 1}, ChatRequest(messages=HELLO), "vectors"),
    ],
    ids=["images", "tools", "tools and schema", "chat"],
)
def test_what_the_model_cannot_do_is_refused(
    tmp_path: Path, fields: dict[str, str | int], request_: ChatRequest, problem: str
) -> None:
    with pytest.raises(ModelIncapable, match=problem):
        answer(made_up_model(tmp_path, **fields), request_)


# Files that are no model.


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none\.gguf"):
        answer(open_model(tmp_path / "none.gguf"), ChatRequest(messages=HELLO))


def test_a_file_of_another_kind_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_text("not a model")

    with pytest.raises(InputUnreadable, match="not a GGUF model"):
        asyncio.run(open_model(path).info())


@pytest.mark.parametrize("kept", [10_000, 20_000_000])
def test_a_file_that_was_cut_short_is_unreadable(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(embedded_model_path().read_bytes()[:kept])

    with pytest.raises(InputUnreadable) as caught:
        answer(open_model(path), ChatRequest(messages=HELLO))

    assert "agentctl models pull" in caught.value.hint
