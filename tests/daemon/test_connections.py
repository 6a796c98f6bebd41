"""Connections without a request, or without a token, do not stay and do not shut others out."""

import http.client
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from agentctl.daemon import connections
from tests.support.daemon import running_daemon
from tests.support.daemon_client import PATIENCE_S, Daemon, events

FOR_EVER = 1_000.0


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running_daemon(tmp_path / "home") as address:
        yield Daemon(address, tmp_path)


def is_ended(connection: socket.socket) -> bool:
    """Waits for more, or the end; a failure when neither comes."""
    return connection.recv(1) == b""


@pytest.mark.parametrize("beginning", [b"", b"G", b"GET /health HTTP/1.1\r\nHost: "])
def test_a_connection_without_a_whole_request_ends(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(connections, "_HEAD_S", 0.1)

    with daemon.raw(beginning) as connection:
        assert is_ended(connection)


def test_the_next_request_must_come_whole_too(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_HEAD_S", 0.1)
    token = {"Host": daemon.host, "Authorization": f"Bearer {daemon.address.token}"}

    with closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE_S)) as to:
        to.request("GET", "/agents", headers=token)
        to.getresponse().read()
        to.sock.sendall(b"GET /agents HT")
        assert is_ended(to.sock)


def test_one_that_is_idle_between_requests_or_hears_an_answer_stays(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_HEAD_S", 0.1)
    token = {"Host": daemon.host, "Authorization": f"Bearer {daemon.address.token}"}
    question = {"prompt": "x", "stream": True}
    question["model"] = daemon.says({"chunks": ["word "] * 10, "delay_s": 0.05})

    with closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=PATIENCE_S)) as to:
        to.request("GET", "/agents", headers=token)
        to.getresponse().read()
        kept = to.sock
        with daemon.opened("POST", "/agent/query", question) as answer, daemon.raw() as later:
            assert is_ended(later)
            *_, last = events(answer)
        to.request("GET", "/agents", headers=token)
        assert to.getresponse().status == 200

        assert to.sock is kept
    assert (last["type"], last["status"]) == ("run_finished", "done")


def test_for_one_too_many_the_oldest_silent_one_ends(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_HEAD_S", FOR_EVER)
    monkeypatch.setattr(connections, "MOST_SILENT", 3)

    with ExitStack() as stack:
        first, second, *_ = [stack.enter_context(daemon.raw()) for _ in range(4)]
        assert is_ended(first)

        assert daemon.get("/agents").status == 200
        assert is_ended(second)


def test_a_stranger_keeps_no_connection(daemon: Daemon) -> None:
    request = f"GET /health HTTP/1.1\r\nHost: {daemon.host}\r\n\r\n"

    with daemon.raw(request.encode()) as connection, connection.makefile("rb") as answer:
        assert b"healthy" in answer.read()
