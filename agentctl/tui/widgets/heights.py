"""How high the entries of a long list are, measured or guessed, and where each begins."""

from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate


class Heights:
    """In lines, by the number of the entry."""

    def __init__(self) -> None:
        self._heights: list[int] = []
        self._measured: set[int] = set()
        self._doubted: set[int] = set()
        self._tops: list[int] | None = None

    def __getitem__(self, number: int) -> int:
        return self._heights[number]

    def guess_all(self, heights: Iterable[int]) -> None:
        self._heights = [*heights]
        self._measured.clear()
        self._doubted.clear()
        self._tops = None

    def add(self, guess: int) -> None:
        self._heights.append(guess)
        self._tops = None

    def measure(self, number: int, height: int) -> None:
        self._measured.add(number)
        self._doubted.discard(number)
        if self._heights[number] != height:
            self._heights[number] = height
            self._tops = None

    def is_measured(self, number: int) -> bool:
        return number in self._measured

    def is_guessed(self, number: int) -> bool:
        """Whether it was never measured."""
        return number not in self._measured and number not in self._doubted

    def doubt(self, number: int) -> None:
        """It may have changed since it was measured."""
        if number in self._measured:
            self._measured.discard(number)
            self._doubted.add(number)

    @property
    def tops(self) -> list[int]:
        """Where each begins, and at last where all end."""
        if self._tops is None:
            self._tops = [0, *accumulate(self._heights)]
        return self._tops

    @property
    def total(self) -> int:
        return self.tops[-1]

    def entry_at(self, line: int) -> int | None:
        if not 0 <= line < self.total:
            return None
        return min(bisect_right(self.tops, line) - 1, len(self._heights) - 1)
