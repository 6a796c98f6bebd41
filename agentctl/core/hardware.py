"""What this machine has: memory, GPUs, disk, and whether a model fits."""

import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from agentctl.core.paths import nearest_place

Fit: TypeAlias = Literal["yes", "tight", "no"]

_OVERHEAD = 1.2


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory in bytes; `available` can be had without swapping."""

    total: int
    available: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA GPU: memory in bytes; None where the driver does not tell."""

    name: str
    memory_total: int
    memory_used: int
    utilization_percent: int | None
    temperature_c: int | None


def memory() -> Memory:
    import psutil

    now = psutil.virtual_memory()
    return Memory(now.total, now.available)


def gpus() -> list[Gpu]:
    """Every NVIDIA GPU; none without a driver (told in under a millisecond)."""
    import pynvml

    found: list[Gpu] = []
    with suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        try:
            for index in range(pynvml.nvmlDeviceGetCount()):
                # One GPU that fell off the bus must not hide the others.
                with suppress(pynvml.NVMLError):
                    found.append(_gpu(pynvml.nvmlDeviceGetHandleByIndex(index)))
        finally:
            pynvml.nvmlShutdown()
    return found


def free_disk(path: Path) -> int:
    """Bytes free where `path` is, or will be once it is made."""
    return shutil.disk_usage(nearest_place(path)).free


def model_fits(size_bytes: int, memory: Memory, gpus: Iterable[Gpu]) -> Fit:
    """Whether a model whose weights take `size_bytes` can run here.

    It needs its weights and about a fifth more for the KV cache and the compute buffers. "yes":
    the GPUs' free memory or the available main memory holds that now; "tight": it would if
    other programs made room; "no": neither is large enough.
    """
    cards = list(gpus)
    need = size_bytes * _OVERHEAD
    if need <= max(memory.available, sum(gpu.memory_total - gpu.memory_used for gpu in cards)):
        return "yes"
    return "tight" if need <= max(memory.total, sum(gpu.memory_total for gpu in cards)) else "no"


def _gpu(handle: object) -> Gpu:
    import pynvml

    name = pynvml.nvmlDeviceGetName(handle)
    held = pynvml.nvmlDeviceGetMemoryInfo(handle)
    utilization = temperature = None
    with suppress(pynvml.NVMLError):
        utilization = int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
    with suppress(pynvml.NVMLError):
        temperature = int(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU))
    return Gpu(name, held.total, held.used, utilization, temperature)
