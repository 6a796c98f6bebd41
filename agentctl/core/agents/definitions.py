"""Agents as they are written down: one TOML file each, the user's before the shipped ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_type_hints

from agentctl.core.agents.base import TeamRules
from agentctl.core.agents.permissions.policy import Rule, parse_rules
from agentctl.core.agents.run_context import Limits
from agentctl.core.backends.base import ToolSpec
from agentctl.core.config import nearest
from agentctl.core.config_syntax import read_tables, toml_line
from agentctl.core.errors import ConfigError, NotFound, UsageProblem
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, make_private, owner_only, shipped
from agentctl.core.windows_paths import is_device

AgentKind: TypeAlias = Literal["graph", "code", "team"]
ToolCalling: TypeAlias = Literal["auto", "native", "schema"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleDefinition:
    """A member of a team. `tools` are its own, of those the team has."""

    name: str
    description: str = ""
    instructions: str = ""
    tools: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDefinition:
    """What an agent's file says; `config/agents/assistant.toml` explains each key.

    `tools` are names or globs, `agents` those it may give work to, `style` and `roles` belong to
    one kind only.
    """

    name: str
    kind: AgentKind
    description: str = ""
    model: str = ""
    client: Literal["agentctl", "langchain-ollama"] = "agentctl"
    tool_calls: ToolCalling = "auto"
    style: Literal["code", "tools"] = "code"
    instructions: str = ""
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)  # Any: JSON, for msgspec
    limits: Limits = field(default_factory=Limits)
    team: TeamRules = field(default_factory=TeamRules)
    roles: tuple[RoleDefinition, ...] = ()
    permissions: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEntry:
    """An agent, where it is written down, and the tools it may call."""

    definition: AgentDefinition
    path: str
    is_own: bool
    tools: tuple[ToolSpec, ...] = ()
    warnings: tuple[str, ...] = ()


class AgentFiles:
    """The user's folder of agents, then the shipped ones."""

    def __init__(self, paths: Paths) -> None:
        self._own = paths.agents
        self._folders = (paths.agents, shipped("agents"))

    def names(self) -> list[str]:
        files = (path for folder in self._folders for path in folder.glob("*.toml"))
        return sorted({path.stem for path in files if path.is_file()})

    def path(self, name: str) -> Path:
        """Raises NotFound."""
        for folder in self._folders if _NAME.fullmatch(name) else ():
            if (path := folder / f"{name}.toml").is_file():
                return path
        close = nearest(name, self.names())
        guess = f" (did you mean {close}?)" if close else ""
        raise NotFound(f"no agent {name!r}{guess}", "agentctl agents list")

    def load(self, name: str) -> AgentDefinition:
        """Raises NotFound, or ConfigError with file, line and key."""
        return read_definition(self.path(name))

    def entry(self, name: str) -> AgentEntry:
        """Raises NotFound, or ConfigError with file, line and key."""
        path = self.path(name)
        return AgentEntry(
            definition=read_definition(path), path=str(path), is_own=path.parent == self._own
        )

    def listed(self, name: str) -> AgentEntry:
        """As `entry`; one that is written down wrongly does not hide the others."""
        try:
            return self.entry(name)
        except ConfigError as error:
            path = self.path(name)
            broken = AgentDefinition(
                name=name, kind="graph", description=f"broken: {error.message}"
            )
            return AgentEntry(definition=broken, path=str(path), is_own=path.parent == self._own)

    def create(self, name: str, kind: AgentKind) -> Path:
        """Writes a file for the user to edit, from the shipped one of that kind.

        Raises:
            UsageProblem: no name for an agent, or taken.
            ConfigError: the file cannot be written.
        """
        if not _NAME.fullmatch(name) or is_device(name):
            raise UsageProblem(
                f"{name!r} is no name for an agent: small letters, digits, - and _",
                "agentctl agents new my-agent",
            )
        path = self._own / f"{name}.toml"
        if path.exists():
            raise UsageProblem(f"there is an agent {name} already", f"edit {path}")
        model = {"graph": "assistant", "code": "coder", "team": "team"}[kind]
        text = (shipped("agents") / f"{model}.toml").read_text(encoding="utf-8")
        try:
            make_private(self._own)
            with open(path, "x", encoding="utf-8", opener=owner_only) as file:
                file.write(re.sub(r"(?m)^name = .*$", f'name = "{name}"', text, count=1))
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}", f"make {self._own} writable"
            ) from None
        return path


def read_definition(path: Path) -> AgentDefinition:
    """Raises ConfigError with file, line and key."""
    import msgspec

    values = read_tables(path)
    rules = values.pop("permissions", [])
    for key in _unknown_keys(values, AgentDefinition):
        raise _wrong(path, key, f"unknown key {key}{_guess(key)}")
    try:
        definition = msgspec.convert({**values, "permissions": []}, AgentDefinition)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        key = re.sub(r"\[(\d+|\.\.\.)\]", "", place.strip("`"))
        missing = re.search(r"missing required field `(\w+)`", message)
        if missing:
            raise _wrong(path, key, f"the key {missing[1]} is missing") from None
        raise _wrong(path, key, f"{key}: {message[:1].lower()}{message[1:]}") from None
    _check(path, definition)
    return replace(definition, permissions=tuple(parse_rules(rules, path)))


def _check(path: Path, definition: AgentDefinition) -> None:
    """What types cannot say."""
    from agentctl.core.backends.options import parse_options

    if definition.name != path.stem:
        raise _wrong(path, "name", f"the name must be that of the file, {path.stem}")
    if (definition.kind == "team") != bool(definition.roles):
        text = "a team needs [[roles]]" if definition.kind == "team" else "only a team has roles"
        raise _wrong(path, "roles" if definition.roles else "kind", text)
    try:
        parse_options(definition.options)
    except UsageProblem as error:
        raise _wrong(path, "options", error.message) from None
    names = [role.name for role in definition.roles]
    for key in ("ends_by", "answers"):
        name = getattr(definition.team, key)
        if name and name not in names:
            raise _wrong(path, f"team.{key}", f"team.{key}: there is no role {name}")
    for limit in fields(Limits):
        if getattr(definition.limits, limit.name) <= 0:
            key = f"limits.{limit.name}"
            raise _wrong(path, key, f"{key} must be above 0")
    if definition.client == "langchain-ollama" and definition.kind != "graph":
        raise _wrong(path, "client", "only a graph agent may have the client langchain-ollama")


def _unknown_keys(values: Mapping[str, Json], table: type, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(table)
    for name, value in values.items():
        if name not in hints:
            yield prefix + name
            continue
        kind = hints[name]
        inner = next((each for each in (kind, *get_args(kind)) if is_dataclass(each)), None)
        if inner is None or not isinstance(inner, type):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                yield from _unknown_keys(each, inner, f"{prefix}{name}.")


def _guess(key: str) -> str:
    known = [
        *get_type_hints(AgentDefinition),
        *(f"limits.{each.name}" for each in fields(Limits)),
        *(f"team.{each.name}" for each in fields(TeamRules)),
        *(f"roles.{each.name}" for each in fields(RoleDefinition)),
    ]
    close = nearest(key, known)
    return f" (did you mean {close}?)" if close else ""


def _wrong(path: Path, key: str, message: str) -> ConfigError:
    line = toml_line(path, key) if key else 1
    return ConfigError(f"{path}:{line}: {message}", f"correct line {line} of {path}")
