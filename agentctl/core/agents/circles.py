"""Whether a speaker goes round in circles: the same call, or the same few, again and again."""

from collections import deque
from collections.abc import Sequence

# Calls; a longer circle ends by the run's limits.
_LONGEST_CIRCLE = 3
# Rounds from which on a call is not run again, and with which the run ends.
SAME_ROUNDS = 3
STUCK_ROUNDS = 6


def no_calls() -> deque[str]:
    """For the latest calls of a speaker: as many as are looked at."""
    return deque(maxlen=_LONGEST_CIRCLE * STUCK_ROUNDS)


def rounds(calls: Sequence[str]) -> int:
    """The rounds of the circle that these calls end with, the begun one counted; 0 for no calls.

    Three equal calls are three rounds, and so are five of two that take turns.
    """
    if not calls:
        return 0
    return max(_rounds_of(calls, length) for length in range(1, _LONGEST_CIRCLE + 1))


def _rounds_of(calls: Sequence[str], length: int) -> int:
    """Of circles of that length."""
    again = 0
    while again + length < len(calls) and calls[-1 - again] == calls[-1 - again - length]:
        again += 1
    return 1 + -(-again // length)
