"""A line or more for every command, in an order in which each finds what it needs."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Line:
    """Words of a command, how it may end, and what ends it.

    "keys" has it on a terminal and types them; "signal" is Ctrl+C once it has said `shows`.
    """

    words: Sequence[str]
    exits: Sequence[int] = (0,)
    stdin: str = ""
    by: Literal["itself", "keys", "signal"] = "itself"
    shows: str = ""
    keys: str = ""


def line(text: str, *exits: int, stdin: str = "") -> Line:
    """`text` is split as a shell does it."""
    return Line(shlex.split(text), exits or (0,), stdin)


AGENTS = ("graph", "code", "tools", "crew")

LINES = [
    line("config path"),
    line("config set ollama.keep_alive 5m"),
    line("config get ollama.keep_alive"),
    line("config show"),
    Line(["config", "edit"], by="keys"),
    line("models list"),
    line("models pull tiny:1b"),
    line("models show tiny:1b"),
    line("models use tiny:1b"),
    line("models remove small:2b --yes"),
    line("doctor", 0, 1),
    line("templates list"),
    line("ask 'What is it?' --system brief --save mine"),
    line("templates show mine"),
    line("ask -f notes/lamp.md -s talk Hello"),
    line("ask -c --schema schema.json more", 0, 1, 65, 69),
    line("sessions list"),
    line("sessions show talk"),
    line("sessions search Hello"),
    line("sessions fork talk --name again"),
    line("sessions export talk --format json"),
    line("sessions remove again --yes"),
    Line(["ingest", "notes", "--watch"], (0, 130), by="signal", shows="watching for"),
    line("ingest --title piped -", stdin="The keeper lives upstairs."),
    line("search lamp"),
    line("ask -k 'Which lamp?'"),
    line("docs list"),
    line("docs show notes/lamp.md"),
    line("docs collections"),
    line("docs verify"),
    line("docs reindex --force"),
    line("docs export exported.jsonl"),
    line("docs remove notes/page.html --yes"),
    line("docs import exported.jsonl"),
    line("docs watched"),
    line("eval questions.jsonl"),
    line("agents list"),
    line("agents show assistant"),
    line("agents new mine --kind team"),
    *(
        line(f"agents run {kind} -m scripted:{kind}.jsonl 'Do it.' --approve all")
        for kind in AGENTS
    ),
    line("agents run assistant write --approve ask", 77),
    line("runs list"),
    line("runs show latest"),
    line("runs approve latest"),
    line("runs export latest -o run.md"),
    line("agents run assistant 'write again' --approve ask", 77),
    line("runs deny latest --no-resume"),
    line("runs resume latest", 77),
    line("agents run assistant 'write more' --approve ask", 77),
    line("runs cancel latest"),
    line("tasks add brief --cron '0 8 * * mon-fri' --agent graph 'What is new?'"),
    line("tasks add asked --every 10m --ask Hello"),
    line("tasks list"),
    line("tasks show asked"),
    line("tasks pause asked"),
    line("tasks resume asked"),
    line("tasks run asked"),
    line("tasks history asked"),
    line("monitor --once"),
    # With a daemon.
    line("daemon start"),
    line("daemon status"),
    line("ingest notes --watch"),
    line("daemon restart"),
    line("tasks run asked"),
    line("tasks remove brief --yes"),
    line("search lamp"),
    line("ask Hello"),
    line("agents run assistant Hello"),
    Line(["mcp"], stdin='{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'),
    line("daemon logs"),
    line("daemon report"),
    Line(["tui"], by="keys", shows="agentctl", keys="\x11"),
    line("docs unwatch notes"),
    line("daemon stop"),
    Line(["daemon", "run"], (0, 130), by="signal", shows="listens at"),
    Line(["serve"], (0, 130), by="signal", shows="listens at"),
    Line(["tui", "--web"], (0, 130), by="signal", shows="http://"),
    line("daemon install --dry-run"),
    line("daemon uninstall"),
    line("completion bash"),
    line("backup saved.zip"),
    line("restore saved.zip --check"),
    line("restore saved.zip --yes"),
]


def command_of(words: Sequence[str], commands: Sequence[str]) -> str:
    """The command that such words begin with."""
    return next(each for each in commands if [*words[: len(each.split())]] == each.split())
