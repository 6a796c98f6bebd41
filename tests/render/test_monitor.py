"""What the machine and the models do, in words and as one screen."""

import pytest

from agentctl.core.automation.measurements import BackendState, LoadedModelUse
from agentctl.render.monitor import backend_line, fields, one_line, screen
from tests.support.measured import gpu, stats

LOADED = LoadedModelUse(name="qwen3:4b", size=3_000_000_000, gpu_percent=50.0, context_window=8192)
DEGRADED = BackendState(
    name="ollama", status="degraded", detail="nothing answers", fix="ollama serve"
)


def test_everything_measured_has_a_line() -> None:
    told = fields(stats(gpus=(gpu(),)))

    assert told["memory"] == "4.0 GB of 10.0 GB, 40 %"
    assert told["network"] == "2.0 kB/s in, 1.0 kB/s out"
    assert told["gpu 0"] == "a GPU: 50 %, 5.0 GB of 10.0 GB, 60 °C"
    assert told["answers"] == "30.0 tokens/s, 0.5 s to the first (last 3)"
    assert told["daemon"] == "running for 2h"
    assert "fix" not in told


def test_what_is_wrong_is_told_with_its_mend() -> None:
    told = fields(stats(backend=DEGRADED, speed=None))

    assert (told["server"], told["fix"]) == ("ollama degraded: nothing answers", "ollama serve")
    assert told["answers"] == "none in the last hour"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (BackendState(name="ollama", status="off"), "ollama off"),
        (BackendState(name="ollama", status="healthy"), "ollama healthy: no model in memory"),
        (
            BackendState(name="ollama", status="healthy", loaded_models=(LOADED,)),
            "ollama healthy: qwen3:4b (3.0 GB, 50% GPU)",
        ),
    ],
)
def test_the_server_is_told_in_a_line(state: BackendState, text: str) -> None:
    assert backend_line(state) == text


def test_a_measurement_in_a_pipe_is_one_line_of_names_and_values() -> None:
    assert one_line(stats(gpus=(gpu(),))) == (
        "2026-01-05T12:00:00Z cpu=20.0 memory=40.0 disk=60.0 gpu0=50"
        " received=2000 sent=1000 tokens_per_s=30.0 ollama=healthy"
    )


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (30, 8), (10, 2)])
def test_the_screen_fits_the_terminal(width: int, height: int) -> None:
    samples = [(float(second), stats(second)) for second in range(0, 60, 2)]

    lines = screen(samples, width, height, colour=False)

    assert len(lines) <= height
    assert all(len(line) <= width for line in lines)
    assert lines[-1] == "q quits"


def test_the_screen_has_warnings_and_the_mend_above_its_charts() -> None:
    lines = screen(
        [(0.0, stats(backend=DEGRADED, warnings=("memory is at 96%",)))], 80, 24, colour=False
    )

    assert lines[1:4] == [
        "ollama degraded: nothing answers  daemon running",
        "  try: ollama serve",
        "warning: memory is at 96%",
    ]


def test_what_a_server_calls_its_models_cannot_draw_on_the_screen() -> None:
    evil = BackendState(name="ollama", status="degraded", detail="\x1b[2Jgone")

    assert "\x1b" not in "\n".join(screen([(0.0, stats(backend=evil))], 80, 24, colour=False))
