"""What every loader keeps to, and what they build documents with."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from agentctl.core.knowledge.documents import Document, Section, SectionKind

# A path of headings is stored with every section: what a hostile file makes of it stays small.
_LONGEST_HEADING = 200
_DEEPEST_HEADING = 10


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What reading one file may take.

    `file_bytes` counts its bytes, and the characters of the text that comes out. `seconds` and
    `memory_bytes` bound the process that parses it.
    """

    file_bytes: int
    seconds: float
    memory_bytes: int


class Loader(Protocol):
    """Makes a document of a file's bytes, without touching anything else."""

    @property
    def is_isolated(self) -> bool:
        """Whether the format is complex enough to be parsed in a process of its own."""
        ...

    def load(self, data: bytes, name: str) -> Document:
        """`name` chooses nothing, it is for messages.

        Raises:
            InputUnreadable: this is not what it claims to be.
            InputEncrypted: it has a password.
            InputHostile: it would take more than a file of its size may.

        Whatever else a parser raises is translated by `reading.load_document`.
        """
        ...


class HeadingPath:
    """The headings above the current place, as one goes through a document."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []

    @property
    def titles(self) -> tuple[str, ...]:
        return tuple(title for _, title in self._open)

    def enter(self, level: int, title: str) -> tuple[str, ...]:
        """Begins a heading of `level` (1 is the outermost); the path to it."""
        self.leave(level)
        del self._open[_DEEPEST_HEADING - 1 :]
        self._open.append((level, one_line(title)))
        return self.titles

    def leave(self, level: int) -> None:
        """Ends every heading of `level` and below."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()


class DocumentBuilder:
    """Puts a text together piece by piece, and keeps what `Document` promises of its sections."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._sections = [Section(0)]

    @property
    def is_empty(self) -> bool:
        return self._length == 0

    def begin(
        self, heading: tuple[str, ...] = (), page: int | None = None, kind: SectionKind = "prose"
    ) -> None:
        """What is added from here on belongs to a new section; one without text is forgotten."""
        if self._sections[-1].start == self._length:
            self._sections.pop()
        self._sections.append(Section(self._length, heading, page, kind))

    def add(self, text: str, end: str = "\n\n") -> None:
        """Adds a paragraph, or whatever else is closed by `end`. White space around it goes."""
        text = text.strip("\n").rstrip()
        if text:
            self._pieces.append(text + end)
            self._length += len(text) + len(end)

    def add_document(self, document: Document, above: tuple[str, ...]) -> None:
        """Adds a whole document, its headings below those `above`."""
        starts = [section.start for section in document.sections[1:]] + [len(document.text)]
        for section, end in zip(document.sections, starts, strict=True):
            self.begin((*above, *section.heading)[:_DEEPEST_HEADING], section.page, section.kind)
            self.add(document.text[section.start : end])

    def document(self, title: str, media_type: str, warnings: Iterable[str] = ()) -> Document:
        text = "".join(self._pieces).rstrip() + "\n" if self._pieces else ""
        sections = [section for section in self._sections if section.start < len(text)]
        return Document(
            text=text,
            title=one_line(title),
            media_type=media_type,
            sections=tuple(sections) or (Section(0),),
            warnings=tuple(warnings),
        )


def from_the_start(sections: Iterable[Section], kind: SectionKind = "prose") -> tuple[Section, ...]:
    """`sections` in order, with one for what stands before the first."""
    found = tuple(sections)
    return found if found and found[0].start == 0 else (Section(0, kind=kind), *found)


def one_line(text: str) -> str:
    """A heading or title as it is shown: without line breaks, and of a reasonable length."""
    return " ".join(text[: _LONGEST_HEADING * 4].split())[:_LONGEST_HEADING]


def markdown_table(rows: Iterable[Sequence[str]]) -> str:
    """The rows as a Markdown table, the first as its head."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows if any(row)]
    if len(lines) > 1:
        columns = lines[0].count(" | ") + 1
        lines.insert(1, "|" + " --- |" * columns)
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
