"""Nobody but this user's own programs may talk to the daemon."""

import asyncio
import json
import stat
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets
from websockets.exceptions import InvalidStatus

from agentctl.core.paths import find_paths
from agentctl.daemon import process
from agentctl.daemon.guard import Guard, Rate
from tests.support.cli import environment
from tests.support.daemon import running_daemon
from tests.support.daemon_client import Client

TOKEN = "token-of-this-test"
HOST = "127.0.0.1:8000"
OPEN = ("/health", "/docs", "/openapi.json")

Message = MutableMapping[str, Any]  # Any: as ASGI has it


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_daemon(tmp_path_factory.mktemp("daemon") / "home") as address:
        yield Client(address)


# The token


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", "Bearer \xfc"],
)
def test_without_the_right_token_nothing_is_told(client: Client, header: str | None) -> None:
    answer = client.get("/documents", Authorization=header)

    assert (answer.status, answer.error) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_that_is_cut_or_continued_is_wrong(client: Client) -> None:
    token = client.address.token

    for wrong in (token[:-1], token + "x", token.lower() + "x", f"{token} {token}"):
        assert client.get("/agents", Authorization=f"Bearer {wrong}").status == 401


def test_a_token_in_the_address_or_a_cookie_is_none(client: Client) -> None:
    token = client.address.token

    assert client.get(f"/agents?token={token}", Authorization=None).status == 401
    assert client.get("/agents", Authorization=None, Cookie=f"token={token}").status == 401


def test_paths_that_do_not_exist_are_as_closed_as_those_that_do(client: Client) -> None:
    assert client.get("/nothing", Authorization=None).status == 401
    assert client.get("//health", Authorization=None).status == 401
    assert client.get("/health/../agents", Authorization=None).status == 401


def test_health_tells_strangers_only_that_there_is_a_daemon(client: Client) -> None:
    told = client.get("/health", Authorization=None)

    assert told.status == 200
    assert list(told.json) == ["status"]
    assert client.get("/health").json["pid"] == client.address.pid


def test_the_token_is_in_no_process_list_log_answer_or_error(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    token = client.address.token
    bodies = [
        client.get(path, Authorization=header).body
        for path in (*OPEN, "/nothing", "/agents")
        for header in (f"Bearer {token}", f"Bearer {token}x", None)
    ]
    state = Path(client.address.socket).parent

    assert not any(token.encode() in body for body in bodies)
    assert token not in caplog.text
    assert token not in " ".join(psutil.Process().cmdline())
    assert token not in "".join(psutil.Process().environ().values())
    assert [path.name for path in state.iterdir() if _holds(path, token)] == ["daemon.json"]
    assert stat.S_IMODE((state / "daemon.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_a_daemon_of_its_own_shows_its_token_to_nobody(tmp_path: Path) -> None:
    env = environment(tmp_path)
    paths = find_paths(env)

    address = asyncio.run(process.start(paths, env))
    shown = psutil.Process(address.pid)
    told = " ".join([*shown.cmdline(), *shown.environ().values()])
    asyncio.run(process.stop(paths))

    assert address.token not in told
    assert not any(_holds(path, address.token) for path in tmp_path.rglob("*"))


def _holds(path: Path, token: str) -> bool:
    return path.is_file() and token.encode() in path.read_bytes()


# Who the request thinks we are, and who sent it


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "evil.com:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.:{port}",
        "localhost.:{port}",
        "LOCALHOST:{port}",
        "user@127.0.0.1:{port}",
        "127.0.0.1:{port}.evil.com",
        "127.1:{port}",
        "0.0.0.0:{port}",
        "[::]:{port}",
        "127.0.0.1:0{port}",
        "",
    ],
)
def test_a_host_that_is_not_ours_to_the_letter_is_misdirected(client: Client, host: str) -> None:
    answer = client.get("/health", Host=host.format(port=client.port))

    assert (answer.status, answer.error) == (421, "forbidden")


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}"])
def test_our_own_names_are_heard(client: Client, host: str) -> None:
    assert client.get("/health", Host=host.format(port=client.port)).status == 200


def test_a_rebound_name_does_not_reach_what_needs_no_token(client: Client) -> None:
    """The page of an attacker whose DNS now says 127.0.0.1 is of one origin with us."""
    name = f"rebound.evil.com:{client.port}"

    for path in OPEN:
        assert client.get(path, Host=name, Origin=f"http://{name}").status == 421


@pytest.mark.parametrize(
    "origin",
    ["http://evil.com", "null", "http://127.0.0.1", "https://{host}", "http://{host}.evil.com", ""],
)
def test_pages_of_others_may_not_talk_to_us_even_with_the_token(
    client: Client, origin: str
) -> None:
    answer = client.get("/agents", Origin=origin.format(host=client.host))

    assert (answer.status, answer.error) == (403, "forbidden")


def test_our_own_page_may(client: Client) -> None:
    assert client.get("/agents", Origin=f"http://{client.host}").status == 200


def test_no_answer_ever_lets_another_origin_read_it(client: Client) -> None:
    preflight = client.send(
        "OPTIONS", "/agent/query", Origin="http://evil.com", Access_Control_Request_Method="POST"
    )
    answers = [preflight, *(client.get(path) for path in (*OPEN, "/agents", "/nothing"))]

    assert preflight.status == 403
    assert not any(name.startswith("access-control") for each in answers for name in each.headers)


# Bodies


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_what_a_page_can_send_without_asking_is_not_read(client: Client, kind: str | None) -> None:
    """A cross-site "simple request" cannot say that it is JSON."""
    answer = client.post("/agent/query", {"prompt": "hello"}, Content_Type=kind)

    assert answer.status == 415


def test_json_may_name_its_character_set(client: Client) -> None:
    answer = client.post("/tasks", {}, Content_Type="Application/JSON; charset=utf-8")

    assert answer.status == 422


def test_a_body_of_unknown_length_is_refused(client: Client) -> None:
    answer = client.post(
        "/tasks", b"2\r\n{}\r\n0\r\n\r\n", Content_Length=None, Transfer_Encoding="chunked"
    )

    assert answer.status == 411


def test_a_body_that_is_too_long_is_refused_before_it_comes(client: Client) -> None:
    answer = client.post("/tasks", b"", Content_Length=str(10**9))

    assert (answer.status, answer.error) == (413, "input-too-large")


def test_a_length_that_is_no_number_is_refused(client: Client) -> None:
    with client.raw(b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n") as connection:
        assert b" 400 " in connection.recv(100)


def test_a_head_without_an_end_is_not_kept(client: Client) -> None:
    with client.raw(b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000) as connection:
        assert b" 400 " in connection.recv(100)


def test_a_connection_that_was_refused_is_closed(client: Client) -> None:
    """What is left of its body must not be taken for the next request."""
    assert client.get("/agents", Authorization=None).headers["connection"] == "close"


# The Unix socket


def test_the_socket_is_its_owners_and_needs_the_token_all_the_same(client: Client) -> None:
    mode = Path(client.address.socket).stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    assert client.by_socket("/agents").status == 200
    assert client.by_socket("/agents", Authorization=None).status == 401


# WebSockets


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": ""},
        {"Origin": "http://evil.com"},
        {"Origin": "null"},
    ],
)
def test_a_websocket_is_guarded_likewise(client: Client, headers: dict[str, str]) -> None:
    right = {"Authorization": f"Bearer {client.address.token}"}
    told = {name: value for name, value in (right | headers).items() if value}

    async def open_it() -> None:
        url = f"ws://{client.host}/ws/updates"
        async with websockets.connect(url, additional_headers=told, proxy=None):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(open_it())
    assert refused.value.response.status_code == 403


def test_a_websocket_by_another_name_is_refused(client: Client) -> None:
    head = (
        f"GET /ws/updates HTTP/1.1\r\nHost: evil.com:{client.port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {client.address.token}\r\n\r\n"
    )
    with client.raw(head.encode()) as connection:
        assert b" 403 " in connection.recv(100)


# The guard alone: limits that a real server would take long to reach


async def app_that_reads(scope: Message, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    status = 200 if message["type"] == "http.request" else 400
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def ask(guard: Guard, token: str = TOKEN, **length: Any) -> list[Message]:
    sent: list[Message] = []
    headers = [(b"host", HOST.encode()), (b"authorization", f"Bearer {token}".encode())]
    if length:
        headers += [(b"content-length", b"2"), (b"content-type", b"application/json")]

    async def receive() -> Message:
        if not length:
            return {"type": "http.request", "body": b""}
        await asyncio.sleep(length["pause_s"])
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard({"type": "http", "path": "/x", "headers": headers}, receive, send)
    return sent


def guarded(**limits: Any) -> Guard:
    return Guard(app_that_reads, TOKEN, frozenset({HOST}), **limits)


class StoppedClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_too_many_requests_wait() -> None:
    clock = StoppedClock()
    guard = guarded(rate=Rate(per_second=2, burst=3, monotonic=clock))

    statuses = [asyncio.run(ask(guard))[0]["status"] for _ in range(4)]
    clock.now += 0.5
    statuses.append(asyncio.run(ask(guard))[0]["status"])

    assert statuses == [200, 200, 200, 429, 200]


def test_whoever_must_wait_is_told_how_long() -> None:
    guard = guarded(rate=Rate(per_second=1, burst=1, monotonic=StoppedClock()))

    asyncio.run(ask(guard))
    start, body = asyncio.run(ask(guard))

    assert (b"retry-after", b"1") in start["headers"]
    assert json.loads(body["body"])["error"]["code"] == "backend-busy"


def test_guessing_tokens_is_slowed_down_and_disturbs_no_one_else() -> None:
    guard = guarded(refused=Rate(per_second=1, burst=2, monotonic=StoppedClock()))

    wrong = [asyncio.run(ask(guard, "wrong"))[0]["status"] for _ in range(3)]

    assert wrong == [401, 401, 429]
    assert asyncio.run(ask(guard))[0]["status"] == 200


def test_a_body_that_comes_drop_by_drop_ends() -> None:
    start, _ = asyncio.run(ask(guarded(body_s=0.05), pause_s=0.01))

    assert start["status"] == 400


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[bytes] = []
    real = hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr("agentctl.daemon.guard.hmac.compare_digest", watched)
    asyncio.run(ask(guarded(), "wrong"))

    assert compared == [b"wrong"]
