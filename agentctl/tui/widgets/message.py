"""A message as it stands in the transcript: its parts, one below the other, and their lines."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import TypeAlias

from textual.strip import Strip

from agentctl.core.chat.conversations import StoredMessage
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ToolCallRequested,
    ToolFinished,
)
from agentctl.core.sources import Source
from agentctl.render.tool_calls import CallLog
from agentctl.tui.widgets.message_parts import (
    SHOWN,
    SHOWN_LIVE,
    Call,
    More,
    Note,
    Part,
    Prose,
    SourceLine,
    Thinking,
)
from agentctl.tui.widgets.message_text import Painter


class Message:
    """One turn. It grows while it is live; `stored_id` is None until it is known to be kept.

    Its lines: who speaks, the parts with an empty line between those of different kinds, and an
    empty line at the end.
    """

    def __init__(self, role: str, speaker: str, *, is_live: bool = False) -> None:
        self.role = role
        self.speaker = speaker
        self.remark = ""
        self.is_live = is_live
        self.is_of_agent = False
        self.is_unfinished = False
        self.stored_id: int | None = None
        self.files: tuple[str, ...] = ()
        self.parts: list[Part] = []
        self._calls = CallLog()
        self._painter: Painter | None = None
        # Where the parts begin and end, counted from the line of the speaker.
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._head: list[Strip] = []

    @classmethod
    def of_user(cls, text: str, files: tuple[str, ...] = ()) -> "Message":
        message = cls("user", "You")
        message.files = files
        message._say(text, SHOWN, is_markdown=False)
        message.parts += (Note(f"+ {name}") for name in files)
        return message

    @classmethod
    def from_stored(cls, stored: StoredMessage) -> "Message":
        if stored.role == "user":
            files = tuple(each.name for each in stored.attachments)
            message = cls.of_user(stored.content, files)
        else:
            message = cls(stored.role, stored.model or stored.role)
            if stored.thinking:
                message.parts.append(Thinking(stored.thinking, is_done=True))
            message._say(stored.content, SHOWN, is_markdown=stored.role == "assistant")
            message.parts += map(SourceLine, stored.sources)
        message.end(stored.status)
        if stored.error:
            message.parts.append(Note(f"✗ {stored.error}\n  ctrl+r tries again", "error"))
        message.stored_id = stored.id
        return message

    # How it grows

    def say(self, text: str) -> None:
        self._end_thinking()
        last = self.parts[-1] if self.parts else None
        if isinstance(last, More):
            last = self.parts[-2]
        if isinstance(last, Prose):
            last.append(text)
            self._add_more(last)
        else:
            self._say(text, SHOWN_LIVE, is_markdown=True)

    def think(self, text: str) -> None:
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Thinking):
            last.append(text)
        else:
            self.parts.append(Thinking(text, is_done=False))

    def add_call(
        self, event: ToolCallRequested | ApprovalRequired | ApprovalGiven | ToolFinished
    ) -> None:
        self._end_thinking()
        record = self._calls.add(event)
        for part in self.parts:
            if isinstance(part, Call) and part.record is record:
                part.forget()
                return
        self.parts.append(Call(record))

    def add_source(self, source: Source) -> None:
        self.parts.append(SourceLine(source))

    def note(self, text: str, style: str = "aside") -> None:
        self.parts.append(Note(text, style))

    def end(self, status: str) -> None:
        self._end_thinking()
        self.is_live = False
        self.is_unfinished = status == "partial"
        remarks = {"cancelled": "stopped", "timeout": "timed out", "partial": "unfinished"}
        self.remark = remarks.get(status, "" if status == "done" else status)
        self.changed()

    def changed(self) -> None:
        """Its head is drawn anew."""
        self._painter = None

    # What is in it

    @property
    def text(self) -> str:
        """All that was said in it."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, Prose))

    @property
    def sources(self) -> list[Source]:
        return [part.source for part in self.parts if isinstance(part, SourceLine)]

    def contains(self, term: str) -> bool:
        return any(term in part.text.casefold() for part in self.parts)

    # Its lines

    def measure(self, painter: Painter) -> int:
        """How many lines it has, brought up to date."""
        if painter is not self._painter:
            self._painter = painter
            self._head = painter.line(self._title(), "user" if self.role == "user" else "speaker")
        line = len(self._head)
        self._starts, self._ends = [], []
        before = self.parts[0] if self.parts else None
        for part in self.parts:
            lines = len(part.lines(painter))
            line += type(part) is not type(before)
            before = part
            self._starts.append(line)
            line += lines
            self._ends.append(line)
        return line + 1

    def line(self, number: int, painter: Painter) -> tuple[Strip, int | None]:
        """A line, and which part it is of; after `measure` with the same painter."""
        if number < len(self._head):
            return self._head[number], None
        part = bisect_right(self._starts, number) - 1
        if part < 0 or number >= self._ends[part]:
            return Strip.blank(0), None
        return self.parts[part].lines(painter)[number - self._starts[part]], part

    def place(self, part: int) -> tuple[int, int]:
        """The first line of a part, and the one behind its last; the end, when it is so new that
        it was not measured yet."""
        if part >= len(self._starts):
            end = self._ends[-1] if self._ends else 0
            return end, end
        return self._starts[part], self._ends[part]

    def forget(self) -> None:
        """Lets go of what was drawn."""
        self._painter = None
        for part in self.parts:
            part.forget()

    def _title(self) -> str:
        return " · ".join(filter(None, (self.speaker, self.remark)))

    def _say(self, text: str, shown: int, *, is_markdown: bool) -> None:
        if text:
            prose = Prose(text, shown, is_markdown=is_markdown)
            self.parts.append(prose)
            self._add_more(prose)

    def _add_more(self, prose: Prose) -> None:
        if prose.hidden and not isinstance(self.parts[-1], More):
            self.parts.append(More(prose))
        elif isinstance(self.parts[-1], More):
            self.parts[-1].forget()

    def _end_thinking(self) -> None:
        if self.parts and isinstance(self.parts[-1], Thinking) and not self.parts[-1].is_done:
            self.parts[-1].is_done = True
            self.parts[-1].forget()


Entry: TypeAlias = StoredMessage | Message
"""What stands in a transcript: a message becomes one of ours when it is first looked at."""


def code_blocks(text: str) -> Iterator[str]:
    """The code in a Markdown text, block by block."""
    from markdown_it import MarkdownIt

    for token in MarkdownIt("commonmark").parse(text):
        if token.type in ("fence", "code_block"):
            yield token.content
