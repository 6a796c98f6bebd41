"""A daemon from its lock to its end."""

import asyncio
import os
import secrets
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, nullcontext
from typing import TYPE_CHECKING

from agentctl import __version__
from agentctl.core.config import Config
from agentctl.core.open_files import remove
from agentctl.core.paths import Paths
from agentctl.daemon.hub import DaemonState
from agentctl.daemon.listening import Listening, Place, listen
from agentctl.daemon.process import DaemonAddress, fingerprint, only_daemon, write_address

if TYPE_CHECKING:
    import uvicorn

    from agentctl.daemon.host import Host

# Bytes of a request's head, and seconds that a connection may be idle.
_HEAD_BYTES = 65_536
_IDLE_S = 75
# Seconds that streams, and then all the rest, have to end.
_ENDING_S = 8.0


async def run_daemon(
    config: Config,
    paths: Paths,
    environ: Mapping[str, str],
    load: Callable[[], Config],
    place: Place,
    ready: Callable[[DaemonState], None],
) -> None:
    """Runs until a signal or `/shutdown` ends it, and finishes or stores what runs then.

    Beside a place with TLS it also listens at the loopback without, for the user's own commands.

    Raises:
        BackendBusy: a daemon runs already, or the port is taken.
        StorageError: the database cannot be opened.
    """
    with only_daemon(paths), ExitStack() as stack:
        listening = stack.enter_context(closing(listen(place)))
        places = [(place, listening)]
        own = listening
        if place.certificate is not None:
            inside = Place(socket=place.socket)
            own = stack.enter_context(closing(listen(inside)))
            places.append((inside, own))
        from agentctl.daemon.host import Host
        from agentctl.daemon.upkeep import Upkeep

        host = Host(config, paths, environ, own, url=listening.url)
        token = secrets.token_urlsafe(32)
        serving = [
            (_make_server(host, listening, place, token), listening) for place, listening in places
        ]

        def announce(current: Config) -> None:
            write_address(paths, _address(host, own, token, fingerprint(current, environ)))

        host.start()
        Upkeep(host, load, announce).begin()
        announce(config)
        with _signals(host.shut_down):
            ready(host.state())
            await _serve(host, serving)


async def _serve(host: "Host", servers: "list[tuple[uvicorn.Server, Listening]]") -> None:
    serving = [
        asyncio.ensure_future(server.serve(list(listening.sockets)))
        for server, listening in servers
    ]
    stopped = asyncio.ensure_future(host.stopping.wait())
    await asyncio.wait((*serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    host.shut_down()
    # From here on commands do their work themselves.
    remove(host.paths.daemon_address)
    for server, _ in servers:
        server.should_exit = True
    await host.stop(_ENDING_S)
    await asyncio.gather(*serving)


def _address(host: "Host", listening: Listening, token: str, settings: str) -> DaemonAddress:
    return DaemonAddress(
        pid=os.getpid(),
        url=listening.url,
        token=token,
        socket=listening.path,
        version=__version__,
        settings=settings,
        started=host.state().started,
    )


def _make_server(host: "Host", listening: Listening, place: Place, token: str) -> "uvicorn.Server":
    import uvicorn

    from agentctl.daemon.connections import MOST_SILENT, Connection
    from agentctl.daemon.server import create_app

    class Server(uvicorn.Server):
        """Ends when it is told to; signals are the daemon's own business."""

        def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]  # as good
            return nullcontext()

        async def main_loop(self) -> None:
            """Sleeps until the end: uvicorn's own looks ten times a second whether to stop."""
            await host.stopping.wait()

    return Server(
        uvicorn.Config(
            create_app(host, host.calls, token, listening.hosts, place.scheme),
            http=Connection,
            backlog=MOST_SILENT,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            timeout_keep_alive=_IDLE_S,
            timeout_graceful_shutdown=int(_ENDING_S),
            h11_max_incomplete_event_size=_HEAD_BYTES,
            ssl_certfile=place.certificate,
            ssl_keyfile=place.key,
        )
    )


def _ends() -> tuple[signal.Signals, ...]:
    """The signals that end it; Ctrl+Break and a console that is closed are one of Windows."""
    if sys.platform == "win32":
        return signal.SIGINT, signal.SIGTERM, signal.SIGBREAK
    return signal.SIGINT, signal.SIGTERM


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Ctrl+C and a request to end lead to a clean stop; a second one is not waited for."""
    loop = asyncio.get_running_loop()
    before = {}

    def hear(number: int, _: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        loop.call_soon_threadsafe(stop)

    if threading.current_thread() is threading.main_thread():
        # No other thread can hear them.
        for each in _ends():
            before[each] = signal.signal(each, hear)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
