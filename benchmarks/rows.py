"""Rows of the tables: what was measured, the figure, and the bars that it is held to."""

from dataclasses import dataclass

MISSED = "**missed**"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """What a figure should be, and whether it is."""

    text: str
    is_met: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of a table. Its name is the same in every run: README's choice goes by it."""

    name: str
    figure: str
    bars: tuple[Bar, ...] = ()

    def cells(self) -> tuple[str, str, str]:
        """As they are shown: a missed bar says so."""
        bars = [bar.text if bar.is_met else f"{bar.text} {MISSED}" for bar in self.bars]
        return self.name, self.figure, ", ".join(bars)


def at_most(limit: float, value: float, unit: str = "", *, what: str = "") -> Bar:
    return Bar(text=f"{what}≤ {limit:g}{unit}", is_met=value <= limit)


def at_least(limit: float, value: float, unit: str = "", *, what: str = "") -> Bar:
    return Bar(text=f"{what}≥ {limit:g}{unit}", is_met=value >= limit)


def none(count: int) -> Bar:
    return Bar(text="none", is_met=count == 0)
