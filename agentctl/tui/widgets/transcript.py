"""What was said: to go through by keys, to find things in, to unfold."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as Posted
from textual.strip import Strip

from agentctl.tui.widgets.message import Entry, Message
from agentctl.tui.widgets.message_list import WHEEL_LINES, MessageList
from agentctl.tui.widgets.message_parts import More, Part, Prose
from agentctl.tui.widgets.message_text import marked, sign


@dataclass(frozen=True, slots=True)
class Selected:
    """A part of a message, by their numbers."""

    entry: int
    part: int


class Transcript(MessageList, can_focus=True):
    """Up and down go from part to part; `selected` is the one where the keys act."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", id="transcript.up", show=False),
        Binding("down,j", "move(1)", "Down", id="transcript.down", show=False),
        Binding("pageup", "page(-1)", "Page up", id="transcript.page_up", show=False),
        Binding("pagedown", "page(1)", "Page down", id="transcript.page_down", show=False),
        Binding("home,g", "first", "First", id="transcript.first", show=False),
        Binding("end,G", "last", "Last", id="transcript.last", show=False),
        Binding("enter", "open", "Open", id="transcript.open"),
        Binding("y", "screen.copy_message", "Copy", id="transcript.copy"),
        Binding("c", "screen.copy_code", "Copy code", id="transcript.code"),
        Binding("e", "screen.edit", "Edit", id="transcript.edit"),
        Binding("r", "screen.again", "Again", id="transcript.again"),
        Binding("n", "screen.find_step(1)", "Next found", id="transcript.next", show=False),
        Binding("N", "screen.find_step(-1)", "Found before", id="transcript.before", show=False),
        *(
            Binding(str(n), f"screen.open_source({n})", id=f"transcript.source_{n}", show=False)
            for n in range(1, 10)
        ),
    ]

    class Opened(Posted):
        """Something was opened that is shown elsewhere, such as a source."""

        def __init__(self, part: Part) -> None:
            super().__init__()
            self.part = part

    def __init__(self, *, empty: str = "", id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(empty=empty, id=id)
        self.selected: Selected | None = None
        self._term = ""

    def show(self, entries: Iterable[Entry]) -> None:
        self.selected = None
        super().show(entries)

    @property
    def selected_message(self) -> Message | None:
        """Where the cursor is, else the last."""
        if self.selected is not None:
            return self.message(self.selected.entry)
        return self.message(len(self._entries) - 1) if self._entries else None

    # Finding

    def find(self, term: str) -> list[int]:
        """The numbers of the messages with these letters, which are marked from now on."""
        self._term = term.casefold()
        self.refresh()
        return [*self._found()] if self._term else []

    def _found(self) -> Iterator[int]:
        for number, entry in enumerate(self._entries):
            if isinstance(entry, Message):
                if entry.contains(self._term):
                    yield number
            elif self._term in entry.content.casefold() or self._term in entry.thinking.casefold():
                yield number

    def go_to(self, number: int) -> None:
        """Selects a message, where what is looked for stands if it is in sight of the eye."""
        message = self.message(number)
        parts = [n for n, part in enumerate(message.parts) if self._term in part.text.casefold()]
        self._select(number, parts[0] if parts else 0)
        self.scroll_to_line(self._line_of_term(number))

    def _line_of_term(self, number: int) -> int:
        painter, message = self.ready_painter(), self.message(number)
        top = self.heights.tops[number]
        for line in range(self.measure(number)):
            if self._term and self._term in message.line(line, painter)[0].text.casefold():
                return top + line
        return top

    # Moving

    def action_move(self, step: int) -> None:
        where = self.selected
        if where is None:
            if self._entries:
                last = len(self._entries) - 1
                self._select(last, max(len(self.message(last).parts) - 1, 0))
            return
        begin, end = self._place(where)
        top, bottom = self.row, self.row + self.size.height
        if step > 0 and end > bottom:
            self.scroll_lines(WHEEL_LINES)
        elif step < 0 and begin < top:
            self.scroll_lines(-WHEEL_LINES)
        elif (other := self._neighbour(where, step)) is not None:
            self._select(other.entry, other.part)
        else:
            self.scroll_lines(step * WHEEL_LINES)

    def action_page(self, step: int) -> None:
        self.scroll_lines(step * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        if self._entries:
            self._select(0, 0)
            self.scroll_to_line(0)

    def action_last(self) -> None:
        self.selected, self.is_following = None, True
        self.settle()

    def action_open(self) -> None:
        if self.selected is None:
            self.action_move(-1)
            return
        message = self.message(self.selected.entry)
        if self.selected.part >= len(message.parts):
            return
        part = message.parts[self.selected.part]
        if isinstance(part, More):
            part.toggle()
            prose = next(each for each in message.parts if isinstance(each, Prose))
            if not prose.hidden:
                message.parts.remove(part)
        elif part.can_open:
            part.toggle()
            self.post_message(self.Opened(part))
        self._stay_here()
        self.heights.doubt(self.selected.entry)
        self.settle()

    def _stay_here(self) -> None:
        """What is opened at the end is not scrolled away."""
        self.is_following = self.is_following and self.selected is None

    def _neighbour(self, where: Selected, step: int) -> Selected | None:
        entry, part = where.entry, where.part + step
        while not 0 <= part < len(self.message(entry).parts):
            entry += step
            if not 0 <= entry < len(self._entries):
                return None
            count = len(self.message(entry).parts)
            part = 0 if step > 0 else count - 1
            if not count:
                return Selected(entry, 0)
        return Selected(entry, part)

    def _place(self, where: Selected) -> tuple[int, int]:
        """The first line of a part, and the one behind its last."""
        height = self.measure(where.entry)
        message, top = self.message(where.entry), self.heights.tops[where.entry]
        if where.part >= len(message.parts):
            return top, top + height
        begin, end = message.place(where.part)
        return top + begin, top + end

    def _select(self, entry: int, part: int) -> None:
        self.selected = Selected(entry, part)
        self.measure(entry)
        begin, end = self._place(self.selected)
        height = self.size.height
        if begin < self.row:
            # With the speaker's line, when it is the first part.
            self.scroll_to_line(begin - (1 if part == 0 else 0))
        elif end > self.row + height:
            self.scroll_to_line(min(end - height, begin))
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        line = event.get_content_offset(self)
        if line is None:
            return
        number = self.heights.entry_at(self.row + line.y)
        if number is None:
            return
        _, part = self.message(number).line(
            self.row + line.y - self.heights.tops[number], self.ready_painter()
        )
        if part is not None:
            self.selected = Selected(number, part)
            self.refresh()
            if self.message(number).parts[part].can_open:
                self.action_open()

    def finished(self, strip: Strip, number: int, part: int | None) -> Strip:
        here = self.selected
        is_here = here is not None and (number, part) == (here.entry, here.part)
        shown = marked(strip, self._term) if self._term else strip
        return Strip.join([sign(is_here, self.has_focus), shown])
