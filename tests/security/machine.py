"""A machine to walk over: a home, a model server, and a network that leads nowhere."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cli import TIMEOUT_S, command

ROOT = Path(__file__).parents[2]
WATCH = Path(__file__).parent / "watch"

# Addresses that belong to nobody (RFC 5737). What a user's environment may hold of them must not
# make anything of ours go there.
NOBODY = "http://203.0.113.9:3128"
TEMPTING = {
    **dict.fromkeys(
        ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOBODY
    ),
    **dict.fromkeys(
        ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LANGSMITH_OTEL_ENABLED"), "true"
    ),
    "LANGSMITH_API_KEY": "lsv2_not_a_key_but_long_enough",
    "LANGSMITH_ENDPOINT": NOBODY,
    "LANGGRAPH_API_URL": NOBODY,
    "OTEL_EXPORTER_OTLP_ENDPOINT": NOBODY,
    "OTEL_TRACES_EXPORTER": "otlp",
    "HF_ENDPOINT": NOBODY,
    "HF_TOKEN": "hf_not_a_token_but_long_enough",
    "PHOENIX_COLLECTOR_ENDPOINT": NOBODY,
}


@dataclass(frozen=True)
class Machine:
    """`prefix` starts a program inside of its network, if it has one of its own."""

    env: dict[str, str]
    folder: Path
    record: Path
    prefix: Sequence[str]
    server: int

    def run(self, words: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.prefix, *command(*words)],
            env=self.env,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )

    def tried(self) -> list[str]:
        """What was tried beyond this machine, by whatever process that is Python's."""
        return [each for each in self._notes() if each.split("\t")[1] != "start"]

    def started(self) -> set[str]:
        """The names of programs that were started."""
        return {each.split("\t")[2] for each in self._notes() if each.split("\t")[1] == "start"}

    def unrouted(self) -> int:
        """How often anything, native code included, wanted to send to where no way leads."""
        if not self.prefix:
            return 0
        folder = Path(f"/proc/{self.server}/net")
        v4 = [line.split() for line in (folder / "snmp").read_text().splitlines()]
        names, values = (line for line in v4 if line[0] == "Ip:")
        v6 = dict(line.split() for line in (folder / "snmp6").read_text().splitlines())
        counted = dict(zip(names, values, strict=True))["OutNoRoutes"]
        return int(counted) + int(v6.get("Ip6OutNoRoutes", 0))

    def _notes(self) -> list[str]:
        return self.record.read_text(encoding="utf-8").splitlines()


@contextmanager
def machine(folder: Path, *, is_default_home: bool) -> Iterator[Machine]:
    """One whose user has the platform's folders, or all of them in `AGENTCTL_HOME`."""
    user, work, record = folder / "user", folder / "work", folder / "record"
    work.mkdir()
    user.mkdir(mode=0o755)
    record.touch()
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    env = {
        **kept,
        **TEMPTING,
        "HOME": str(user),
        "EDITOR": "true",
        "WATCH_RECORD": str(record),
        "PYTHONPATH": os.pathsep.join([str(WATCH), str(ROOT)]),
        "AGENTCTL_DAEMON_NOTIFY": "",
    }
    if not is_default_home:
        env["AGENTCTL_HOME"] = str(folder / "own")
    apart = own_network()
    program = [*apart, sys.executable, "-m", "tests.security.model_server"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, cwd=ROOT, text=True) as server:
        try:
            assert server.stdout is not None
            env["AGENTCTL_OLLAMA_HOST"] = server.stdout.readline().strip()
            yield Machine(env, work, record, _entering(server.pid) if apart else (), server.pid)
        finally:
            server.kill()


def own_network() -> Sequence[str]:
    """What starts a program in a network with a loopback and nothing else, if that is allowed."""
    if not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return ()
    start = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c"]
    probe = subprocess.run([*start, "ip link set lo up"], capture_output=True, check=False)
    return () if probe.returncode else [*start, 'ip link set lo up && exec "$@"', "sh"]


def _entering(pid: int) -> Sequence[str]:
    return ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials", "--"]
