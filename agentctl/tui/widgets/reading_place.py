"""Where somebody reads in a message, in terms that another width does not change."""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate

from agentctl.tui.widgets.message import Message
from agentctl.tui.widgets.message_text import Painter


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a part: so many of the part's letters stand above it, and `lines` without any.

    Above the part `lines` is negative.
    """

    part: int
    letters: int
    lines: int


def place_of(offset: int, message: Message, painter: Painter) -> Place:
    """What stands at a line of a message that was measured with this painter."""
    parts = range(len(message.parts))
    part = next((number for number in parts if message.place(number)[1] > offset), len(parts))
    above = _letters_above(message, part, painter)
    line = offset - message.place(part)[0]
    letters = above[line] if 0 <= line < len(above) else 0
    return Place(part, letters, line - bisect_left(above, letters))


def offset_of(place: Place, message: Message, painter: Painter) -> int:
    """The line where that stands now, as `place_of` with another painter has had it."""
    above = _letters_above(message, place.part, painter)
    # The line with the next letter; those of the same place before it have none.
    last = bisect_right(above, place.letters) - 1
    line = min(bisect_left(above, place.letters) + place.lines, last)
    return max(message.place(place.part)[0] + line, 0)


def _letters_above(message: Message, part: int, painter: Painter) -> list[int]:
    """For each line of a part, and for the one behind its last.

    Of letters and digits only: rules, frames and spaces are as wide as there is room.
    """
    begin, end = message.place(part)
    lines = (message.line(number, painter)[0].text for number in range(begin, end))
    return [*accumulate((sum(map(str.isalnum, line)) for line in lines), initial=0)]
