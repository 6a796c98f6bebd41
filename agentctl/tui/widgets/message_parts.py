"""The parts of a message: words, thinking, calls of tools, sources, notes."""

from textual.strip import Strip

from agentctl.connect import working_directory
from agentctl.core.knowledge.citations import source_line
from agentctl.core.sources import Source
from agentctl.render.links import short_path
from agentctl.render.output import human_size
from agentctl.render.tool_calls import CallRecord, call_line, result_line
from agentctl.tui.widgets.message_text import GrowingMarkdown, Painter

# Characters that are shown of a message at first, and of one that has just streamed.
SHOWN = 50_000
SHOWN_LIVE = 1_000_000
# Characters of a tool's result, and of what goes to it.
_SHOWN_CALL = 4_000


class Part:
    """Something in a message that one can go to."""

    can_open = False

    def __init__(self) -> None:
        self.is_open = False
        self._painter: Painter | None = None
        self._lines: list[Strip] = []

    @property
    def text(self) -> str:
        """As it is found and copied."""
        return ""

    def lines(self, painter: Painter) -> list[Strip]:
        if painter is not self._painter:
            self._painter, self._lines = painter, self.paint(painter)
        return self._lines

    def paint(self, painter: Painter) -> list[Strip]:
        raise NotImplementedError

    def forget(self) -> None:
        """What was drawn is out of date, or far away."""
        self._painter, self._lines = None, []

    def toggle(self) -> None:
        self.is_open = not self.is_open
        self.forget()


class Prose(Part):
    """What was said. A model's words are Markdown, the user's are as they were typed."""

    def __init__(self, text: str, shown: int, *, is_markdown: bool) -> None:
        super().__init__()
        self._pieces = [text]
        self._is_markdown = is_markdown
        self._left = shown - len(text[:shown])
        self.hidden = len(text) - len(text[:shown])
        self._markdown = GrowingMarkdown(text[:shown])
        self._plain = "" if is_markdown else text[:shown]

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]

    def append(self, text: str) -> None:
        self._pieces.append(text)
        shown = text[: self._left]
        self._left -= len(shown)
        self.hidden += len(text) - len(shown)
        self._markdown.append(shown)

    def show_more(self, count: int = SHOWN) -> None:
        start = len(self.text) - self.hidden
        more = self.text[start : start + count]
        self.hidden -= len(more)
        self._markdown.append(more)
        self._plain += more
        super().forget()

    def lines(self, painter: Painter) -> list[Strip]:
        return self._markdown.lines(painter) if self._is_markdown else super().lines(painter)

    def paint(self, painter: Painter) -> list[Strip]:
        return painter.plain(self._plain)

    def forget(self) -> None:
        super().forget()
        self._markdown.forget()


class Note(Part):
    """A line or two that nobody said: a warning, an error, a file that went along."""

    def __init__(self, text: str, style: str = "aside") -> None:
        super().__init__()
        self._text = text
        self._style = style

    @property
    def text(self) -> str:
        return self._text

    def paint(self, painter: Painter) -> list[Strip]:
        return painter.plain(self._text, self._style)


class More(Part):
    """That a message goes on; opening it shows the next part."""

    can_open = True

    def __init__(self, prose: Prose) -> None:
        super().__init__()
        self._prose = prose

    def toggle(self) -> None:
        self._prose.show_more()
        self.forget()

    def paint(self, painter: Painter) -> list[Strip]:
        size = human_size(self._prose.hidden)
        return painter.plain(f"… {size} more: enter shows some, y copies all", "aside")


class Thinking(Part):
    """Folded to a line until somebody wants to read it."""

    can_open = True

    def __init__(self, text: str, *, is_done: bool) -> None:
        super().__init__()
        self._pieces = [text]
        self._words = len(text.split())
        self.is_done = is_done

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def append(self, text: str) -> None:
        is_cut = not (text[:1].isspace() or self._pieces[-1][-1:].isspace())
        self._words += len(text.split()) - (1 if is_cut and text and self._words else 0)
        self._pieces.append(text)
        self.forget()

    def paint(self, painter: Painter) -> list[Strip]:
        sign = "▾" if self.is_open else "▸"
        verb = "thought" if self.is_done else "thinking…"
        lines = painter.line(f"{sign} {verb} {self._words:,} words", "aside")
        if self.is_open:
            lines += painter.plain(self.text[:SHOWN].strip(), "aside")
        return lines


class Call(Part):
    """A tool's call and what came of it, folded."""

    can_open = True

    def __init__(self, record: CallRecord) -> None:
        super().__init__()
        self.record = record

    @property
    def text(self) -> str:
        record = self.record
        came = record.error or record.result or ""
        return "\n".join(filter(None, (call_line(record.tool, record.args), came)))

    def paint(self, painter: Painter) -> list[Strip]:
        record = self.record
        sign = "▾" if self.is_open else "▸"
        line = f"{sign} {call_line(record.tool, record.args)}"
        style = "error" if record.error is not None else "aside"
        if record.took_ms is not None:
            line += f"  {result_line(record)}"
        elif record.is_waiting:
            line, style = f"{line}  waits for you", "warning"
        lines = painter.line(line, style)
        if self.is_open:
            lines += painter.plain(self._details()[:_SHOWN_CALL], "aside")
        return lines

    def _details(self) -> str:
        record = self.record
        given = record.preview or "\n".join(f"{key}: {value}" for key, value in record.args.items())
        by = f"{'allowed' if record.approved else 'denied'} by {record.by}" if record.by else ""
        return "\n".join(filter(None, (given, by, record.error or record.result)))


class SourceLine(Part):
    """Where an answer is from; opening it shows the passage."""

    can_open = True

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    @property
    def text(self) -> str:
        return source_line(self.source, short_path(self.source.path, working_directory()))

    def toggle(self) -> None:
        """Its passage is shown beside, not here."""

    def paint(self, painter: Painter) -> list[Strip]:
        return painter.line(self.text, "source")
