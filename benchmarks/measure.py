"""Whole processes, measured by the operating system's own accounting."""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One finished process: wall-clock seconds, and peak resident memory in MB."""

    wall_s: float
    peak_mb: float


def measure(command: Sequence[str], env: Mapping[str, str]) -> Measured:
    """Raises RuntimeError when the command fails."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kB elsewhere
    return Measured(wall, usage.ru_maxrss * unit / 1e6)


def compare(
    first: Sequence[str], second: Sequence[str], env: Mapping[str, str], runs: int = 11
) -> tuple[Measured, Measured, float]:
    """Medians of both and of the ratio of their times, run in turn after one warm-up each."""
    measure(first, env)
    measure(second, env)
    pairs = [(measure(first, env), measure(second, env)) for _ in range(runs)]
    ratio = statistics.median(one.wall_s / other.wall_s for one, other in pairs)
    return _median([one for one, _ in pairs]), _median([other for _, other in pairs]), ratio


def _median(measured: Sequence[Measured]) -> Measured:
    return Measured(
        statistics.median(each.wall_s for each in measured),
        max(each.peak_mb for each in measured),
    )
