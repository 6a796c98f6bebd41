"""Citations in an answer, `[1]`, `[1][2]`, `[1, 2]`, `[1-3]`, and what only looks like one."""

import re
from collections.abc import Iterable, Iterator, Sequence

from agentctl.core.sources import Source

_SOURCE = r"(?i:(?:sources?|passages?)\ )?"
_NUMBERS = rf"\ *{_SOURCE}\d{{1,3}}(?:\ *[-\u2013]\ *\d{{1,3}})?\ *"
_LIST = rf"{_NUMBERS}(?:[,;]{_NUMBERS})*"
# Models also write them as footnotes, and with the brackets of OpenAI's search.
_CITATION = re.compile(
    rf"\ ?(?:\[\^?{_LIST}\]|\u3010{_LIST}(?:\u2020[^\u3011]*)?\u3011)(?P<link>\([^()]*\))?"
)
# A bracket is a citation, or the beginning of one, with the space before it, which goes with it,
# and with the address behind it if it is a link.
_TOKEN = re.compile(
    r"""(?P<marks> (?: `+ | ~+ ) (?: [\ \t]{1,60} (?= [\r\n] | \Z ) )? )
      | (?P<bracket>
            \ ?[\[\u3010] [^\[\]\u3010\u3011\r\n`~]{0,60}
            (?: [\]\u3011] (?: \( [^()\[\]\s`~]{0,200} \)? )? )?
          | \  )
      | [^\n`~\[\u3010\ ]+ | \n""",
    re.VERBOSE,
)
# What may stand in a line before the fence of a code block: quotes, list items.
_BEFORE_FENCE = frozenset(" \t>-*+.)0123456789")
# Brackets that are joined to these hold an index, or are the second half of a link.
_BEFORE_INDEX = re.compile(
    r"""(?: [\\\]]                             # `[a][1]`, `\[1]`
      | (?<! [\w*'\u2019-] ) [a-z]              # `x[1]`
      | [A-Za-z0-9]_\w*                       # `my_list[1]`
      | [A-Za-z_]\w* (?: \. | :: | -> ) [A-Za-z_]\w*   # `os.environ[1]`
      | \$ \w+                                # `$words[1]`
      | \w \( [^\s]* \)                       # `f(x)[1]`
    ) \Z""",
    re.VERBOSE,
)
_IS_ADDRESS = re.compile(r"\([^()]*[/:.#][^()]*\)")
# So much of a word says whether it is code.
_LONGEST_WORD = 200
# Ranges of numbers that a warning names.
_LISTED = 5


class CitationFilter:
    """Removes invented citations from an answer that streams.

    Args:
        count: the citations that were given are 1 to `count`; with 0 all text passes as it is.

    Code stays as it is: blocks between fences, and what stands between backticks in one line. So
    does what may be something else: `a[3]`, `my_list[3]`, `[1](words)`, `[0, 1]`, `[1]: address`
    at the beginning of a line, numbers of more than three digits. Where the text is cut into
    pieces makes no difference; held back is at most one bracket or run of backticks.
    """

    def __init__(self, count: int) -> None:
        self.cited: set[int] = set()
        self.invented: set[int] = set()
        self._count = count
        self._held = ""
        self._code = _Code()
        # The end of what was passed on, back to the last space or citation.
        self._word = ""
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
            if not self._code.is_open and (citation := _CITATION.fullmatch(token[0])):
                kept, is_citation = self._checked(citation, following)
            self._code.pass_by(token[0], following)
            self._remember(kept, is_citation=is_citation)
            yield kept

    def _remember(self, kept: str, *, is_citation: bool) -> None:
        self._is_after_citation = is_citation
        if is_citation and kept:
            self._word = ""
        elif kept:
            word = f"{self._word}{kept}"[-_LONGEST_WORD:]
            self._word = re.split(r"\s", word)[-1]

    def _checked(self, citation: re.Match[str], following: str) -> tuple[str, bool]:
        """The citation without what was invented, and whether it is one beyond doubt."""
        token, link = citation[0], citation["link"] or ""
        bracket = token.removesuffix(link)
        inside = re.split("[\u2020\u3011\\]]", bracket)[0]
        parts = [_numbers(part) for part in re.split("[,;]", inside)]
        numbers = {number for part in parts for number in part}
        if 0 in numbers and len(numbers) > 1:
            return token, False
        given = {number for number in numbers if 0 < number <= self._count}
        self.cited |= given
        if following == "(" or (link and not _IS_ADDRESS.fullmatch(link)):
            return token, False
        if self._is_index(bracket) or (following == ":" and self._code.is_line_start):
            return token, False
        if given == numbers:
            return token, True
        self.invented |= numbers - given
        if not given:
            return "", True
        kept = [_written(part, self._count) for part in parts if part[0] <= self._count]
        space = " " if token[0] == " " else ""
        return f"{space}[{', '.join(kept)}]", True

    def _is_index(self, bracket: str) -> bool:
        """Whether it is one, or stands inside of another bracket."""
        if bracket[0] == " " or self._is_after_citation:
            return False
        is_inside = self._word.rfind("[") > self._word.rfind("]")
        return is_inside or _BEFORE_INDEX.search(self._word) is not None


class _Code:
    """Whether what comes next in a Markdown text is code, or the beginning of a line."""

    def __init__(self) -> None:
        # The backticks or tildes that end it.
        self._marks = ""
        self._is_block = False
        self._is_opening_line = False
        self.is_line_start = True

    @property
    def is_open(self) -> bool:
        return bool(self._marks)

    def pass_by(self, token: str, following: str) -> None:
        if token.startswith("\n"):
            self.is_line_start, self._is_opening_line = True, False
            if not self._is_block:
                self._marks = ""
            return
        if token[0] in "`~":
            self._pass_marks(token.rstrip(" \t"), following)
        self.is_line_start &= _BEFORE_FENCE.issuperset(token)

    def _pass_marks(self, marks: str, following: str) -> None:
        if not self._marks:
            self._is_block = self.is_line_start and len(marks) >= 3
            self._is_opening_line = True
            if marks[0] == "`" or self._is_block:
                self._marks = marks
            return
        if self._is_block and not self._is_opening_line:
            is_alone = self.is_line_start and following in ("", "\r", "\n")
            is_end = is_alone and marks.startswith(self._marks)
        else:
            is_end = marks == self._marks and marks[0] == "`"
        if is_end:
            self._marks, self._is_block = "", False


def cited_sources(answer: str, sources: Sequence[Source]) -> tuple[Source, ...]:
    """Those that the answer cites; all when it cites none, for any may be where it is from."""
    cited = _cited(answer, max((source.n for source in sources), default=0))
    return tuple(source for source in sources if source.n in cited) or tuple(sources)


def sources_heading(answer: str, sources: Sequence[Source]) -> str:
    """What stands above the sources of an answer: that it cites none of them, if so."""
    numbers = {source.n for source in sources}
    is_cited = not numbers.isdisjoint(_cited(answer, max(numbers, default=0)))
    return "" if is_cited or not sources else "given to the model, and not cited:"


def listed(numbers: Iterable[int]) -> str:
    """Numbers as they were cited, some of them: `[4][7-99]`."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    shown = [f"[{first}-{last}]" if last > first else f"[{first}]" for first, last in ranges]
    return "".join(shown[:_LISTED]) + (" …" if len(shown) > _LISTED else "")


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


def _cited(answer: str, count: int) -> set[int]:
    citations = CitationFilter(count)
    citations.feed(answer)
    citations.end()
    return citations.cited


def _numbers(part: str) -> range:
    """`2` or `2-4`."""
    ends = [int(end) for end in re.findall(r"\d+", part)]
    return range(min(ends), max(ends) + 1)


def _written(numbers: range, count: int) -> str:
    last = min(numbers[-1], count)
    return str(last) if last == numbers[0] else f"{numbers[0]}-{last}"
