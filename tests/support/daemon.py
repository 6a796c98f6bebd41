"""A daemon for real, with its server and all of its parts, in a thread of the test."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from agentctl.core.config import Config, load_config
from agentctl.core.errors import AgentctlError
from agentctl.core.paths import Paths, find_paths
from agentctl.daemon.hub import DaemonState
from agentctl.daemon.listening import Place
from agentctl.daemon.process import DaemonAddress, read_address
from agentctl.daemon.serving import run_daemon

PATIENCE_S = 60.0

ENVIRONMENT = {"OLLAMA_HOST": "127.0.0.1:1", "AGENTCTL_DAEMON_NOTIFY": "", "PATH": ""}
"""No Ollama, no notifications."""


def daemon_paths(home: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(home)})


@contextmanager
def running_daemon(
    home: Path,
    environ: Mapping[str, str] = ENVIRONMENT,
    change: Callable[[Config], Config] = lambda config: config,
    place: Place | None = None,
    told: Callable[[str], None] = lambda url: None,
) -> Iterator[DaemonAddress]:
    """One that listens; stopped cleanly at the end. `told` hears where others reach it."""
    paths = daemon_paths(home)
    listens = threading.Event()
    failures: list[BaseException] = []

    def load() -> Config:
        return change(load_config(paths, environ, home))

    def ready(state: DaemonState) -> None:
        told(state.url)
        listens.set()

    def live() -> None:
        where = replace(place or Place(), socket=paths.daemon_socket)
        try:
            home.mkdir(parents=True, exist_ok=True)
            asyncio.run(run_daemon(load(), paths, environ, load, where, ready))
        except BaseException as error:  # noqa: BLE001 - carried over to the test
            failures.append(error)
        finally:
            listens.set()

    thread = threading.Thread(target=live, daemon=True)
    thread.start()
    assert listens.wait(PATIENCE_S)
    if failures:
        raise failures[0]
    address = read_address(paths)
    assert address is not None
    try:
        yield address
    finally:
        _shut_down(address)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
        assert failures == []


def _shut_down(address: DaemonAddress) -> None:
    from agentctl.core.backends.transport import StatusError, fetch_json
    from agentctl.daemon.client import daemon_endpoint

    # The test itself may have stopped it.
    with suppress(AgentctlError, StatusError):
        asyncio.run(fetch_json(daemon_endpoint(address), "POST", "/shutdown", {}))
