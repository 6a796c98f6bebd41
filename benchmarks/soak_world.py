"""The world of a soak: one home on a small disk, its daemon, its model server, its clock."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from agentctl.core.automation.journal import Journal
from agentctl.core.automation.task_store import TaskStore
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from agentctl.daemon.process import read_address
from benchmarks import soak_clock, soak_server
from benchmarks.soak_accounts import Gap
from benchmarks.soak_clock import FastClock
from tests.support.daemon_client import Answer, Client
from tests.support.ollama_program import free_port

Json = Any  # any JSON
ROOT = Path(__file__).parents[1]

_DISK_BYTES = 192_000_000
_PATIENCE_S = 60.0
_SETTINGS = """model = "ollama:{model}"
[ollama]
host = "{host}"
restart = "any"
[knowledge]
answers = "off"
[monitor]
interval = 60.0
[timeouts]
first_token = 4.0
idle = 3.0
[daemon]
notify = "file:{notices}"
[log]
max_bytes = 200000
"""


@dataclass(slots=True)
class World:
    """Everything that faults and load lay hands on. `breaches` are what should never happen."""

    folder: Path
    clock: FastClock
    port: int = field(default_factory=free_port)
    breaches: list[str] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    daemon: "subprocess.Popen[bytes] | None" = None
    files_lock: threading.Lock = field(default_factory=threading.Lock)
    _down_since: datetime | None = None
    _life: threading.RLock = field(default_factory=threading.RLock)
    _server: "subprocess.Popen[bytes] | None" = None

    # Places

    @property
    def disk(self) -> Path:
        return self.folder / "disk"

    @property
    def home(self) -> Path:
        return self.disk / "agentctl"

    @property
    def watched(self) -> list[Path]:
        return [self.folder / f"watched-{n}" for n in range(3)]

    @property
    def taken(self) -> Path:
        """What a task takes in."""
        return self.folder / "taken"

    @property
    def work(self) -> Path:
        """Where agents work."""
        return self.folder / "work"

    @property
    def notices(self) -> Path:
        return self.folder / "notices.jsonl"

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.disk),
            "TMPDIR": str(self.disk / "tmp"),
            "TZ": "Europe/Berlin",
            "AGENTCTL_HOME": str(self.home),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            soak_clock.VARIABLE: str(self.folder / "clock.json"),
            soak_server.VARIABLE: str(self.folder / "mood"),
        }

    def now(self) -> datetime:
        return self.clock.now()

    def store(self) -> TaskStore:
        return TaskStore(open_database(find_paths(self.environ).database), self.now)

    def journal(self) -> Journal:
        return Journal(open_database(find_paths(self.environ).database), self.now)

    # Its beginning and its end

    def furnish(self) -> None:
        """Makes the disk, the folders, the settings and the program `ollama`."""
        for each in (self.disk, self.folder / "bin", self.taken, self.work, *self.watched):
            each.mkdir(parents=True)
        options = f"size={_DISK_BYTES},mode=700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "soak", self.disk], check=True)
        (self.disk / "tmp").mkdir()
        program = self.folder / "bin" / "ollama"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m benchmarks.soak_server "$@"\n')
        program.chmod(0o700)
        (self.home / "config").mkdir(parents=True)
        self.settings.write_text(self.right_settings)

    def clear(self) -> None:
        """Ends all that is left, and gives the disk back."""
        self.end_server()
        if self.daemon is not None:
            self.daemon.kill()
            self.daemon.wait()
        for process in self.left_over():
            with suppress(psutil.Error):
                process.kill()
        subprocess.run(["umount", "-l", self.disk], check=False)

    @property
    def settings(self) -> Path:
        return self.home / "config" / "config.toml"

    @property
    def right_settings(self) -> str:
        host = f"http://127.0.0.1:{self.port}"
        return _SETTINGS.format(model=soak_server.MODEL, host=host, notices=self.notices)

    def left_over(self) -> list[psutil.Process]:
        """Processes that belong to this world, but for the daemon and what is below it."""
        mark, found = str(self.folder / "clock.json"), []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_ours = process.environ().get(soak_clock.VARIABLE) == mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    # The daemon

    def start_daemon(self) -> None:
        """As its service does; waits until it listens."""
        with self._life, (self.folder / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                self._command("daemon", "run", "--plain"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environ,
                cwd=ROOT,
            )
            until = time.monotonic() + _PATIENCE_S
            while self.daemon.poll() is None and time.monotonic() < until:
                address = read_address(find_paths(self.environ))
                if address is not None and address.pid == self.daemon.pid:
                    if self._down_since is not None:
                        self.gaps.append(Gap(self._down_since, self.now(), "no daemon ran"))
                    self._down_since = None
                    return
                time.sleep(0.05)

    def kill_daemon(self) -> None:
        """`kill -9`, and its service starts it again a moment later."""
        with self._life:
            assert self.daemon is not None
            self._down_since = self._down_since or self.now()
            self.daemon.kill()
            self.daemon.wait()
            time.sleep(0.5)
            self.start_daemon()

    def keep_daemon(self) -> None:
        """What a service does: a daemon that ended by itself is a breach, and is started again."""
        with self._life:
            if self.daemon is not None and self.daemon.poll() is not None:
                code = self.daemon.returncode
                last = (self.folder / "daemon.log").read_text(errors="replace")[-400:]
                self.breaches.append(f"the daemon ended by itself with {code}: {last}")
                self._down_since = self._down_since or self.now()
                self.start_daemon()

    def stop_daemon(self) -> None:
        with self._life:
            assert self.daemon is not None
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(30)
            except subprocess.TimeoutExpired:
                self.breaches.append("the daemon did not stop within 30 s")
            self.daemon, daemon = None, self.daemon
            daemon.kill()

    # Ways to it

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The program, as a user runs it."""
        return subprocess.run(
            self._command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=self.environ,
            cwd=self.folder,
            timeout=120,
            check=False,
        )

    def send(self, method: str, path: str, body: Json = None) -> Answer | None:
        """An answer of the API; None while nobody answers."""
        address = read_address(find_paths(self.environ))
        if address is None:
            return None
        with suppress(OSError, http.client.HTTPException):
            return Client(address).send(method, path, body)
        return None

    def health(self) -> Json:
        """As the daemon sees itself; empty while it does not answer."""
        answer = self.send("GET", "/health")
        return answer.json if answer is not None and answer.status == 200 else {}

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "benchmarks.soak_clock", *arguments]

    # The model server

    def feels(self, mood: soak_server.Mood) -> None:
        (self.folder / "mood").write_text(mood)

    def server(self) -> psutil.Process | None:
        """Whoever has its port."""
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1] == self.port:
                return psutil.Process(connection.pid) if connection.pid else None
        return None

    def start_server(self) -> None:
        """As a user who starts it in a terminal of their own."""
        environ = {**self.environ, "OLLAMA_HOST": f"http://127.0.0.1:{self.port}"}
        program = str(self.folder / "bin" / "ollama")
        self._server = subprocess.Popen(
            [program, "serve"], env=environ, stdin=subprocess.DEVNULL, cwd=ROOT
        )

    def end_server(self) -> None:
        """The one that the user started."""
        server, self._server = self._server, None
        if server is not None:
            server.kill()
            server.wait()

    # Time

    def jump(self, by: timedelta) -> None:
        before = self.now()
        self.clock.jump(by)
        self.gaps.append(Gap(min(before, self.now()), max(before, self.now()), "the clock jumped"))


def until(look: Callable[[], bool], patience_s: float, pause_s: float = 0.25) -> float | None:
    """Real seconds until it is so; None when it does not become so."""
    began = time.monotonic()
    while time.monotonic() - began < patience_s:
        if look():
            return time.monotonic() - began
        time.sleep(pause_s)
    return None


def documents_differ(world: World, folder: Path) -> list[str]:
    """Where the knowledge base and a folder's files are not one, by paths and sizes."""
    answer = world.send("GET", "/documents")
    if answer is None or answer.status != 200:
        return ["the documents cannot be listed"]
    there = {
        str(path): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size
    }
    stored = {
        each["path"]: each["size"]
        for each in answer.json
        if each["path"].startswith(f"{folder}{os.sep}")
    }
    missing = [f"missing: {name}" for name in there.keys() - stored.keys()]
    gone = [f"gone, yet stored: {name}" for name in stored.keys() - there.keys()]
    shared = there.keys() & stored.keys()
    changed = [f"stale: {name}" for name in shared if there[name] != stored[name]]
    return sorted([*missing, *gone, *changed])


def json_data(done: "subprocess.CompletedProcess[str]") -> Json:
    return json.loads(done.stdout)["data"]
