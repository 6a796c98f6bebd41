"""Where documents come from: the files, folders, pages and the piped text an ingest names."""

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.errors import AgentctlError, InputMissing, InputUnreadable
from agentctl.core.files import path_on_disk, read_bytes, storable_path, walk, well_formed
from agentctl.core.knowledge.library import IngestRequest
from agentctl.core.knowledge.loaders.registry import page_name
from agentctl.core.web_page import URL_SCHEMES, fetch_page, url_path
from agentctl.core.windows_paths import on_disk

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

# A file that somebody writes to is read again so often before it is given up.
_ATTEMPTS = 3
# The database holds times of these nanoseconds, from 1677 to 2262; some file systems know others.
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something to take in. `path` is what its document is called.

    `file` is None for a page or a piped text, which is in `piped`. `is_named` tells what the user
    named from what was found in a folder.
    """

    path: str
    file: Path | None = None
    piped: bytes | None = None
    is_named: bool = True


@dataclass(frozen=True, slots=True)
class Content:
    """What was read. `name` tells the format by its ending; times are nanoseconds since 1970."""

    data: bytes
    name: str
    mtime_ns: int


def find_candidates(
    request: IngestRequest,
    failed: Callable[[str, AgentctlError], None],
    own: Sequence[Path] = (),
) -> list[Candidate]:
    """Everything the request names, each once, in order; what is not there goes to `failed`.

    A piped text takes the place of a file or page of its title: it cannot be read again.
    What is found in agentctl's `own` folders is left out, unless the request names a place there.
    """
    found: dict[str, Candidate] = {}
    for source in request.sources:
        for candidate in _below(source, request, failed, own):
            found.setdefault(candidate.path, candidate)
    if request.stdin is not None:
        title = well_formed(request.title or "")
        found[title] = Candidate(title, piped=request.stdin)
    return list(found.values())


def read_candidate(
    candidate: Candidate, request: IngestRequest, limit: int, timeout_s: float, now_ns: int
) -> Content:
    """Its bytes, at most `limit`.

    Raises:
        InputMissing: it is gone, or may not be read.
        InputTooLarge: it has more than `limit` bytes.
        InputUnreadable: it is no file, or went on changing while it was read.
    """
    if candidate.file is not None:
        return _read_file(candidate.file, limit)
    if candidate.piped is not None:
        return Content(candidate.piped, candidate.path, now_ns)
    page = fetch_page(candidate.path, limit, timeout_s, same_site=request.same_site)
    return Content(page.data, page_name(url_path(candidate.path), page.media_type), now_ns)


def is_below(path: str, folder: str) -> bool:
    """Whether a document's path lies in a folder, or is it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_gone(path: str) -> bool:
    """Whether a document came from a file that is no longer there.

    One in a folder that may not be looked into counts as there, and so does a name that cannot be
    looked up because its bytes are not known any more.
    """
    if not Path(path).is_absolute() or "\ufffd" in path:
        return False
    try:
        on_disk(Path(path_on_disk(path))).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (OSError, ValueError):
        return False
    return False


def selects(request: IngestRequest) -> Callable[[str], bool]:
    """Whether a path below a named folder passes the request's globs."""
    include, exclude = _spec(request.include), _spec(request.exclude)
    return lambda path: (
        (include is None or include.match_file(path))
        and not (exclude is not None and exclude.match_file(path))
    )


def _spec(globs: tuple[str, ...]) -> "GitIgnoreSpec | None":
    if not globs:
        return None
    from pathspec import GitIgnoreSpec

    return GitIgnoreSpec.from_lines(globs)


def _below(
    source: str,
    request: IngestRequest,
    failed: Callable[[str, AgentctlError], None],
    own: Sequence[Path],
) -> Iterator[Candidate]:
    if source.startswith(URL_SCHEMES):
        yield Candidate(well_formed(source))
        return
    path = Path(source)
    if not os.path.isdir(on_disk(path)):  # noqa: PTH112 - Path.is_dir raises where it may not look
        problem = _why_missing(path)
        if problem is None:
            yield Candidate(storable_path(source), path)
        else:
            failed(storable_path(source), problem)
        return

    def unreadable(error: OSError) -> None:
        folder = str(error.filename)
        problem = InputMissing(
            f"{folder}: {error.strerror}", f"chmod u+rx {shlex.quote(storable_path(folder))}"
        )
        failed(storable_path(folder), problem)

    is_selected = selects(request)
    left_out = [str(each) for each in own if not is_below(source, str(each))]
    for file in walk(path, unreadable):
        if any(is_below(str(file), each) for each in left_out):
            continue
        if is_selected(file.relative_to(path).as_posix()):
            yield Candidate(storable_path(str(file)), file, is_named=False)


def _why_missing(path: Path) -> InputMissing | None:
    try:
        on_disk(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        there = next(each for each in path.parents if os.path.isdir(each))  # noqa: PTH112 - see above
        return InputMissing(f"{path}: no such file or folder", f"ls {shlex.quote(str(there))}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        return InputMissing(f"{path}: {reason}", "check the path and its rights")
    return None


def _read_file(file: Path, limit: int) -> Content:
    for _ in range(_ATTEMPTS):
        before = state_of(file)
        if not on_disk(file).is_file():
            raise InputUnreadable(f"{file} is no regular file", "name a file or a folder")
        data = read_bytes(file, limit, "knowledge.file_bytes")
        if state_of(file) == before == (len(data), before[1]):
            return Content(data, file.name, before[1])
    raise InputUnreadable(f"{file} changed while it was read", "ingest it again when it is at rest")


def state_of(file: Path) -> tuple[int, int]:
    """Its size in bytes, and when it was changed last, as near as can be stored.

    Raises InputMissing.
    """
    try:
        status = on_disk(file).stat()
    except OSError as error:
        raise InputMissing(f"{file}: {error.strerror}", "check the path and its rights") from None
    return status.st_size, min(max(status.st_mtime_ns, _EARLIEST_NS), _LATEST_NS)
