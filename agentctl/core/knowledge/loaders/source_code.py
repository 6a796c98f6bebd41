"""Source code: sections at definitions, found by the first words of lines and their indentation.

No grammar is needed for that, and code that does not compile is read as well. A definition ends
where a line stands no deeper than it began. What stands in a function is part of it; what stands in
a class, a module or the like is a section of its own.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.loaders.base import HeadingPath, from_the_start
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.languages import Language

# No line is looked at any further: longer ones were made by a machine.
_LOOKED_AT = 300
# So many lines the head of a function may have.
_LONGEST_HEAD = 12
# Lines that end a definition or go on with it, though they stand no deeper.
_GOES_ON = re.compile(
    r"[{})\]]|(?:end|else|elif|elsif|elseif|catch|except|finally|rescue|ensure|when|then|do|begin"
    r"|fi|done|esac|where|with|in)\b|(?:private|public|protected)$|\w[\w ]*:$|#",
    re.IGNORECASE,
)
_ANNOTATIONS = re.compile(r"(?:@(?!interface|implementation|protocol)[\w.]+(?:\([^()]*\))?\s+)+")
_HEAD_OF_C_FUNCTION = re.compile(
    r"([\w\s*&:<>,~\[\]$.@?]*?)((?:[\w$]+::)*~?[\w$]+)(?:<[^()]*>)?\s*\($"
)
_RETURN_TYPE = re.compile(r"[A-Za-z_][\w\s*&]{0,80}")
_LONG_COMMENTS = {"/*": "*/", "(*": "*)", "{-": "-}", '"""': '"""'}
_STATEMENTS = {
    *("if", "for", "while", "switch", "catch", "return", "sizeof", "else", "do", "new", "throw"),
    *("await", "super", "this", "assert", "using", "lock", "foreach", "elseif", "typeof", "delete"),
    *("yield", "case", "require", "import", "goto", "with", "synchronized", "function", "defer"),
}


@dataclass(frozen=True, slots=True)
class CodeLoader:
    """The file's own text."""

    language: str
    look: Language
    is_isolated: ClassVar[bool] = False

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        return code_document(text, self.language, code_sections(text, self.look), warnings)


def code_document(
    text: str, language: str, sections: Iterator[Section], warnings: tuple[str, ...]
) -> Document:
    return Document(
        text=text,
        title="",
        media_type=f"text/x-{language}",
        sections=from_the_start(sections, kind="code"),
        has_lines=True,
        warnings=warnings,
    )


def code_sections(text: str, language: Language) -> Iterator[Section]:
    """A section for each definition, with the comments above it, and for what stands between."""
    scan = _Scan(text.split("\n"), language)
    path = HeadingPath()
    shown: tuple[str, ...] = ()
    # The indentation of the function that the current line may be in.
    leaf: int | None = None
    for first, number, indent, words in scan.statements():
        if leaf is not None and indent > leaf:
            continue
        found = scan.definition(number, words)
        if found is None and (_GOES_ON.match(words) or words.split(" ")[0] in shown[-1:]):
            continue
        path.leave(indent + 1)
        leaf = None
        if found is not None:
            name, is_container = found
            leaf = None if is_container else indent
            path.enter(indent + 1, name)
        if found is not None or path.titles != shown:
            shown = path.titles
            yield Section(scan.starts[first], shown, kind="code")


class _Scan:
    """The lines of a file, as far as definitions are concerned."""

    def __init__(self, lines: list[str], language: Language) -> None:
        self.starts = [0, *accumulate(len(line) + 1 for line in lines)]
        self._lines = lines
        self._comments = language.comments
        self._containers = re.compile(language.containers or r"(?!)")
        self._leaves = re.compile(language.leaves)
        self._has_c_functions = language.has_c_functions

    def statements(self) -> Iterator[tuple[int, int, int, str]]:
        """(line where the comments above begin, line, indentation, words) of what is no comment."""
        above: int | None = None
        comment_end = ""
        for number, whole_line in enumerate(self._lines):
            line = whole_line[:_LOOKED_AT].expandtabs(4)
            words = self._words(line)
            belongs_below = bool(comment_end) or self._belongs_below(number, words)
            comment_end = self._open_comment(words, comment_end)
            if not words:
                above = None
            elif belongs_below:
                above = number if above is None else above
            else:
                yield (
                    number if above is None else above,
                    number,
                    len(line) - len(line.lstrip()),
                    words,
                )
                above = None

    def _words(self, line: str) -> str:
        words = line[:_LOOKED_AT].strip()
        return _ANNOTATIONS.sub("", words, count=1) if self._has_c_functions else words

    def _open_comment(self, words: str, end: str) -> str:
        """What will end the comment of several lines that the line leaves open, if it does."""
        if end:
            return "" if end in words else end
        for opening, closing in _LONG_COMMENTS.items():
            if opening in self._comments and words.startswith(opening):
                return "" if closing in words[len(opening) :] else closing
        return ""

    def _belongs_below(self, number: int, words: str) -> bool:
        """Whether the line is a comment, an attribute, or a type on a line of its own."""
        if words.startswith(self._comments):
            return not self._containers.match(words)
        return (
            self._has_c_functions
            and _RETURN_TYPE.fullmatch(words) is not None
            and self._c_function(number + 1) is not None
        )

    def definition(self, number: int, words: str) -> tuple[str, bool] | None:
        """The name of what the line begins to define, and whether definitions may stand in it."""
        if words[-1] not in ";," and (found := self._containers.match(words)):
            return found["name"].strip(":'"), True
        if found := self._leaves.match(words):
            names = found.groupdict()
            name = next(name for kind, name in names.items() if name and kind != "receiver")
            return (f"{names['receiver']}.{name}" if names.get("receiver") else name), False
        name = self._c_function(number) if self._has_c_functions else None
        return None if name is None else (name, False)

    def _c_function(self, number: int) -> str | None:
        """The name of the function that a line begins as C does: `type name(arguments) {`."""
        lines = self._lines[number : number + _LONGEST_HEAD]
        words = self._words(lines[0]) if lines else ""
        opening = words.find("(")
        head = _HEAD_OF_C_FUNCTION.fullmatch(words[: opening + 1]) if opening > 0 else None
        if head is None or head[2] in _STATEMENTS or head[1].split(" ")[0] in _STATEMENTS:
            return None
        depth = 0
        for line in [words[opening:], *lines[1:]]:
            for letter in line[:_LOOKED_AT]:
                if letter in "()":
                    depth += 1 if letter == "(" else -1
                elif depth == 0 and letter in "{;=}":
                    return head[2] if letter == "{" else None
            if depth == 0 and not line.strip():
                return None
        return None
