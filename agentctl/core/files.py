"""Reading what the user points at: files as text, folders as lists of files."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from agentctl.core.errors import InputMissing, InputTooLarge, InputUnreadable
from agentctl.core.windows_paths import on_disk

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILES = (".gitignore", ".agentctlignore")
_IMAGE_TYPES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
}
# stat.IO_REPARSE_TAG_MOUNT_POINT, which Windows alone has.
_JUNCTION = 0xA0000003
# How Python holds a byte of a file name that is no character, and how it is stored.
_RAW_BYTE = re.compile("[\udc80-\udcff]")
_ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")
_ESCAPE = re.compile(r"\\(\\|x[89a-f][0-9a-f])")
# What no text holds.
_UNPRINTED = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
# The mark of UTF-32 begins with that of UTF-16: the longer ones come first.
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
    b"\xef\xbb\xbf": "utf-8-sig",
}


def read_bytes(path: Path, limit: int, setting: str = "limits.input_bytes") -> bytes:
    """The file's bytes, at most `limit`, which is what `setting` says.

    Raises:
        InputMissing: it does not exist or may not be read.
        InputTooLarge: it has more than `limit` bytes.
    """
    try:
        with on_disk(path).open("rb") as file:
            data = read_up_to(file, limit + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise InputMissing(f"{path}: {reason}", "check the path and its rights") from None
    if len(data) > limit:
        raise InputTooLarge(
            f"{path} is larger than {limit:,} bytes",
            f"agentctl config set {setting} {max(path.stat().st_size, limit + 1)}",
        )
    return data


def read_up_to(stream: BinaryIO, size: int) -> bytes:
    """At most `size` bytes, in memory only as far as there are any."""
    pieces: list[bytes] = []
    while size > 0 and (piece := stream.read(min(size, 1_000_000))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def decode_text(data: bytes, name: str) -> tuple[str, bool]:
    """The text, and whether some bytes were no characters and stand as U+FFFD.

    It is UTF-8 unless a byte order mark says otherwise.

    Raises:
        InputUnreadable: this is no text.
    """
    marks = (encoding for mark, encoding in _BYTE_ORDER_MARKS.items() if data.startswith(mark))
    encoding = next(marks, None)
    if encoding is None and b"\0" in data[:8192]:
        raise InputUnreadable(f"{name} is binary, not text", "give a text file or an image")
    try:
        return data.decode(encoding or "utf-8"), False
    except UnicodeDecodeError:
        return data.decode(encoding or "utf-8", errors="replace"), True


def from_code_page(data: bytes, code_page: str | None) -> bytes:
    """What a console of Windows has piped in its own code page, as UTF-8; all else as it is."""
    is_text = not _UNPRINTED.search(data) and not data.startswith(tuple(_BYTE_ORDER_MARKS))
    if code_page is None or not is_text:
        return data
    with suppress(UnicodeDecodeError):
        data.decode()
        return data
    with suppress(LookupError):
        return data.decode(code_page, "replace").encode()
    return data


def well_formed(text: str) -> str:
    """`text` as any encoding can carry it: bytes that were no characters become U+FFFD.

    Python holds such bytes of arguments and file names as lone surrogates.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def clipped(text: str, length: int = 100) -> str:
    """What a message repeats of what it was given: not all of it."""
    return text if len(text) <= length else f"{text[:length]}…"


def storable_path(path: str) -> str:
    """A path as any encoding can carry it, one for each file; `path_on_disk` takes it back.

    A byte that is no character becomes `\\xe9`; where there is one, or what looks like one, each
    backslash is doubled.
    """
    if os.sep == "\\" or not (_RAW_BYTE.search(path) or _ESCAPED_BYTE.search(path)):
        return well_formed(path)
    doubled = path.replace("\\", "\\\\")
    return well_formed(_RAW_BYTE.sub(lambda byte: f"\\x{ord(byte[0]) - 0xDC00:02x}", doubled))


def path_on_disk(path: str) -> str:
    """The inverse of `storable_path`: the path as the system knows it."""
    if os.sep == "\\" or not _ESCAPED_BYTE.search(path):
        return path
    return _ESCAPE.sub(
        lambda each: "\\" if each[1] == "\\" else chr(0xDC00 + int(each[1][1:], 16)), path
    )


def image_type(data: bytes) -> str | None:
    """The media type of a PNG, JPEG, GIF or WebP file, by its first bytes."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGE_TYPES.items() if data.startswith(magic)), None)


def walk(folder: Path, failed: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The folder's files in order, without hidden ones and what ignore files name.

    In a Git repository the ignore files of the folders above count too. Links are not followed:
    they may go round in a circle, or out of the folder. A folder that may not be read, or whose
    ignore files may not, is passed over when `failed` is told of it: the error names the folder.

    Raises:
        InputMissing: a folder may not be read, and there is no `failed`.
    """

    def passed_over(error: OSError) -> None:
        if failed is None:
            raise InputMissing(f"{error.filename}: {error.strerror}", "check its rights") from None
        failed(error)

    yield from _visit(folder, _rules_above(folder), passed_over)


_Rules: TypeAlias = "list[tuple[Path, GitIgnoreSpec]]"


def _visit(folder: Path, rules: _Rules, passed_over: Callable[[OSError], None]) -> Iterator[Path]:
    try:
        names = sorted(folder / each.name for each in on_disk(folder).iterdir())
        modes = {path: _mode(path) for path in names if not path.name.startswith(".")}
        folders = {path for path, mode in modes.items() if stat.S_ISDIR(mode)}
        rules = rules + _rules_in(folder)
    except OSError as error:
        # Whatever in it failed: what lies in the folder is not known.
        passed_over(OSError(error.errno, error.strerror, str(folder)))
        return
    for path, mode in modes.items():
        if _is_ignored(path, path in folders, rules):
            continue
        if path in folders:
            yield from _visit(path, rules, passed_over)
        elif stat.S_ISREG(mode):
            yield path


def _mode(path: Path) -> int:
    """That of what lies there, no link followed; 0 of what is gone, or not to be looked at."""
    try:
        status = on_disk(path).lstat()
    except FileNotFoundError:
        return 0
    return 0 if is_set_apart(status) else status.st_mode


def is_set_apart(status: os.stat_result) -> bool:
    """Whether Windows hides it, or it is a folder there that is as good as a link to another."""
    is_hidden = getattr(status, "st_file_attributes", 0) & stat.FILE_ATTRIBUTE_HIDDEN
    return bool(is_hidden) or getattr(status, "st_reparse_tag", 0) == _JUNCTION


def _rules_above(folder: Path) -> _Rules:
    """Those of the folders above, down from the root of the repository; none outside of one."""
    above = list(folder.parents)
    root = next((n for n, each in enumerate(above) if _is_there(each / ".git")), None)
    if root is None or _is_there(folder / ".git"):
        return []
    rules: _Rules = []
    for each in reversed(above[: root + 1]):
        with suppress(OSError):
            rules += _rules_in(each)
    return rules


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where it may not look


def _rules_in(folder: Path) -> _Rules:
    from pathspec import GitIgnoreSpec

    lines = [
        line
        for name in IGNORE_FILES
        if (file := on_disk(folder / name)).is_file()
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    return [(folder, GitIgnoreSpec.from_lines(lines))] if lines else []


def _is_ignored(path: Path, is_folder: bool, rules: _Rules) -> bool:
    for root, spec in reversed(rules):
        relative = path.relative_to(root).as_posix() + ("/" if is_folder else "")
        include = spec.check_file(relative).include
        if include is not None:
            return include
    return False
