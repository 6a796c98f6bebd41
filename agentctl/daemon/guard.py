"""Who may talk to the daemon, and how much: checked before anything is read or routed.

Loopback alone protects nothing: every web page can send requests to it (DNS rebinding, cross-site
requests). So the `Host` must be the daemon's own to the letter, an `Origin` its own or absent, the
bearer token right, a body JSON, of a known length and not too long. The same for WebSockets.
"""

import asyncio
import hmac
import json
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

# ASGI's own types: https://asgi.readthedocs.io/en/latest/specs/main.html
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 128_000_000
"""Bytes that a request's body may have: the largest document, as base64."""

BODY_S = 60.0
"""Seconds in which the whole of a body must have come."""

# What may be seen without the token: that there is a daemon, and how its API looks.
_OPEN = {"/health", "/docs", "/openapi.json"}


@dataclass(slots=True)
class Rate:
    """A token bucket: so many requests a second, and so many at once."""

    per_second: float
    burst: float
    monotonic: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _seen: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._seen = self.burst, self.monotonic()

    def take(self) -> bool:
        now = self.monotonic()
        self._left = min(self.burst, self._left + (now - self._seen) * self.per_second)
        self._seen = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    code: str
    message: str
    hint: str


class Guard:
    """Lets through what `app` may see. `hosts` are the exact values of `Host`."""

    def __init__(
        self,
        app: App,
        token: str,
        hosts: frozenset[str],
        *,
        scheme: str = "http",
        most_bytes: int = MOST_BYTES,
        body_s: float = BODY_S,
        rate: Rate | None = None,
        refused: Rate | None = None,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._hosts = hosts
        self._origins = {f"{scheme}://{host}" for host in hosts}
        self._most_bytes = most_bytes
        self._body_s = body_s
        self._rate = rate or Rate(per_second=500, burst=1000)
        # Guessing a token of 256 bits is hopeless; trying to is still no use of this machine.
        self._refused = refused or Rate(per_second=5, burst=50)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        refusal = self._refuse(scope, headers)
        if refusal is None:
            await self._app(scope, _timely(receive, self._body_s), send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4000 + refusal.status})
        else:
            await _answer(send, refusal)

    def _refuse(self, scope: Scope, headers: dict[bytes, bytes]) -> _Refusal | None:
        if not self._rate.take():
            return _Refusal(429, "backend-busy", "too many requests", "wait a second")
        if headers.get(b"host", b"").decode("latin-1") not in self._hosts:
            return _Refusal(
                421, "forbidden", "that is not this daemon's address", "see daemon.json"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in self._origins:
            return _Refusal(403, "forbidden", "no web page may talk to the daemon", "use a program")
        is_known = self._is_token(headers.get(b"authorization", b""))
        scope.setdefault("state", {})["is_known"] = is_known
        if not is_known and scope["path"] not in _OPEN:
            if not self._refused.take():
                return _Refusal(429, "backend-busy", "too many wrong tokens", "wait a minute")
            return _Refusal(
                401,
                "unauthorized",
                "the token is missing or wrong",
                "agentctl daemon status --token",
            )
        return self._refuse_body(scope, headers)

    def _refuse_body(self, scope: Scope, headers: dict[bytes, bytes]) -> _Refusal | None:
        if scope["type"] == "websocket":
            return None
        if b"transfer-encoding" in headers:
            return _Refusal(411, "usage", "the length of the body is missing", "Content-Length")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most_bytes:
            limit = f"{self._most_bytes:,} bytes"
            return _Refusal(413, "input-too-large", f"the body has more than {limit}", "send less")
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if int(length) and kind != b"application/json":
            return _Refusal(415, "usage", "the body is not JSON", "Content-Type: application/json")
        return None

    def _is_token(self, header: bytes) -> bool:
        scheme, _, token = header.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def _timely(receive: Receive, body_s: float) -> Receive:
    """A body that has not come within `body_s` seconds ends the request."""
    until = asyncio.get_running_loop().time() + body_s
    is_body_read = False

    async def timely() -> MutableMapping[str, Any]:
        nonlocal is_body_read
        if is_body_read:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            return {"type": "http.disconnect"}
        is_body_read = message["type"] != "http.request" or not message.get("more_body", False)
        return message

    return timely


async def _answer(send: Send, refusal: _Refusal) -> None:
    error = {"code": refusal.code, "message": refusal.message, "hint": refusal.hint}
    body = json.dumps({"error": error}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refusal.status == 429:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
