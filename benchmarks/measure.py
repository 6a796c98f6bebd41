"""Whole processes, measured by the operating system's own accounting."""

import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LAUNCH = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py"))]


@dataclass(frozen=True)
class Measured:
    """One finished process: when it began, wall-clock seconds, peak resident memory in MB.

    `started_s` is on the clock of `time.perf_counter`, which all processes share.
    """

    started_s: float
    wall_s: float
    peak_mb: float


def measure(command: Sequence[str], env: Mapping[str, str]) -> Measured:
    """Raises RuntimeError when the command fails."""
    done = subprocess.run(
        [*_LAUNCH, *command], env=env, stdout=subprocess.PIPE, text=True, check=True
    )
    *figures, code = done.stdout.split()
    if code != "0":
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return Measured(*map(float, figures))


def in_turn(
    commands: Sequence[Sequence[str]], env: Mapping[str, str], runs: int = 11
) -> list[list[Measured]]:
    """Each command's runs, after one to warm up: what else the machine does falls on all."""
    for command in commands:
        measure(command, env)
    rounds = [[measure(command, env) for command in commands] for _ in range(runs)]
    return [list(each) for each in zip(*rounds, strict=True)]


def compare(first: Sequence[Measured], second: Sequence[Measured]) -> tuple[float, str]:
    """The median of the ratios of their times, and it with both medians, to be shown."""
    ratio = statistics.median(
        one.wall_s / other.wall_s for one, other in zip(first, second, strict=True)
    )
    one_s, other_s = (statistics.median(each.wall_s for each in runs) for runs in (first, second))
    return ratio, f"{ratio:.3f} ({one_s:.3f} s / {other_s:.3f} s)"
