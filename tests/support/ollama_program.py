"""A program called `ollama` that starts, hangs, dies and has a child as the real one does."""

import os
import signal
import socket
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import psutil

Act = Literal["serve", "die", "never"]

# Each start takes the next line of `acts`, the last one again and again. A server hangs while
# the file `hang` names it. Its child stands for the engine that holds a model in memory.
_PROGRAM = """#!{python} -IS
import json, os, subprocess, sys, time
folder = {folder!r}
def note(name, text):
    with open(os.path.join(folder, name), "a") as file:
        file.write(f"{{text}}\\n")
if sys.argv[1] == "runner":
    time.sleep(1000)
starts = os.path.join(folder, "starts")
before = len(open(starts).readlines()) if os.path.exists(starts) else 0
note("starts", os.getpid())
acts = open(os.path.join(folder, "acts")).read().split()
act = acts[min(before, len(acts) - 1)]
print("start", before, flush=True)
if act == "die":
    sys.exit(3)
if act == "never":
    time.sleep(1000)
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        hang = os.path.join(folder, "hang")
        while os.path.exists(hang) and str(os.getpid()) in open(hang).read():
            time.sleep(1000)
        answers = {{"/api/version": {{"version": "0.24.0"}}, "/api/ps": {{"models": []}}}}
        body = json.dumps(answers[self.path]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
host, _, port = os.environ["OLLAMA_HOST"].rpartition("://")[2].rpartition(":")
server = ThreadingHTTPServer((host, int(port)), Handler)
server.daemon_threads = True
note("runners", subprocess.Popen([sys.argv[0], "runner"]).pid)
server.serve_forever()
"""


class OllamaProgram:
    """The program in `folder`; at the end all that it started is ended."""

    def __init__(self, folder: Path, *acts: Act) -> None:
        self.folder = folder
        self.port = free_port()
        folder.mkdir()
        self.act(*(acts or ("serve",)))
        program = folder / "ollama"
        program.write_text(_PROGRAM.format(python=sys.executable, folder=str(folder)))
        program.chmod(stat.S_IRWXU)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def starts(self) -> list[int]:
        """The process ids of all servers so far, in order."""
        return self._numbers("starts")

    @property
    def runners(self) -> list[int]:
        return self._numbers("runners")

    def act(self, *acts: Act) -> None:
        """What each start from the first on does."""
        (self.folder / "acts").write_text("\n".join(acts))

    def hang(self) -> None:
        """The newest server hangs from now on."""
        (self.folder / "hang").write_text(str(self.starts[-1]))

    def go_on(self) -> None:
        """It answers what is asked from now on."""
        (self.folder / "hang").unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in (*self.starts, *self.runners):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _numbers(self, name: str) -> list[int]:
        with suppress(FileNotFoundError):
            return [int(line) for line in (self.folder / name).read_text().split()]
        return []


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def is_alive(pid: int) -> bool:
    """Whether it runs; one that ended and is not yet collected does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False
