"""Answers that are under way when something happens to the daemon, the line or the reader."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from agentctl.core.backends.transport import fetch_json
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import AgentctlError, AnswerInterrupted, BackendUnreachable
from agentctl.core.events import (
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    TextArrived,
    decode_event,
)
from agentctl.core.knowledge.library import IngestRequest
from agentctl.core.workspace import Workspace
from agentctl.daemon import process
from agentctl.daemon.client import daemon_endpoint, remote_workspace
from agentctl.daemon.process import DaemonAddress
from tests.support.cli import environment
from tests.support.daemon import daemon_paths, running_daemon
from tests.support.daemon_client import Client, events, scripted

MANY = 100


@pytest.fixture
def address(tmp_path: Path) -> Iterator[DaemonAddress]:
    with running_daemon(tmp_path / "home") as listening:
        yield listening


@pytest.fixture
def slow_model(tmp_path: Path) -> str:
    return scripted(tmp_path, {"text": "word " * 5000, "delay_s": 0.02})


async def read_until_the_end(
    workspace: Workspace, request: AskRequest, at_the_first_word: Callable[[], None]
) -> list[Event]:
    told: list[Event] = []
    async with aclosing(workspace.ask(request)) as answer:
        async for event in answer:
            if isinstance(event, TextArrived) and not any(isinstance(e, TextArrived) for e in told):
                await asyncio.to_thread(at_the_first_word)
            told.append(event)
    return told


def ends(told: list[Event]) -> list[RunFinished]:
    return [event for event in told if isinstance(event, RunFinished)]


# Many at once


def test_a_hundred_streams_at_once_are_each_whole_and_in_order(
    address: DaemonAddress, tmp_path: Path
) -> None:
    words = [f"{n} " for n in range(50)]
    model = scripted(tmp_path, {"chunks": words, "delay_s": 0.001})
    client = Client(address)

    def ask() -> list[Event]:
        question = {"prompt": "Count.", "model": model, "stream": True}
        with client.opened("POST", "/agent/query", question) as response:
            return [decode_event(json.dumps(each)) for each in events(response)]

    async def ask_all() -> list[list[Event]]:
        from concurrent.futures import ThreadPoolExecutor

        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(MANY) as pool:
            asking = [loop.run_in_executor(pool, ask) for _ in range(MANY)]
            return list(await asyncio.gather(*asking))

    answers = asyncio.run(ask_all())

    for told in answers:
        assert isinstance(told[0], RunStarted) and isinstance(told[-1], RunFinished)
        assert len(ends(told)) == 1 and ends(told)[0].status == "done"
        assert "".join(e.text for e in told if isinstance(e, TextArrived)) == "".join(words)
    assert len({told[0].run_id for told in answers}) == MANY


# A daemon that stops


def test_an_answer_under_way_is_told_as_cancelled_when_the_daemon_stops(
    address: DaemonAddress, slow_model: str
) -> None:
    workspace = remote_workspace(daemon_endpoint(address))

    def stop() -> None:
        Client(address).post("/shutdown", {})

    request = AskRequest(prompt="Count.", model=slow_model)
    told = asyncio.run(read_until_the_end(workspace, request, stop))

    assert [end.status for end in ends(told)] == ["cancelled"]
    assert isinstance(told[-1], RunFinished)
    assert told[-1].answer.startswith("word")


def test_server_sent_events_end_properly_when_the_daemon_stops(
    address: DaemonAddress, slow_model: str
) -> None:
    client = Client(address)
    question = {"prompt": "Count.", "model": slow_model, "stream": True}

    with client.opened("POST", "/agent/query", question) as response:
        told = events(response)
        next(each for each in told if each["type"] == "text")
        client.post("/shutdown", {})
        *_, last = told

    assert (last["type"], last["status"]) == ("run_finished", "cancelled")


def test_a_run_that_goes_on_by_itself_is_stored_when_the_daemon_stops(
    tmp_path: Path, slow_model: str
) -> None:
    with running_daemon(tmp_path / "home") as address:
        task = {"task": "Count.", "model": slow_model}
        run = Client(address).post("/agents/assistant/runs", task).json["run_id"]
    with running_daemon(tmp_path / "home") as address:
        status = Client(address).get(f"/runs/{run}").json["status"]

    assert status == "cancelled"


def test_a_question_that_waits_for_its_answer_is_answered_when_the_daemon_stops(
    address: DaemonAddress, slow_model: str
) -> None:
    client = Client(address)

    async def ask() -> str:
        question = {"prompt": "Count.", "model": slow_model}
        asking = asyncio.ensure_future(asyncio.to_thread(client.post, "/agent/query", question))
        while not await asyncio.to_thread(sessions, client):  # noqa: ASYNC110 - another process's
            await asyncio.sleep(0.01)
        await asyncio.to_thread(client.post, "/shutdown", {})
        return str((await asking).json["status"])

    assert asyncio.run(ask()) == "cancelled"


def sessions(client: Client) -> list[object]:
    return list(
        json.loads(client.post("/workspace/list_sessions", {}).body.splitlines()[0])["item"]
    )


# A daemon that is lost


def test_an_answer_whose_daemon_is_killed_ends_as_a_failed_one(
    tmp_path: Path, slow_model: str
) -> None:
    env = environment(tmp_path) | {"AGENTCTL_HOME": str(tmp_path / "home")}
    paths = daemon_paths(tmp_path / "home")
    address = asyncio.run(process.start(paths, env))
    workspace = remote_workspace(daemon_endpoint(address))
    request = AskRequest(prompt="Count.", model=slow_model)

    told = asyncio.run(
        read_until_the_end(workspace, request, lambda: os.kill(address.pid, signal.SIGKILL))
    )

    *_, error, last = told
    assert isinstance(error, ErrorRaised) and error.code == "answer-interrupted"
    assert isinstance(last, RunFinished) and last.status == "failed"
    assert last.run_id == told[0].run_id
    assert last.answer.startswith("word")
    # Our child: until somebody looks after it, it is not quite gone.
    os.waitpid(address.pid, 0)
    assert process.read_address(paths) is None


@asynccontextmanager
async def daemon_that_says(answer: bytes) -> AsyncIterator[Workspace]:
    """One that says this to every call, then hangs up."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    listening = DaemonAddress(
        pid=0,
        url=f"http://127.0.0.1:{port}",
        token="t",
        socket="",
        version="",
        settings="",
        started="",
    )
    async with server:
        yield remote_workspace(daemon_endpoint(listening))


def said(*lines: bytes, is_whole: bool = True) -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(line) + 1, line + b"\n") for line in lines)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + (b"0\r\n\r\n" if is_whole else b"")


STEP = b'{"item":{"IngestStep":{"status":"found","total":1}}}'


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (said(STEP, is_whole=False), AnswerInterrupted),
        (said(STEP), AnswerInterrupted),
        (said(STEP, b'{"cancelled":true}'), AnswerInterrupted),
        (b"", BackendUnreachable),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", AgentctlError),
        (b'HTTP/1.1 500 Oh\r\nContent-Length: 13\r\n\r\n{"error": {}}', AgentctlError),
    ],
)
def test_work_whose_daemon_is_lost_never_looks_done(
    answer: bytes, error: type[AgentctlError]
) -> None:
    async def take_in() -> None:
        async with daemon_that_says(answer) as workspace:
            async for _ in workspace.ingest(IngestRequest(sources=("/x",))):
                pass

    with pytest.raises(error):
        asyncio.run(take_in())


@pytest.mark.parametrize(
    "answer", [b"", said(), said(b'{"end":true}'), said(b'{"cancelled":true}')]
)
def test_a_single_answer_that_does_not_come_is_an_error(answer: bytes) -> None:
    async def look() -> None:
        async with daemon_that_says(answer) as workspace:
            await workspace.list_sessions()

    with pytest.raises(AgentctlError):
        asyncio.run(look())


@pytest.mark.parametrize("answer", [b"", said(), said(is_whole=False)])
def test_a_question_to_a_daemon_that_is_lost_at_once_still_has_a_beginning_and_an_end(
    answer: bytes,
) -> None:
    async def ask() -> list[str]:
        async with daemon_that_says(answer) as workspace:
            return [event.type async for event in workspace.ask(AskRequest(prompt="x"))]

    assert asyncio.run(ask()) == ["run_started", "error", "run_finished"]


# A reader that cancels


def test_cancelling_while_the_daemon_hangs_does_not_wait_for_it_twice(
    address: DaemonAddress, tmp_path: Path
) -> None:
    """Ctrl+C asks the daemon to stop; a second one leaves."""
    workspace = remote_workspace(daemon_endpoint(address))
    model = scripted(tmp_path, {"text": "word " * 100, "delay_s": 5})

    async def ask() -> None:
        begun = asyncio.Event()

        async def read() -> None:
            request = AskRequest(prompt="Count.", model=model)
            async with aclosing(workspace.ask(request)) as answer:
                async for _ in answer:
                    begun.set()

        reading = asyncio.ensure_future(read())
        await begun.wait()
        reading.cancel()
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading

    asyncio.run(ask())


def test_a_call_is_cancelled_by_its_id_and_only_once_known(address: DaemonAddress) -> None:
    endpoint = daemon_endpoint(address)

    told = asyncio.run(fetch_json(endpoint, "POST", "/calls/nothing/cancel", {}))

    assert told == {"cancelled": False}
