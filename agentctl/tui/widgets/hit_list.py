"""What a search found: where it stands, and the lines that say most."""

import re
from collections.abc import Callable, Iterator, Sequence
from textwrap import wrap

from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from agentctl.core.knowledge.citations import location
from agentctl.core.sources import Source
from agentctl.tui.widgets.document_table import one_line
from agentctl.tui.widgets.headed_lines import end_of

_INDENT = "    "
# Lines of an excerpt, and letters before the first word that was found.
_LINES = 2
_BEFORE = 30


class HitList(OptionList):
    """Each hit is an option; `hit` is the one that is marked."""

    DEFAULT_CSS = """
    HitList { height: 1fr; border: none; padding: 0; background: $background; }
    HitList:focus { border: none; }
    """

    def __init__(self, name_of: Callable[[str], str], *, id: str | None = None) -> None:  # noqa: A002 - Textual's
        super().__init__(id=id, markup=False, compact=True)
        self._name_of = name_of
        self.hits: Sequence[Source] = ()
        self._words = re.compile(r"(?!)")
        self._width = 0

    @property
    def hit(self) -> Source | None:
        at = self.highlighted
        return self.hits[at] if at is not None and at < len(self.hits) else None

    def show(self, hits: Sequence[Source], words: re.Pattern[str]) -> None:
        """The mark stays on its hit, where that is still found."""
        before = self.hit.chunk_id if self.hit is not None else None
        self.hits, self._words = hits, words
        self._put(next((n for n, each in enumerate(hits) if each.chunk_id == before), 0))

    def on_resize(self) -> None:
        if self._width != self._room:
            self._put(self.highlighted)

    @property
    def _room(self) -> int:
        return max(20, self.size.width - len(_INDENT) - 2)

    def _put(self, highlighted: int | None) -> None:
        self._width = self._room
        self.clear_options()
        self.add_options(Option(self._described(hit)) for hit in self.hits)
        if self.hits:
            self.highlighted = highlighted

    def _described(self, hit: Source) -> Content:
        place = end_of(location(hit, self._name_of(hit.path)), self._width - 6)
        head = Content.assemble(
            (f"{hit.n:>2}  ", "bold"), (place, "bold $primary"), (f"  {hit.score:.3f}", "dim")
        )
        return Content("\n").join([head, *_excerpt(hit.text, self._words, self._width)])


def _excerpt(text: str, words: re.Pattern[str], width: int) -> Iterator[Content]:
    """From where the words stand, with the words marked."""
    flat = one_line(text)
    first = words.search(flat)
    start = max(0, first.start() - _BEFORE) if first else 0
    start = flat.rfind(" ", 0, start) + 1 if start else 0
    shown = ("…" if start else "") + flat[start : start + (_LINES + 1) * width]
    for line in wrap(shown, width, max_lines=_LINES, placeholder=" …"):
        content = Content(_INDENT + line)
        for match in words.finditer(content.plain):
            content = content.stylize("bold $accent", match.start(), match.end())
        yield content
