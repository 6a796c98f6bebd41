"""`search_files`: the lines of files in which a text stands."""

import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from time import monotonic

from agentctl.core.agents.tools.arguments import flag, text
from agentctl.core.agents.tools.base import Risk, ToolOutput, Touches, Workplace, object_schema
from agentctl.core.agents.tools.line_matcher import (
    MOST_LINES,
    LineMatcher,
    PlainMatcher,
    regex_matcher,
)
from agentctl.core.agents.tools.regular_files import failures_of, read_regular, resolved, shown
from agentctl.core.backends.base import ToolSpec
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.errors import InputUnreadable, ToolFailed
from agentctl.core.files import decode_text, walk
from agentctl.core.jsontypes import JsonObject

# Characters of a line that are shown, and how many of them stand before the match.
_LINE = 300
_BEFORE = 100
# Of a larger file only the beginning is searched.
_LARGEST_BYTES = 10_000_000


class SearchFiles:
    """Looks for a text or a regular expression, for at most `seconds`."""

    spec = ToolSpec(
        "search_files",
        "Finds a text in the files of a folder and those below it; answers with path:line: text. "
        "Text in lower case also finds capitals. Hidden files, binary ones and those that "
        '.gitignore names are left out. Example: {"text": "def main", "path": "src", '
        '"glob": "*.py"}',
        object_schema(
            {
                "text": {"type": "string", "minLength": 1},
                "path": {"type": "string", "description": "a folder or a file; . if left out"},
                "is_regex": {
                    "type": "boolean",
                    "description": "true if text is a Python regular expression",
                },
                "glob": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 200,
                    "description": "only these files: *.py or docs/**/*.md",
                },
            },
            optional=("path", "is_regex", "glob"),
        ),
    )
    risk: Risk = "read"
    timeout_s = 60.0

    def __init__(self, seconds: float = 20.0) -> None:
        self._seconds = seconds

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches(reads=(resolved(args, place, "."),))

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        wanted = text(args, "text")
        if not wanted or "\n" in wanted:
            raise ToolFailed("text is empty or has several lines: one line is looked for at a time")
        stopped = Event()
        search = Search(
            folder=resolved(args, place, "."),
            place=place,
            glob=text(args, "glob"),
            stopped=stopped,
            deadline=monotonic() + self._seconds,
        )
        is_regex = flag(args, "is_regex")

        def work() -> str:
            matcher: AbstractContextManager[LineMatcher] = (
                regex_matcher(wanted, self._seconds, stopped)
                if is_regex
                else nullcontext(PlainMatcher(wanted))
            )
            with matcher as found:
                return search.run(found)

        try:
            return ToolOutput(await run_in_thread(work))
        finally:
            stopped.set()


@dataclass(slots=True, kw_only=True)
class Search:
    """One search, and what it has found so far."""

    folder: Path
    place: Workplace
    glob: str
    stopped: Event
    deadline: float
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: int = 0

    def run(self, matcher: LineMatcher) -> str:
        name = shown(self.folder, self.place)
        with failures_of(name):
            is_folder = stat.S_ISDIR(self.folder.stat().st_mode)
            for path in self._below() if is_folder else (self.folder,):
                if self._is_over():
                    break
                content = self._read(path, is_named=not is_folder)
                if content is not None and not self._search(path, content, matcher):
                    break
        head = f"matching lines: {len(self.lines)}; files searched in {name}: {self.files:,}"
        return "\n".join([head, *self.lines, *self.notes])

    def _below(self) -> Iterator[Path]:
        from pathspec import GitIgnoreSpec

        spec = GitIgnoreSpec.from_lines([self.glob]) if self.glob else None
        for path in walk(self.folder, self._pass_over):
            if spec is None or spec.match_file(path.relative_to(self.folder).as_posix()):
                yield path

    def _pass_over(self, error: OSError) -> None:
        name = shown(Path(str(error.filename)), self.place)
        self.notes.append(f"[{name} was left out: {error.strerror}]")

    def _read(self, path: Path, *, is_named: bool) -> str | None:
        """None for what is binary, or gone meanwhile, unless it was named."""
        name = shown(path, self.place)
        try:
            data, size = read_regular(path, name, _LARGEST_BYTES)
            content, _ = decode_text(data, name)
        except (ToolFailed, InputUnreadable):
            if is_named:
                raise
            return None
        if size > len(data):
            self.notes.append(f"[of {name} only the first {_LARGEST_BYTES:,} bytes were searched]")
        return content.replace("\r\n", "\n")

    def _search(self, path: Path, content: str, matcher: LineMatcher) -> bool:
        """Whether the search can go on."""
        self.files += 1
        try:
            found = matcher.find(content)
        except ToolFailed as error:
            if not self.lines:
                raise
            self.notes.append(f"[{error.message}]")
            return False
        lines = content.split("\n") if found else []
        name = shown(path, self.place)
        for number, start in found[: MOST_LINES - len(self.lines)]:
            self.lines.append(f"{name}:{number + 1}: {_excerpt(lines[number], start)}")
        if len(self.lines) < MOST_LINES:
            return True
        self.notes.append(f"[there may be more than {MOST_LINES}: say more, or name a folder]")
        return False

    def _is_over(self) -> bool:
        if not self.stopped.is_set() and monotonic() < self.deadline:
            return False
        self.notes.append("[not all files were searched, there was no more time: name a folder]")
        return True


def _excerpt(line: str, start: int) -> str:
    begin = max(start - _BEFORE, 0) if len(line) > _LINE else 0
    end = begin + _LINE
    return f"{'…' if begin else ''}{line[begin:end]}{'…' if end < len(line) else ''}"
