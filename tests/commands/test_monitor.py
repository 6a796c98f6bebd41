"""`agentctl monitor`: once, live, in a pipe, and over the last hours."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.core.automation.measurement_store import MeasurementStore
from agentctl.core.automation.recorder import average
from agentctl.core.storage import open_database
from tests.support.cli import command, environment, run, with_ollama
from tests.support.measured import stats
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    return environment(home)


def keep_minutes(home: Path, *ages_s: int) -> None:
    """Averages of minutes so long ago."""
    now = int(datetime.now(UTC).timestamp())
    with closing(open_database(home / "agentctl" / "data" / "agentctl.db")) as connection:
        for age_s in ages_s:
            MeasurementStore(connection).add(replace(average([stats()]), minute=now - age_s))


def test_one_measurement_is_told_in_lines(env: Mapping[str, str]) -> None:
    done = run("monitor", "--once", env=env)

    names = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert {"cpu", "memory", "disk", "network", "server", "knowledge", "daemon"} <= set(names)


def test_one_measurement_as_json_has_the_shape_of_the_contract(home: Path) -> None:
    with ScriptedOllama(models=[ScriptedModel(loaded_vram=1.0)]) as ollama:
        done = run("monitor", "--once", "--json", env=with_ollama(home, ollama))

    data = json.loads(done.stdout)["data"]
    assert {"time", "cpu_percent", "load", "gpus", "network", "speed", "warnings"} <= set(data)
    assert set(data["memory"]) == set(data["disk"]) == {"used", "total", "percent"}
    assert set(data["process"]) == {"rss", "cpu_percent"}
    assert data["backend"]["status"] == "healthy"
    assert data["backend"]["loaded_models"][0]["gpu_percent"] == 100.0
    assert data["daemon"] == {"status": "stopped", "uptime_s": 0.0}
    assert data["knowledge"] == {"documents": 0, "chunks": 0}


@on_posix
def test_in_a_pipe_each_measurement_is_a_line_until_ctrl_c(env: Mapping[str, str]) -> None:
    process = subprocess.Popen(
        command("monitor", "--interval", "0.2"), env=env, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0

    assert all(" cpu=" in line and " ollama=off" in line for line in lines)


@on_posix
@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "Ctrl+C"])
@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (60, 20)])
def test_the_live_charts_fill_the_terminal_and_give_it_back(
    env: Mapping[str, str], key: str, columns: int, rows: int
) -> None:
    from tests.support.terminal import Terminal

    live = command("monitor", "--interval", "0.2")
    with Terminal(live, env, columns=columns, rows=rows) as terminal:
        terminal.wait_for("q quits")
        shown = terminal.lines
        terminal.type(key)
        assert terminal.finish() == 0

    for title in ("CPU", "memory", "network in", "answers"):
        assert any(title in line for line in shown)
    assert len(shown) <= rows
    assert terminal.output.endswith(b"\x1b[?25h\x1b[?1049l")


@on_posix
def test_plain_draws_nothing(env: Mapping[str, str]) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("monitor", "--plain", "--interval", "0.2"), env) as terminal:
        terminal.wait_for(" cpu=")
        terminal.type("\x03")
        assert terminal.finish() == 0

    assert b"\x1b" not in terminal.output


# The last hours


def test_stored_minutes_are_lines_in_a_pipe(home: Path, env: Mapping[str, str]) -> None:
    keep_minutes(home, 7200, 1200, 600)

    done = run("monitor", "--history", "1h", env=env)

    assert done.returncode == 0
    assert [line.split("\t")[1:3] for line in done.stdout.splitlines()] == [["20.0", "40.0"]] * 2


def test_stored_minutes_as_json(home: Path, env: Mapping[str, str]) -> None:
    keep_minutes(home, 600)

    (row,) = json.loads(run("monitor", "--history", "1h", "--json", env=env).stdout)["data"]

    assert (row["cpu_percent"], row["gpu_percent"]) == (20.0, None)


@on_posix
def test_stored_minutes_are_charts_on_a_terminal(home: Path, env: Mapping[str, str]) -> None:
    from tests.support.terminal import Terminal

    keep_minutes(home, *range(60, 3600, 60))
    with Terminal(command("monitor", "--history", "1h"), {**env, "NO_COLOR": "1"}) as terminal:
        assert terminal.finish() == 0

    assert any("CPU 20 %" in line for line in terminal.lines)
    assert any("-60m" in line for line in terminal.lines)
    assert b"\x1b[3" not in terminal.output


def test_where_nothing_was_measured_the_next_step_is_told(env: Mapping[str, str]) -> None:
    done = run("monitor", "--history", "1h", env=env)

    assert (done.returncode, done.stdout) == (0, "")
    assert "agentctl daemon start" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--history", "1q"),
        ("--history", "0s"),
        ("--once", "--history", "1h"),
        ("--interval", "0"),
        ("--interval", "nan"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(
    env: Mapping[str, str], arguments: tuple[str, ...]
) -> None:
    assert run("monitor", *arguments, env=env).returncode == 2
