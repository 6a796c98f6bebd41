"""The dashboard in a browser of this machine: each page that is open has a dashboard of its own.

textual-serve carries the terminal, but lets everybody in. So it stands behind a guard: loopback
only, the exact `Host`, an `Origin` of our own, and a cookie that a one-time code in the address is
exchanged for. The pages lie below a path that nobody can guess, so that the browser does not show
the cookie to other servers of this machine; and they need nothing from any other server.
"""

import asyncio
import hmac
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import textual_serve
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from agentctl.core.child_processes import APART
from agentctl.core.errors import UsageProblem
from agentctl.daemon.listening import claim

HOST = "127.0.0.1"
# Seconds a dashboard has to end by itself.
_PATIENCE_S = 3.0
_MOST_CELLS = 1_000
_FONT_SIZES = {str(size) for size in range(6, 100)}
_STATIC = Path(textual_serve.__file__).parent / "static"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data: blob:; connect-src 'self' {socket}; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>agentctl</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="static/css/xterm.css">
<script src="static/js/textual.js"></script>
<style>
@font-face {
  font-family: "Roboto Mono";
  src: url("static/fonts/RobotoMono-VariableFont_wght.ttf");
}
@font-face {
  font-family: "Roboto Mono";
  font-style: italic;
  src: url("static/fonts/RobotoMono-Italic-VariableFont_wght.ttf");
}
body { margin: 0; background: #16181d; color: #c8d0e0; font-family: "Roboto Mono", monospace; }
#terminal { position: absolute; inset: 0; }
.note { position: absolute; inset: 0; display: grid; place-items: center; }
#ended, body.-first-byte #opening { display: none; }
body.-closed #ended { display: grid; background: #16181d; z-index: 20; }
a { color: #7aa2f7; }
</style>
</head>
<body>
<div id="opening" class="note">agentctl opens …</div>
<div id="ended" class="note"><p>The dashboard has ended. <a href="">Open it again</a></p></div>
<div id="terminal" class="textual-terminal" data-session-websocket-url="{socket}"
 data-font-size="{font_size}"></div>
</body>
</html>
"""


class DashboardProcess(AppService):
    """A dashboard that runs for one page."""

    def __init__(self, command: Sequence[str], websocket: web.WebSocketResponse) -> None:
        super().__init__(
            "",
            write_bytes=websocket.send_bytes,
            write_str=websocket.send_str,
            close=self._close,
            download_manager=DownloadManager(),
        )
        self._arguments = command
        self._websocket = websocket
        self._stopping: asyncio.Task[None] | None = None

    async def _open_app_process(
        self, width: int = 80, height: int = 24
    ) -> asyncio.subprocess.Process:
        # textual-serve's own starts a shell.
        process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._build_environment(width, height),
            creationflags=APART,
        )
        self._process, self._stdin = process, process.stdin
        return process

    async def run(self) -> None:
        """Until it ends by itself, or is stopped."""
        with suppress(ConnectionError):
            await super().run()
        await self._close()

    async def stop(self) -> None:
        """Asks it to end, and makes it end. Harmless when called twice."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        ending = asyncio.create_task(self._end())
        await asyncio.wait((ending,), timeout=_PATIENCE_S)
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        await ending

    async def _end(self) -> None:
        await super().stop()
        if self._process is not None:
            await self._process.wait()

    async def _close(self) -> None:
        await self._websocket.close()


@dataclass(slots=True)
class WebDashboard:
    """`port` is the one it is served at, `place` the path that all lies below.

    `code` opens it once; after that, only the browser that has got `cookie`.
    """

    command: Sequence[str]
    port: int
    place: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    code: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _cookie: str = field(default_factory=lambda: secrets.token_urlsafe(32), init=False)
    _is_code_used: bool = field(default=False, init=False)
    _open: set[DashboardProcess] = field(default_factory=set, init=False)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/{self.place}/?code={self.code}"

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get(f"/{self.place}/", self._page)
        application.router.add_get(f"/{self.place}/ws", self._terminal)
        application.router.add_static(f"/{self.place}/static", _STATIC)
        application.on_shutdown.append(self._end_all)
        return application

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=f"{error.reason}\n")
        if not response.prepared:
            response.headers.update(self._headers)
        return response

    def _refusal(self, request: web.Request) -> web.Response | None:
        own = f"{HOST}:{self.port}"
        if request.headers.getall("Host", []) != [own]:
            return web.Response(status=421, text="This is not the address of this dashboard.\n")
        is_socket = request.headers.get("Upgrade", "").lower() == "websocket"
        origins = request.headers.getall("Origin", [])
        if origins != [f"http://{own}"] and (origins or is_socket):
            return web.Response(status=403, text="No other page may talk to the dashboard.\n")
        if self._is_known(request):
            return None
        if request.path == f"/{self.place}/" and self._is_code(request.query.get("code", "")):
            return self._let_in()
        return web.Response(
            status=401,
            headers=self._headers,
            text="The address works once. For a new one: agentctl tui --web\n",
        )

    def _is_known(self, request: web.Request) -> bool:
        cookie = request.cookies.get(self._cookie_name, "")
        return hmac.compare_digest(cookie.encode(), self._cookie.encode())

    def _is_code(self, code: str) -> bool:
        return not self._is_code_used and hmac.compare_digest(code.encode(), self.code.encode())

    def _let_in(self) -> web.Response:
        self._is_code_used = True
        response = web.Response(
            status=303, headers={**self._headers, "Location": f"/{self.place}/"}
        )
        response.set_cookie(
            self._cookie_name,
            self._cookie,
            path=f"/{self.place}/",
            httponly=True,
            samesite="Strict",
        )
        return response

    async def _page(self, request: web.Request) -> web.Response:
        if "code" in request.query:
            # So that it does not stay in the address bar.
            return web.Response(status=303, headers={"Location": f"/{self.place}/"})
        size = request.query.get("fontsize", "")
        page = _PAGE.replace("{socket}", self._socket).replace(
            "{font_size}", size if size in _FONT_SIZES else "16"
        )
        return web.Response(text=page, content_type="text/html")

    async def _terminal(self, request: web.Request) -> web.StreamResponse:
        websocket = web.WebSocketResponse(heartbeat=15)
        await websocket.prepare(request)
        dashboard = DashboardProcess(self.command, websocket)
        self._open.add(dashboard)
        try:
            await dashboard.start(
                _cells(request.query.get("width"), 80), _cells(request.query.get("height"), 24)
            )
            await _pass_on(websocket, dashboard)
        finally:
            await dashboard.stop()
            self._open.discard(dashboard)
        return websocket

    async def _end_all(self, _: web.Application) -> None:
        # Those too whose pages have just been left.
        await asyncio.gather(*(dashboard.stop() for dashboard in self._open))

    @property
    def _socket(self) -> str:
        return f"ws://{HOST}:{self.port}/{self.place}/ws"

    @property
    def _cookie_name(self) -> str:
        return f"agentctl-{self.port}"

    @property
    def _headers(self) -> dict[str, str]:
        return {name: value.replace("{socket}", self._socket) for name, value in _HEADERS.items()}


async def serve(command: Sequence[str], port: int, announce: Callable[[str], None]) -> None:
    """Serves dashboards, each a process of `command`, until it is cancelled or told to end.

    Args:
        port: 0 for any that is free.
        announce: is told the address.

    Raises:
        UsageProblem: the port is taken.
    """
    listening = _listen(port)
    dashboard = WebDashboard(command, listening.getsockname()[1])
    runner = web.AppRunner(
        dashboard.application(), shutdown_timeout=2 * _PATIENCE_S, access_log=None
    )
    ended = asyncio.Event()
    # Windows has no such handlers.
    with suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        announce(dashboard.url)
        await ended.wait()
    finally:
        await runner.cleanup()


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    claim(listening)
    try:
        listening.bind((HOST, port))
    except OSError as error:
        listening.close()
        raise UsageProblem(f"port {port}: {error.strerror}", "agentctl tui --web") from None
    return listening


async def _pass_on(websocket: web.WebSocketResponse, dashboard: AppService) -> None:
    """What the page sends: keys and sizes. What is neither is passed over."""
    async for message in websocket:
        if message.type != WSMsgType.TEXT:
            continue
        try:
            match message.json():
                case ["stdin", str(keys)]:
                    await dashboard.send_bytes(keys.encode("utf-8", "replace"))
                case ["resize", {"width": width, "height": height}]:
                    await dashboard.set_terminal_size(_cells(width, 80), _cells(height, 24))
                case ["ping", data]:
                    await websocket.send_json(["pong", data])
                case ["blur", *_]:
                    await dashboard.blur()
                case ["focus", *_]:
                    await dashboard.focus()
        except (ValueError, RecursionError):
            continue


def _cells(value: object, usual: int) -> int:
    digits = str(value)[:6]
    return max(1, min(int(digits) if digits.isdecimal() else usual, _MOST_CELLS))
