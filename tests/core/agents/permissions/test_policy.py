"""What agents may do: which rule decides, what it covers, what the shipped rules say."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.permissions.policy import (
    Policy,
    Rule,
    Verdict,
    load_rules,
    remember_rule,
    rule_for,
)
from agentctl.core.agents.permissions.rules import Decision
from agentctl.core.agents.tools.base import Risk, Tool, ToolOutput, Touches, Workplace
from agentctl.core.backends.base import ToolSpec
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import Paths, find_paths, shipped

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="there another shell reads commands")


@dataclass
class NamedTool:
    """A tool that is only ever judged."""

    spec: ToolSpec
    risk: Risk
    timeout_s: float = 1.0

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        raise AssertionError

    def preview(self, args: JsonObject, place: Workplace) -> str:
        raise AssertionError

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        raise AssertionError


RISK_OF: dict[str, Risk] = {
    "now": "harmless",
    "read_file": "read",
    "write_file": "write",
    "edit_file": "write",
    "run_shell": "execute",
    "run_python": "execute",
    "fetch_url": "network",
    "delegate": "execute",
    "schedule_task": "harmless",
    "mcp_files_read": "read",
}


def tool(name: str) -> Tool:
    return NamedTool(ToolSpec(name, "", {}), RISK_OF[name])


@dataclass(frozen=True)
class Bench:
    """A user's home with a work folder in it, and agentctl's own folders beside."""

    home: Path
    paths: Paths
    place: Workplace

    def write(self, text: str) -> None:
        """The user's own rules."""
        self.paths.config.mkdir(parents=True, exist_ok=True)
        self.paths.permissions.write_text(text, encoding="utf-8")

    def touches(
        self,
        *,
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        command: str | None = None,
        is_posix: bool = True,
        host: str | None = None,
    ) -> Touches:
        return Touches(
            is_posix=is_posix,
            reads=tuple(map(self.place.resolve, reads)),
            writes=tuple(map(self.place.resolve, writes)),
            command=command,
            host=host,
        )

    def judge(
        self,
        rules: Sequence[Rule] | Policy,
        name: str,
        *,
        agent: str = "assistant",
        reads: Sequence[str] = (),
        writes: Sequence[str] = (),
        command: str | None = None,
        is_posix: bool = True,
        host: str | None = None,
    ) -> Verdict:
        policy = rules if isinstance(rules, Policy) else Policy(rules)
        touches = self.touches(
            reads=reads, writes=writes, command=command, is_posix=is_posix, host=host
        )
        return policy.decide(agent=agent, tool=tool(name), touches=touches, place=self.place)

    def shell(self, rules: Sequence[Rule], command: str) -> str:
        return self.judge(rules, "run_shell", command=command).decision


@pytest.fixture
def bench(home: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    home = home.resolve()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    paths = find_paths({"AGENTCTL_HOME": str(home / "agentctl")})
    (home / "work").mkdir()
    place = Workplace(folder=home / "work", scratch=paths.runs / "1")
    return Bench(home, paths, place)


def rule(decision: Decision, origin: str = "x:1", **named: Any) -> Rule:
    return Rule(decision=decision, origin=origin, **named)


# Which rule decides


def test_the_first_rule_that_fits_decides_and_is_named(bench: Bench) -> None:
    rules = [
        rule("deny", "a:1", tool="write_*"),
        rule("allow", "a:5", tool="read_*"),
        rule("deny", "a:9"),
    ]
    verdict = bench.judge(rules, "read_file", reads=["a.txt"])
    assert verdict == Verdict("allow", "a:5: allow tool 'read_*'")


def test_a_call_that_no_rule_fits_is_asked_for(bench: Bench) -> None:
    assert bench.judge([rule("allow", tool="now")], "read_file").decision == "ask"
    assert bench.judge([], "now") == Verdict("ask", "no rule covers this call")


def test_a_rule_fits_when_all_that_it_names_fits(bench: Bench) -> None:
    rules = [rule("allow", agent="writer*", tool="write_file", risk="write", path="docs/**")]

    def decision(agent: str, name: str, path: str) -> str:
        return bench.judge(rules, name, agent=agent, writes=[path]).decision

    assert decision("writer-2", "write_file", "docs/a.md") == "allow"
    assert decision("reader", "write_file", "docs/a.md") == "ask"
    assert decision("writer-2", "edit_file", "docs/a.md") == "ask"
    assert decision("writer-2", "write_file", "src/a.md") == "ask"


def test_answers_of_the_run_come_before_all_rules(bench: Bench) -> None:
    policy = Policy([rule("deny", tool="write_file")])
    assert bench.judge(policy, "write_file", writes=["a"]).decision == "deny"
    policy = policy.with_rules([rule("allow", "run", tool="write_file")])
    assert bench.judge(policy, "write_file", writes=["a"]).decision == "allow"


def test_the_users_file_comes_first_then_the_agents_then_the_shipped(bench: Bench) -> None:
    bench.write('[[permissions]]\ndecision = "deny"\ntool = "run_python"\n')
    of_agent = [rule("allow", "agent:1", tool="run_python"), rule("allow", "agent:2", tool="now")]
    rules = load_rules(bench.paths, of_agent)
    assert bench.judge(rules, "run_python").reason.startswith(f"{bench.paths.permissions}:1: deny")
    assert bench.judge(rules, "now").reason.startswith("agent:2: allow")
    assert str(shipped("permissions.toml")) in bench.judge(rules, "delegate").reason


# Paths


@pytest.mark.parametrize(
    ("pattern", "covered", "left"),
    [
        ("notes.md", ["notes.md"], ["a/notes.md", "notes.md.bak"]),
        ("docs", ["docs"], ["docs/a.md"]),
        ("docs/*", ["docs/a.md"], ["docs", "docs/b/a.md"]),
        ("docs/**", ["docs", "docs/a.md", "docs/b/c/a.md"], ["docs2", "src/docs/a.md"]),
        ("**/*.md", ["a.md", "docs/b/a.md"], ["a.md/b", "a.txt"]),
        ("a/**/z.?", ["a/z.c", "a/b/c/z.h"], ["a/z.cc", "z.c"]),
        ("**", [".", "a", "a/b"], ["../a", "/etc/hosts"]),
        ("~/other/**", ["../other/a"], ["../else/a", "other/a"]),
        ("~/work/*.md", ["a.md"], ["b/a.md", "../a.md"]),
        ("/**", ["a", "../a", "/etc/hosts"], []),
        ("../**", ["../a", "/etc/hosts"], ["a", "."]),
        ("[[]a].md", ["[a].md"], ["a.md"]),
    ],
)
def test_patterns_name_paths(
    bench: Bench, pattern: str, covered: list[str], left: list[str]
) -> None:
    rules = [rule("allow", path=pattern)]
    for path in covered:
        assert bench.judge(rules, "read_file", reads=[path]).decision == "allow", path
    for path in left:
        assert bench.judge(rules, "read_file", reads=[path]).decision == "ask", path


def test_to_allow_a_rule_must_cover_every_path(bench: Bench) -> None:
    rules = [rule("allow", path="docs/**")]
    both = bench.judge(rules, "edit_file", reads=["docs/a"], writes=["docs/b"])
    one = bench.judge(rules, "edit_file", reads=["docs/a"], writes=["src/b"])
    assert (both.decision, one.decision) == ("allow", "ask")


@pytest.mark.parametrize("decision", ["ask", "deny"])
def test_to_ask_or_deny_one_path_is_enough(bench: Bench, decision: Decision) -> None:
    rules = [rule(decision, path="src/**"), rule("allow")]
    assert bench.judge(rules, "edit_file", reads=["docs/a"], writes=["src/b"]).decision == decision
    assert bench.judge(rules, "edit_file", reads=["docs/a"]).decision == "allow"


def test_asking_and_denying_err_on_the_strict_side(bench: Bench) -> None:
    rules = [rule("deny", path="Secret"), rule("allow")]
    for path in ("Secret", "secret", "SECRET/a/b"):
        assert bench.judge(rules, "read_file", reads=[path]).decision == "deny", path
    assert bench.judge(rules, "read_file", reads=["secrets"]).decision == "allow"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_links_in_patterns_are_followed_where_that_is_safe(bench: Bench) -> None:
    (bench.home / "real").mkdir()
    (bench.home / "link").symlink_to(bench.home / "real")
    (bench.place.folder / "link").symlink_to(bench.home / "real")

    def decision(kind: Decision, pattern: str) -> str:
        rules = [rule(kind, path=pattern), rule("deny" if kind == "allow" else "allow", path="/**")]
        return bench.judge(rules, "read_file", reads=["link/a"]).decision

    assert decision("allow", "~/link/**") == "allow"
    assert decision("deny", "~/link/**") == "deny"
    assert decision("deny", "link/**") == "deny"
    # A link in the work folder may have been put there by the model.
    assert decision("allow", "link/**") == "deny"


def test_outside_of_the_work_folder_only_a_path_covers_anything(bench: Bench) -> None:
    for named in ({}, {"tool": "read_file"}, {"risk": "read"}, {"path": "**"}):
        assert bench.judge([rule("allow", **named)], "read_file", reads=["a"]).decision == "allow"
        assert bench.judge([rule("allow", **named)], "read_file", reads=["../a"]).decision == "ask"
    assert bench.judge([rule("allow", path="~/a")], "read_file", reads=["../a"]).decision == "allow"


def test_the_runs_own_folder_is_not_outside(bench: Bench) -> None:
    rules = load_rules(bench.paths, [rule("allow", tool="write_file")])
    path = str(bench.place.scratch / "a")
    assert bench.judge(rules, "write_file", writes=[path]).decision == "allow"


def test_a_rule_about_reading_looks_at_what_is_read(bench: Bench) -> None:
    rules = [rule("deny", risk="write", path="docs/**"), rule("allow")]
    copied = bench.judge(rules, "edit_file", reads=["docs/a"], writes=["b"])
    written = bench.judge(rules, "edit_file", reads=["b"], writes=["docs/a"])
    assert (copied.decision, written.decision) == ("allow", "deny")


def test_a_rule_about_writing_sees_whatever_writes(bench: Bench) -> None:
    rules = [rule("deny", risk="write"), rule("allow")]
    assert bench.judge(rules, "run_python", writes=["a"]).decision == "deny"
    assert bench.judge(rules, "run_python").decision == "allow"
    assert bench.shell(rules, "echo a > b") == "deny"


def test_code_that_may_write_to_the_work_folder_is_taken_to_do_so(bench: Bench) -> None:
    bench = replace(bench, place=replace(bench.place, code_may_write=True))
    rules = load_rules(bench.paths)
    assert bench.judge(rules, "run_python").decision == "ask"
    assert bench.shell(rules, "ls") == "allow"
    policy = Policy(rules).with_rules([rule_for(tool("run_python"), Touches(), bench.place)])
    assert bench.judge(policy, "run_python").decision == "allow"


# Hosts


def test_hosts_are_matched_in_any_case(bench: Bench) -> None:
    rules = [rule("deny", host="Bad.example.org"), rule("allow", host="*.Example.org")]
    assert bench.judge(rules, "fetch_url", host="bad.example.ORG").decision == "deny"
    assert bench.judge(rules, "fetch_url", host="www.example.org").decision == "allow"
    assert bench.judge(rules, "fetch_url", host="example.org.evil.net").decision == "ask"
    assert bench.judge(rules, "fetch_url").decision == "ask"


def test_a_path_alone_allows_neither_commands_nor_hosts(bench: Bench) -> None:
    rules = [rule("allow", path="**")]
    assert bench.judge(rules, "run_shell", command="ls", reads=["."]).decision == "ask"
    assert bench.judge(rules, "fetch_url", host="example.org", writes=["page"]).decision == "ask"
    rules = [rule("allow", path="**", host="example.org")]
    assert bench.judge(rules, "fetch_url", host="example.org", writes=["page"]).decision == "allow"


# Commands


def test_each_command_of_a_line_is_judged_and_the_strictest_counts(bench: Bench) -> None:
    rules = [rule("allow", command="ls"), rule("allow", command="wc"), rule("deny", command="rm")]
    assert bench.shell(rules, "ls | wc -l") == "allow"
    assert bench.shell(rules, "ls | sort") == "ask"
    assert bench.shell(rules, "ls; sort x && rm x") == "deny"


def test_one_command_that_may_only_read_keeps_the_whole_line_from_writing(bench: Bench) -> None:
    rules = [rule("allow", command="git status", read_only=True), rule("allow", command="make")]

    verdicts = [
        bench.judge(rules, "run_shell", command=line) for line in ("make", "make && git status")
    ]

    assert [(each.decision, each.read_only) for each in verdicts] == [
        ("allow", False),
        ("allow", True),
    ]


def test_what_is_not_understood_fits_rules_that_name_no_command(bench: Bench) -> None:
    line = "for f in a b; do echo $f; done"
    assert bench.shell([rule("allow", command="for")], line) == "ask"
    assert bench.shell([rule("allow", command="*")], line) == "ask"
    assert bench.shell([rule("allow", tool="run_shell")], line) == "allow"


@pytest.mark.parametrize(
    "line",
    ["rm x", "/bin/rm x", "sudo rm x", "sh -c 'rm x'", "ls $(rm x)", "ls & rm x", "xargs rm < x"],
)
def test_a_denied_command_is_caught_wherever_it_stands(bench: Bench, line: str) -> None:
    assert bench.shell([rule("deny", command="rm"), rule("allow")], line) == "deny"


def test_words_of_a_command_count_as_paths_that_it_reads(bench: Bench) -> None:
    rules = [rule("deny", path="**/.env"), rule("allow", command="cat")]
    assert bench.shell(rules, "cat a.txt") == "allow"
    assert bench.shell(rules, "cat < .env") == "deny"
    assert bench.shell(rules, "cat b/../.env") == "deny"
    assert bench.shell(rules, 'cat "$(echo .env)"') == "deny"
    for line in ("cat ../a.txt", "cat /etc/hosts", "cat ~/a.txt", "cat --x=/etc/hosts", "cat ~x/y"):
        assert bench.shell(rules, line) == "ask", line


def test_words_reach_outside_when_a_rule_names_the_place(bench: Bench) -> None:
    rules = [rule("allow", command="cat", path="~/notes/**")]
    assert bench.shell(rules, "cat -n ~/notes/a") == "allow"
    assert bench.shell(rules, "cat ~/notes/a ~/b") == "ask"


@on_posix
def test_patterns_on_a_command_line_stand_for_the_files_there_are(bench: Bench) -> None:
    for name in ("a.txt", "key.pem"):
        (bench.place.folder / name).touch()
    rules = [rule("ask", path="*.pem"), rule("allow", command="cat")]
    assert bench.shell(rules, "cat *.txt") == "allow"
    assert bench.shell(rules, "cat ./k*") == "ask"
    assert bench.shell(rules, "cat *") == "ask"
    assert bench.shell(rules, "cat */*.txt") == "ask"
    assert bench.shell(rules, "cat /etc/h*") == "ask"


def test_an_exact_rule_allows_one_text_whatever_it_means(bench: Bench) -> None:
    line = "for f in *; do wc $f; done > ../sizes"
    rules = [rule("allow", command=line, exact=True)]
    assert bench.shell(rules, line) == "allow"
    assert bench.shell(rules, f"{line} ") == "ask"
    assert bench.shell(rules, f"{line}; ls") == "ask"


def test_a_command_too_long_to_be_judged_is_denied(bench: Bench) -> None:
    assert bench.shell([rule("allow")], "echo " + "a" * 100_000) == "deny"


# The guards


@pytest.mark.parametrize(
    "path",
    [
        *(".git/hooks/pre-commit", ".git/config", ".git", ".GIT/config", "lib/.git/hooks/x"),
        *("~/agentctl/config/permissions.toml", "~/agentctl/data/agentctl.db"),
        *("~/agentctl/state/agentctl.log", "~/other/.git/config"),
    ],
)
def test_guarded_places_are_not_written_to_whatever_rules_say(bench: Bench, path: str) -> None:
    bench.write(
        '[[permissions]]\ndecision = "allow"\n[[permissions]]\ndecision = "allow"\npath = "/**"\n'
    )
    wide = [rule("allow", path="/**"), rule("allow", path=path)]
    policy = Policy(load_rules(bench.paths, wide)).with_rules(wide)
    assert bench.judge(policy, "write_file", writes=[path]).decision == "deny"
    assert bench.judge(policy, "write_file", writes=["a", path]).decision == "deny"
    assert bench.judge(policy, "read_file", reads=[path]).decision == "allow"


@pytest.mark.parametrize("decision", ["allow", "ask"])
def test_the_users_file_may_open_a_guarded_place_by_its_name(bench: Bench, decision: str) -> None:
    head = f'[[permissions]]\ndecision = "{decision}"\n'
    bench.write(f'{head}path = ".git/hooks/*"\n{head}path = "~/agentctl/config/agents/**"\n')
    rules = load_rules(bench.paths)
    for path in (".git/hooks/pre-commit", "~/agentctl/config/agents/mine.toml"):
        assert bench.judge(rules, "write_file", writes=[path]).decision == decision
    for path in (".git/config", "~/agentctl/config/permissions.toml"):
        assert bench.judge(rules, "write_file", writes=[path]).decision == "deny"


def test_a_redirection_into_a_guarded_place_is_denied(bench: Bench) -> None:
    rules = load_rules(bench.paths, [rule("allow", tool="run_shell")])
    assert bench.shell(rules, "echo x > .git/hooks/pre-commit") == "deny"
    assert bench.shell(rules, "cat .git/config") == "allow"


def test_a_work_folder_in_a_guarded_place_does_not_open_it(bench: Bench) -> None:
    bench.write('[[permissions]]\ndecision = "allow"\npath = "**"\n')
    inside = replace(bench, place=replace(bench.place, folder=bench.paths.config.resolve()))
    rules = load_rules(bench.paths)
    assert inside.judge(rules, "write_file", writes=["permissions.toml"]).decision == "deny"


def test_code_may_not_write_to_a_folder_that_holds_agentctls_own(bench: Bench) -> None:
    place = replace(bench.place, folder=bench.home, code_may_write=True)
    rules = load_rules(bench.paths, [rule("allow")])
    assert replace(bench, place=place).judge(rules, "run_python").decision == "deny"


# The shipped rules


@pytest.mark.parametrize(
    ("decision", "name", "touched"),
    [
        ("allow", "now", {}),
        ("allow", "read_file", {"reads": ["a.txt"]}),
        ("allow", "read_file", {"reads": ["."]}),
        ("allow", "run_python", {}),
        ("allow", "delegate", {}),
        ("ask", "write_file", {"writes": ["a.txt"]}),
        ("ask", "edit_file", {"reads": ["a.txt"], "writes": ["a.txt"]}),
        ("ask", "read_file", {"reads": ["../a.txt"]}),
        ("ask", "read_file", {"reads": ["/etc/passwd"]}),
        ("ask", "run_shell", {"command": "make"}),
        ("ask", "fetch_url", {"host": "example.org"}),
        ("ask", "mcp_files_read", {}),
        ("ask", "schedule_task", {}),
        ("deny", "write_file", {"writes": ["../a.txt"]}),
        ("deny", "write_file", {"writes": ["a.txt", "/etc/passwd"]}),
    ],
)
def test_the_shipped_rules(bench: Bench, decision: str, name: str, touched: dict[str, Any]) -> None:
    rules = load_rules(bench.paths)
    assert bench.judge(rules, name, **touched).decision == decision


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".env.local", "app/.env", "key.pem", "tls/server.key", "id_rsa"),
        "id_ed25519.pub",
        *(".ssh/config", ".netrc", "credentials", "credentials.json", ".aws/credentials", ".npmrc"),
    ],
)
def test_files_that_look_secret_are_asked_for(bench: Bench, path: str) -> None:
    rules = load_rules(bench.paths)
    assert bench.judge(rules, "read_file", reads=[path]).decision == "ask"
    assert bench.shell(rules, f"cat {path}") == "ask"


ALLOWED = [
    *("pwd", "ls", "ls -la src", "cat a.txt", "head -n 5 a.txt", "wc -l *.py"),
    "tail -n +3 'a b.txt'",
    *("git status", "git status --short", "git diff --stat HEAD~1", "git log --oneline -n 5"),
    *("git show main:a.py", "grep -n 'a b' a.txt", "sort -rn a.txt", "cut -f1 a.txt", "stat a.txt"),
    *("cat a.txt | sort | head", "ls 2>/dev/null", "git log 2>&1 | grep fix", "ls && pwd"),
]
NOT_ALLOWED = [
    *("; rm x", "&& rm x", "|| rm x", "| sh", "|sh", "\nrm x", "& rm x", "&", "|& sh", ";\nrm x"),
    *("$(rm x)", "`rm x`", '"$(rm x)"', "<(rm x)", ">(rm x)", "${IFS}", "$x", "$'a'", "'", '"'),
    *("> file", ">file", ">> file", "2> file", ">| file", "&> file", "<> file", "| tee file"),
    *("| xargs rm", "| env sh", "; eval x", "; exec sh", "; A=b", "; PATH=. ls", "\nsource x"),
    *("; (rm x)", "; { rm x; }", "; if ls", "; f() { rm x; }", "<< E", "<<< x", "; ./ls"),
    "; /opt/ls",
    *("; git push", "; git -c core.pager=x log", "; git log --output=f", "; git diff --ext-diff"),
    *("; sort -o f a", "; find . -delete", "; sed -i s/a/b/ f", "; awk 1", "; less a"),
    "; cat .env",
    *("; cat ../x", "; cat /etc/passwd", "; grep -r x .", " # x", "\r", "; cat ~/x"),
]


@on_posix
@pytest.mark.parametrize("command", ALLOWED)
def test_commands_that_only_read_are_allowed_and_can_do_nothing_else(
    bench: Bench, command: str
) -> None:
    verdict = bench.judge(load_rules(bench.paths), "run_shell", command=command)

    assert (verdict.decision, verdict.read_only) == ("allow", True)


@cache
def shipped_rules(folder: Path) -> list[Rule]:
    return load_rules(find_paths({"AGENTCTL_HOME": str(folder / "agentctl")}))


def judge_as_shipped(line: str, folder: Path) -> Verdict:
    place = Workplace(folder=folder / "work", scratch=folder / "scratch")
    touches = Touches(command=line)
    policy = Policy(shipped_rules(folder))
    return policy.decide(agent="a", tool=tool("run_shell"), touches=touches, place=place)


@given(
    commands=st.lists(st.sampled_from(ALLOWED), min_size=1, max_size=3),
    joint=st.sampled_from([";", " | ", "&&", "\n", " || "]),
    addition=st.sampled_from(NOT_ALLOWED),
    space=st.sampled_from(["", " ", " \\\n "]),
    more=st.sampled_from(["", " ", "; ls", " | wc", "\n", " 2>&1"]),
)
def test_nothing_that_is_added_to_them_rides_along(
    tmp_path_factory: pytest.TempPathFactory,
    commands: list[str],
    joint: str,
    addition: str,
    space: str,
    more: str,
) -> None:
    line = joint.join(commands) + space + addition + more
    assert judge_as_shipped(line, tmp_path_factory.getbasetemp()).decision != "allow"


@given(line=st.text() | st.text("ls ;|&<>'\"\\$`*?[]{}()~/.=#\n-"))
def test_no_command_is_too_strange_to_be_judged(
    tmp_path_factory: pytest.TempPathFactory, line: str
) -> None:
    verdict = judge_as_shipped(line, tmp_path_factory.getbasetemp())
    assert verdict.decision in ("allow", "ask", "deny")
    assert len(verdict.reason.splitlines()) == 1


# Always


CALLS: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"reads": ["../a.txt"]}),
    ("write_file", {"writes": ["docs/[a]x.md"]}),
    ("edit_file", {"reads": ["a.md"], "writes": ["a.md"]}),
    ("edit_file", {"reads": ["docs/a.md"], "writes": ["docs/b.md"]}),
    ("run_shell", {"command": 'for f in *; do\n  echo "$f"\ndone > x'}),
    ("fetch_url", {"host": "example.org"}),
    ("mcp_files_read", {}),
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("read_file", {"reads": ["../b.txt"]}),
    ("write_file", {"writes": ["docs/[a]b.md"]}),
    ("write_file", {"writes": ["docs/ab.md"]}),
    ("edit_file", {"reads": ["c.md"], "writes": ["a.md"]}),
    ("run_shell", {"command": "for"}),
    ("fetch_url", {"host": "www.example.org"}),
]


@pytest.mark.parametrize(("name", "touched"), CALLS)
def test_always_is_kept_for_exactly_that_call(
    bench: Bench, name: str, touched: dict[str, Any]
) -> None:
    touches = bench.touches(**touched)
    before = Policy(load_rules(bench.paths))
    assert (
        before.decide(agent="a", tool=tool(name), touches=touches, place=bench.place).decision
        == "ask"
    )

    where = remember_rule(bench.paths, rule_for(tool(name), touches, bench.place))

    rules = load_rules(bench.paths)
    verdict = bench.judge(rules, name, **touched)
    assert (verdict.decision, verdict.reason.partition(": ")[0]) == ("allow", where)
    for other, elsewhere in OTHERS:
        assert bench.judge(rules, other, **elsewhere).decision == "ask"


def test_places_apart_are_not_allowed_together_for_always(bench: Bench) -> None:
    touches = bench.touches(reads=["../a"], writes=["b"])
    rules = [rule_for(tool("edit_file"), touches, bench.place)]
    assert bench.judge(rules, "edit_file", reads=["../a"], writes=["b"]).decision == "ask"


# Commands that cmd reads


@pytest.mark.parametrize(
    "command", ["echo hello", "sort a.txt", "echo 'a & del b'", "echo %TEMP%", "sort a /o b"]
)
def test_no_rule_of_words_allows_what_another_shell_reads(bench: Bench, command: str) -> None:
    verdict = bench.judge(load_rules(bench.paths), "run_shell", command=command, is_posix=False)

    assert verdict.decision == "ask"


def test_a_rule_of_the_whole_command_allows_it_in_any_shell(bench: Bench) -> None:
    rules = [rule("allow", command="dir /b", exact=True)]

    def decided(command: str) -> str:
        return bench.judge(rules, "run_shell", command=command, is_posix=False).decision

    assert (decided("dir /b"), decided("dir /b x")) == ("allow", "ask")


@pytest.mark.parametrize(
    "command",
    ["del x", "DEL x", "d^el x", "del/q x", "echo a&del x", "C:\\tools\\del.exe x", "%A%del x"],
)
def test_a_denied_word_is_found_however_cmd_would_read_it(bench: Bench, command: str) -> None:
    rules = [rule("deny", command="del"), rule("allow", tool="run_shell")]

    verdict = bench.judge(rules, "run_shell", command=command, is_posix=False)

    assert verdict.decision == "deny"


@pytest.mark.skipif(sys.platform != "win32", reason="names differ by case elsewhere")
def test_on_windows_a_name_in_other_letters_is_the_same(bench: Bench) -> None:
    (bench.place.folder / "Docs").mkdir()
    rules = [rule("allow", path="docs/**"), rule("allow", path=f"{bench.home}\\OTHER\\**")]

    assert bench.judge(rules, "read_file", reads=["DOCS/A.md"]).decision == "allow"
    assert bench.judge(rules, "read_file", reads=["../other/a"]).decision == "allow"
    assert bench.judge(rules, "read_file", reads=["other/a"]).decision == "ask"


@pytest.mark.skipif(sys.platform != "win32", reason="these are ordinary names elsewhere")
@pytest.mark.parametrize(
    "name", [".env::$DATA", ".env.", "NUL", "//server/share/x", "\\\\?\\C:\\x", "D:x"]
)
def test_on_windows_a_name_that_means_something_else_is_refused(bench: Bench, name: str) -> None:
    with pytest.raises(ToolFailed, match="no path here"):
        bench.place.resolve(name)
