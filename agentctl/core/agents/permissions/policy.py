"""What an agent may do: rules, the files they stand in, and the decision about one tool call.

Rules are tried in order and the first that fits decides: the user's answers in this run, the
user's file, the agent's file, the shipped file. A rule fits when everything it names fits; to allow
a call it must cover all that the call touches, to ask or to deny it need only catch some of it.
What lies outside of the work folder is allowed only by a rule that names a place there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

from agentctl.core.agents.permissions import command_line as shell
from agentctl.core.agents.permissions import path_patterns as patterns
from agentctl.core.agents.permissions.rules import (
    FILE_NAME,
    KINDS,
    Decision,
    add_table,
    checked_tables,
    read_tables,
)
from agentctl.core.agents.tools.base import Risk, Tool, Touches, Workplace
from agentctl.core.config_syntax import is_file
from agentctl.core.jsontypes import Json
from agentctl.core.paths import Paths, shipped

_FROM_MILD_TO_STRICT: tuple[Decision, ...] = ("allow", "ask", "deny")
_BUILT_IN = "built in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. What it does not name, it does not ask about.

    `agent`, `tool` and `host` are patterns with `*`; `path` is one of a file. `command` is the
    words a command begins with, `*` for any one word; when `exact`, it is the whole text. When
    `read_only`, it is run where it cannot write to the work folder. `origin` is `FILE:LINE`, or
    whence else; `is_users` when that file is the user's own.
    """

    decision: Decision
    origin: str
    agent: str | None = None
    tool: str | None = None
    risk: Risk | None = None
    path: str | None = None
    command: str | None = None
    exact: bool = False
    read_only: bool = False
    host: str | None = None
    is_users: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided, and in one line by which rule; `read_only` as in `Rule`."""

    decision: Decision
    reason: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A call, or one command of its command line.

    `named` are paths that the command's words may mean, `words` what else they could be. `command`
    is None where the line was not understood, or there is none.
    """

    agent: str
    tool: str
    risk: Risk
    place: Workplace
    reads: frozenset[Path]
    writes: frozenset[Path]
    host: str | None
    line: str | None
    command: shell.Command | None = None
    named: frozenset[Path] = frozenset()
    words: frozenset[str] = frozenset()


class Policy:
    """The rules in their order."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)

    def with_rules(self, first: Sequence[Rule]) -> "Policy":
        """A policy that tries these before its own."""
        return Policy((*first, *self._rules))

    def decide(self, *, agent: str, tool: Tool, touches: Touches, place: Workplace) -> Verdict:
        """Each command of a command line is judged by itself, and the strictest verdict counts."""
        if touches.command is not None and len(touches.command) > shell.LONGEST_JUDGED:
            return Verdict("deny", f"a command has at most {shell.LONGEST_JUDGED:,} characters")
        verdicts = [self._judge(piece) for piece in _pieces(agent, tool, touches, place)]
        strictest = max(verdicts, key=lambda each: _FROM_MILD_TO_STRICT.index(each.decision))
        return replace(strictest, read_only=any(each.read_only for each in verdicts))

    def _judge(self, piece: _Piece) -> Verdict:
        guards = [rule for rule in self._rules if _is_guard(rule) and _guards(rule, piece)]
        for rule in self._rules:
            if _is_guard(rule):
                decides = rule in guards
            else:
                decides = _fits(rule, piece) and (
                    rule.decision == "deny" or all(_opens(rule, each, piece) for each in guards)
                )
            if decides:
                return Verdict(rule.decision, f"{rule.origin}: {_described(rule)}", rule.read_only)
        return Verdict("ask", "no rule covers this call")


def load_rules(paths: Paths, of_agent: Sequence[Rule] = ()) -> list[Rule]:
    """The rules of the user's file, those of the agent's, the shipped ones, and the guards.

    Raises:
        ConfigError: an unknown key, a wrong value or unreadable TOML, with file and line.
    """
    own, ours = paths.permissions, shipped(FILE_NAME)
    rules = parse_rules(read_tables(own), own, is_users=True) if is_file(own) else []
    return [*rules, *of_agent, *parse_rules(read_tables(ours), ours), *_make_guards(paths)]


def parse_rules(tables: Json, path: Path, *, is_users: bool = False) -> list[Rule]:
    """The rules of the `[[permissions]]` tables of a file; `is_users` when that is the user's own.

    Raises:
        ConfigError: an unknown key or a wrong value, with file and line.
    """
    return [
        Rule(**values, origin=f"{path}:{line}", is_users=is_users)
        for values, line in checked_tables(tables, path)
    ]


def remember_rule(paths: Paths, rule: Rule) -> str:
    """Adds a rule to the user's file, before the first there that asks; where it stands.

    Raises:
        ConfigError: the file cannot be read, written or added to.
    """
    values = {key: getattr(rule, key) for key in KINDS}
    return add_table(paths.permissions, {key: value for key, value in values.items() if value})


def rule_for(tool: Tool, touches: Touches, place: Workplace) -> Rule:
    """The narrowest rule that allows this call: its command, host and paths, and no others."""
    writes = _writes(tool, touches, place)
    paths = sorted({*touches.reads, *writes})
    return Rule(
        decision="allow",
        origin="run",
        tool=tool.spec.name,
        path=patterns.common_pattern(paths, place) if paths else None,
        command=touches.command,
        exact=touches.command is not None,
        host=touches.host and escape(touches.host),
    )


def _pieces(agent: str, tool: Tool, touches: Touches, place: Workplace) -> Iterator[_Piece]:
    whole = _Piece(
        agent=agent,
        tool=tool.spec.name,
        risk=tool.risk,
        place=place,
        reads=frozenset(touches.reads),
        writes=frozenset(_writes(tool, touches, place)),
        host=touches.host,
        line=touches.command,
    )
    if touches.command is None:
        yield whole
        return
    commands = shell.parse(touches.command) if touches.is_posix else None
    if commands is None:
        words = shell.possible_words(touches.command, is_posix=touches.is_posix)
        named = frozenset(patterns.paths_named(words, place, has_glob=False))
        yield replace(whole, words=words, named=named)
        return
    for command in commands:
        names = shell.possible_names(command)
        targets = [each.target for each in command.redirections if each.writes]
        written = patterns.paths_named(targets, place, has_glob=False)
        yield replace(
            whole,
            command=command,
            named=frozenset(patterns.paths_named(names, place, has_glob=command.has_glob)),
            words=shell.possible_words(shell.written_out(command)),
            # Outside, a command sees a sandbox of its own.
            writes=whole.writes | {path for path in written if place.holds(path)},
        )


def _writes(tool: Tool, touches: Touches, place: Workplace) -> tuple[Path, ...]:
    """What is written; code that may write to the work folder is taken to do so."""
    if tool.risk == "execute" and place.code_may_write:
        return (*touches.writes, place.folder)
    return touches.writes


def _fits(rule: Rule, piece: _Piece) -> bool:
    is_mild = rule.decision == "allow"
    return (
        _is_like(rule.agent, piece.agent)
        and _is_like(rule.tool, piece.tool)
        and _is_like(rule.host and rule.host.casefold(), piece.host and piece.host.casefold())
        and (_is_covered(rule, piece) if is_mild else _is_caught(rule, piece))
    )


def _is_like(pattern: str | None, name: str | None) -> bool:
    return pattern is None or (name is not None and fnmatchcase(name, pattern))


def _is_covered(rule: Rule, piece: _Piece) -> bool:
    """Whether a rule allows all of it."""
    if rule.risk not in (None, piece.risk) or not _is_command_covered(rule, piece):
        return False
    place, touched = piece.place, piece.reads | piece.writes
    named = piece.named if rule.command is not None and not rule.exact else frozenset()
    if rule.path is None:
        return all(patterns.is_inside(path, place) for path in touched | named)
    # A path says nothing of what a command or a host is good for.
    if (piece.line is not None and rule.command is None) or (piece.host and rule.host is None):
        return False
    covered = patterns.covered(rule.path, touched | named, place)
    others = (touched | named) - covered
    return bool(covered) and all(
        path not in touched and patterns.is_inside(path, place) for path in others
    )


def _is_command_covered(rule: Rule, piece: _Piece) -> bool:
    if rule.command is None:
        return True
    if rule.exact:
        return rule.command == piece.line
    words = shell.beginning(rule.command)
    return words is not None and piece.command is not None and shell.begins(piece.command, words)


def _is_caught(rule: Rule, piece: _Piece) -> bool:
    """Whether a rule asks for, or denies, some of it."""
    if rule.command is not None and (
        piece.line is None or not shell.rule_words(rule.command) <= piece.words
    ):
        return False
    read = piece.reads | piece.named
    paths = {"read": read, "write": piece.writes}.get(rule.risk or "", read | piece.writes)
    if rule.risk not in (None, piece.risk) and not (rule.risk in ("read", "write") and paths):
        return False
    return rule.path is None or patterns.catches(rule.path, paths, piece.place)


def _is_guard(rule: Rule) -> bool:
    return rule.origin == _BUILT_IN


def _guards(guard: Rule, piece: _Piece) -> bool:
    """Whether something is written that lies in the guarded folder, or that holds it."""
    pattern, place = guard.path or "", piece.place
    written = {path for path in piece.writes if not patterns.is_scratch(path, place)}
    above = patterns.beginning_of(pattern, place).parents
    return patterns.catches(pattern, written, place) or not written.isdisjoint(above)


def _opens(rule: Rule, guard: Rule, piece: _Piece) -> bool:
    """Whether the user's own file names a place in the guarded folder in so many words."""
    if not rule.is_users or rule.path is None:
        return False
    pattern, place = guard.path or "", piece.place
    is_below = patterns.catches(pattern, {place.folder}, place)
    named = patterns.beginning_of(rule.path, place)
    return patterns.catches(pattern, {named}, place) and (
        not is_below or patterns.is_absolute(rule.path)
    )


def _described(rule: Rule) -> str:
    named = {key: getattr(rule, key) for key in KINDS if key != "decision"}
    text = ", ".join(
        f"{key} {value!r:.80}" for key, value in named.items() if isinstance(value, str)
    )
    return f"{rule.decision} {text}".rstrip()


def _make_guards(paths: Paths) -> list[Rule]:
    """What must stay as it is: agentctl's own files, and what Git runs or obeys."""
    own = (paths.config, paths.data, paths.cache, paths.state)
    places = ["/**/.git/**", *(f"{patterns.exact_pattern(folder)}/**" for folder in own)]
    return [Rule(decision="deny", origin=_BUILT_IN, risk="write", path=each) for each in places]
