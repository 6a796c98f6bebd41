"""What the command line points at: standard input, files."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentctl.commands import places
from agentctl.core.chat.attachments import STDIN_NAME, check_size
from agentctl.core.chat.schema import check_schema
from agentctl.core.errors import InputMissing, InputUnreadable
from agentctl.core.files import decode_text, from_code_page, read_bytes, read_up_to
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import expand
from agentctl.core.web_page import is_address
from agentctl.render.console import code_page

# A schema is text somebody wrote; more than this is a mistake.
SCHEMA_BYTES = 1_000_000


def read_stdin(limit: int, *, is_named: bool) -> bytes | None:
    """What is piped in, or typed when `-` names it; None for nothing.

    Raises InputTooLarge before more than `limit` bytes are held.
    """
    if sys.stdin is None or (sys.stdin.isatty() and not is_named):
        return None
    try:
        data = read_up_to(sys.stdin.buffer, limit + 1)
    except OSError:
        return None
    check_size(STDIN_NAME, len(data), limit)
    return from_code_page(data, code_page()) or None


@contextmanager
def named_file(name: str) -> Iterator[Path]:
    """What the command line names, by its whole path.

    For `-` that is a copy of stdin, which only the user may read, and gone at the end. Raises
    InputMissing.
    """
    if name != "-":
        yield Path(places.absolute(name))
        return
    from shutil import copyfileobj
    from tempfile import TemporaryDirectory

    if sys.stdin is None:
        raise InputMissing("stdin is closed", "name a file")
    with TemporaryDirectory() as folder:
        path = Path(folder).resolve() / STDIN_NAME
        try:
            with path.open("wb") as file:
                copyfileobj(sys.stdin.buffer, file)
        except OSError as error:
            raise InputMissing(f"stdin cannot be read: {error.strerror}", "name a file") from None
        yield path


def read_schema(path: Path) -> JsonObject:
    """Raises InputMissing, InputUnreadable."""
    text, _ = decode_text(read_bytes(path, SCHEMA_BYTES), str(path))
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputUnreadable(f"{path} is not JSON: {error}", "give a JSON Schema") from None
    if not isinstance(schema, dict):
        raise InputUnreadable(f"{path} holds no JSON object", "give a JSON Schema")
    check_schema(schema)
    return schema


def absolute(name: str) -> str:
    """A file, or a URL as it is. Raises InputMissing for no name at all."""
    if not name:
        raise InputMissing("a file without a name", "-f FILE")
    return name if is_address(name) else str(expand(name).absolute())
