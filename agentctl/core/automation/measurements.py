"""What the monitor measures, as values. Bytes, percent of 0 to 100, seconds."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Health: TypeAlias = Literal["healthy", "retrying", "degraded", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    used: int
    total: int
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRate:
    """Bytes a second since the last measurement; 0 at the first."""

    sent_per_s: float
    received_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """`temperature` is in degrees Celsius, None where the card does not tell."""

    name: str
    util_percent: float
    memory_used: int
    memory_total: int
    temperature: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessUse:
    rss: int
    cpu_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModelUse:
    """A model in memory; `gpu_percent` is the share of it that is on GPUs."""

    name: str
    size: int
    gpu_percent: float
    context_window: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendState:
    """The model server: `detail` says what is wrong, `fix` what to do, both empty when healthy.

    `status` is off when no server is configured or wanted, and the embedded engine answers.
    """

    name: str
    status: Health
    loaded_models: tuple[LoadedModelUse, ...] = ()
    detail: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of the last answers: means of tokens a second and of seconds to the first token."""

    tokens_per_s: float
    ttft_s: float
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonUse:
    status: Literal["running", "stopped"]
    uptime_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeSize:
    documents: int
    chunks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStats:
    """One look at the machine. `load` are the averages of 1, 5 and 15 minutes."""

    time: str
    cpu_percent: float
    load: tuple[float, float, float]
    memory: Amount
    disk: Amount
    network: NetworkRate
    gpus: tuple[GpuUse, ...]
    process: ProcessUse
    backend: BackendState
    speed: Speed | None
    daemon: DaemonUse
    knowledge: KnowledgeSize
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MinuteAverages:
    """`minute` in seconds since 1970; GPU figures are those of the busiest, None without one."""

    minute: int
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    sent_per_s: float
    received_per_s: float
    gpu_percent: float | None = None
    gpu_memory_percent: float | None = None
    tokens_per_s: float | None = None
    ttft_s: float | None = None
