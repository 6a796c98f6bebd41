"""What the GPUs do, asked again and again: NVML held open, else GPUtil, else nothing."""

import math
import shutil
from collections.abc import Callable
from typing import TypeAlias

from agentctl.core.automation.measurements import GpuUse

_Source: TypeAlias = Callable[[], tuple[GpuUse, ...]]
_MEBIBYTE = 1024 * 1024


class GpuReader:
    """Finds at the first reading who can tell, and asks nobody else afterwards."""

    def __init__(self, *sources: Callable[[], _Source | None]) -> None:
        self._sources = sources or (open_nvml, find_gputil)
        self._read: _Source | None = None

    def read(self) -> tuple[GpuUse, ...]:
        """Every GPU, none where nobody can tell. With GPUtil it takes a process, else 0.1 ms."""
        if self._read is None:
            found = (source() for source in self._sources)
            self._read = next((read for read in found if read is not None), _no_gpus)
        return self._read()


def open_nvml() -> _Source | None:
    """NVIDIA's library, where there is a driver.

    It counts how often it was opened: held open here, each look at it is cheap.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return _ask_nvml


def find_gputil(which: Callable[[str], str | None] = shutil.which) -> _Source | None:
    """GPUtil, where `nvidia-smi` is there for it to start and Python still has distutils."""
    if which("nvidia-smi") is None:
        return None
    try:
        from GPUtil import getGPUs  # type: ignore[import-untyped]  # it ships no types
    except ImportError:
        return None
    return lambda: ask_gputil(getGPUs)


def _ask_nvml() -> tuple[GpuUse, ...]:
    from agentctl.core.hardware import gpus

    return tuple(
        GpuUse(
            name=gpu.name,
            util_percent=gpu.utilization_percent or 0,
            memory_used=gpu.memory_used,
            memory_total=gpu.memory_total,
            temperature=gpu.temperature_c,
        )
        for gpu in gpus()
    )


def ask_gputil(get: Callable[[], list[object]]) -> tuple[GpuUse, ...]:
    try:
        cards = get()
    except (ValueError, OSError):
        # What nvidia-smi prints when it fails is read as numbers.
        return ()
    return tuple(
        GpuUse(
            name=str(getattr(card, "name", "GPU")),
            util_percent=100 * (_number(card, "load") or 0.0),
            memory_used=int((_number(card, "memoryUsed") or 0.0) * _MEBIBYTE),
            memory_total=int((_number(card, "memoryTotal") or 0.0) * _MEBIBYTE),
            temperature=_number(card, "temperature"),
        )
        for card in cards
    )


def _number(card: object, name: str) -> float | None:
    """None for what the card does not tell, which GPUtil gives as NaN."""
    value = getattr(card, name, None)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _no_gpus() -> tuple[GpuUse, ...]:
    return ()
