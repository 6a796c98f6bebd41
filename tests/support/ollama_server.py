"""An Ollama that says what it is told, over real HTTP: the wire, written down as a server.

It speaks Ollama's own API (https://github.com/ollama/ollama/blob/main/docs/api.md) and, under
`/v1`, the OpenAI-compatible one. It misbehaves on demand in every way a real server can.

    with ScriptedOllama([Reply("Hello"), Reply(fault=reset(after=1))]) as server:
        ...  # talk to server.url, then look at server.requests

`python -m tests.support.ollama_server --port 11434` serves until it is interrupted.
"""

import argparse
import json
import socket
import socketserver
import struct
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any, Self

from tests.support.ollama_lines import (
    embeddings,
    event,
    line,
    ollama_end,
    ollama_pieces,
    openai_embeddings,
    openai_end,
    openai_pieces,
    show_model,
    tag,
)
from tests.support.ollama_script import (
    PULL,
    Call,
    Fault,
    Gate,
    Json,
    Reply,
    ScriptedModel,
    error_line,
    hang,
    malformed_line,
    no_done,
    reset,
    status,
)

__all__ = [
    "PULL",
    "Call",
    "Fault",
    "Gate",
    "Reply",
    "ScriptedModel",
    "ScriptedOllama",
    "error_line",
    "hang",
    "malformed_line",
    "no_done",
    "reset",
    "status",
]


class ScriptedOllama:
    """Gives `replies` in order, then the last one again and again.

    `requests` are the decoded bodies of the chats and of what was to be embedded, in order,
    `calls` every method and path. `client_left` is set when a client hangs up on an answer that
    hangs.
    """

    def __init__(
        self,
        replies: Sequence[Reply] = (Reply(),),
        *,
        models: Sequence[ScriptedModel] = (ScriptedModel(),),
        pull: Sequence[Json] = PULL,
        version: str = "0.24.0",
        port: int = 0,
    ) -> None:
        self.replies = list(replies)
        self.models = {model.name: model for model in models}
        self.pull = pull
        self.version = version
        self.requests: list[Json] = []
        self.calls: list[tuple[str, str]] = []
        self.client_left = threading.Event()
        self.closing = threading.Event()
        self._lock = threading.Lock()
        self._http = _HttpServer(self, port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for reply in self.replies:
            if reply.gate:
                reply.gate.opened.set()
        self._http.hang_up()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def next_reply(self, request: Json) -> Reply:
        with self._lock:
            self.requests.append(request)
            return self.replies[min(len(self.requests), len(self.replies)) - 1]

    def find_model(self, name: str) -> ScriptedModel | None:
        return self.models.get(name) or self.models.get(f"{name}:latest")


class _HttpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, script: ScriptedOllama, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script = script
        self._open: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def close_request(self, request: Any) -> None:
        self._open.discard(request)
        super().close_request(request)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; anything else is a mistake in this file."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer

    def setup(self) -> None:
        super().setup()
        self.script = self.server.script
        self._began = False

    def log_message(self, *_: Any) -> None:
        """Tests are quiet."""

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def _route(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request: Json = json.loads(body) if body else {}
        self.script.calls.append((self.command, self.path))
        routes: dict[tuple[str, str], Callable[[Json], None]] = {
            ("GET", "/api/version"): self._version,
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/pull"): self._pull,
            ("DELETE", "/api/delete"): self._delete,
            ("POST", "/api/chat"): self._chat,
            ("POST", "/api/embed"): self._embed,
            ("GET", "/v1/models"): self._v1_models,
            ("POST", "/v1/chat/completions"): self._v1_chat,
            ("POST", "/v1/embeddings"): self._v1_embed,
        }
        route = routes.get((self.command, self.path))
        if route is None:
            self._answer(404, b"404 page not found", "text/plain")
        else:
            route(request)

    # What the server has.

    def _version(self, _: Json) -> None:
        self._answer_json(200, {"version": self.script.version})

    def _tags(self, _: Json) -> None:
        self._answer_json(200, {"models": [tag(one) for one in self.script.models.values()]})

    def _ps(self, _: Json) -> None:
        loaded = [
            {
                "name": model.name,
                "model": model.name,
                "size": model.size,
                "size_vram": int(model.size * model.loaded_vram),
                "context_length": 8_192,
                "expires_at": "2026-01-01T00:05:00Z",
            }
            for model in self.script.models.values()
            if model.loaded_vram is not None
        ]
        self._answer_json(200, {"models": loaded})

    def _show(self, request: Json) -> None:
        model = self._known(request)
        if model:
            self._answer_json(200, show_model(model))

    def _pull(self, _: Json) -> None:
        for step in self.script.pull:
            self._send(line(step))
        self._end()

    def _delete(self, request: Json) -> None:
        model = self._known(request)
        if model:
            del self.script.models[model.name]
            self._answer(200, b"", "text/plain")

    def _v1_models(self, _: Json) -> None:
        models = [
            {"id": name, "object": "model", "created": 1_767_225_600, "owned_by": "library"}
            for name in self.script.models
        ]
        self._answer_json(200, {"object": "list", "data": models})

    def _known(self, request: Json) -> ScriptedModel | None:
        model = self.script.find_model(request["model"])
        if model is None:
            self._answer_json(404, {"error": f"model '{request['model']}' not found"})
        return model

    # What it says.

    def _chat(self, request: Json) -> None:
        reply = self.script.next_reply(request)
        if self._known(request):
            pieces = [*ollama_pieces(request, reply), ollama_end(request, reply)]
            self._play(reply, pieces, lambda message: line({"error": message}))

    def _v1_chat(self, request: Json) -> None:
        reply = self.script.next_reply(request)
        if self._known(request):
            pieces = [*openai_pieces(request, reply), openai_end(request, reply)]
            self._play(reply, pieces, lambda message: event({"error": {"message": message}}))

    def _embed(self, request: Json) -> None:
        reply = self.script.next_reply(request)
        if self._known(request):
            pieces = [line(embeddings(request))]
            self._play(reply, pieces, lambda message: line({"error": message}))

    def _v1_embed(self, request: Json) -> None:
        reply = self.script.next_reply(request)
        if self._known(request):
            pieces = [line(openai_embeddings(request))]
            self._play(reply, pieces, lambda message: line({"error": {"message": message}}))

    def _play(
        self, reply: Reply, pieces: Sequence[bytes], write_error: Callable[[str], bytes]
    ) -> None:
        self.script.closing.wait(reply.start_delay_s)
        for sent, piece in enumerate(pieces):
            if reply.gate and reply.gate.after == sent:
                reply.gate.reached.set()
                reply.gate.opened.wait()
            if reply.fault and reply.fault.after == sent:
                self._misbehave(reply.fault, piece, write_error(reply.fault.message))
                return
            self._send(piece)
            self.script.closing.wait(reply.piece_delay_s)
        self._end()

    def _misbehave(self, fault: Fault, piece: bytes, error: bytes) -> None:
        match fault.kind:
            case "status":
                self._answer(fault.code, error.removeprefix(b"data: "), "application/json")
            case "hang":
                self._hang()
            case "reset":
                self._reset()
            case "malformed_line":
                self._send(piece[: len(piece) // 2] + b"\n")
                self._end()
            case "error_line":
                self._send(error)
                self._end()
            case "no_done":
                self._end()

    def _hang(self) -> None:
        with suppress(OSError):
            self.connection.recv(1)
        if not self.script.closing.is_set():
            self.script.client_left.set()
        self.close_connection = True

    def _reset(self) -> None:
        """Closes at once what lingers for no time, which sends RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        socket.close(self.connection.detach())
        self.close_connection = True

    # HTTP.

    def _answer_json(self, code: int, value: Json) -> None:
        self._answer(code, json.dumps(value).encode(), "application/json; charset=utf-8")

    def _answer(self, code: int, body: bytes, content_type: str) -> None:
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _send(self, piece: bytes) -> None:
        self._begin()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _end(self) -> None:
        self._begin()
        self.wfile.write(b"0\r\n\r\n")
        self._began = False

    def _begin(self) -> None:
        """The headers: like Ollama's, they wait for the first piece."""
        if self._began:
            return
        self._began = True
        is_native = self.path.startswith("/api")
        self.send_response(200)
        self.send_header(
            "Content-Type", "application/x-ndjson" if is_native else "text/event-stream"
        )
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()


def main() -> None:
    parser = argparse.ArgumentParser(description="a scripted Ollama that answers instantly")
    parser.add_argument("--port", type=int, default=0)
    with ScriptedOllama(port=parser.parse_args().port) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        server.closing.wait()


if __name__ == "__main__":
    main()
