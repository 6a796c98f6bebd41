"""The MCP servers of the user's `mcp.toml`: what is started or called, and what it may offer.

Only the user's own file counts: a server is a program that runs with the user's rights.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_type_hints

from agentctl.core.addresses import stays_here
from agentctl.core.config import nearest
from agentctl.core.config_syntax import is_file, read_toml, toml_line, typed_value
from agentctl.core.errors import ConfigError, ToolFailed
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths
from agentctl.core.windows_paths import is_device

# A server cannot be harmless: nobody here knows what it does.
ServerRisk: TypeAlias = Literal["read", "write", "execute", "network"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a program needs to run at all, and nothing of which a secret is made.
_INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "TZ", "TMPDIR"),
    *("APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATHEXT", "PROCESSOR_ARCHITECTURE"),
    *("SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERNAME", "USERPROFILE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """One server: a `command` that speaks MCP on its standard streams, or the `url` of one.

    `folder` is where the command starts, `env` its variables beside the usual ones: a value of
    `$NAME` is that variable's here. `tools` are globs of what may be offered.
    """

    name: str
    folder: Path
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    remote: bool = False
    tools: tuple[str, ...] = ("*",)
    risk: ServerRisk = "execute"
    timeout_s: float = 60.0
    start_timeout_s: float = 10.0

    @property
    def prefix(self) -> str:
        """How the names of its tools begin."""
        return f"mcp_{self.name.lower().replace('-', '_')}_"

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The variables of its process.

        Raises:
            ToolFailed: one that is to be handed on is not set.
        """
        own = {name: environ[name] for name in _INHERITED if name in environ}
        for name, value in self.env.items():
            if value.startswith("$") and value[1:] not in environ:
                raise ToolFailed(f"the variable {value[1:]} is not set")
            own[name] = environ[value[1:]] if value.startswith("$") else value
        return own


_KEYS = tuple(each.name for each in fields(McpServer) if each.name not in ("name", "folder"))


def read_mcp_servers(paths: Paths) -> tuple[McpServer, ...]:
    """The servers of the user's file in its order, none when there is no file.

    Raises:
        ConfigError: a key that is unknown or wrong, or an address elsewhere, with file and line.
    """
    path = paths.mcp_servers
    if not is_file(path):
        return ()
    tables: dict[str, dict[str, Any]] = {}  # Any: what a field of McpServer may be
    for key, value in read_toml(path).items():
        top, _, rest = key.partition(".")
        name, _, rest = rest.partition(".")
        if top != "servers":
            raise _wrong(path, key, f"unknown key {key} (did you mean servers.NAME?)")
        if not name and value == {}:
            continue
        if not _NAME.fullmatch(name) or is_device(name):
            text = f"{key}: a server is a table [servers.NAME], up to 32 letters, digits, - and _"
            raise _wrong(path, key, text)
        if not rest and value != {}:
            raise _wrong(path, key, f"{key} must be a table, with the keys {', '.join(_KEYS)}")
        table = tables.setdefault(name, {})
        if rest:
            _add(path, table, key, rest, value)
    servers = tuple(_server(path, name, table) for name, table in tables.items())
    _check_prefixes(path, servers)
    return servers


def _add(path: Path, table: dict[str, Any], key: str, rest: str, value: Json) -> None:
    """Puts the value of one line into the table of its server."""
    name, _, variable = rest.partition(".")
    if name not in _KEYS:
        close = nearest(name, _KEYS)
        guess = f" (did you mean {close}?)" if close else ""
        raise _wrong(path, key, f"unknown key {key}{guess}")
    try:
        table[name] = _value(name, variable, value, table.get("env", {}))
    except ValueError as error:
        raise _wrong(path, key, f"{key} {error}") from None


def _value(name: str, variable: str, value: Json, env: Mapping[str, str]) -> object:
    """The value of a field, as its type; for `env` all variables so far. Raises ValueError."""
    if name == "env":
        return {**env, **_variables(variable, value)}
    if variable:
        raise ValueError("is no table")
    if name in ("command", "tools"):
        return _texts(value)
    return typed_value(value, get_type_hints(McpServer)[name])


def _variables(name: str, value: Json) -> dict[str, str]:
    if not name and value == {}:
        return {}
    if not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
        raise ValueError('must be variables, such as { TOKEN = "$TOKEN", ROOT = "/srv" }')
    return {name: value}


def _texts(value: Json) -> tuple[str, ...]:
    texts = value if isinstance(value, list) else []
    if not texts or not all(isinstance(text, str) and text for text in texts):
        raise ValueError(f'must be a list of texts, such as ["one", "two"], not {value!r:.60}')
    return tuple(map(str, texts))


def _server(path: Path, name: str, table: Mapping[str, Any]) -> McpServer:
    server = McpServer(name=name, folder=path.parent, **table)
    key = f"servers.{name}"
    if bool(server.command) == bool(server.url):
        raise _wrong(path, key, f"{key} needs either a command or a url")
    if server.command and server.remote:
        raise _wrong(path, f"{key}.remote", f"{key}.remote is for a url")
    if not server.url:
        return server
    if server.env:
        raise _wrong(path, f"{key}.env", f"{key}.env is for a command")
    if not re.match(r"https?://", server.url):
        raise _wrong(path, f"{key}.url", f"{key}.url must begin with http:// or https://")
    if not stays_here(server.url) and not server.remote:
        line = toml_line(path, f"{key}.url")
        raise ConfigError(
            f"{path}:{line}: {key}.url is another machine's: what an agent sends would leave yours",
            f"if it may: add `remote = true` to [{key}] in {path}",
        )
    return server


def _check_prefixes(path: Path, servers: tuple[McpServer, ...]) -> None:
    """Whose a tool is must be told by its name: permissions are given by names."""
    seen: dict[str, str] = {}
    for server in servers:
        other = seen.setdefault(server.prefix, server.name)
        if other != server.name:
            text = f"servers.{server.name} and servers.{other} would name their tools alike"
            raise _wrong(path, f"servers.{server.name}", text)


def _wrong(path: Path, key: str, message: str) -> ConfigError:
    line = toml_line(path, key)
    return ConfigError(f"{path}:{line}: {message}", f"correct line {line} of {path}")
