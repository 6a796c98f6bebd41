"""The dashboard in a browser: who is let in, what the page needs, and that nothing stays behind."""

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from agentctl.tui.web import WebDashboard, serve
from tests.support.cli import command, environment
from tests.support.dashboard import write_script

if os.name != "posix":
    pytest.skip("a browser's terminal is POSIX's", allow_module_level=True)

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# Bytes of a PNG that shows more than a colour.
EMPTY_PICTURE = 15_000
# A terminal program that says what it hears, in the words of textual-serve.
ECHO = """
import sys
out = sys.stdout.buffer
def say(kind, data):
    out.write(kind + len(data).to_bytes(4, "big") + data); out.flush()
out.write(b"__GANGLION__\\n"); out.flush()
say(b"D", b"ready")
while head := sys.stdin.buffer.read(5):
    data = sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))
    say(b"D", head[:1] + b":" + data)
    if data == b"end" or b'"quit"' in data:
        break
"""


class Place:
    """A server with an echo behind it, and a client that keeps cookies."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = URL(url)
        self.session = session
        self.page = self.url.with_query(None)
        self.own = str(self.url.origin())

    async def get(self, url: URL, **headers: str) -> tuple[int, str]:
        async with self.session.get(url, headers=headers, allow_redirects=False) as response:
            return response.status, (await response.read()).decode(errors="replace")

    async def enter(self) -> None:
        assert (await self.get(self.url))[0] == 303

    def terminal(self, **headers: str) -> Any:
        return self.session.ws_connect(
            self.page / "ws" % {"width": "70", "height": "20"}, headers=headers
        )


@asynccontextmanager
async def place(program: list[str]) -> AsyncIterator[Place]:
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(serve(program, 0, told.set_result))
    try:
        jar = aiohttp.CookieJar(unsafe=True)  # it is an address, not a name
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            await asyncio.wait((told, serving), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                serving.result()
            yield Place(await told, session)
    finally:
        serving.cancel()
        await asyncio.wait((serving,))


def play(flow: Callable[[Place], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), place([sys.executable, "-c", ECHO]) as here:
            await flow(here)

    asyncio.run(run())


def test_the_code_opens_it_once_and_becomes_a_strict_cookie() -> None:
    async def flow(here: Place) -> None:
        async with here.session.get(here.url, allow_redirects=False) as response:
            cookie = response.headers["Set-Cookie"]
            assert response.headers["Location"] == here.page.path
        assert {"HttpOnly", "SameSite=Strict", f"Path={here.page.path}"} <= {*cookie.split("; ")}
        assert (await here.get(here.page))[0] == 200

        here.session.cookie_jar.clear()
        assert (await here.get(here.url))[0] == 401
        assert (await here.get(here.page))[0] == 401

    play(flow)


@pytest.mark.parametrize("path", ["", "ws", "static/js/textual.js", "static/"])
def test_nothing_is_shown_to_strangers(path: str) -> None:
    async def flow(here: Place) -> None:
        assert (await here.get(here.page / path if path else here.page))[0] == 401
        assert (await here.get(here.url.with_query(code="wrong")))[0] == 401
        assert (await here.get(here.url.with_path("/")))[0] == 401
        # The code is still good.
        await here.enter()

    play(flow)


@pytest.mark.parametrize("host", ["localhost", "evil.example", "127.0.0.1", "127.0.0.1:1", ""])
def test_another_host_is_refused_even_with_the_code(host: str) -> None:
    async def flow(here: Place) -> None:
        assert (await here.get(here.url, Host=host))[0] == 421
        await here.enter()
        assert (await here.get(here.page, Host=host))[0] == 421

    play(flow)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_no_other_page_may_open_the_terminal(origin: str | None) -> None:
    async def flow(here: Place) -> None:
        await here.enter()
        headers = {} if origin is None else {"Origin": origin}
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with here.terminal(**headers):
                pass
        assert refused.value.status == 403

    play(flow)


def test_the_terminal_needs_the_cookie() -> None:
    async def flow(here: Place) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with here.terminal(Origin=here.own):
                pass
        assert refused.value.status == 401

    play(flow)


def test_keys_go_in_and_the_screen_comes_out() -> None:
    async def flow(here: Place) -> None:
        await here.enter()
        async with here.terminal(Origin=here.own) as terminal:
            assert await terminal.receive_bytes() == b"ready"
            for nonsense in ("no json", "[]", "7", '["stdin", 7]', '["resize", {}]'):
                await terminal.send_str(nonsense)
            await terminal.send_json(["stdin", "ü"])
            assert await terminal.receive_bytes() == "D:ü".encode()
            await terminal.send_json(["resize", {"width": 10**9, "height": 5}])
            size = json.loads((await terminal.receive_bytes())[2:])
            assert (size["width"], size["height"]) == (1000, 5)
            await terminal.send_json(["ping", "1"])
            assert await terminal.receive_json() == ["pong", "1"]
            await terminal.send_json(["stdin", "end"])
            assert await terminal.receive_bytes() == b"D:end"
            # Its end is the end of the page's terminal.
            assert (await terminal.receive()).type == aiohttp.WSMsgType.CLOSE

    play(flow)


def test_the_page_names_no_other_server_and_its_parts_are_served() -> None:
    async def flow(here: Place) -> None:
        await here.enter()
        async with here.session.get(here.page) as response:
            page = await response.text()
            policy = response.headers["Content-Security-Policy"]
        assert "https:" not in page
        assert page.count("http") == 0
        assert "default-src 'none'" in policy
        for part in ("css/xterm.css", "js/textual.js", "fonts/RobotoMono-VariableFont_wght.ttf"):
            assert f"static/{part}" in page
            assert (await here.get(here.page.join(URL(f"static/{part}"))))[0] == 200
        assert (await here.get(here.page / "static"))[0] in (403, 404)

    play(flow)


def test_what_it_started_ends_with_it(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    deaf = (
        f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid()));"
        "print('__GANGLION__', flush=True);"
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    )

    async def run() -> int:
        async with asyncio.timeout(60), place([sys.executable, "-c", deaf]) as here:
            await here.enter()
            async with here.terminal(Origin=here.own):
                while not pid_file.exists() or not pid_file.read_text():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        return int(pid_file.read_text())

    pid = asyncio.run(run())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_each_server_has_secrets_of_its_own() -> None:
    one, other = WebDashboard((), 1), WebDashboard((), 1)

    assert (one.place, one.code) != (other.place, other.code)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_a_real_browser_shows_the_dashboard_and_asks_no_other_server(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = write_script(tmp_path / "script", {"text": "Hello."})
    for name, value in environment(home, AGENTCTL_MODEL=model).items():
        monkeypatch.setenv(name, value)

    async def run() -> None:
        async with asyncio.timeout(110), place(command("tui")) as here, browser(tmp_path) as page:
            await page.send("Network.enable")
            await page.send("Page.enable")
            await page.send("Page.navigate", url=str(here.url))
            await page.until("document.body.classList.contains('-first-byte')")
            await page.until("document.querySelector('.xterm-screen') !== null")
            picture = b""
            while len(picture) < EMPTY_PICTURE:
                shot = await page.send("Page.captureScreenshot")
                picture = base64.b64decode(shot["data"])
                (tmp_path / "page.png").write_bytes(picture)
            asked = {URL(url).host for url in page.asked if not url.startswith(("data:", "blob:"))}
            assert asked == {"127.0.0.1"}
            assert page.complaints == []

    asyncio.run(run())


class Page:
    """A page of Chromium's, by its own protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []

    async def send(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            self._note(message)
            if message.get("id") == self._number:
                result: dict[str, Any] = message["result"]
                return result

    async def until(self, expression: str) -> None:
        while True:
            answer = await self.send("Runtime.evaluate", expression=expression)
            if answer["result"].get("value") is True:
                return
            await asyncio.sleep(0.05)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(parameters["request"]["url"])
        elif message.get("method") == "Network.webSocketCreated":
            self.asked.append(parameters["url"])
        elif message.get("method") == "Log.entryAdded":
            entry = parameters["entry"]
            if "Content Security Policy" in entry["text"]:
                self.complaints.append(entry["text"])


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Page]:
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update --disable-sync"
    process = await asyncio.create_subprocess_exec(
        CHROMIUM or "",
        *flags.split(),
        "--remote-debugging-port=0",
        f"--user-data-dir={folder / 'chromium'}",
        "--window-size=1000,640",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        while not (line := await process.stderr.readline()).startswith(b"DevTools listening on "):
            assert line, "Chromium has ended"
        port = URL(line.split()[-1].decode()).port
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as response:
                pages = [each for each in await response.json() if each["type"] == "page"]
            async with session.ws_connect(
                pages[0]["webSocketDebuggerUrl"], max_msg_size=0
            ) as socket:
                page = Page(socket)
                await page.send("Log.enable")
                yield page
    finally:
        process.kill()
        await process.wait()
