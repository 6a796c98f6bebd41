"""A paste comes whole, whatever is in it.

Textual's parser takes an escape inside of a paste, such as a coloured log has, for the beginning of
a key: what follows it is typed instead of pasted, and a line's end sends a prompt.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import TypeAlias

from textual import events
from textual._parser import ParseEOF, ParseTimeout, Peek1, Read1
from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.message import Message

from agentctl.render.output import printable

_Give: TypeAlias = Callable[[Message], None]
_read_keys = XTermParser.parse


def keep_pastes_whole() -> None:
    """For all terminals of this process, from here on; harmless when repeated."""
    # Drivers make the parser themselves, each by its name: a method of it is all one can replace.
    XTermParser.parse = _parse  # type: ignore[method-assign, assignment]


def _parse(parser: XTermParser, give: _Give) -> Generator[Read1 | Peek1, str, None]:
    with suppress(ParseEOF):
        while True:
            yield from _read_to_paste(parser, give)
            give(events.Paste((yield from _read_paste())))


def _read_to_paste(parser: XTermParser, give: _Give) -> Generator[Read1 | Peek1, str, None]:
    """Keys, as Textual reads them, and the mark where a paste begins."""
    keys, seen = _read_keys(parser, give), ""
    wanted = next(keys)
    while True:
        try:
            character = yield wanted
        except ParseTimeout as timeout:
            wanted = keys.throw(timeout)
            continue
        except ParseEOF as end:
            with suppress(StopIteration):
                keys.throw(end)
            raise
        seen = (seen + character)[-len(BRACKETED_PASTE_START) :]
        if seen == BRACKETED_PASTE_START:
            # Textual has not seen its last letter, and is begun anew after the paste.
            return
        wanted = keys.send(character)


def _read_paste() -> Generator[Read1, str, str]:
    """The text to the mark of its end, safe to be shown in any field."""
    letters: list[str] = []
    size = len(BRACKETED_PASTE_END)
    while "".join(letters[-size:]) != BRACKETED_PASTE_END:
        letters.append((yield Read1()))
    text = "".join(letters[:-size]).replace("\x00", "")
    return printable(text.replace("\r\n", "\n").replace("\r", "\n"))
