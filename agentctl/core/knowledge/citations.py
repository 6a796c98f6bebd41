"""Citations in an answer, `[1]`, `[1][2]`, `[1, 2]`, `[1-3]`, and what only looks like one."""

import re
from collections.abc import Iterator, Sequence

from agentctl.core.events import Source

_NUMBERS = r"\d{1,3}(?:\ *[-\u2013]\ *\d{1,3})?"
_CITATION = re.compile(rf"\ ?\[\ *{_NUMBERS}(?:\ *[,;]\ *{_NUMBERS})*\ *\]")
# A bracket is a citation, or the beginning of one, with the space before it, which goes with it.
_TOKEN = re.compile(
    r"""(?P<marks> (?: `+ | ~+ ) (?: [\ \t]{1,60} (?= [\r\n] | \Z ) )? )
      | (?P<bracket> \ ?\[ [\d\ ,;\u2013-]{0,60} \]? | \  )
      | [^\n`~\[\ ]+ | \n""",
    re.VERBOSE,
)
# What may stand in a line before the fence of a code block: quotes, list items.
_BEFORE_FENCE = frozenset(" \t>-*+.)0123456789")
# Brackets after these hold an index, or are the second half of a link.
_BEFORE_INDEX = re.compile(r"[A-Za-z0-9_\\\]]")


class CitationFilter:
    """Removes invented citations from an answer that streams.

    Args:
        count: the citations that were given are 1 to `count`; with 0 all text passes as it is.

    Code stays as it is: blocks between fences, and what stands between backticks in one line. So
    does what may be something else: `a[3]`, `[1](link)`, `[^1]`, `[0, 1]`, numbers of more than
    three digits. Where the text is cut into pieces makes no difference; held back is at most one
    bracket or run of backticks.
    """

    def __init__(self, count: int) -> None:
        self.cited: set[int] = set()
        self.invented: set[int] = set()
        self._count = count
        self._held = ""
        self._code = _Code()
        # The last token, and whether it was a citation beyond doubt.
        self._last = "\n"
        self._is_after_citation = False

    def feed(self, text: str) -> str:
        """What can be passed on of the text so far."""
        if not self._count:
            return text
        self._held += text
        return "".join(self._take(is_end=False))

    def end(self) -> str:
        """The rest."""
        return "".join(self._take(is_end=True))

    def _take(self, *, is_end: bool) -> Iterator[str]:
        text, self._held = self._held, ""
        for token in _TOKEN.finditer(text):
            # What touches the end may go on; plain text may be cut anywhere.
            if token.lastgroup is not None and token.end() == len(text) and not is_end:
                self._held = token[0]
                return
            following = text[token.end() : token.end() + 1]
            kept, is_citation = token[0], False
            if not self._code.is_open and _CITATION.fullmatch(token[0]):
                kept, is_citation = self._checked(token[0], following)
            self._code.pass_by(token[0], following)
            self._last, self._is_after_citation = token[0], is_citation
            yield kept

    def _checked(self, token: str, following: str) -> tuple[str, bool]:
        """The citation without what was invented, and whether it is one beyond doubt."""
        parts = [_numbers(part) for part in re.split("[,;]", token.strip(" []"))]
        numbers = {number for part in parts for number in part}
        if 0 in numbers:
            return token, False
        given = {number for number in numbers if number <= self._count}
        self.cited |= given
        if following == "(" or self._is_index(token):
            return token, False
        if given == numbers:
            return token, True
        self.invented |= numbers - given
        if not given:
            return "", True
        kept = [_written(part, self._count) for part in parts if part[0] <= self._count]
        return token.partition("[")[0] + f"[{', '.join(kept)}]", True

    def _is_index(self, token: str) -> bool:
        """Whether it is one, or stands inside of another bracket."""
        is_inside = "[" in self._last and "]" not in self._last
        is_joined = token[0] == "[" and _BEFORE_INDEX.match(self._last[-1]) is not None
        return is_inside or (is_joined and not self._is_after_citation)


class _Code:
    """Whether what comes next in a Markdown text is code."""

    def __init__(self) -> None:
        # The backticks or tildes that end it.
        self._marks = ""
        self._is_block = False
        self._is_opening_line = False
        self._is_line_start = True

    @property
    def is_open(self) -> bool:
        return bool(self._marks)

    def pass_by(self, token: str, following: str) -> None:
        if token.startswith("\n"):
            self._is_line_start, self._is_opening_line = True, False
            if not self._is_block:
                self._marks = ""
            return
        if token[0] in "`~":
            self._pass_marks(token.rstrip(" \t"), following)
        self._is_line_start &= _BEFORE_FENCE.issuperset(token)

    def _pass_marks(self, marks: str, following: str) -> None:
        if not self._marks:
            self._is_block = self._is_line_start and len(marks) >= 3
            self._is_opening_line = True
            if marks[0] == "`" or self._is_block:
                self._marks = marks
            return
        if self._is_block and not self._is_opening_line:
            is_alone = self._is_line_start and following in ("", "\r", "\n")
            is_end = is_alone and marks.startswith(self._marks)
        else:
            is_end = marks == self._marks and marks[0] == "`"
        if is_end:
            self._marks, self._is_block = "", False


def cited_sources(answer: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Those that the answer cites; all when it cites none, for any may be where it is from."""
    citations = CitationFilter(len(sources))
    citations.feed(answer)
    citations.end()
    return tuple(source for source in sources if source.n in citations.cited) or tuple(sources)


def location(source: Source, path: str | None = None) -> str:
    """Where the passage stands: `notes.md:12`, `book.pdf (page 3)`."""
    path = path or source.path
    if source.line_start is not None:
        return f"{path}:{source.line_start}"
    return f"{path} (page {source.page})" if source.page is not None else path


def source_line(source: Source, path: str | None = None) -> str:
    """A source in one line, with its title where that says more than its path."""
    title = " ".join(source.title.split())
    line = f"[{source.n}] {location(source, path)}"
    return line if title in ("", source.path) else f"{line}  {title}"


def _numbers(part: str) -> range:
    """`2` or `2-4`."""
    ends = [int(end) for end in re.split(r"[-\u2013]", part)]
    return range(min(ends), max(ends) + 1)


def _written(numbers: range, count: int) -> str:
    last = min(numbers[-1], count)
    return str(last) if last == numbers[0] else f"{numbers[0]}-{last}"
