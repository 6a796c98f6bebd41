"""reStructuredText: sections at underlined headings, whose levels come in order of appearance."""

import re
from collections.abc import Iterator
from typing import ClassVar

from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.loaders.base import HeadingPath, from_the_start
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.markdown import first_heading

# https://docutils.sourceforge.io/docs/ref/rst/restructuredtext.html#sections
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1*")
_LONGEST_TITLE = 500


class RstLoader:
    """The file's own text; its first heading is the title."""

    is_isolated: ClassVar[bool] = False

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        sections = from_the_start(_sections(text))
        return Document(
            text=text,
            title=first_heading(sections),
            media_type="text/x-rst",
            sections=sections,
            has_lines=True,
            warnings=warnings,
        )


def _sections(text: str) -> Iterator[Section]:
    path = HeadingPath()
    styles: list[tuple[str, bool]] = []
    before = title = ""
    start = overline_length = 0
    for line in text.split("\n"):
        is_overlined = bool(before) and before == line.rstrip()
        if (not before or is_overlined) and _underlines(line.rstrip(), title):
            style = (line[0], is_overlined)
            if style not in styles:
                styles.append(style)
            above = len(title) + 1 + (overline_length + 1 if is_overlined else 0)
            yield Section(start - above, path.enter(styles.index(style) + 1, title))
        overline_length = len(title)
        before, title = title.rstrip(), line
        start += len(line) + 1


def _underlines(line: str, title: str) -> bool:
    """Whether `line` makes a heading of the `title` above it."""
    title = title.strip()
    return (
        0 < len(title) <= _LONGEST_TITLE
        and len(line) >= max(len(title), 3)
        and _ADORNMENT.fullmatch(line) is not None
        and _ADORNMENT.fullmatch(title) is None
    )
