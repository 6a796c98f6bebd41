"""`@path` in what is typed: which files it names, how it is written, and what may follow an @."""

import os
import re
import shlex
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agentctl.core.files import walk, well_formed
from agentctl.core.paths import expand
from agentctl.core.web_page import URL_SCHEMES
from agentctl.render.output import printable

MOST_FOUND = 20_000
"""Files and folders that are looked at for a completion."""

LONGEST_S = 1.0
"""Seconds that looking for them may take."""

_MENTION = re.compile(r"""(?<!\S)@(?:"([^"\n]+)"|'([^'\n]+)'|(\S+))""")
_BEGUN = re.compile(r"""(?<!\S)@(?:"([^"\n]*)|'([^'\n]*)|([^\s"'@]*))$""")
_AFTER_WORDS = ".,;:!?)]}"


def mentioned_files(text: str, folder: Path) -> tuple[str, ...]:
    """The files and pages that `text` names, each once; a name that is no file is only text."""
    found: dict[str, None] = {}
    for match in _MENTION.finditer(text):
        name = match[1] or match[2] or match[3]
        for candidate in (name, name.rstrip(_AFTER_WORDS)):
            if candidate.startswith(URL_SCHEMES):
                found[name.rstrip(_AFTER_WORDS)] = None
                break
            path = folder / expand(candidate)
            if candidate and _is_there(path):
                found[os.path.normpath(path)] = None
                break
    return tuple(found)


def mention(name: str) -> str:
    """`name` as it is typed after the @, in quotes where it needs them."""
    if not re.search(r"""[\s"']""", name) and name[-1:] not in _AFTER_WORDS:
        return f"@{name}"
    quote = "'" if '"' in name else '"'
    return f"@{quote}{name}{quote}"


def dropped_paths(text: str, folder: Path) -> list[str]:
    """The paths of files that were dropped on the terminal: it pastes them, quoted somehow.

    Those below `folder` as they are called there. Empty when `text` is anything else.
    """
    text = text.strip()
    if not text or "\n" in text or len(text) > 10_000:
        return []
    names = _unquoted(text)
    paths = [
        Path(unquote(urlsplit(n).path)) if n.startswith("file://") else expand(n) for n in names
    ]
    if not paths or not all(path.is_absolute() and _is_there(path) for path in paths):
        return []
    return [
        str(path.relative_to(folder))
        if path.is_relative_to(folder) and path != folder
        else str(path)
        for path in paths
    ]


def begun_mention(before: str) -> tuple[str, int] | None:
    """What stands after the last @ of a line up to the cursor, and where that @ is."""
    match = _BEGUN.search(before)
    if match is None:
        return None
    return next(part for part in match.groups() if part is not None), match.start()


def find_paths_below(
    folder: Path, begun: str, monotonic: Callable[[], float] = time.monotonic
) -> list[str]:
    """What `begun` may become: files and folders (with a / at the end), bounded; blocks.

    A path that leads out of `folder` is looked up in its own folder only, all others anywhere
    below; hidden files and those that ignore files name are left out.
    """
    head = begun[: begun.rfind("/") + 1]
    start = folder / expand(head) if head else folder
    leads_out = head.startswith(("/", "~", ".."))
    names = _entries(start) if leads_out else _files_and_folders(start, monotonic)
    named = (f"{head}{name}" for name in names)
    # A name that cannot be shown or sent as it is cannot be typed either.
    return [name for name in named if printable(name) == name == well_formed(name)]


def best_matches(begun: str, paths: list[str], most: int = 50) -> list[str]:
    """The paths that hold the letters of `begun` in order, the closest first."""
    letters = ".*?".join(re.escape(letter) for letter in begun)
    pattern = re.compile(f"(?=({letters}))", re.IGNORECASE)

    def closeness(path: str) -> tuple[int, bool, int, str] | None:
        spans = [len(match[1]) for match in islice(pattern.finditer(path), 8)]
        if not spans:
            return None
        name = path.rstrip("/").rpartition("/")[2]
        return min(spans), not name.lower().startswith(begun.lower()), len(path), path

    ranked = sorted(each for path in paths if (each := closeness(path)) is not None)
    return [path for *_, path in ranked[:most]]


def _files_and_folders(folder: Path, monotonic: Callable[[], float]) -> list[str]:
    until = monotonic() + LONGEST_S
    found: dict[str, None] = {}
    for path in walk(folder, failed=lambda _: None):
        if monotonic() > until or len(found) >= MOST_FOUND:
            # The first folders hold too much; what lies on top is offered nevertheless.
            return [*dict.fromkeys([*_entries(folder), *found])]
        name = path.relative_to(folder)
        found |= dict.fromkeys(f"{above.as_posix()}/" for above in [*name.parents][-2::-1])
        found[name.as_posix()] = None
    return [*found]


def _entries(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MOST_FOUND):
                if not entry.name.startswith("."):
                    yield f"{entry.name}/" if entry.is_dir() else entry.name
    except OSError:
        return


def _unquoted(text: str) -> list[str]:
    if os.name == "nt":
        return [text.strip('"')]
    try:
        return [text] if _is_there(Path(text)) else shlex.split(text)
    except ValueError:
        return []


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises where it may not look
