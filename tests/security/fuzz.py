"""Coverage-guided fuzzing of what reads strangers' bytes; run by hand, not by pytest.

`pip install atheris`, then `python -m tests.security.fuzz TARGET -max_total_time=300`. Whatever a
target raises but agentctl's own errors is a finding, and so is an input that takes 20 seconds.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["agentctl"]):
    import msgspec

    from agentctl.core import backup_file
    from agentctl.core.agents.permissions import command_line
    from agentctl.core.automation import schedule
    from agentctl.core.backends.gguf import parse_gguf_header
    from agentctl.core.config_syntax import read_dotenv, read_toml, toml_line
    from agentctl.core.errors import AgentctlError
    from agentctl.core.events import decode_event, encode_event
    from agentctl.core.knowledge.loaders.registry import loader_for, sample
    from agentctl.core.knowledge.loaders.text import TextLoader
    from agentctl.core.knowledge.query import match_expression
    from agentctl.daemon.wire import find_verb

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VERBS = ("ask", "search", "ingest", "run_agent", "add_task", "approve")
SCRATCH = Path(tempfile.mkdtemp())


def load(data: bytes) -> None:
    """The first byte chooses the ending. What a parser raises is translated by whoever calls it:
    only loaders of this process, which has no limits, must not take for ever."""
    endings = ("md", "rst", "html", "py", "js", "ipynb", "eml", "docx", "xlsx", "pptx", "epub", "c")
    name = f"a.{endings[data[0] % len(endings)]}" if data else "a"
    loader = loader_for(name, sample(data[1:])) or TextLoader()
    if loader.is_isolated:
        with suppress(Exception):
            loader.load(data[1:], name)
    else:
        loader.load(data[1:], name)


def query(data: bytes) -> None:
    match_expression(data.decode("utf-8", "replace"))


def event(data: bytes) -> None:
    try:
        decoded = decode_event(data)
    except ValueError:
        return
    assert decode_event(encode_event(decoded)) == decoded


def wire(data: bytes) -> None:
    verb = find_verb(VERBS[data[0] % len(VERBS)]) if data else None
    with suppress(ValueError, RecursionError):
        arguments = msgspec.json.decode(data[1:])
        if verb is not None and isinstance(arguments, dict):
            verb.read_arguments(arguments)


def settings(data: bytes) -> None:
    file = SCRATCH / "agentctl.toml"
    file.write_bytes(data)
    read_dotenv(file)
    toml_line(file, "x.y")
    read_toml(file)


def times(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for make in (
        lambda: schedule.cron(text, "UTC"),
        lambda: schedule.interval(text),
        lambda: schedule.once(text, NOW, "UTC"),
    ):
        with suppress(AgentctlError):
            schedule.next_time(make(), NOW)


def command(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    command_line.parse(text)
    command_line.beginning(text)
    command_line.possible_words(text)


def gguf(data: bytes) -> None:
    with suppress(ValueError):
        parse_gguf_header(data)


def backup(data: bytes) -> None:
    file = SCRATCH / "backup.zip"
    file.write_bytes(data)
    with backup_file.open_backup(file):
        pass


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each
    for each in (load, query, event, wire, settings, times, command, gguf, backup)
}


def main() -> None:
    target = TARGETS[sys.argv[1]]

    def run(data: bytes) -> None:
        with suppress(AgentctlError):
            target(data)

    atheris.Setup([sys.argv[0], "-timeout=20", "-rss_limit_mb=1500", *sys.argv[2:]], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
