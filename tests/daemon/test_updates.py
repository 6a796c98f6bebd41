"""A dashboard hears of what happens, whoever did it."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from agentctl.core.automation.journal import Journal
from agentctl.core.config import Config
from agentctl.core.storage import open_database
from tests.support.daemon import daemon_paths, running_daemon
from tests.support.daemon_client import PATIENCE_S, Client, Json


def restless(config: Config) -> Config:
    monitor = replace(config.settings.monitor, interval=1)
    return replace(config, settings=replace(config.settings, monitor=monitor))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_daemon(tmp_path / "home", change=restless) as address:
        yield Client(address)


@asynccontextmanager
async def listening(client: Client) -> AsyncIterator[websockets.ClientConnection]:
    headers = {"Authorization": f"Bearer {client.address.token}"}
    url = f"ws://{client.host}/ws/updates"
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        yield socket


async def hear(socket: websockets.ClientConnection, kind: str) -> Json:
    """The next update of that type."""
    async with asyncio.timeout(PATIENCE_S):
        async for message in socket:
            update = json.loads(message)
            if update["type"] == kind:
                return update
    raise AssertionError("the daemon hung up")


def test_what_another_process_writes_is_told(client: Client, tmp_path: Path) -> None:
    async def follow() -> Json:
        async with listening(client) as socket:
            hearing = asyncio.ensure_future(hear(socket, "changed"))
            write_past_the_daemon(tmp_path / "home")
            return await hearing

    assert asyncio.run(follow()) == {"type": "changed"}


def test_each_measurement_is_told(client: Client) -> None:
    async def follow() -> Json:
        async with listening(client) as socket:
            return await hear(socket, "stats")

    assert asyncio.run(follow())["data"]["memory"]["total"] > 0


def test_several_may_listen_and_one_that_leaves_disturbs_nobody(client: Client) -> None:
    async def follow() -> None:
        async with listening(client) as one:
            async with listening(client) as other:
                await hear(other, "stats")
            await other.wait_closed()
            await hear(one, "stats")

    asyncio.run(follow())


def test_what_a_listener_says_is_not_heard(client: Client) -> None:
    async def follow() -> None:
        async with listening(client) as socket:
            await socket.send("anything" * 1000)
            await socket.send(b"\xff")
            await hear(socket, "stats")

    asyncio.run(follow())


def test_listeners_are_sent_away_when_the_daemon_stops(client: Client) -> None:
    async def follow() -> ConnectionClosed:
        async with listening(client) as socket:
            await asyncio.to_thread(client.post, "/shutdown", {})
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await socket.recv()
            return closed.value

    closed = asyncio.run(follow())

    assert closed.rcvd is not None
    assert closed.rcvd.code in (1001, 1012)


def write_past_the_daemon(home: Path) -> None:
    with open_database(daemon_paths(home).database) as connection:
        Journal(connection).write("info", "test", "somebody else was here")
