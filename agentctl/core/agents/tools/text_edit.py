r"""A file's text as a model edits it, without a change to any byte that it did not mean.

A model writes `\n` for every line's end and knows no encodings: what else makes up the bytes is
kept beside the text.
"""

import codecs
import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest

from agentctl.core.errors import ToolFailed
from agentctl.core.files import well_formed

# The mark of UTF-32 begins with that of UTF-16: the longer ones come first.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF8, "utf-8"),
)
_HUNK = re.compile(r"@@ -(\d+)(.*) \+(\d+)(.*) @@")
_CONTEXT = 3
# What is looked at for lines like one that is missing.
_LINES_COMPARED = 5_000
_LINE_COMPARED = 200


@dataclass(frozen=True, slots=True)
class EditableText:
    r"""`text` has `\n` at every line's end; `ends` are the ends that stand in the file.

    Bytes that are no UTF-8 are lone surrogates in `text`, and become the same bytes again.
    """

    text: str
    ends: Sequence[str]
    encoding: str
    mark: bytes

    @classmethod
    def decode(cls, data: bytes, name: str) -> "EditableText":
        """Raises ToolFailed for what cannot be edited as text."""
        mark, encoding = next((each for each in _MARKS if data.startswith(each[0])), (b"", "utf-8"))
        if not mark and b"\0" in data[:8192]:
            raise ToolFailed(f"{name} is binary, not text")
        try:
            raw = data[len(mark) :].decode(encoding, _errors(encoding))
        except UnicodeDecodeError:
            raise ToolFailed(f"{name} is damaged {encoding.upper()} text") from None
        ends = re.findall(r"\r?\n", raw)
        return cls(raw.replace("\r\n", "\n"), ends, encoding, mark)

    @property
    def has_other_bytes(self) -> bool:
        """Whether some of it is no text in its encoding."""
        return well_formed(self.text) != self.text

    def encode(self) -> bytes:
        lines = zip_longest(self.text.split("\n"), self.ends, fillvalue="")
        raw = "".join(part for line in lines for part in line)
        return self.mark + raw.encode(self.encoding, _errors(self.encoding))

    def places_of(self, old: str, step: int) -> Iterator[int]:
        """Where `old` begins; `step` characters lie between two places at least."""
        place = self.text.find(old)
        while place >= 0:
            yield place
            place = self.text.find(old, place + step)

    def line_of(self, place: int) -> int:
        return self.text.count("\n", 0, place) + 1

    def replaced(self, old: str, new: str, places: Sequence[int]) -> "EditableText":
        """With `new` for `old` at each of the places, which do not overlap.

        Line ends stay what they are; those that are new are like their neighbours.
        """
        pieces: list[str] = []
        ends: list[str] = []
        here = line = 0
        for place in places:
            before = self.text[here:place]
            pieces += (before, new)
            start = line + before.count("\n")
            ends += self.ends[line:start]
            line = start + old.count("\n")
            ends += self._ends_for(new.count("\n"), start, line)
            here = place + len(old)
        pieces.append(self.text[here:])
        ends += self.ends[line:]
        return EditableText("".join(pieces), ends, self.encoding, self.mark)

    def _ends_for(self, count: int, start: int, stop: int) -> list[str]:
        """`count` ends in place of those from `start` to `stop`."""
        kept = [*self.ends[start:stop]]
        usual = kept[-1:] or [*self.ends[start : start + 1]] or [*self.ends[-1:]] or ["\n"]
        return (kept + usual * count)[:count]


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "strict"


def lines_alike(text: str, wanted: str) -> tuple[str, list[int]]:
    """Lines that `wanted`, which does not occur, may mean, and how they differ from it.

    The lines themselves are not told: whether the model may read them has not been asked.
    """
    lines = [line.strip() for line in text.split("\n")]
    sought = [line.strip() for line in wanted.strip("\n").split("\n")]
    starts = (n for n, line in enumerate(lines) if line == sought[0])
    same = (n + 1 for n in starts if lines[n : n + len(sought)] == sought)
    if found := [*islice(same, 3)]:
        return "only white space differs", found
    # Which line differs: the first of those that do not occur.
    known = set(lines)
    line = next((line for line in sought if line not in known), sought[0])[:_LINE_COMPARED]
    numbers = {line[:_LINE_COMPARED]: n for n, line in enumerate(lines[:_LINES_COMPARED], 1)}
    close = difflib.get_close_matches(line, numbers, n=3)
    return f"what is most like {line!r}", sorted(numbers[each] for each in close)


def unified_diff(old: str, new: str, name: str) -> str:
    """Empty when nothing changes. Only what changed is compared, so that a long file is quick."""
    if old.endswith("\n") and new.endswith("\n"):
        old, new = old[:-1], new[:-1]
    before, after = old.split("\n"), new.split("\n")
    head = _common(before, after)
    most = min(len(before), len(after)) - head
    tail = min(_common(before[::-1], after[::-1]), most)
    skipped = max(head - _CONTEXT, 0)
    left = max(tail - _CONTEXT, 0)
    lines = difflib.unified_diff(
        before[skipped : len(before) - left],
        after[skipped : len(after) - left],
        f"a/{name}",
        f"b/{name}",
        lineterm="",
        n=_CONTEXT,
    )
    return "\n".join(_moved(line, skipped) for line in lines)


def _common(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _moved(line: str, by: int) -> str:
    """A hunk's head with its lines counted from the file's beginning."""
    hunk = _HUNK.fullmatch(line)
    if hunk is None:
        return line
    return f"@@ -{int(hunk[1]) + by}{hunk[2]} +{int(hunk[3]) + by}{hunk[4]} @@"
