"""How far a download is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One step of a download. `completed` and `total` are bytes; 0 while they are unknown."""

    status: str
    completed: int = 0
    total: int = 0
