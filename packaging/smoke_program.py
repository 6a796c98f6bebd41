"""The program that the smoke test tries: started in a home of its own, with what it says."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

PATIENCE_S = 180.0
_KEPT = {
    "PATH",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "TEMP",
    "TMP",
    "TMPDIR",
    "LANG",
    "COMSPEC",
    "WINEPREFIX",
}
_KEPT |= {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE", "PATHEXT"}
# Where a company's own authority signs what is fetched.
_KEPT |= {"SSL_CERT_FILE", "SSL_CERT_DIR"}


class Failed(Exception):
    """The program does not do what it should."""


class Skipped(Exception):
    """It cannot be tried here; the message says why."""


class Program:
    """The program that is tried, and the home that it works in."""

    def __init__(self, path: Path, place: Path, model: Path | None = None) -> None:
        self.path = path
        self.model = model
        self.home = place / "agentctl"
        self.folder = place / "work"
        self.folder.mkdir()
        self.script = self.folder / "script.jsonl"
        kept = {name: value for name, value in os.environ.items() if name.upper() in _KEPT}
        homes = ("HOME", "USERPROFILE", "LOCALAPPDATA", "APPDATA")
        self.environ = {
            **kept,
            **dict.fromkeys(homes, str(place)),
            "AGENTCTL_HOME": str(self.home),
            # Nothing listens there: the embedded engine answers.
            "AGENTCTL_OLLAMA_HOST": "http://127.0.0.1:1",
        }

    def run(
        self, *arguments: str, exit_code: int = 0, stdin: str = "", is_scripted: bool = False
    ) -> str:
        """Its stdout. Raises Failed for another exit code, and when there is a traceback."""
        done = subprocess.run(
            [self.path, *arguments],
            input=stdin.encode(),
            capture_output=True,
            cwd=self.folder,
            env=self.environ_of(is_scripted=is_scripted),
            timeout=PATIENCE_S,
            check=False,
        )
        told = done.stderr.decode(errors="replace")
        if done.returncode != exit_code or "Traceback" in told:
            raise Failed(f"{' '.join(arguments)}: exit code {done.returncode}; {told[-2000:]}")
        return done.stdout.decode()

    def data(self, *arguments: str, is_scripted: bool = False) -> Any:  # Any: JSON
        return json.loads(self.run(*arguments, "--json", is_scripted=is_scripted))["data"]

    def says(self, *replies: str | dict[str, Any]) -> None:
        """What the scripted model answers, in order."""
        lines = [{"text": each} if isinstance(each, str) else each for each in replies]
        self.script.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")

    def environ_of(self, *, is_scripted: bool) -> dict[str, str]:
        model = {"AGENTCTL_MODEL": f"scripted:{self.script}"} if is_scripted else {}
        return {**self.environ, **model}

    @contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process that goes on; it is asked to end, or made to."""
        process = subprocess.Popen(
            [self.path, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=self.folder,
            env=self.environ,
        )
        try:
            yield process
        finally:
            if sys.platform == "win32":
                process.terminate()
            else:
                process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise Failed(f"{' '.join(arguments)} does not end") from None

    def version(self) -> str:
        return self.run("--version").strip()


def expect(is_so: object, told: object) -> None:
    if not is_so:
        raise Failed(str(told)[-2000:])


def read_until(stream: IO[bytes] | None, pattern: str) -> str:
    """Lines until one matches; the process that writes them has a time limit of its own."""
    told = ""
    while not re.search(pattern, told):
        line = stream.readline() if stream else b""
        if not line:
            raise Failed(f"it has ended: {told}")
        told += line.decode(errors="replace")
    return told


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise Failed(text)
    return found[0]
