"""From bytes to text when nobody says in which encoding."""

import re

from agentctl.core.files import decode_text

_HEAD = 8192
_SAMPLE = 65_536
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\0\0\xfe\xff")
# Control characters that text has no use for; bell, backspace, form feed and escape it has.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\b\a\x1b")) + b"\x7f"
_MOST_CONTROLS = 0.03


def decode(data: bytes, name: str) -> tuple[str, tuple[str, ...]]:
    r"""The text with `\n` at every line's end, and what the user should know of it.

    It is UTF-8 or what a byte order mark says, else what its letters make likely.

    Raises:
        InputUnreadable: this is no text.
    """
    marked = _utf16_mark(data[:_HEAD]) + data
    text, is_damaged = decode_text(marked, name)
    warnings: tuple[str, ...] = ()
    if is_damaged:
        text, warnings = _decode_by_guess(marked, text, name)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text, warnings


def is_binary(head: bytes) -> bool:
    """Whether a file that begins with `head` is no text in any encoding."""
    head = head[:_HEAD]
    if head.startswith(_BYTE_ORDER_MARKS) or _utf16_mark(head):
        return False
    if b"\0" in head:
        return True
    controls = len(head) - len(head.translate(None, delete=_CONTROLS))
    return controls > len(head) * _MOST_CONTROLS


def _utf16_mark(head: bytes) -> bytes:
    """The byte order mark of UTF-16 that lacks it: of Western text, every other byte is 0."""
    pairs = len(head) // 2
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs >= 2 and not head.startswith(_BYTE_ORDER_MARKS):
        if even == 0 and odd > pairs * 0.7:
            return b"\xff\xfe"
        if odd == 0 and even > pairs * 0.7:
            return b"\xfe\xff"
    return b""


def _decode_by_guess(data: bytes, as_utf8: str, name: str) -> tuple[str, tuple[str, ...]]:
    encoding = None
    if not data.startswith(_BYTE_ORDER_MARKS) and not _is_mostly_utf8(as_utf8):
        encoding = _guess(data)
    if encoding is None:
        return as_utf8, (f"{name} is not all UTF-8: what could not be read shows as \ufffd",)
    try:
        return data.decode(encoding), ()
    except UnicodeDecodeError:
        warning = f"{name} is not all {encoding}: what could not be read shows as \ufffd"
        return data.decode(encoding, errors="replace"), (warning,)


def _is_mostly_utf8(text: str) -> bool:
    """Other encodings seldom look like UTF-8: most letters that are not ASCII would be errors."""
    first = text.find("\ufffd")
    sample = text[max(0, first - _SAMPLE) : first + _SAMPLE]
    errors = sample.count("\ufffd")
    letters = len(sample) - len(sample.encode("ascii", "ignore")) - errors
    return letters > errors


def _guess(data: bytes) -> str | None:
    """Python's name of the likely encoding, from the first letters that are not ASCII."""
    import codecs

    from chardet import EncodingEra, detect

    first = re.search(rb"[\x80-\xff]", data)
    start = max(0, first.start() - _HEAD) if first else 0
    # With all the encodings of history to choose from, it is wrong about short texts.
    sample = data[start : start + _SAMPLE]
    guess = detect(sample, encoding_era=EncodingEra.MODERN_WEB)["encoding"]
    try:
        return codecs.lookup(guess).name if guess and guess.lower() != "utf-8" else None
    except LookupError:
        return None
