"""A file server on loopback that misbehaves as a test tells it to."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class ServedFile:
    """What one path answers with; `etag` empty sends none, `ranges` False ignores Range."""

    body: bytes
    etag: str = ""
    content_type: str = "application/octet-stream"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    ranges: bool = True
    has_length: bool = True


@dataclass(frozen=True)
class SeenRequest:
    path: str
    headers: Mapping[str, str]


class FileServer:
    """Serves `files` by path and keeps the `requests` it saw.

    `cut_after` lists, for one answer after the other, the bytes of body after which its
    connection is cut. `hold_after` is the number of bytes after which every answer falls silent
    until `release` is called, `hold_answers` holds them before their first byte; `holding` is
    set when one is held.
    """

    def __init__(self) -> None:
        self.files: dict[str, ServedFile] = {}
        self.requests: list[SeenRequest] = []
        self.cut_after: list[int] = []
        self.hold_after: int | None = None
        self.hold_answers = False
        self.holding = threading.Event()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, path: str, body: bytes, etag: str = '"1"') -> ServedFile:
        self.files[path] = ServedFile(body, etag)
        return self.files[path]

    def release(self) -> None:
        self.hold_after = None
        self.hold_answers = False
        self._released.set()

    def wait_for_release(self) -> None:
        self.holding.set()
        self._released.wait()

    def ranges_asked_for(self) -> list[str | None]:
        return [request.headers.get("Range") for request in self.requests]

    @contextmanager
    def running(self) -> Iterator["FileServer"]:
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.release()
            self._server.shutdown()
            self._server.server_close()
            thread.join()


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            owner.requests.append(SeenRequest(self.path, dict(self.headers)))
            if owner.hold_answers:
                owner.wait_for_release()
            served = owner.files.get(self.path)
            if served is None:
                self.send_error(404)
                return
            start = self._start_of(served)
            if start is None:
                self.send_error(416)
                return
            body = served.body[start:]
            self.send_response(206 if start else served.status)
            if start:
                end = len(served.body) - 1
                self.send_header("Content-Range", f"bytes {start}-{end}/{end + 1}")
            if served.etag:
                self.send_header("ETag", served.etag)
            if served.has_length:
                self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", served.content_type)
            for name, value in served.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self._send(body)

        def _start_of(self, served: ServedFile) -> int | None:
            """The first byte asked for; None when there is no such byte."""
            asked = self.headers.get("Range", "")
            version = served.etag or served.headers.get("Last-Modified", "")
            same = self.headers.get("If-Range", version) == version
            if not asked or not served.ranges or not same:
                return 0
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            return start if start < len(served.body) else None

        def _send(self, body: bytes) -> None:
            if owner.cut_after:
                body = body[: owner.cut_after.pop(0)]
            # Whoever asked may have left: that is what some tests are about.
            with suppress(OSError):
                held = owner.hold_after
                if held is not None:
                    self.wfile.write(body[:held])
                    owner.wait_for_release()
                self.wfile.write(body[held or 0 :])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Says nothing."""

    return Handler
