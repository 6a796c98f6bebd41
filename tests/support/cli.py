"""Runs the program as a user does: a process of its own, with pipes."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.ollama_server import ScriptedOllama

OFFLINE = Path(__file__).parent / "offline"
TIMEOUT_S = 120


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A clean environment: one home, no Ollama unless named, no network."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in ("PATH", "SYSTEMROOT", "LANG", "TMPDIR", "TEMP")
    }
    return {
        **kept,
        "HOME": str(home),
        "AGENTCTL_HOME": str(home / "agentctl"),
        "AGENTCTL_OLLAMA_HOST": "http://127.0.0.1:1",
        "PYTHONPATH": os.pathsep.join([str(OFFLINE), str(Path.cwd())]),
        **variables,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "agentctl", *arguments]


def run(
    *arguments: str,
    env: Mapping[str, str],
    stdin: str | bytes = b"",
    cwd: Path | None = None,
    is_superuser: bool = True,
) -> subprocess.CompletedProcess[str]:
    """The finished process, its output decoded as UTF-8.

    `is_superuser` False: the rights of files hold for it, even when root runs the tests.
    """
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        command(*arguments) if is_superuser else without_rights(*arguments),
        input=data,
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def without_rights(*arguments: str) -> list[str]:
    """The command, run so that the rights of files hold for root too."""
    if sys.platform == "win32" or os.geteuid() != 0:
        return command(*arguments)
    dropped = "--bounding-set=-dac_override,-dac_read_search"
    return ["setpriv", dropped, *command(*arguments)]


def with_ollama(home: Path, server: ScriptedOllama, **variables: str) -> dict[str, str]:
    """The environment in which `server` is the user's Ollama."""
    return environment(home, AGENTCTL_OLLAMA_HOST=server.url, **variables)
