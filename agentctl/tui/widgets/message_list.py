"""Messages one below the other, however many: only what is looked at is drawn.

The heights of messages that nobody has looked at yet are guessed; they are measured when they come
into sight, and what is looked at stays where it is meanwhile.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from textual import events
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.timer import Timer

from agentctl.core.chat.conversations import StoredMessage
from agentctl.tui.widgets.heights import Heights
from agentctl.tui.widgets.message import Entry, Message
from agentctl.tui.widgets.message_text import GUTTER, Painter, centred
from agentctl.tui.widgets.reading_place import Place, offset_of, place_of

# Seconds between two drawings of what arrives.
_DRAW_S = 0.1
# Messages that stay drawn when they are out of sight.
_KEPT = 100
WHEEL_LINES = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What was at the top when the list was drawn anew, and the row where that is since."""

    entry: int
    place: Place
    row: int


class MessageList(ScrollView):
    """Stays at the end while `is_following`, which is until the user scrolls up."""

    DEFAULT_CSS = """
    MessageList {
        height: 1fr; overflow: hidden scroll; scrollbar-size-vertical: 1; background: $background;
    }
    """

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id)
        self.is_following = True
        self._empty = empty
        self._entries: list[Entry] = []
        self.heights = Heights()
        self._drawn: OrderedDict[int, None] = OrderedDict()
        self._changed: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._painter: Painter | None = None
        self._timer: Timer | None = None
        self._is_settling = False
        self._reading: Reading | None = None
        self._is_drawn_anew = False

    # What is in it

    @property
    def entries(self) -> Sequence[Entry]:
        return self._entries

    def show(self, entries: Iterable[Entry]) -> None:
        """In place of all that was there, at its end."""
        self._entries = [*entries]
        self._numbers = {
            id(entry): number
            for number, entry in enumerate(self._entries)
            if isinstance(entry, Message)
        }
        self.is_following = True
        self._reading, self._is_drawn_anew = None, False
        self._drawn.clear()
        self._changed.clear()
        self._guess_all()
        self.settle()

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if isinstance(entry, Message):
                self._numbers[id(entry)] = len(self._entries)
            self._entries.append(entry)
            self.heights.add(self._guessed(entry))
        self.settle()

    def replace(self, number: int, entry: Entry) -> None:
        self._entries[number] = entry
        self.heights.doubt(number)
        self.settle()

    def cut(self, number: int) -> None:
        """Takes away all from there on."""
        self.show(self._entries[:number])

    def changed(self, message: Message) -> None:
        """Draws it anew before long; many changes at once are one."""
        number = self._numbers.get(id(message))
        if number is not None:
            self._changed.add(number)
            if self._timer is None:
                self._timer = self.set_timer(_DRAW_S, self._draw_changed)

    def message(self, number: int) -> Message:
        entry = self._entries[number]
        if isinstance(entry, Message):
            return entry
        message = self._entries[number] = Message.from_stored(entry)
        self._numbers[id(message)] = number
        return message

    def number_of(self, message: Message) -> int:
        return self._numbers[id(message)]

    # Scrolling

    @property
    def row(self) -> int:
        return round(self.scroll_y)

    def scroll_lines(self, lines: int) -> None:
        self.scroll_to_line(self.row + lines)

    def scroll_to_line(self, line: int) -> None:
        self.is_following = line >= self.max_scroll_y
        self.scroll_to(y=line, animate=False)
        self.settle()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if not self._is_settling:
            self.is_following = new_value >= self.max_scroll_y
            self.settle()

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self.scroll_lines(WHEEL_LINES)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self.scroll_lines(-WHEEL_LINES)

    # Heights

    def on_resize(self) -> None:
        self.settle()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._painter is not None and self._painter.theme is not self.app.current_theme:
            self.settle()

    def ready_painter(self) -> Painter:
        width = max(self.scrollable_content_region.width - GUTTER, 1)
        theme = self.app.current_theme
        painter = self._painter
        if painter is None or painter.width != width or painter.theme is not theme:
            if painter is not None and not self._is_drawn_anew:
                self._reading = self._read(painter)
                self._is_drawn_anew = self._reading is not None
            painter = self._painter = Painter(width, theme)
            self._guess_all()
        return painter

    def _read(self, painter: Painter) -> Reading | None:
        """None at the end, and where nothing was drawn yet."""
        row, number = self.row, self.heights.entry_at(self.row)
        if self._reading is not None and self._reading.row == row:
            # Not scrolled since: there and back again is the same line.
            return self._reading
        if self.is_following or number is None or self.heights.is_guessed(number):
            return None
        offset = row - self.heights.tops[number]
        return Reading(number, place_of(offset, self.message(number), painter), row)

    def _guess_all(self) -> None:
        self.heights.guess_all(map(self._guessed, self._entries))

    def _guessed(self, entry: Entry) -> int:
        width = self._painter.width if self._painter is not None else 80
        text = entry.content if isinstance(entry, StoredMessage) else entry.text
        return 3 + len(text) // width

    def measure(self, number: int) -> int:
        painter = self.ready_painter()
        self._drawn[number] = None
        self._drawn.move_to_end(number)
        if not self.heights.is_measured(number):
            self.heights.measure(number, self.message(number).measure(painter))
        return self.heights[number]

    def _draw_changed(self) -> None:
        self._timer = None
        for number in self._changed:
            self.heights.doubt(number)
        self._changed.clear()
        self.settle()

    def settle(self) -> None:
        """Measures what is in sight, and keeps it in its place."""
        if self._is_settling or not self.size.height:
            return
        self._is_settling = True
        try:
            self.ready_painter()
            row = self._row_of_end() if self.is_following else self._row_of_anchor()
            self._is_drawn_anew = False
            size = Size(self.size.width, self.heights.total)
            if size != self.virtual_size:
                self.virtual_size = size
            if row != self.row:
                self.scroll_to(y=row, animate=False)
        finally:
            self._is_settling = False
        self._let_go()
        self.refresh()

    def _row_of_end(self) -> int:
        filled = 0
        for number in reversed(range(len(self._entries))):
            filled += self.measure(number)
            if filled >= self.size.height:
                break
        return max(self.heights.total - self.size.height, 0)

    def _row_of_anchor(self) -> int:
        """The line that is at the top now, by what is known of the heights after that."""
        reading = self._reading if self._is_drawn_anew else None
        anchor = reading.entry if reading is not None else self.heights.entry_at(self.row)
        if anchor is None:
            return self.row
        offset, guessed = self.row - self.heights.tops[anchor], self.heights[anchor]
        is_new = self.heights.is_guessed(anchor)
        filled = self.measure(anchor)
        if reading is not None:
            offset = offset_of(reading.place, self.message(anchor), self.ready_painter())
            self._reading = replace(reading, row=self.heights.tops[anchor] + offset)
        elif is_new and offset:
            # Who comes from below has seen its last lines.
            offset = max(filled - (guessed - offset), 0)
        filled -= offset
        for number in range(anchor + 1, len(self._entries)):
            if filled >= self.size.height:
                break
            filled += self.measure(number)
        return self.heights.tops[anchor] + offset

    def _let_go(self) -> None:
        while len(self._drawn) > _KEPT:
            number, _ = self._drawn.popitem(last=False)
            entry = self._entries[number] if number < len(self._entries) else None
            if isinstance(entry, Message):
                entry.forget()

    # Drawing

    def render_line(self, y: int) -> Strip:
        base, width = self.rich_style, self.size.width
        line = self.row + y
        number = self.heights.entry_at(line)
        if number is None:
            text = self._empty if not self._entries and y == self.size.height // 2 else ""
            shown = Strip.blank(0) if not text else centred(text, width)
            return shown.apply_style(base).extend_cell_length(width, base)
        painter = self.ready_painter()
        if not self.heights.is_measured(number):
            self.call_later(self.settle)
            return Strip.blank(width, base)
        strip, part = self.message(number).line(line - self.heights.tops[number], painter)
        strip = self.finished(strip, number, part)
        return strip.apply_style(base).crop_extend(0, width, base)

    def finished(self, strip: Strip, number: int, part: int | None) -> Strip:
        """A line as it is shown, with what stands before it."""
        return Strip.join([Strip.blank(GUTTER), strip])
