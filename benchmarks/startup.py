"""How fast a command is there, against `llm` in the same run."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.equipment import Equipment
from benchmarks.measure import compare, in_turn
from benchmarks.rows import Row, at_most
from tests.support.cli import environment

MODEL = "scripted:1b"


def rows(equipment: Equipment) -> Iterator[Row]:
    ours = [str(Path(sys.executable).with_name("agentctl"))]
    llm = [str(equipment.program("llm", "llm"))]
    with tempfile.TemporaryDirectory() as home, _instant_server() as url:
        env = environment(Path(home), AGENTCTL_OLLAMA_HOST=url, OLLAMA_HOST=url)
        ask = [*ours, "ask", "-m", f"ollama:{MODEL}", "hello"]
        version, helped, theirs, asked, answered = in_turn(
            [
                [*ours, "--version"],
                [*ours, "--help"],
                [*llm, "--version"],
                ask,
                [*llm, "-m", f"ollama/{MODEL}", "hello"],
            ],
            env,
        )
    for name, one, other, bar in (
        ("`agentctl --version` / `llm --version`", version, theirs, 0.15),
        ("`agentctl --help` / `llm --version`", helped, theirs, 0.25),
        (
            "`agentctl ask` / `llm` with llm-ollama, a server that answers at once",
            asked,
            answered,
            0.3,
        ),
    ):
        ratio, figure = compare(one, other)
        yield Row(name=name, figure=figure, bars=(at_most(bar, ratio),))
    peak_mb = max(each.peak_mb for each in asked)
    yield Row(
        name="peak memory of that `agentctl ask`",
        figure=f"{peak_mb:.0f} MB",
        bars=(at_most(80, peak_mb, " MB"),),
    )


class _instant_server:  # noqa: N801 - used like a function
    """A scripted Ollama in a process of its own, so that it takes no time of ours."""

    def __enter__(self) -> str:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.ollama_server", "--port", "0"],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        assert self._process.stdout is not None
        return self._process.stdout.readline().split()[-1]

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
