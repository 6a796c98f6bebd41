"""What the daemon looks at again and again, it goes on looking at, whatever a look meets."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agentctl.core.config import Config, load_config
from agentctl.core.errors import StorageError
from agentctl.core.paths import Paths, find_paths
from agentctl.daemon.host import Host
from agentctl.daemon.upkeep import Upkeep

_LOOKS = 12


class FakeHost:
    """As much of a host as the looks need; `told` is what happened, in order."""

    def __init__(self, paths: Paths, config: Config) -> None:
        self.paths = paths
        self.config = config
        self.told: list[str] = []
        self.works: list[Awaitable[None]] = []
        self.failures: dict[str, list[Exception]] = {}
        self.intervals: list[tuple[str, float]] = []
        self.connection = self
        self.feed = SimpleNamespace(tell=lambda _: None)
        self.watcher = SimpleNamespace(sync=lambda: None)
        self.supervisor = SimpleNamespace(check=self.measure)
        self.scheduler = SimpleNamespace(
            sync=lambda: self._do("sync"), every=self._every, daily=self._ignore
        )
        self.journal = SimpleNamespace(write=lambda *_: self._do("journal"))

    def in_background(self, work: Awaitable[None]) -> None:
        self.works.append(work)

    def execute(self, _: str) -> "FakeHost":
        self._do("read")
        return self

    def fetchone(self) -> tuple[int]:
        return (1,)

    async def use_settings(self, config: Config) -> None:
        self.config = config
        self._do("used")

    async def notify(self, *_: str) -> None:
        self._do("notified")

    def announce(self, _: Config) -> None:
        self._do("announced")

    async def measure(self) -> None:
        return

    def _every(self, name: str, seconds: float, _: object) -> None:
        self.intervals.append((name, seconds))

    def _ignore(self, *_: object) -> None:
        return

    def _do(self, what: str) -> None:
        if self.failures.get(what):
            raise self.failures[what].pop()
        self.told.append(what)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path)})
    paths.config.mkdir(parents=True)
    return FakeHost(paths, load_config(paths, {}, tmp_path))


def look(host: FakeHost, load: Callable[[], Config], change: Callable[[], None]) -> None:
    """A dozen looks, the settings' file changed before them."""

    async def run() -> None:
        looks = 0

        async def sleep(_: float) -> None:
            nonlocal looks
            looks += 1
            if looks > _LOOKS:
                raise asyncio.CancelledError
            await asyncio.sleep(0)

        upkeep = Upkeep(cast(Host, host), load, host.announce, sleep)
        change()
        upkeep.begin()
        await asyncio.gather(*host.works, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("what", "failure", "told"),
    [
        ("read", sqlite3.OperationalError("disk I/O error"), ["read", "sync"]),
        ("sync", OSError("too many open files"), ["read", "read", "sync"]),
    ],
)
def test_changes_that_cannot_be_acted_on_are_acted_on_at_the_next_look(
    host: FakeHost, what: str, failure: Exception, told: list[str]
) -> None:
    host.failures[what] = [failure]

    look(host, lambda: host.config, lambda: None)
    assert host.told[: len(told)] == told


def test_settings_that_cannot_be_announced_are_announced_at_the_next_look(
    host: FakeHost, tmp_path: Path
) -> None:
    settings = host.config.settings
    changed = replace(host.config, settings=replace(settings, model="qwen3:4b"))
    host.failures["announced"] = [OSError("no space left on device")]

    look(host, lambda: changed, lambda: _write(host, 'model = "qwen3:4b"'))
    assert [each for each in host.told if each not in ("read", "sync")] == ["used", "announced"]


def test_the_machine_is_measured_as_often_as_the_settings_say_by_now(host: FakeHost) -> None:
    monitor = replace(host.config.settings.monitor, interval=60.0)
    changed = replace(host.config, settings=replace(host.config.settings, monitor=monitor))

    look(host, lambda: changed, lambda: _write(host, "[monitor]\ninterval = 60"))
    assert [each for name, each in host.intervals if name == "resources"] == [5.0, 60.0]


def test_broken_settings_are_told_of_once_that_can_be_written(host: FakeHost) -> None:
    host.failures["journal"] = [StorageError("no space left to store it")]

    def load() -> Config:
        return load_config(host.paths, {}, host.paths.config)

    look(host, load, lambda: _write(host, "model = ["))
    assert [each for each in host.told if each not in ("read", "sync")] == ["journal", "notified"]


def _write(host: FakeHost, text: str) -> None:
    host.paths.settings.write_text(text)
