"""Looking at files: `read_file` and `list_files`."""

import stat
import threading
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from agentctl.core.agents.tools.arguments import whole
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.agents.tools.regular_files import failures_of, read_regular, resolved, shown
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import ToolFailed
from agentctl.core.files import decode_text, image_type, walk
from agentctl.core.jsontypes import JsonObject

_LARGEST_BYTES = 20_000_000
_MOST_ENTRIES = 500
# Of the line above a text, without the file's name.
_LONGEST_HEAD = 200
# How a PDF begins, and a zip archive, as office documents and EPUB are.
_PACKED = (b"%PDF-", b"PK\3\4")
_READING_S = 45.0
_READING_MEMORY = 1_500_000_000


class ReadFile:
    """A text file, or the text of a PDF, an office document or an EPUB.

    Of a longer one at most `characters` come at once, and how to read on.
    """

    spec = ToolSpec(
        "read_file",
        "Reads a text file, PDF or office document. The first line of the result says which "
        'lines of how many follow. Example: {"path": "src/main.py", "first_line": 1, '
        '"last_line": 80}',
        object_schema(
            {
                "path": {"type": "string", "description": "such as notes.md or src/main.py"},
                "first_line": {"type": "integer", "minimum": 1, "description": "1 if left out"},
                "last_line": {
                    "type": "integer",
                    "minimum": 1,
                    "description": "to the end if left out",
                },
            },
            optional=("first_line", "last_line"),
        ),
    )
    risk: Risk = "read"
    timeout_s = 60.0

    def __init__(self, characters: int = 50_000) -> None:
        self._characters = characters

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(reads=(resolved(args, place),))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        path = resolved(args, place)
        first = whole(args, "first_line", 1)
        last = whole(args, "last_line", 0) or None
        if last is not None and last < first:
            raise ToolFailed(f"last_line {last} comes before first_line {first}")
        name, most = shown(path, place), self._characters
        return ToolOutput(await run_in_thread(lambda: _read(path, name, first, last, most)))


def _read(path: Path, name: str, first: int, last: int | None, most: int) -> str:
    data, size = read_regular(path, name, _LARGEST_BYTES)
    is_cut = size > len(data)
    with failures_of(name):
        content, note = _text_of(data, name, is_cut)
    if not content:
        return f"{name} is empty"
    lines = content.replace("\r\n", "\n").replace("\0", "\ufffd").split("\n")
    # What follows the last newline is a line if there is anything, and cut off if the file was.
    if len(lines) > 1 and (is_cut or not lines[-1]):
        lines.pop()
    about = f"{len(lines):,} {note}".rstrip()
    if first > len(lines):
        raise ToolFailed(f"there is no line {first} in {name}: the last is line {about}")
    return _excerpt(name, lines, first, min(last or len(lines), len(lines)), about, most)


def _text_of(data: bytes, name: str, is_cut: bool) -> tuple[str, str]:
    """The text, and what the model should know of it."""
    if kind := image_type(data):
        raise ToolFailed(f"{name} is a picture ({kind}), there is no text to read")
    if data.startswith(_PACKED):
        from agentctl.core.knowledge.loaders.reader import DocumentReader, ReadLimits

        if is_cut:
            raise ToolFailed(f"{name} is larger than {_LARGEST_BYTES:,} bytes")
        with DocumentReader(ReadLimits(_LARGEST_BYTES, _READING_S, _READING_MEMORY)) as reader:
            document = reader.read(data, name)
        if document is None:
            raise ToolFailed(f"{name} is binary, there is no text to read")
        return document.text, "of its text"
    content, is_damaged = decode_text(data, name)
    notes = [
        f"of its first {_LARGEST_BYTES:,} bytes" if is_cut else "",
        "(not all UTF-8: what could not be read shows as \ufffd)" if is_damaged else "",
    ]
    return content, " ".join(filter(None, notes))


def _excerpt(name: str, lines: list[str], first: int, last: int, about: str, most: int) -> str:
    """As many whole lines as there is room for, below a line that says which they are."""
    room = most = most - len(name) - _LONGEST_HEAD
    end = first - 1
    while end < last and len(lines[end]) < room:
        room -= len(lines[end]) + 1
        end += 1
    kept = lines[first - 1 : end]
    if not kept:
        end = first
        kept = [f"{lines[first - 1][:most]} [… the rest of this line is left out]"]
    head = f"{name}: lines {first}-{end} of {about}"
    if end < last:
        head += f"; to read on: first_line {end + 1}"
    return "\n".join([head, *kept])


class ListFiles:
    """The files below a folder, as a search or an ingest would see them."""

    spec = ToolSpec(
        "list_files",
        "Lists the files in a folder and in those below it, one path a line, with sizes. Hidden "
        "files and those that .gitignore names are left out. Example: "
        '{"path": "src", "depth": 2}',
        object_schema(
            {
                "path": {"type": "string", "description": "the folder; . if left out"},
                "depth": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 50,
                    "description": "how many levels to go down; 3 if left out",
                },
            },
            optional=("path", "depth"),
        ),
    )
    risk: Risk = "read"
    timeout_s = 60.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(reads=(resolved(args, place, "."),))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        folder = resolved(args, place, ".")
        depth = whole(args, "depth", 3)
        stopped = threading.Event()
        try:
            entries = await run_in_thread(lambda: _list(folder, place, depth, stopped.is_set))
            return ToolOutput(entries)
        finally:
            stopped.set()


def _list(folder: Path, place: Workplace, depth: int, is_stopped: Callable[[], bool]) -> str:
    name = shown(folder, place)
    with failures_of(name):
        if not stat.S_ISDIR(folder.stat().st_mode):
            raise ToolFailed(f"{name} is a file, not a folder: read_file reads it")
        closed: list[OSError] = []
        files = _until(is_stopped, walk(folder, closed.append))
        entries: list[str] = []
        for parts, below in groupby(files, lambda file: file.relative_to(folder).parts[:depth]):
            if len(entries) == _MOST_ENTRIES:
                entries.append(f"[more than {_MOST_ENTRIES} entries: name a folder, or less depth]")
                break
            entries.append(_entry(folder.joinpath(*parts), below, place))
    entries += (f"[{shown(Path(e.filename), place)}: {e.strerror}]" for e in closed)
    return "\n".join([f"{name}:", *entries]) if entries else f"{name} holds no files to be listed"


def _until(is_stopped: Callable[[], bool], files: Iterator[Path]) -> Iterator[Path]:
    for file in files:
        if is_stopped():
            return
        yield file


def _entry(path: Path, below: Iterator[Path], place: Workplace) -> str:
    """A file, or a folder whose files lie too deep."""
    name = shown(path, place)
    if next(below) != path:
        count = 1 + sum(1 for _ in below)
        return f"{name}/  {count:,} {'file' if count == 1 else 'files'}"
    try:
        return f"{name}  {_size(path.stat().st_size)}"
    except OSError:  # it is gone
        return name


def _size(size: int) -> str:
    if size < 10_000:
        return f"{size:,} {'byte' if size == 1 else 'bytes'}"
    return f"{size / 1e3:,.0f} kB" if size < 10_000_000 else f"{size / 1e6:,.0f} MB"
