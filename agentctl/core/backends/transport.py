"""HTTP/1.1 for the model servers: `http.client` in a thread, read as an asynchronous stream.

Each call has a connection of its own, goes straight to its server whatever proxies are
configured, and leaves neither a thread nor a socket behind when its reader stops.
"""

import http.client
import json
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from agentctl.core.backends.threads import stream_from_thread
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendFailed,
    BackendTimeout,
    BackendUnreachable,
    ConfigError,
)
from agentctl.core.jsontypes import Json, JsonObject

_READ_BYTES = 65_536
_LONGEST_BYTES = 8_000_000
# The settings of `[timeouts]`, in the order in which a call lives through them.
_Phase: TypeAlias = Literal["connect", "first_token", "idle"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server, and how many seconds to wait for it.

    `base_url` is http or https and may have a path. `first_byte_s` ends with the first byte of
    the answer's body, `idle_s` is a silence after that. `hint` mends a server that is not there.
    """

    base_url: str
    connect_s: float
    first_byte_s: float
    idle_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    hint: str = "check that the server runs, and its address: agentctl config show"

    @property
    def address(self) -> str:
        """The server without its path, and without a password: for messages."""
        scheme, _, rest = self.base_url.partition("://")
        return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


class StatusError(Exception):
    """An HTTP status of 400 or more, for the backend to translate; `body` may be cut."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


async def fetch_json(
    endpoint: Endpoint, method: str, path: str, body: JsonObject | None = None
) -> Json:
    """The whole answer, decoded.

    Raises:
        BackendUnreachable: nothing answers, or the connection broke before an answer.
        BackendTimeout: silence for longer than `endpoint` allows.
        AnswerInterrupted: the answer broke off.
        BackendFailed: the answer is not HTTP, not JSON, or over 8 MB.
        ConfigError: `endpoint` holds no http or https address.
        StatusError: a status of 400 or more.
    """
    answer = bytearray()
    async with aclosing(_stream(endpoint, method, path, body)) as chunks:
        async for chunk in chunks:
            answer += chunk
            if len(answer) > _LONGEST_BYTES:
                raise BackendFailed(f"{endpoint.address}{path} sent more than 8 MB", endpoint.hint)
    try:
        decoded: Json = json.loads(answer)
    except (ValueError, RecursionError):
        raise BackendFailed(
            f"{endpoint.address} answered {path} with something that is not JSON", endpoint.hint
        ) from None
    return decoded


async def stream_lines(
    endpoint: Endpoint, method: str, path: str, body: JsonObject | None = None
) -> AsyncGenerator[bytes, None]:
    """The answer's lines as they arrive, without their ends.

    Raises what `fetch_json` does, and AnswerInterrupted for a line over 8 MB.
    """
    rest = b""
    async with aclosing(_stream(endpoint, method, path, body)) as chunks:
        async for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.rstrip(b"\r")
            if len(rest) > _LONGEST_BYTES:
                raise AnswerInterrupted(f"{endpoint.address} sent a line of more than 8 MB")
    if rest:
        yield rest


def _stream(
    endpoint: Endpoint, method: str, path: str, body: JsonObject | None
) -> AsyncGenerator[bytes, None]:
    exchange = _Exchange(endpoint, method, path, body)
    return stream_from_thread(exchange.run, exchange.stop)


class _Exchange:
    """One request and its answer. `run` blocks a thread until another thread calls `stop`."""

    def __init__(self, endpoint: Endpoint, method: str, path: str, body: JsonObject | None) -> None:
        self._endpoint = endpoint
        self._method = method
        self._path = path
        self._body = body
        self._limits_s: dict[_Phase, float] = {
            "connect": endpoint.connect_s,
            "first_token": endpoint.first_byte_s,
            "idle": endpoint.idle_s,
        }
        self._phase: _Phase = "connect"
        self._socket: socket.socket | None = None
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the TLS socket's own method, which drops its state under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def run(self, emit: Callable[[bytes], None]) -> None:
        try:
            with self._request(self._connect()) as response:
                self._receive(response, emit)
        except (OSError, http.client.HTTPException) as error:
            raise self._translate(error) from error
        finally:
            self._close()

    def _connect(self) -> http.client.HTTPConnection:
        scheme, host, port = _split(self._endpoint.base_url)
        plain = self._open(host, port)
        # The headers and the body leave as two packets: the second must not wait.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = http.client.HTTPConnection(host, port)
        connection.sock = self._secure(plain, host) if scheme == "https" else plain
        return connection

    def _open(self, host: str, port: int) -> socket.socket:
        problem = OSError("no address")
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        end = monotonic() + self._limits_s["connect"]
        for number, (family, kind, protocol, _, address) in enumerate(places):
            try:
                plain = self._use(socket.socket(family, kind, protocol))
                # One that is silent leaves time for the others.
                plain.settimeout(max(end - monotonic(), 0.001) / (len(places) - number))
                plain.connect(address)
            except OSError as error:
                self._close()
                problem = error
            else:
                return plain
        raise problem

    def _secure(self, plain: socket.socket, host: str) -> socket.socket:
        secure = ssl.create_default_context().wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        self._use(secure)
        secure.do_handshake()
        return secure

    def _use(self, new: socket.socket) -> socket.socket:
        """Makes `new` the socket that `stop` shuts down."""
        new.settimeout(self._limits_s[self._phase])
        self._socket = new
        if self._stopped:
            raise InterruptedError
        return new

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _request(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        self._enter("first_token")
        parts = urlsplit(self._endpoint.base_url)
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "Content-Type": "application/json",
            "Connection": "close",
            **self._endpoint.headers,
        }
        payload = None if self._body is None else json.dumps(self._body).encode()
        path = parts.path.rstrip("/") + self._path
        try:
            # A server that refuses a long body has answered before it was all sent.
            with suppress(BrokenPipeError):
                connection.request(self._method, path, payload, headers)
        except ValueError:
            raise BackendFailed(
                f"a header for {self._endpoint.address} holds what HTTP forbids",
                "check the key: it must be one line of ASCII",
            ) from None
        return connection.getresponse()

    def _receive(self, response: http.client.HTTPResponse, emit: Callable[[bytes], None]) -> None:
        if response.status >= 400:
            body = response.read(_READ_BYTES).decode(errors="replace")
            raise StatusError(response.status, body)
        if response.status >= 300:
            raise BackendFailed(
                f"{self._endpoint.address} redirects to {response.headers['Location']}",
                "set the address that it redirects to: agentctl config edit",
            )
        while chunk := response.read1(_READ_BYTES):
            if self._phase != "idle":
                self._enter("idle")
            emit(chunk)
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        # Newer Pythons close the socket together with the last byte.
        if self._socket is not None and self._socket.fileno() >= 0:
            self._socket.settimeout(self._limits_s[phase])

    def _translate(self, error: OSError | http.client.HTTPException) -> AgentctlError:
        server, hint = self._endpoint.address, self._endpoint.hint
        if isinstance(error, TimeoutError):
            return self._silence()
        if self._phase == "idle":
            return AnswerInterrupted(f"{server} broke off its answer")
        if isinstance(error, ssl.SSLError):
            return BackendFailed(f"no secure connection to {server}: {error.reason}", hint)
        if self._phase == "connect":
            problem = (
                "no such host:" if isinstance(error, socket.gaierror) else "nothing answers at"
            )
            return BackendUnreachable(f"{problem} {server}", hint)
        if isinstance(error, OSError | http.client.IncompleteRead):
            return BackendUnreachable(f"{server} hung up without an answer", hint)
        return BackendFailed(f"{server} does not speak HTTP", hint)

    def _silence(self) -> BackendTimeout:
        waited_for = {
            "connect": "no connection to {} within {:g} s",
            "first_token": "no first byte from {} within {:g} s",
            "idle": "silence of {1:g} s in the middle of an answer from {0}",
        }
        seconds = self._limits_s[self._phase]
        return BackendTimeout(
            waited_for[self._phase].format(self._endpoint.address, seconds),
            f"wait longer: agentctl config set timeouts.{self._phase} {4 * seconds:g}",
        )


def _split(base_url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"{base_url!r} is no http or https address", "see every key: agentctl config show"
        )
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80)
