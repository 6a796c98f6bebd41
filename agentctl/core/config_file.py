"""Changing the user's configuration file: comments and order stay, a refusal leaves no trace."""

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentctl.core.config import check_value, line_of
from agentctl.core.config_syntax import is_file, read_toml
from agentctl.core.errors import BackendBusy, ConfigError
from agentctl.core.file_lock import locked_past_lookers
from agentctl.core.jsontypes import Json
from agentctl.core.open_files import move_over
from agentctl.core.paths import Paths, make_private

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Table

_HEADER = "# Settings of agentctl. To see every key: agentctl config show\n\n"
_BY_HAND = "agentctl config edit"
# Looks at the lock, for ten seconds: a script may set many keys at once.
_ATTEMPTS = 200


def set_value(paths: Paths, key: str, text: str) -> Json:
    """Writes one key, its value given as text such as `8192`, `true` or `5m`; returns the value.

    Raises:
        ConfigError: an unknown key, a wrong value, or a file that cannot be read or written.
        BackendBusy: others go on writing it.
        StorageError: its file system has no locks.
    """
    value = check_value(key, text, is_text=True)
    path = paths.settings.resolve()
    with _only_writer(path):
        values, document = _read(path)
        _put(document, key, value, path)
        _replace(path, document, values | {key: value})
    return value


def unset_value(paths: Paths, key: str) -> bool:
    """Takes one key out of the file, known or not; False when it was not in there.

    Raises as `set_value`.
    """
    path = paths.settings.resolve()
    with _only_writer(path):
        values, document = _read(path)
        if key not in values:
            return False
        _remove(document, key)
        del values[key]
        _replace(path, document, values)
    return True


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """Between reading the file and replacing it nobody else does."""
    from tomlkit.exceptions import TOMLKitError

    refusal = BackendBusy(f"{path} is being changed by others", "try again")
    try:
        make_private(path.parent)
        lock = path.with_name(f"{path.name}.lock")
        with locked_past_lookers(lock, refusal, attempts=_ATTEMPTS):
            yield
    except TOMLKitError as error:
        raise ConfigError(f"{path}: {error}", _BY_HAND) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", f"make {path.parent} writable"
        ) from None


def _read(path: Path) -> tuple[dict[str, Json], "TOMLDocument"]:
    """The values in the file, and its text taken apart."""
    import tomlkit

    values = _values(path)
    text = path.read_bytes().decode("utf-8-sig") if is_file(path) else _HEADER
    return values, tomlkit.parse(text if text.endswith("\n") else text + "\n")


def _values(path: Path) -> dict[str, Json]:
    if not is_file(path):
        return {}
    return {key: value for key, value in read_toml(path).items() if value != {}}


def _put(document: "TOMLDocument", key: str, value: Json, path: Path) -> None:
    import tomlkit

    *tables, name = key.split(".")
    table: Any = document
    for part in tables:
        if part not in table:
            table[part] = tomlkit.table()
        table = table[part]
        if not isinstance(table, MutableMapping):
            place = f"{path}:{line_of(path, part)}"
            raise ConfigError(f"{place}: {part} is a value where a table is wanted", _BY_HAND)
    if name not in table and isinstance(table, tomlkit.TOMLDocument | tomlkit.items.Table):
        _insert(table, name, value)
    else:
        table[name] = value


def _insert(table: "TOMLDocument | Table", name: str, value: Json) -> None:
    """Adds a key below the last one: tomlkit would put it under the comment of the next table."""
    from tomlkit import TOMLDocument, item
    from tomlkit.items import AoT, SingleKey, Table, Whitespace

    body = table.body if isinstance(table, TOMLDocument) else table.value.body
    tables = [n for n, (_, each) in enumerate(body) if isinstance(each, Table | AoT)]
    own = body[: tables[0]] if tables else body
    keys = [n for n, (key, _) in enumerate(own, 1) if key is not None]
    blanks = [n for n, (_, each) in enumerate(own, 1) if isinstance(each, Whitespace)]
    new = item(value)
    if keys:
        place = keys[-1]
    elif tables:
        place = blanks[-1] if blanks else 0
        new.trivia.trail = "\n\n"
    else:
        place = len(own)
    body.insert(place, (SingleKey(name), new))


def _remove(document: "TOMLDocument", key: str) -> None:
    *tables, name = key.split(".")
    table: Any = document
    for part in tables:
        table = table[part]
    del table[name]


def _replace(path: Path, document: "TOMLDocument", expected: dict[str, Json]) -> None:
    """`expected` is what must be read back from the new file."""
    import tempfile

    import tomlkit

    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(tomlkit.dumps(document).encode())
            file.flush()
            os.fsync(file.fileno())
        if _values(temporary) != expected:
            raise ConfigError(
                f"{path} is laid out in a way that cannot be changed safely", _BY_HAND
            )
        move_over(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
