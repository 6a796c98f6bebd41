"""How settings are written: TOML and `.env` with their lines, and each type as text."""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from agentctl.core.errors import ConfigError
from agentctl.core.jsontypes import Json

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)")
_QUOTED = re.compile(r"""(['"])((?:(?!\1).)*)\1\s*(?:\#.*)?""")
_COMMENT = re.compile(r"(?:^|\s)#")
# What the last line of a statement of several lines holds, and how often such a line may deceive.
_MAY_END = re.compile(r"""]|\"{3}|'{3}""")
_MOST_TRIES = 20
# Bytes of a file of settings: it may be a stranger's.
_LONGEST = 1_000_000
_TOML_PROBLEM = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
_SWITCHES = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(
    ("false", "no", "off", "0"), False
)
# Neither SQLite nor most of JSON's readers hold a larger number; infinity is one, too.
_TOO_LARGE = 2**63


def is_file(path: Path) -> bool:
    """Whether there is a file that can be seen; never raises."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises where it may not look


def read_toml(path: Path) -> dict[str, Json]:
    """Dotted keys to values, parts in quotes where TOML needs them. An empty table is a value.

    Raises:
        ConfigError: unreadable, or no TOML, with the line.
    """
    tables = read_tables(path)
    try:
        return dict(_dotted(tables))
    except RecursionError:
        raise ConfigError(f"{path}:1: its tables are too deep", f"correct {path}") from None


def read_tables(path: Path) -> dict[str, Any]:  # Any: what TOML can hold
    """The tables as they are nested. Raises as `read_toml`."""
    data = _read(path)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line, problem = data.count(b"\n", 0, error.start) + 1, "this is not UTF-8 text"
    except (ValueError, RecursionError) as error:
        found = _TOML_PROBLEM.fullmatch(str(error))
        problem = found[1] if found else str(error)
        line = int(found[2]) if found and found[2] else data.rstrip().count(b"\n") + 1
    raise ConfigError(f"{path}:{line}: {problem}", f"correct line {line} of {path}")


def read_dotenv(path: Path) -> dict[str, str]:
    """The `NAME=value` lines of a `.env`, with comments, `export` and quotes, without escapes.

    What else stands there belongs to other programs.
    """
    return {name: value for _, name, value in _dotenv_lines(path)}


def toml_line(path: Path, key: str) -> int:
    """The line, from 1, where the statement begins that gives a dotted key; 1 if none does.

    tomllib keeps no positions, but each statement of a TOML file can be parsed alone.
    """
    prefix, start, statement, tries = "", 1, "", 0
    for number, line in enumerate(_read(path).decode("utf-8-sig", "replace").split("\n"), 1):
        is_first = not statement
        statement += line + "\n"
        if not (is_first or _MAY_END.search(line)):
            continue
        tries += 1
        if tries > _MOST_TRIES:
            return start
        try:
            names = list(dict(_dotted(tomllib.loads(statement))))
        except (ValueError, RecursionError):
            continue
        if statement.lstrip().startswith("["):
            prefix = names[0] + "."
        else:
            names = [prefix + name for name in names]
        if any(name == key or name.startswith(key + ".") for name in names):
            return start
        start, statement, tries = number + 1, "", 0
    return 1


def dotenv_line(path: Path, name: str) -> int:
    """The line, from 1, of the assignment to `name` that counts, the last; 1 if there is none."""
    return max((number for number, each, _ in _dotenv_lines(path) if each == name), default=1)


def typed_value(value: Json, kind: Any, least: int | None = None, *, is_text: bool = False) -> Json:
    """The value as `kind`: bool, int, float, str or a Literal of strings.

    Numbers are above 0, or at least `least`. With `is_text` the value is read from text first,
    such as `8192` or `yes`.

    Raises:
        ValueError: it does not fit; the message goes on from the key's name.
    """
    try:
        typed = _from_text(str(value), kind) if is_text else value
        if kind is float and type(typed) is int:
            typed = float(typed)
    except (ValueError, OverflowError):
        typed = None
    if _fits(typed, kind, least):
        return typed
    choices = ", ".join(get_args(kind))
    wanted = f"one of {choices}" if choices else _KINDS[kind]
    if kind in (int, float):
        wanted += " above 0" if least is None else f" of at least {least}"
    raise ValueError(f"must be {wanted}, not {value!r:.60}")


def _from_text(text: str, kind: Any) -> Json:
    text.encode()  # a variable may hold bytes that are no text
    if kind is bool:
        return _SWITCHES.get(text.strip().lower())
    if kind in (int, float):
        number: int | float = kind(text)
        return number
    return text


def _fits(value: Json, kind: Any, least: int | None) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if type(value) is not kind:
        return False
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (value > 0 if least is None else least <= value) and value < _TOO_LARGE


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", f"make {path} readable") from None
    if len(data) > _LONGEST:
        raise ConfigError(f"{path}:1: it has more than {_LONGEST:,} bytes", f"shorten {path}")
    return data


def _dotted(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in tables.items():
        # Quotes keep "a.b" apart from a.b, and control characters out of messages.
        key = prefix + (name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name))
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{key}.")
        else:
            yield key, value


def _dotenv_lines(path: Path) -> Iterator[tuple[int, str, str]]:
    text = _read(path).decode("utf-8-sig", "replace")
    for number, line in enumerate(text.split("\n"), 1):
        if found := _ASSIGNMENT.fullmatch(line.rstrip()):
            name, value = found.groups()
            quoted = _QUOTED.fullmatch(value)
            yield number, name, quoted[2] if quoted else _COMMENT.split(value)[0].rstrip()
