"""Rules as they are written: the `[[permissions]]` tables of TOML files."""

import os
import re
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

from agentctl.core.agents.permissions.command_line import beginning
from agentctl.core.agents.permissions.path_patterns import OUTSIDE
from agentctl.core.agents.tools.base import Risk
from agentctl.core.config import nearest
from agentctl.core.config_syntax import is_file, read_toml, toml_line, typed_value
from agentctl.core.errors import ConfigError
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.core.open_files import move_over
from agentctl.core.paths import make_private, shipped

FILE_NAME = "permissions.toml"
TABLE = "permissions"
Decision: TypeAlias = Literal["allow", "ask", "deny"]
KINDS: Mapping[str, Any] = {  # Any: a type such as `str` or a Literal
    "decision": Decision,
    "agent": str,
    "tool": str,
    "risk": Risk,
    "path": str,
    "command": str,
    "exact": bool,
    "read_only": bool,
    "host": str,
}
_NO_TABLES = f"{TABLE} must be tables: [[{TABLE}]]"
_ALONE = ("decision", "exact", "read_only")
_HEADER = (
    "# What agents may do. These rules come before the shipped ones; the first that fits decides.\n"
)


def read_tables(path: Path) -> Json:
    """What a file of nothing but rules holds.

    Raises:
        ConfigError: no TOML, or another key, with file and line.
    """
    values = read_toml(path)
    for key in values:
        if key != TABLE:
            is_one = key.startswith(f"{TABLE}.")
            raise _problem(
                path, toml_line(path, key), _NO_TABLES if is_one else _unknown(key, [TABLE])
            )
    return values.get(TABLE, [])


def checked_tables(tables: Json, path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The values of each rule, and the line it begins at; a list of values is a rule for each.

    Raises:
        ConfigError: an unknown key or a wrong value, with file and line.
    """
    if not isinstance(tables, list):
        raise _problem(path, toml_line(path, TABLE), _NO_TABLES)
    lines = _lines(path)
    if len(lines) != len(tables):  # written as [{…}, {…}]
        lines = [{"": toml_line(path, TABLE)}] * len(tables)
    for table, where in zip(tables, lines, strict=True):
        try:
            rules = list(_rules(table))
        except _WrongKey as error:
            line = where.get(error.key, where[""])
            raise _problem(path, line, error.message) from None
        yield from ((values, where[""]) for values in rules)


def add_table(path: Path, values: Mapping[str, str | bool]) -> str:
    """Writes one more rule, before the first that asks; `FILE:LINE`.

    Raises:
        ConfigError: the file cannot be read, written or added to.
    """
    path = path.resolve()
    table: JsonObject = {
        key: well_formed(each) if isinstance(each, str) else each for key, each in values.items()
    }
    try:
        is_there = is_file(path)
        rules = list(checked_tables(read_tables(path), path)) if is_there else []
        text = path.read_text(encoding="utf-8-sig") if is_there else _HEADER
        places = [line for each, line in rules if each == table]
        if places:
            return f"{path}:{places[0]}"
        asks = [n for n, (each, _) in enumerate(rules) if each["decision"] == "ask"]
        before, after = _cut(text, rules[asks[0]][1] if asks else None)
        expected = [each for each, _ in rules]
        expected.insert(asks[0] if asks else len(rules), table)
        _write(path, before + _written(table) + after, expected)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}", f"make {path.parent} writable"
        ) from None
    line = before.count("\n") + 1
    return f"{path}:{line}"


class _WrongKey(Exception):
    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key
        self.message = message


def _rules(table: Json) -> Iterator[dict[str, Any]]:
    if not isinstance(table, dict):
        raise _WrongKey("", _NO_TABLES)
    if "decision" not in table:
        raise _WrongKey("", "the key decision is missing: allow, ask or deny")
    is_exact = table.get("exact") is True
    choices = []
    for key, value in table.items():
        if key not in KINDS:
            raise _WrongKey(key, _unknown(key, KINDS))
        several = value if isinstance(value, list) and value and key not in _ALONE else [value]
        try:
            for each in several:
                typed_value(each, KINDS[key])
                _check(key, each, is_exact=is_exact)
        except ValueError as error:
            raise _WrongKey(key, f"{key} {error}") from None
        choices.append([(key, each) for each in several])
    for key in ("exact", "read_only"):
        if table.get(key) is True and (table["decision"] != "allow" or "command" not in table):
            raise _WrongKey(key, f"{key} belongs to a rule that allows a command")
    yield from map(dict, product(*choices))


def _check(key: str, value: Json, *, is_exact: bool) -> None:
    """Raises ValueError with what a type cannot say."""
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("must not be empty, nor hold a NUL")
    if key == "path" and text != OUTSIDE and ".." in text.split("/"):
        raise ValueError(f'may have .. only as "{OUTSIDE}", all that is outside')
    if key == "command" and not is_exact and beginning(text) is None:
        raise ValueError("must be the words that a command begins with, such as git status")
    if key == "host" and "/" in text:
        raise ValueError("must be a host alone, such as example.org")


def _unknown(key: str, known: Mapping[str, Any] | list[str]) -> str:
    close = nearest(key, known)
    return f"unknown key {key}" + (f" (did you mean {close}?)" if close else "")


def _problem(path: Path, line: int, message: str) -> ConfigError:
    return ConfigError(
        f"{path}:{line}: {message}", f"mend {path}; {shipped(FILE_NAME)} explains every key"
    )


def _lines(path: Path) -> list[dict[str, int]]:
    """Of each [[permissions]] table the lines of its keys, and of its head as "".

    tomllib keeps no positions, but each statement can be parsed alone.
    """
    tables: list[dict[str, int]] = []
    is_ours, start, statement = False, 1, ""
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        statement += line + "\n"
        try:
            found = tomllib.loads(statement)
        except (ValueError, RecursionError):
            continue
        if statement.lstrip().startswith("["):
            is_ours = found == {TABLE: [{}]}
            tables += [{"": start}] * is_ours
        elif is_ours:
            tables[-1].update(dict.fromkeys(found, start))
        start, statement = number + 1, ""
    return tables


def _cut(text: str, line: int | None) -> tuple[str, str]:
    """The text before a rule and the comment above it, and the text from there; else all of it."""
    if line is None:
        return (text.rstrip("\n") + "\n\n" if text.strip() else "", "")
    lines = text.split("\n")
    start = line - 1
    while start and re.match(r"\s*#", lines[start - 1]):
        start -= 1
    return "".join(f"{each}\n" for each in lines[:start]), "\n" + "\n".join(lines[start:])


def _written(table: JsonObject) -> str:
    import tomlkit

    return f"[[{TABLE}]]\n{tomlkit.dumps(table)}"


def _write(path: Path, text: str, expected: list[dict[str, Any]]) -> None:
    """Replaces the file, unless other rules would be read from it than expected."""
    make_private(path.parent)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        if not _holds(temporary, expected):
            raise ConfigError(
                f"{path} is laid out in a way that cannot be added to", f"mend {path}"
            )
        move_over(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _holds(path: Path, expected: list[dict[str, Any]]) -> bool:
    try:
        return [each for each, _ in checked_tables(read_tables(path), path)] == expected
    except ConfigError:
        return False
