"""Files of rules: what a table means, which mistakes are refused, how a rule is added."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.permissions.policy import Rule, load_rules, parse_rules, remember_rule
from agentctl.core.config_syntax import read_toml
from agentctl.core.errors import ConfigError
from agentctl.core.paths import Paths, find_paths

NOW = Rule(decision="allow", origin="run", tool="now")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})
    paths.config.mkdir(parents=True)
    return paths


def write(paths: Paths, text: str) -> None:
    """The user's own rules."""
    paths.permissions.write_text(text, encoding="utf-8")


def read(paths: Paths) -> str:
    return paths.permissions.read_text(encoding="utf-8")


# How rules are written


def test_a_rule_is_what_its_table_says_and_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(
        'name = "x"\n\n# why\n[[permissions]]\ndecision = "allow"\ntool = "run_shell"\n'
        'command = [\n  "make test",\n  "make lint",\n]\n[[permissions]]\ndecision = "deny"\n'
        'agent = "a"\nrisk = "network"\nhost = "*.org"\n[team]\nx = 1\n',
        encoding="utf-8",
    )
    tables = read_toml(path)["permissions"]
    assert parse_rules(tables, path) == [
        Rule(decision="allow", origin=f"{path}:4", tool="run_shell", command="make test"),
        Rule(decision="allow", origin=f"{path}:4", tool="run_shell", command="make lint"),
        Rule(decision="deny", origin=f"{path}:11", agent="a", risk="network", host="*.org"),
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('[[permissions]]\ndecision = "alow"', 2, "decision must be one of allow, ask, deny"),
        ('[[permissions]]\ntool = "x"', 1, "the key decision is missing"),
        (
            '[[permissions]]\ndecision = "ask"\n\ntol = "x"',
            4,
            "unknown key tol (did you mean tool?)",
        ),
        ('[[permissions]]\ndecision = "ask"\nrisk = ["read", "writ"]', 3, "risk must be one of"),
        ('[[permissions]]\ndecision = "ask"\ntool = 3', 3, "tool must be text"),
        ('[[permissions]]\ndecision = "ask"\ntool = ""', 3, "tool must not be empty"),
        ('[[permissions]]\ndecision = "ask"\ntool = []', 3, "tool must be text"),
        ('[[permissions]]\ndecision = "ask"\npath = "../x"', 3, "path may have .. only as"),
        ('[[permissions]]\ndecision = "ask"\ncommand = "a | b"', 3, "command must be the words"),
        ('[[permissions]]\ndecision = "ask"\nhost = "https://x"', 3, "host must be a host alone"),
        ('[[permissions]]\ndecision = "ask"\ncommand = "a"\nexact = true', 4, "exact belongs to"),
        ('[[permissions]]\ndecision = "allow"\nexact = true', 3, "exact belongs to"),
        ('[[permissions]]\ndecision = "ask"\nread_only = true', 3, "read_only belongs to"),
        (
            '[[permissions]]\ndecision = "ask"\n[[permission]]\ndecision = "ask"',
            3,
            "unknown key perm",
        ),
        ('[permissions]\ndecision = "ask"', 2, "permissions must be tables: [[permissions]]"),
        ("permissions = 3", 1, "permissions must be tables: [[permissions]]"),
        ('permissions = ["x"]', 1, "permissions must be tables: [[permissions]]"),
        ("[[permissions]]\ndecision = ", 2, "Invalid value"),
    ],
)
def test_mistakes_are_refused_with_their_place(
    paths: Paths, text: str, line: int, message: str
) -> None:
    write(paths, f"# mine\n{text}\n")
    with pytest.raises(ConfigError) as caught:
        load_rules(paths)
    assert caught.value.message.startswith(f"{paths.permissions}:{line + 1}: {message}")


# How a rule is added


def test_what_is_remembered_stands_before_the_users_own_asking(paths: Paths) -> None:
    write(
        paths,
        '# Mine.\n\n[[permissions]]\ndecision = "deny" # never\ntool = "rm"\n\n'
        '# I want to see these.\n[[permissions]]\ndecision = "ask"\ntool = "write_*"\n',
    )
    rule = Rule(decision="allow", origin="run", tool="write_file", path="/srv/a.md")

    where = remember_rule(paths, rule)
    again = remember_rule(paths, rule)

    assert where == again == f"{paths.permissions}:7"
    assert read(paths) == (
        '# Mine.\n\n[[permissions]]\ndecision = "deny" # never\ntool = "rm"\n\n'
        '[[permissions]]\ndecision = "allow"\ntool = "write_file"\n'
        'path = "/srv/a.md"\n\n'
        '# I want to see these.\n[[permissions]]\ndecision = "ask"\ntool = "write_*"\n'
    )
    assert [each.decision for each in load_rules(paths)[:3]] == ["deny", "allow", "ask"]


def test_a_file_of_nothing_but_comments_keeps_them(paths: Paths) -> None:
    write(paths, "# Later.\n")
    where = remember_rule(paths, NOW)
    text = read(paths)
    assert text == '# Later.\n\n[[permissions]]\ndecision = "allow"\ntool = "now"\n'
    assert where == f"{paths.permissions}:3"


@pytest.mark.skipif(os.name == "nt", reason="modes are POSIX's")
def test_only_the_user_may_read_the_file(paths: Paths) -> None:
    remember_rule(paths, NOW)
    assert stat.S_IMODE(paths.permissions.stat().st_mode) == 0o600
    assert [path.name for path in paths.config.iterdir()] == ["permissions.toml"]


def test_a_file_that_cannot_be_added_to_stays_as_it_is(paths: Paths) -> None:
    text = 'permissions = [{ decision = "ask", tool = "x" }]\n'
    write(paths, text)
    with pytest.raises(ConfigError, match="laid out in a way"):
        remember_rule(paths, NOW)
    assert read(paths) == text
    assert len(load_rules(paths)) > 1


@given(
    st.builds(
        Rule,
        decision=st.just("allow"),
        origin=st.just("run"),
        tool=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        command=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
        exact=st.just(True),
        read_only=st.booleans(),
        host=st.none() | st.just("example.org"),
    )
)
def test_whatever_is_remembered_can_be_read_again(
    tmp_path_factory: pytest.TempPathFactory, kept: Rule
) -> None:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path_factory.mktemp("home"))})
    where = remember_rule(paths, kept)
    assert load_rules(paths)[0] == replace(kept, origin=where, is_users=True)


def test_half_a_character_is_remembered_as_no_other(tmp_path: Path) -> None:
    paths = find_paths({"AGENTCTL_HOME": str(tmp_path)})
    kept = Rule(decision="allow", origin="run", command="rm \ud800", exact=True)

    remember_rule(paths, kept)

    assert load_rules(paths)[0].command == "rm \ufffd"
