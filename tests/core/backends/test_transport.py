"""Every way an HTTP server can behave, and what the reader of its answer sees."""

import asyncio
import socket
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json, stream_lines
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendFailed,
    BackendTimeout,
    BackendUnreachable,
    ConfigError,
)
from agentctl.core.jsontypes import Json, JsonObject
from tests.support.ollama_server import ScriptedOllama

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SHORT_S = 0.05


@dataclass
class RawServer:
    """Sends some bytes to whoever connects; with `hold` it then waits for them to hang up."""

    url: str
    request: bytearray = field(default_factory=bytearray)
    connected: threading.Event = field(default_factory=threading.Event)
    client_left: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(
    answer: bytes = b"", *, hold: bool = False, family: int = socket.AF_INET
) -> Iterator[RawServer]:
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.bind((host, 0))
        listener.listen()
        shown = host if family == socket.AF_INET else f"[{host}]"
        server = RawServer(f"http://{shown}:{listener.getsockname()[1]}")
        thread = threading.Thread(target=answer_one, args=(listener, server, answer, hold))
        thread.start()
        try:
            yield server
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def answer_one(listener: socket.socket, server: RawServer, answer: bytes, hold: bool) -> None:
    with suppress(OSError):
        connection, _ = listener.accept()
        with connection:
            server.connected.set()
            with suppress(ConnectionError):
                while answer and b"\r\n\r\n" not in server.request:
                    server.request += connection.recv(65_536) or b"\r\n\r\n"
                connection.sendall(answer)
                while hold and connection.recv(65_536):
                    pass
            server.client_left.set()


def endpoint(url: str, **changes: float) -> Endpoint:
    return replace(Endpoint(url, connect_s=10, first_byte_s=10, idle_s=10), **changes)  # type: ignore[arg-type]  # seconds only


def fetch(url: str, **changes: float) -> Json:
    return asyncio.run(fetch_json(endpoint(url, **changes), "GET", "/path"))


def lines(url: str, **changes: float) -> list[bytes]:
    async def collect() -> list[bytes]:
        return [line async for line in stream_lines(endpoint(url, **changes), "GET", "/path")]

    return asyncio.run(collect())


def whole(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def chunks(*bodies: bytes) -> bytes:
    return CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(body), body) for body in (*bodies, b""))


def all_threads_ended() -> bool:
    """Whether each thread that streams comes to its end, now that nobody reads it."""
    threads = [one for one in threading.enumerate() if one.name == "agentctl-stream"]
    for one in threads:
        one.join(10)
    return not any(one.is_alive() for one in threads)


def test_an_answer_is_decoded() -> None:
    with serve(whole(b'{"a": [1, null]}')) as server:
        assert fetch(server.url) == {"a": [1, None]}


def test_the_path_follows_the_one_of_the_base_url() -> None:
    with serve(whole(b"{}")) as server:
        fetch(server.url + "/v1/")
        assert server.request.startswith(b"GET /v1/path HTTP/1.1\r\n")


def test_the_headers_of_the_endpoint_are_sent() -> None:
    with serve(whole(b"{}")) as server:
        place = replace(endpoint(server.url), headers={"Authorization": "Bearer key"})
        asyncio.run(fetch_json(place, "GET", "/path"))
        assert b"Authorization: Bearer key\r\n" in server.request
        assert b"Host: " + server.url.removeprefix("http://").encode() in server.request


def test_a_body_arrives_as_it_was_even_with_half_a_character() -> None:
    body: JsonObject = {"model": "scripted:1b", "messages": [{"content": "ü\ud800"}]}
    with ScriptedOllama() as server:
        asyncio.run(drain(stream_lines(endpoint(server.url), "POST", "/api/chat", body)))
        assert server.requests == [body]


def test_ipv6_is_spoken() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with serve(whole(b"6"), family=socket.AF_INET6) as server:
        assert fetch(server.url) == 6


def test_the_proxies_of_the_environment_are_passed_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serve(whole(b"1")) as server:
        assert fetch(server.url) == 1


def test_lines_are_put_together_from_the_chunks_they_are_cut_into() -> None:
    with serve(chunks(b"on", b"e\ntwo\r\n\nfo", b"ur")) as server:
        assert lines(server.url) == [b"one", b"two", b"", b"four"]


def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    with serve(b"HTTP/1.0 200 OK\r\n\r\none\ntwo") as server:
        assert lines(server.url) == [b"one", b"two"]


def test_a_status_of_400_or_more_carries_its_body() -> None:
    with serve(whole(b'{"error": "no"}', "503 Busy")) as server:
        with pytest.raises(StatusError) as caught:
            lines(server.url)
        assert (caught.value.status, caught.value.body) == (503, '{"error": "no"}')


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", BackendFailed, id="another protocol"),
        pytest.param(CHUNKED + b"5\r\none", AnswerInterrupted, id="half of a chunk"),
        pytest.param(CHUNKED + b"4\r\none\n\r\n", AnswerInterrupted, id="no last chunk"),
        pytest.param(whole(b"one\n")[:-1], AnswerInterrupted, id="shorter than promised"),
        pytest.param(
            whole(b"", "302 Found", "Location: http://elsewhere/\r\n"),
            BackendFailed,
            id="redirect",
        ),
        pytest.param(chunks(b"x" * 8_000_001, b"\n"), AnswerInterrupted, id="an endless line"),
    ],
)
def test_a_broken_answer_raises(answer: bytes, error: type[AgentctlError]) -> None:
    with serve(answer) as server, pytest.raises(error) as caught:
        lines(server.url)
    assert server.url in caught.value.message or "elsewhere" in caught.value.message


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": '])
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with serve(whole(body)) as server, pytest.raises(BackendFailed, match="not JSON"):
        fetch(server.url)


def test_a_connection_that_closes_without_an_answer_is_unreachable() -> None:
    with serve() as server, pytest.raises(BackendUnreachable):
        fetch(server.url)


def test_a_closed_port_is_unreachable_and_the_hint_is_the_callers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        place = replace(endpoint(f"http://127.0.0.1:{taken.getsockname()[1]}"), hint="start it")
        with pytest.raises(BackendUnreachable, match=r"nothing answers at http://127") as caught:
            asyncio.run(fetch_json(place, "GET", "/"))
        assert caught.value.hint == "start it"


def test_an_unknown_host_is_unreachable() -> None:
    with pytest.raises(BackendUnreachable, match="no such host"):
        fetch("http://[::1%no-such-interface]")


@pytest.mark.parametrize("url", ["", "127.0.0.1:11434", "ftp://host", "http://[::1", "http://a..b"])
def test_what_is_no_address_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError, match="no http or https address"):
        fetch(url)


def test_a_password_in_the_address_is_not_shown() -> None:
    assert endpoint("http://user:secret@host:1/v1").address == "http://host:1"


def test_a_key_that_cannot_be_a_header_is_not_shown() -> None:
    with serve(whole(b"{}"), hold=True) as server:
        place = replace(endpoint(server.url), headers={"Authorization": "secret\nkey"})
        with pytest.raises(BackendFailed) as caught:
            asyncio.run(fetch_json(place, "GET", "/"))
        assert "secret" not in caught.value.message


def test_https_to_a_server_that_speaks_http_fails() -> None:
    with serve(b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        server.request += b"\r\n\r\n"
        with pytest.raises(BackendFailed, match="no secure connection"):
            fetch(server.url.replace("http", "https"))


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses")


@contextmanager
def full_server() -> Iterator[str]:
    """A port whose queue is full: it neither takes nor refuses a connection."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


@needs_linux
def test_silence_while_connecting_times_out() -> None:
    with full_server() as url, pytest.raises(BackendTimeout, match=r"no connection .* 0\.05 s"):
        fetch(url, connect_s=SHORT_S)


def test_the_addresses_of_a_silent_host_share_the_time_to_connect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent, waits = ("192.0.2.1", 80), list[float]()

    class Socket(socket.socket):
        def connect(self, address: tuple[str, int]) -> None:  # type: ignore[override]  # IPv4 only
            if address != silent:
                return super().connect(address)
            waits.append(self.gettimeout() or 0)
            raise TimeoutError

    places = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", silent)] * 4
    monkeypatch.setattr(socket, "socket", Socket)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: places)
    monkeypatch.setattr("agentctl.core.backends.transport.monotonic", lambda: sum(waits))

    with pytest.raises(BackendTimeout, match="no connection to http://host within 10 s"):
        fetch("http://host")

    assert waits == [2.5] * 4


@pytest.mark.parametrize("answer", [b"", CHUNKED])
def test_silence_before_the_first_byte_times_out(answer: bytes) -> None:
    with serve(answer, hold=True) as server:
        with pytest.raises(BackendTimeout, match=r"no first byte .* 0\.05 s") as caught:
            lines(server.url, first_byte_s=SHORT_S)
        assert caught.value.hint == "wait longer: agentctl config set timeouts.first_token 0.2"


def test_silence_in_the_middle_times_out() -> None:
    with (
        serve(CHUNKED + b"4\r\none\n\r\n", hold=True) as server,
        pytest.raises(BackendTimeout, match=r"silence of 0\.05 s in the middle"),
    ):
        lines(server.url, idle_s=SHORT_S)


async def drain(stream: AsyncGenerator[bytes, None]) -> None:
    async with aclosing(stream) as reader:
        async for _ in reader:
            pass


async def cancel_when(ready: threading.Event, stream: AsyncGenerator[bytes, None]) -> None:
    """Reads `stream` in a task that is cancelled once `ready` is set."""
    task = asyncio.create_task(drain(stream))
    await asyncio.to_thread(ready.wait)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("answer", [b"", CHUNKED, CHUNKED + b"4\r\none\n\r\n"])
def test_cancelling_ends_the_connection_and_the_thread(answer: bytes) -> None:
    with serve(answer, hold=True) as server:
        asyncio.run(cancel_when(server.connected, stream_lines(endpoint(server.url), "GET", "/")))
        assert server.client_left.wait(10)
        assert all_threads_ended()


def test_cancelling_in_the_middle_of_a_secure_handshake_ends_the_thread() -> None:
    with serve(hold=True) as server:
        place = endpoint(server.url.replace("http", "https"))
        asyncio.run(cancel_when(server.connected, stream_lines(place, "GET", "/")))
        assert server.client_left.wait(10)
        assert all_threads_ended()


@needs_linux
def test_cancelling_while_connecting_ends_the_thread() -> None:
    at_once = threading.Event()
    at_once.set()
    with full_server() as url:
        asyncio.run(cancel_when(at_once, stream_lines(endpoint(url), "GET", "/")))
        assert all_threads_ended()


def test_closing_the_generator_ends_the_connection_and_the_thread() -> None:
    async def read_one(url: str) -> bytes:
        async with aclosing(stream_lines(endpoint(url), "GET", "/")) as stream:
            return await anext(stream)

    with serve(CHUNKED + b"4\r\none\n\r\n", hold=True) as server:
        assert asyncio.run(read_one(server.url)) == b"one"
        assert server.client_left.wait(10)
        assert all_threads_ended()
