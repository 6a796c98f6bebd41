"""Markdown: sections at headings (CommonMark 0.31), the title from front matter or a heading."""

import re
from collections.abc import Iterator
from typing import ClassVar

from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.loaders.base import HeadingPath, from_the_start, one_line
from agentctl.core.knowledge.loaders.encoding import decode

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t])#+[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
# What cannot be the text of a heading that is underlined: a list, a quotation, a table.
_NO_PARAGRAPH = re.compile(r"\s*(?:[-+*>|]|\d+[.)]\s|$)| {4}|\t")
_LINK = re.compile(r"!?\[([^\[\]]{1,200})\](?:\([^()]{0,500}\)|\[[^\[\]]{0,200}\])")
_FRONT_MATTER = re.compile(r"(---|\+\+\+)[ \t]*\n")
_TITLE = re.compile(r"title[ \t]*[:=][ \t]*(.+)")
_LONGEST_FRONT_MATTER = 20_000
# No heading is longer; no line is looked at any further.
_LOOKED_AT = 1000


class MarkdownLoader:
    """The file's own text; `title:` of its front matter, or else its first heading."""

    is_isolated: ClassVar[bool] = False

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        body, title = _front_matter(text)
        sections = from_the_start(markdown_sections(text, body))
        return Document(
            text=text,
            title=title or first_heading(sections),
            media_type="text/markdown",
            sections=sections,
            has_lines=True,
            warnings=warnings,
        )


def first_heading(sections: tuple[Section, ...]) -> str:
    return next((section.heading[-1] for section in sections if section.heading), "")


def markdown_sections(text: str, start: int = 0) -> Iterator[Section]:
    """A section for each heading at or after `start`, which is where a line begins."""
    path = HeadingPath()
    for position, level, title in headings(text, start):
        yield Section(position, path.enter(level, plain_heading(title)))


def headings(text: str, start: int = 0) -> Iterator[tuple[int, int, str]]:
    """(position, level, Markdown of the title) of every heading outside of code and comments."""
    fence = ""
    is_comment = is_paragraph = False
    # The line before, where it may be all of a paragraph, and where it begins.
    above, above_position = "", 0
    for whole_line in text[start:].split("\n"):
        position, start = start, start + len(whole_line) + 1
        line = whole_line[:_LOOKED_AT]
        paragraph, goes_on, is_paragraph = "", is_paragraph, False
        if fence:
            fence = "" if _closes(fence, line) else fence
        elif is_comment:
            is_comment = "-->" not in line
        elif (marks := _FENCE.match(line)) and ("`" not in marks[2] or marks[1][0] == "~"):
            fence = marks[1]
        elif line.lstrip().startswith("<!--"):
            is_comment = "-->" not in line
        elif atx := _ATX.match(line):
            yield position, len(atx[1]), _CLOSING_HASHES.sub("", atx[2] or "")
        elif above and (underline := _SETEXT.match(line)):
            yield above_position, 1 if underline[1][0] == "=" else 2, above
        else:
            is_paragraph = bool(line.strip())
            # Of two lines, CommonMark would make one heading; people mean a rule below them.
            paragraph = "" if goes_on or _NO_PARAGRAPH.match(line) else line
        above, above_position = paragraph, position


def _closes(fence: str, line: str) -> bool:
    mark = line.strip()
    return len(mark) >= len(fence) and mark == fence[0] * len(mark)


def plain_heading(title: str) -> str:
    """A heading without its markup."""
    title = _LINK.sub(r"\1", title)
    return one_line(re.sub(r"[*`]|(?<!\w)_+|_+(?!\w)|\\(?=[^\w\s])", "", title))


def _front_matter(text: str) -> tuple[int, str]:
    """Where the text after YAML or TOML front matter begins, and the title found there."""
    opening = _FRONT_MATTER.match(text)
    if opening is None:
        return 0, ""
    end = text.find(f"\n{opening[1]}", opening.end() - 1, _LONGEST_FRONT_MATTER)
    if end < 0:
        return 0, ""
    lines = text[opening.end() : end].split("\n")
    titles = (match[1] for line in lines if (match := _TITLE.match(line)))
    after = text.find("\n", end + 1)
    return (len(text) if after < 0 else after + 1), one_line(next(titles, "").strip(" \t\"'"))
