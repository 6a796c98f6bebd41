"""OpenAI's own client takes the daemon for OpenAI."""

import asyncio
import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from agentctl.daemon.process import DaemonAddress
from tests.support.daemon import ENVIRONMENT, running_daemon
from tests.support.daemon_client import Client, Json, eventually, scripted
from tests.support.ollama_server import Reply, ScriptedOllama, hang

PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n a picture").decode()
ASK = [{"role": "user", "content": "What is the answer?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": None,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
DEEP_CALL = {"id": "1", "function": {"name": "weather", "arguments": "[" * 100_000}}


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    with ScriptedOllama([Reply('{"answer": 42}')]) as server:
        yield server


@pytest.fixture
def address(tmp_path: Path, ollama: ScriptedOllama) -> Iterator[DaemonAddress]:
    with running_daemon(tmp_path / "home", {**ENVIRONMENT, "OLLAMA_HOST": ollama.url}) as listening:
        yield listening


def connect(address: DaemonAddress, token: str | None = None) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{address.url}/v1", api_key=token or address.token, max_retries=0
    )


@pytest.fixture
def client(address: DaemonAddress) -> openai.OpenAI:
    return connect(address)


def test_the_models_that_answer_are_listed(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]

    assert names[0] == "agentctl"
    assert "scripted:1b" in names or "ollama:scripted:1b" in names


def test_a_question_is_answered(client: openai.OpenAI, tmp_path: Path) -> None:
    model = scripted(tmp_path, {"text": "It is 42.", "thinking": "Hm."})

    answer = client.chat.completions.create(model=model, messages=ASK)

    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "It is 42."
    assert answer.choices[0].message.reasoning_content == "Hm."
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (4, 3)
    assert answer.usage.total_tokens == 7


def test_an_answer_comes_piece_by_piece_and_its_usage_last(
    client: openai.OpenAI, tmp_path: Path
) -> None:
    model = scripted(tmp_path, "It is 42.")

    chunks = list(
        client.chat.completions.create(
            model=model, messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    *spoken, usage = chunks

    assert spoken[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].delta.content or "" for chunk in spoken] == ["It", " is", " 42.", ""]
    assert [chunk.choices[0].finish_reason for chunk in spoken] == [None, None, None, "stop"]
    assert (usage.choices, usage.usage.total_tokens) == ([], 7)
    assert len({chunk.id for chunk in chunks}) == 1


def test_usage_comes_only_when_it_is_wanted(client: openai.OpenAI, tmp_path: Path) -> None:
    chunks = client.chat.completions.create(
        model=scripted(tmp_path, "It."), messages=ASK, stream=True
    )

    assert [chunk.usage for chunk in chunks] == [None, None]


@pytest.mark.parametrize("streams", [False, True])
def test_a_tool_is_called_and_its_result_goes_back(
    client: openai.OpenAI, tmp_path: Path, streams: bool
) -> None:
    calls = [
        {"name": "weather", "arguments": {"city": "Ørsta"}},
        {"name": "weather", "arguments": {"city": "Oslo"}},
    ]
    model = scripted(tmp_path, {"tool_calls": calls})
    told = client.chat.completions.create(
        model=model, messages=ASK, tools=[WEATHER], stream=streams
    )

    if streams:
        chunks = list(told)
        asked = [call for each in chunks for call in each.choices[0].delta.tool_calls or ()]
        finish = chunks[-1].choices[0].finish_reason
    else:
        asked = told.choices[0].message.tool_calls
        finish = told.choices[0].finish_reason
    said = {"role": "assistant", "content": None, "tool_calls": [c.model_dump() for c in asked]}
    results = [{"role": "tool", "tool_call_id": each.id, "content": "Rain."} for each in asked]
    last = client.chat.completions.create(
        model=scripted(tmp_path, "It rains."), messages=[*ASK, said, *results], tools=[WEATHER]
    )

    assert [json.loads(each.function.arguments)["city"] for each in asked] == ["Ørsta", "Oslo"]
    assert [each.function.name for each in asked] == ["weather", "weather"]
    assert len({each.id for each in asked}) == 2
    assert finish == "tool_calls"
    assert last.choices[0].message.content == "It rains."


def test_a_schema_a_picture_and_options_reach_the_model(
    client: openai.OpenAI, ollama: ScriptedOllama
) -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "integer"}}}
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content = [{"type": "text", "text": "What is it?"}, picture]

    answer = client.chat.completions.create(
        model="ollama:scripted:1b",
        messages=[
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": content},
        ],
        response_format={"type": "json_schema", "json_schema": {"name": "it", "schema": schema}},
        temperature=0.5,
        seed=7,
        max_completion_tokens=9,
        stop="\n",
    )
    (request,) = ollama.requests

    assert json.loads(answer.choices[0].message.content) == {"answer": 42}
    assert request["format"] == schema
    assert [message["role"] for message in request["messages"]] == ["system", "user"]
    assert request["messages"][1]["images"] == [PIXEL]
    assert request["messages"][1]["content"] == "What is it?"
    assert (
        request["options"].items()
        >= {
            "temperature": 0.5,
            "seed": 7,
            "num_predict": 9,
            "stop": ["\n"],
        }.items()
    )


def test_knowledge_goes_along_and_its_sources_come_back(
    client: openai.OpenAI, address: DaemonAddress, ollama: ScriptedOllama
) -> None:
    text = "The keeper of the lighthouse lights the lamp at dusk."
    Client(address).post("/documents", {"text": text, "title": "lighthouse"})
    question = [{"role": "user", "content": "When does the keeper light the lamp?"}]

    answer = client.chat.completions.create(
        model="ollama:scripted:1b", messages=question, extra_body={"knowledge": "always"}
    )
    chunks = list(
        client.chat.completions.create(
            model="ollama:scripted:1b",
            messages=question,
            stream=True,
            extra_body={"knowledge": "always"},
        )
    )

    assert [source["title"] for source in answer.agentctl["sources"]] == ["lighthouse"]
    assert [source["title"] for source in chunks[0].agentctl["sources"]] == ["lighthouse"]
    assert len(chunks) > 1 and not any(hasattr(chunk, "agentctl") for chunk in chunks[1:])
    assert "at dusk" in ollama.requests[-1]["messages"][-1]["content"]


def test_a_collection_that_nobody_has_is_not_found(
    client: openai.OpenAI, address: DaemonAddress, tmp_path: Path
) -> None:
    Client(address).post("/documents", {"text": "A lamp.", "title": "lamp"})

    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(
            model=scripted(tmp_path, "It."),
            messages=ASK,
            extra_body={"knowledge": "always", "collection": "nobodys"},
        )


def test_vectors_are_the_same_as_numbers_and_as_bytes(address: DaemonAddress) -> None:
    client = connect(address)

    texts = ["a lamp", "a boat"]
    decoded = client.embeddings.create(model="agentctl", input=texts)
    numbers = client.embeddings.create(model="agentctl", input=texts, encoding_format="float")
    raw = Client(address).post("/v1/embeddings", {"input": "a lamp", "encoding_format": "base64"})

    assert [each.index for each in decoded.data] == [0, 1]
    for one, other in zip(decoded.data, numbers.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert sum(x * x for x in numbers.data[0].embedding) == pytest.approx(1, abs=1e-3)
    packed = base64.b64decode(raw.json["data"][0]["embedding"])
    assert struct.unpack(f"<{len(packed) // 4}f", packed) == pytest.approx(
        numbers.data[0].embedding, abs=1e-6
    )


# What goes wrong


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("model", ["gpt-4o", "ollama:nothing:1b", "embedded:nothing"])
def test_an_unknown_model_is_not_found(client: openai.OpenAI, model: str, streams: bool) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model=model, messages=ASK, stream=streams)

    assert missing.value.code == "model-not-found"
    assert missing.value.body["hint"]


def test_a_wrong_token_is_an_authentication_error(address: DaemonAddress) -> None:
    with pytest.raises(openai.AuthenticationError):
        connect(address, "sk-wrong").models.list()


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": []},
        {"messages": [{"role": "wizard", "content": "x"}]},
        {"temperature": 9},
        {"tools": [{"type": "function"}]},
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": "none"}}]},
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": "http://x"}]}
            ]
        },
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "1"}]}]},
        {"messages": [{"role": "assistant", "tool_calls": [DEEP_CALL]}]},
    ],
)
def test_what_does_not_fit_is_a_bad_request(
    client: openai.OpenAI, tmp_path: Path, changes: Json
) -> None:
    asked = {"model": scripted(tmp_path, "It."), "messages": ASK, **changes}

    with pytest.raises((openai.BadRequestError, openai.UnprocessableEntityError)):
        client.chat.completions.create(**asked)


def test_an_answer_that_breaks_off_raises_in_the_client(
    client: openai.OpenAI, tmp_path: Path
) -> None:
    broken = {"text": "It is", "error": {"slug": "answer-interrupted", "message": "it broke off"}}
    model = scripted(tmp_path, broken)

    with pytest.raises(openai.APIError, match="it broke off"):
        list(client.chat.completions.create(model=model, messages=ASK, stream=True))
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model=model, messages=ASK)


def test_an_answer_is_never_taken_for_whole_when_the_daemon_stops(
    address: DaemonAddress, tmp_path: Path
) -> None:
    model = scripted(tmp_path, {"text": "word " * 1000, "delay_s": 0.02})
    stream = connect(address).chat.completions.create(model=model, messages=ASK, stream=True)
    next(iter(stream))

    Client(address).post("/shutdown", {})

    with pytest.raises(openai.APIError, match="the daemon was stopped"):
        list(stream)


@pytest.mark.parametrize("streams", [False, True])
def test_a_client_that_leaves_stops_the_model(
    address: DaemonAddress, ollama: ScriptedOllama, streams: bool
) -> None:
    ollama.replies = [Reply(("word ",) * 100, fault=hang(after=2))]

    async def leave() -> None:
        async with openai.AsyncOpenAI(
            base_url=f"{address.url}/v1", api_key=address.token, max_retries=0
        ) as client:
            asking = asyncio.ensure_future(
                client.chat.completions.create(
                    model="ollama:scripted:1b", messages=ASK, stream=streams
                )
            )
            await asyncio.to_thread(eventually, lambda: ollama.requests, bool)
            if streams:
                await anext(aiter(await asking))
            asking.cancel()

    asyncio.run(leave())

    assert ollama.client_left.wait(30)
