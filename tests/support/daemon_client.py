"""Any program that talks to a daemon over HTTP, with every header as the test wants it."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from agentctl.daemon.process import DaemonAddress

PATIENCE_S = 30.0

Json = Any  # any JSON

WRITE = {"name": "write_file", "arguments": {"path": "out.txt", "content": "hello\n"}}
T = TypeVar("T")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return str(self.json["error"]["code"])


@dataclass(frozen=True)
class Client:
    """Has the token, and says where it goes as it should; each header may be changed."""

    address: DaemonAddress

    @property
    def host(self) -> str:
        return self.address.url.removeprefix("http://")

    @property
    def port(self) -> int:
        return int(self.host.rpartition(":")[2])

    def get(self, path: str, **headers: str | None) -> Answer:
        return self.send("GET", path, None, **headers)

    def post(self, path: str, body: Json = None, **headers: str | None) -> Answer:
        return self.send("POST", path, body, **headers)

    def send(self, method: str, path: str, body: Json = None, **headers: str | None) -> Answer:
        """`body` becomes JSON unless it is bytes; a header of None is left out."""
        with self.opened(method, path, body, **headers) as response:
            answer = response.read()
            return Answer(response.status, _lower(response.getheaders()), answer)

    @contextmanager
    def opened(
        self, method: str, path: str, body: Json = None, **headers: str | None
    ) -> Iterator[http.client.HTTPResponse]:
        """An answer that is still coming; leaving the block hangs up."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)) as to:
            yield self._exchange(to, method, path, body, headers)

    def by_socket(self, path: str, **headers: str | None) -> Answer:
        """A GET over the Unix socket."""
        with closing(http.client.HTTPConnection("agentctl", timeout=PATIENCE_S)) as to:
            to.sock = socket.socket(socket.AF_UNIX)
            to.sock.connect(self.address.socket)
            response = self._exchange(to, "GET", path, None, {"Host": "agentctl", **headers})
            return Answer(response.status, _lower(response.getheaders()), response.read())

    def raw(self, *pieces: bytes) -> socket.socket:
        """A connection over which these bytes went."""
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        for piece in pieces:
            connection.sendall(piece)
        return connection

    def _exchange(
        self,
        to: http.client.HTTPConnection,
        method: str,
        path: str,
        body: Json,
        changed: Mapping[str, str | None],
    ) -> http.client.HTTPResponse:
        payload = json.dumps(body).encode() if not isinstance(body, bytes) else body
        told: dict[str, str | None] = {
            "Host": self.host,
            "Authorization": f"Bearer {self.address.token}",
        }
        if body is not None:
            told |= {"Content-Type": "application/json", "Content-Length": str(len(payload))}
        told |= {name.replace("_", "-"): value for name, value in changed.items()}
        to.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in told.items():
            if value is not None:
                to.putheader(name, value)
        to.endheaders(payload if body is not None else None)
        return to.getresponse()


@dataclass(frozen=True)
class Daemon(Client):
    """A client of a daemon whose home is at hand, and a folder for all else."""

    folder: Path

    def says(self, *replies: Json) -> str:
        return scripted(self.folder, *replies)

    def run_when(self, run: str, status: str) -> Json:
        return eventually(lambda: self.get(f"/runs/{run}").json, lambda it: it["status"] == status)

    def waiting(self) -> str:
        """A run that waits for the approval of a write_file."""
        model = self.says({"tool_calls": [WRITE]})
        task = {"task": "Write it.", "model": model, "folder": str(self.folder)}
        run = str(self.post("/agents/assistant/runs", task).json["run_id"])
        self.run_when(run, "waiting")
        self.says("It is written.")
        return run


def refused(answer: Answer) -> tuple[int, str]:
    """Its status and code; every error has one shape."""
    assert set(answer.json) == {"error"}
    assert set(answer.json["error"]) == {"code", "message", "hint"}
    assert all(answer.json["error"].values())
    return answer.status, answer.error


def events(response: http.client.HTTPResponse) -> Iterator[Json]:
    """The data of server-sent events, as they come."""
    for line in response:
        if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
            yield json.loads(line.removeprefix(b"data: "))


def scripted(folder: Path, *replies: Json) -> str:
    """The name of a model that gives these replies."""
    script = folder / "script.jsonl"
    script.write_text("\n".join(json.dumps(_reply(each)) for each in replies))
    return f"scripted:{script}"


def _reply(reply: Json) -> Json:
    return {"text": reply} if isinstance(reply, str) else reply


def _lower(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def eventually(look: Callable[[], T], is_it: Callable[[T], bool]) -> T:
    """What is seen once it is so; a failure when it does not become so."""
    until = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not is_it(seen := look()):
        assert time.monotonic() < until, seen
        pause.wait(0.02)
    return seen
