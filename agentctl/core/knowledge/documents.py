"""A document as it was read: its text, and what is known of each part of it."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

SectionKind: TypeAlias = Literal["prose", "code", "table"]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the text, from `start` (in characters) to the next section's start.

    `heading` is the path of headings above it, or of the names around a definition in code;
    `page` counts from 1 and is None where the format has no pages.
    """

    start: int
    heading: tuple[str, ...] = ()
    page: int | None = None
    kind: SectionKind = "prose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a loader makes of a file.

    `title` is empty when the file names none. `sections` are in order, the first starts at 0,
    and no two start at the same place; a text without any is one section. With `has_lines` the
    text is the file's own, so that its line numbers are true.
    """

    text: str
    title: str
    media_type: str
    sections: tuple[Section, ...] = (Section(0),)
    has_lines: bool = False
    warnings: tuple[str, ...] = ()
