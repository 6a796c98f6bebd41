"""How fast a command is there, against `llm` in the same run."""

import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import compare
from tests.support.cli import environment

MODEL = "scripted:1b"


def rows(peers: Path) -> Iterator[tuple[str, str, str]]:
    """What was measured, the figure, the bar."""
    ours, llm = [sys.executable, "-m", "agentctl"], str(install_llm(peers))
    script = Path(sys.executable).parent / "agentctl"
    if script.exists():
        ours = [str(script)]
    with tempfile.TemporaryDirectory() as home, _instant_server() as url:
        env = environment(Path(home), AGENTCTL_OLLAMA_HOST=url, OLLAMA_HOST=url)
        for name, arguments, bar in (
            ("`agentctl --version` / `llm --version`", ["--version"], 0.15),
            ("`agentctl --help` / `llm --version`", ["--help"], 0.25),
        ):
            one, other, ratio = compare([*ours, *arguments], [llm, "--version"], env)
            yield name, f"{ratio:.3f} ({one.wall_s:.3f} s / {other.wall_s:.3f} s)", f"≤ {bar}"
        ask = [*ours, "ask", "-m", f"ollama:{MODEL}", "hello"]
        one, other, ratio = compare(ask, [llm, "-m", f"ollama/{MODEL}", "hello"], env)
        figure = f"{ratio:.3f} ({one.wall_s:.3f} s / {other.wall_s:.3f} s)"
        yield (
            "`agentctl ask` / `llm` with llm-ollama, a server that answers at once",
            figure,
            "≤ 0.30",
        )
        yield "peak memory of that `agentctl ask`", f"{one.peak_mb:.0f} MB", "≤ 80 MB"


def install_llm(folder: Path) -> Path:
    """llm with llm-ollama in an environment of its own."""
    program = folder / "bin" / "llm"
    if not program.exists():
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "llm", "llm-ollama"]
        subprocess.run(pip, check=True)
    return program


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
