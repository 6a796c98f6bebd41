"""Settings: their shape, their sources, and who wins.

From weakest to strongest: `config/default.toml`, the user's file, a project's `agentctl.toml`
(searched upward from the working directory), `.env` beside it or in the working directory,
`AGENTCTL_*` variables. Flags are stronger than all of them and belong to the commands.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, is_dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from agentctl.core.addresses import stays_here
from agentctl.core.config_syntax import (
    dotenv_line,
    is_file,
    read_dotenv,
    read_toml,
    toml_line,
    typed_value,
)
from agentctl.core.errors import ConfigError
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, shipped

PROJECT_FILE = "agentctl.toml"
VARIABLE_PREFIX = "AGENTCTL_"
_NOT_SETTINGS = {"AGENTCTL_HOME"}
# A folder somebody else wrote must not decide where prompts and keys go.
_ADDRESSES = {"ollama.host", "openai.base_url", "downloads.hub", "downloads.index"}
_USERS_OWN = {*_ADDRESSES, "ollama.allow_cloud", "openai.api_key_env"}
_USERS_OWN |= {"agents.code_without_sandbox", "agents.fetch_url", "ollama.restart"}
_USERS_OWN |= {"daemon.port", "daemon.notify"}
_MODELS = {"model", "embedded.model", "knowledge.reranker"}
# Numbers are above 0, but for these: their least value has a meaning of its own.
_LEAST = {"embedded.threads": 0, "embedded.gpu_layers": -1, "daemon.port": 0}
_MOST = {"daemon.port": 65_535}
# What text must look like, and that in words; all other keys take any.
_NAME = (r".*\S.*", "a name")
FORMS = {
    "model": _NAME,
    "embedded.model": _NAME,
    "openai.base_url": (r"(https?://\S+)?", "an http or https address, or empty"),
    "downloads.hub": (r"https?://\S+", "an http or https address"),
    "daemon.notify": (
        r"(desktop|file:.*\S.*|command:.*\S.*)?",
        "desktop, file:PATH, command:WORDS, or empty",
    ),
    "tui.keys": (
        r"(\s*([\w-]+\.[\w-]+\s*=\s*[^\s,]+\s*)?(,|$))*",
        "pairs of a name and a key, such as app.quit=f10",
    ),
}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ollama:
    host: str
    context_window: int
    keep_alive: str
    start: bool
    restart: Literal["own", "any", "off"]
    fallback: bool
    allow_cloud: bool


@dataclass(frozen=True, slots=True)
class Embedded:
    model: str
    context_window: int
    threads: int
    gpu_layers: int


@dataclass(frozen=True, slots=True)
class OpenAI:
    base_url: str
    api_key_env: str
    context_window: int


@dataclass(frozen=True, slots=True)
class Knowledge:
    answers: Literal["auto", "always", "off"]
    embedder: str
    passages: int
    reranker: str
    file_bytes: int
    file_seconds: float
    file_memory: int


@dataclass(frozen=True, slots=True)
class Agents:
    code_without_sandbox: Literal["refuse", "allow"]
    fetch_url: bool


@dataclass(frozen=True, slots=True)
class Tasks:
    history_days: int
    summarise_sessions: bool


@dataclass(frozen=True, slots=True)
class Monitor:
    interval: float
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    gpu_memory_percent: float
    history_days: int


@dataclass(frozen=True, slots=True)
class Daemon:
    use: bool
    port: int
    notify: str


@dataclass(frozen=True, slots=True)
class Tui:
    theme: Literal["dark", "light", "contrast"]
    keys: str


@dataclass(frozen=True, slots=True)
class Timeouts:
    connect: float
    first_token: float
    idle: float


@dataclass(frozen=True, slots=True)
class Limits:
    input_bytes: int
    folder_files: int


@dataclass(frozen=True, slots=True)
class Downloads:
    hub: str
    index: str


@dataclass(frozen=True, slots=True)
class Log:
    level: Literal["debug", "info", "warning", "error"]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Settings:
    """What `config/default.toml` documents, key by key."""

    model: str
    ollama: Ollama
    embedded: Embedded
    openai: OpenAI
    knowledge: Knowledge
    agents: Agents
    tasks: Tasks
    monitor: Monitor
    daemon: Daemon
    tui: Tui
    timeouts: Timeouts
    limits: Limits
    downloads: Downloads
    log: Log


@dataclass(frozen=True, slots=True)
class Layer:
    """One source of settings: dotted keys to values, as the source wrote them.

    `private` sources are the user's own; a project's files are not. Text sources
    (`.env`, variables) hold strings that still have to be read as the key's type.
    """

    origin: str
    values: Mapping[str, Json]
    private: bool = True
    is_text: bool = False
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """The settings in force, and which source each dotted key came from."""

    settings: Settings
    origins: Mapping[str, str]
    values: Mapping[str, Json]


def load_config(paths: Paths, environ: Mapping[str, str], directory: Path) -> Config:
    """Reads and merges every source.

    Raises:
        ConfigError: an unknown key, a wrong value or unreadable TOML, with file and line.
    """
    return merge_layers(read_layers(paths, environ, directory))


def default_settings() -> Settings:
    """What `config/default.toml` says, for when nothing else may be read."""
    return merge_layers([read_toml_layer(shipped("default.toml"))]).settings


def merge_layers(layers: Iterable[Layer]) -> Config:
    """Later layers win, key by key; the first one holds every key.

    Raises:
        ConfigError: an unknown key, a wrong value, or a project's file that reaches too far.
    """
    values: dict[str, Json] = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for key, raw in layer.values.items():
            try:
                value = check_value(key, raw, is_text=layer.is_text)
            except ConfigError as error:
                place, mend = _place(layer, key)
                raise ConfigError(f"{place}: {error.message}", mend) from None
            if not layer.private and value != values.get(key):
                _check_harmless(layer, key, value)
            values[key], origins[key] = value, layer.origin
    return Config(_build(Settings, values), origins, values)


def read_layers(paths: Paths, environ: Mapping[str, str], directory: Path) -> Iterator[Layer]:
    """Every source that exists, the weakest first."""
    yield read_toml_layer(shipped("default.toml"))
    if is_file(paths.settings):
        yield read_toml_layer(paths.settings)
    folders = (directory, *directory.parents)
    project = next((each for each in folders if is_file(each / PROJECT_FILE)), None)
    if project is not None:
        yield read_toml_layer(project / PROJECT_FILE, private=False)
    dotenv = (project or directory) / ".env"
    if is_file(dotenv):
        values = _settings_among(read_dotenv(dotenv))
        yield Layer(str(dotenv), values, private=False, is_text=True, path=dotenv)
    yield Layer("environment", _settings_among(environ), is_text=True)


def read_toml_layer(path: Path, *, private: bool = True) -> Layer:
    """Raises ConfigError when the file is no TOML."""
    values = {
        key: value for key, value in read_toml(path).items() if value != {} or not _below(key)
    }
    origin = "default" if path == shipped("default.toml") else str(path)
    return Layer(origin, values, private, path=path)


@cache
def key_types() -> Mapping[str, Any]:  # Any: a type such as `int` or a Literal
    """Every dotted key with its type, in the order of `Settings`."""
    return dict(_key_types(Settings, ""))


def check_value(key: str, value: Json, *, is_text: bool = False) -> Json:
    """The value as the key's type; with `is_text`, read from text such as `8192` or `yes`.

    Raises:
        ConfigError: an unknown key or a wrong value, with the nearest right one.
    """
    hint = "see every key: agentctl config show"
    if key not in key_types():
        raise ConfigError(_why_unknown(key), hint)
    try:
        typed = typed_value(value, key_types()[key], _LEAST.get(key), is_text=is_text)
        _check_meaning(key, typed)
    except ValueError as error:
        choices = get_args(key_types()[key])
        guess = _did_you_mean(value, choices) if isinstance(value, str) else ""
        raise ConfigError(f"{key} {error}{guess}", hint) from None
    return typed


def _check_meaning(key: str, value: Json) -> None:
    """Raises ValueError, as `typed_value` does, for what no part of the program could use."""
    most = _MOST.get(key)
    if most is not None and isinstance(value, int) and value > most:
        raise ValueError(f"must be at most {most}, not {value}")
    form, words = FORMS.get(key, (None, ""))
    if form is not None and not re.fullmatch(form, str(value), re.DOTALL):
        raise ValueError(f"must be {words}, not {value!r:.60}")


def variable_name(key: str) -> str:
    """`ollama.host` is `AGENTCTL_OLLAMA_HOST`."""
    return VARIABLE_PREFIX + key.upper().replace(".", "_")


def line_of(path: Path, key: str) -> int:
    """The line, from 1, of a dotted key in a TOML file or of a variable in a `.env`."""
    if path.name != ".env":
        return toml_line(path, key)
    return dotenv_line(path, variable_name(key) if key in key_types() else key)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The most alike of `names`, first one of the same letters; None when nothing is alike."""
    import difflib

    known = list(names)
    mixed_up = (each for each in known if sorted(each) == sorted(name))
    return next(chain(mixed_up, difflib.get_close_matches(name, known, n=1)), None)


def _key_types(table: type, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, kind in get_type_hints(table).items():
        if isinstance(kind, type) and is_dataclass(kind):
            yield from _key_types(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, kind


def _build(table: type[T], values: Mapping[str, Json], prefix: str = "") -> T:
    parts = {
        name: _build(kind, values, f"{prefix}{name}.")
        if isinstance(kind, type) and is_dataclass(kind)
        else values[prefix + name]
        for name, kind in get_type_hints(table).items()
    }
    return table(**parts)


def _settings_among(variables: Mapping[str, str]) -> dict[str, Json]:
    keys = {variable_name(key): key for key in key_types()}
    return {
        keys.get(name, name): value
        for name, value in variables.items()
        if name.startswith(VARIABLE_PREFIX) and name not in _NOT_SETTINGS
    }


def _below(table: str) -> list[str]:
    return [key for key in key_types() if key.startswith(table + ".")]


def _why_unknown(key: str) -> str:
    if below := _below(key):
        return f"{key} is a table, with the keys {', '.join(below)}"
    table = key.partition(".")[0]
    if table in key_types():
        return f"{table} is a value, not a table"
    keys: Iterable[str] = key_types()
    known = map(variable_name, keys) if key.startswith(VARIABLE_PREFIX) else keys
    return f"unknown key {key}{_did_you_mean(key, known)}"


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    close = nearest(name, names)
    return f" (did you mean {close}?)" if close else ""


def _check_harmless(layer: Layer, key: str, value: Json) -> None:
    """Raises ConfigError when a project's value could reach too far.

    Somebody else's folder decides neither where prompts and keys go nor which file the engine
    loads into this process.
    """
    is_local = key in _ADDRESSES and (not value or stays_here(str(value)))
    is_file = key in _MODELS and str(value).casefold().endswith(".gguf")
    if not is_file and (key not in _USERS_OWN or value is False or is_local):
        return
    import shlex

    text = "true" if value is True else str(value)
    place, _ = _place(layer, key)
    raise ConfigError(
        f"{place}: only the user may set {key} to {value!r}, not a project's file",
        f"if you trust it: agentctl config set {key} {shlex.quote(text)}"
        if text.isprintable()
        else f"remove it from {layer.path}",
    )


def _place(layer: Layer, key: str) -> tuple[str, str]:
    """Where the key stands, and what mends it there."""
    if layer.path is None:
        name = variable_name(key) if key in key_types() else key
        return f"environment variable {name}", f"unset {name}"
    mend = "agentctl config edit" if layer.private else f"correct it in {layer.path}"
    return f"{layer.path}:{line_of(layer.path, key)}", mend
