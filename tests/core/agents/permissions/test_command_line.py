"""Shell commands: what is understood, what is not, and what a rule's words cover."""

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agentctl.core.agents.permissions.command_line import (
    Command,
    Redirection,
    beginning,
    begins,
    parse,
    possible_names,
    possible_words,
    rule_words,
)

KEYWORDS = (
    "! [[ ]] case coproc do done elif else esac fi for function if in select then until while"
)
SHELLS = [shell for name in ("bash", "dash") if (shell := shutil.which(name))]


def words_of(text: str) -> list[tuple[str, ...]] | None:
    commands = parse(text)
    return None if commands is None else [command.words for command in commands]


def only(text: str) -> Command:
    commands = parse(text)
    assert commands is not None
    (command,) = commands
    return command


def is_covered(rule: str, text: str) -> bool:
    """Whether each command of a text begins with the words of a rule."""
    words, commands = beginning(rule), parse(text)
    assert words is not None
    return commands is not None and all(begins(command, words) for command in commands)


# What is understood


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ls -la src", [("ls", "-la", "src")]),
        ("  ls\t-l  ", [("ls", "-l")]),
        ("echo 'a b' \"c  d\" e\\ f", [("echo", "a b", "c  d", "e f")]),
        ("echo a'b'\"c\"d ''", [("echo", "abcd", "")]),
        ('echo "\\$5 \\" \\\\ \\n"', [("echo", '$5 " \\ \\n')]),
        ("echo '$HOME `x` $(y)'", [("echo", "$HOME `x` $(y)")]),
        ("ls \\\n  -l", [("ls", "-l")]),
        ("l\\\ns", [("ls",)]),
        ("git show HEAD~2 main^ a#b", [("git", "show", "HEAD~2", "main^", "a#b")]),
        ("cat größe.txt", [("cat", "größe.txt")]),
        ("a | b || c && d; e\nf;", [("a",), ("b",), ("c",), ("d",), ("e",), ("f",)]),
        ("a |\n\n b &&\n c\n\n", [("a",), ("b",), ("c",)]),
    ],
)
def test_words_commands_and_quotes_are_read_as_a_shell_reads_them(
    text: str, words: list[tuple[str, ...]]
) -> None:
    assert words_of(text) == words


def test_redirections_are_recorded_and_tell_whether_they_write() -> None:
    command = only("sort < in 2>> 'the log' -r >out <> both")
    assert command.words == ("sort", "-r")
    assert command.redirections == (
        Redirection("in", writes=False),
        Redirection("the log", writes=True),
        Redirection("out", writes=True),
        Redirection("both", writes=True),
    )


@pytest.mark.parametrize("text", ["ls >| f", "ls 1>f", ">f ls", "> f"])
def test_every_form_of_writing_is_seen(text: str) -> None:
    assert only(text).redirections == (Redirection("f", writes=True),)


@pytest.mark.parametrize("text", ["ls 2>&1", "ls >&2", "ls 2>&-", "ls 2>/dev/null"])
def test_joining_and_dropping_output_writes_no_file(text: str) -> None:
    assert not any(each.writes for each in only(text).redirections)


def test_assignments_before_a_command_are_no_words_of_it() -> None:
    command = only("PATH=/tmp A+='b c' ls D=e")
    assert command.assignments == ("PATH=/tmp", "A+=b c")
    assert command.words == ("ls", "D=e")


@pytest.mark.parametrize(
    ("text", "has_glob"), [("ls *.py", True), ("ls a?", True), ("ls '*'", False), ("ls \\*", False)]
)
def test_patterns_are_flagged_unless_they_are_quoted(text: str, has_glob: bool) -> None:
    assert only(text).has_glob is has_glob


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "\n", "# ls", "ls # all"),
        *("$(rm x)", "ls $(rm x)", "`rm x`", 'ls "`rm x`"', 'ls "$(rm x)"', "ls $HOME", 'ls "$A"'),
        *("ls ${A}", "ls $'a'", 'ls $"a"', "ls foo$", "cat <(rm x)", "tee >(rm x)"),
        *("(ls)", "{ ls; }", "ls() { rm x; }", "! ls", "ls {a,b}", "ls a!b"),
        *("cat << E\nx\nE", "cat <<< x", "ls &", "ls & rm x", "ls &> f", "ls |& rm x", "ls >& f"),
        *("if ls", "for i in a", "while ls", "case a in", "[[ -f x ]]", "[ -f x ]", "ls [a]*"),
        *("ls 'a", 'ls "a', "ls a\\", "ls >", "ls > > f", "ls > *.txt", "ls 2>&1x", "ls 10> f"),
        *("; ls", "ls ;; rm", "ls | | rm", "ls |", "ls &&", "&& ls", "ls || ; rm"),
        *("ls\0", "ls\rrm", "ls\x0brm", "ls\u00a0rm", "ls\u2028rm", "ls " + "a" * 2_000),
    ],
)
def test_what_could_mean_more_is_not_understood(text: str) -> None:
    assert parse(text) is None


@given(st.lists(st.text(st.characters(exclude_characters="\0")), min_size=1))
def test_the_words_that_are_quoted_come_back_as_they_were(words: list[str]) -> None:
    text = shlex.join(words)
    assume(len(text) <= 2_000 and words[0] not in KEYWORDS.split())
    command = only(text)
    assert (*command.assignments, *command.words) == tuple(words)
    assert (command.redirections, command.has_glob) == ((), False)


SHELL_TEXT = st.lists(
    st.sampled_from(
        [*"ab1 \t\n;|&'\"\\<>#=*?!$`(){}[]\r-é", "2>", "&&", "say ", "/dev/null", "\\\n"]
    ),
    max_size=12,
).map("".join)


@given(st.text() | SHELL_TEXT)
def test_no_text_is_too_strange(text: str) -> None:
    for command in parse(text) or ():
        possible_names(command)
        begins(command, ("ls",))
    beginning(text)
    possible_words(text)


def said(shell: str, text: str, folder: Path) -> Iterator[tuple[str, ...]]:
    """The words of each `say` that the shell runs in an empty folder."""
    log = folder / "log"
    (folder / "work").mkdir()
    subprocess.run(
        [shell, "-fc", f'say() {{ printf "%s\\0" "$#" say "$@" >> {log}; }}\n{text}'],
        cwd=folder / "work",
        env={"PATH": "", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    parts = iter(log.read_bytes().decode().split("\0") if log.exists() else [])
    while count := next(parts, None):
        yield tuple(islice(parts, int(count) + 1))


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=100)
@given(text=SHELL_TEXT.filter(lambda text: parse(f"say {text}") is not None))
def test_what_is_understood_is_what_a_shell_runs(
    tmp_path_factory: pytest.TempPathFactory, shell: str, text: str
) -> None:
    commands = parse(f"say {text}") or ()
    folder = tmp_path_factory.mktemp("shell")

    assert {command.words for command in commands} >= set(said(shell, f"say {text}", folder))

    targets = {each.target for command in commands for each in command.redirections if each.writes}
    assert {path.name for path in (folder / "work").iterdir()} <= targets


# What the words of a rule cover


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("git status", "git status"),
        ("git status", "git status --short src"),
        ("git status", "'git' \"status\""),
        ("ls", "ls -l | ls; ls 2>/dev/null"),
        ("npm run *", "npm run build"),
        ("git * main", "git log main"),
        ("./run.sh", "./run.sh --fast"),
        ("sort -o out.txt", "sort -o out.txt in.txt"),
    ],
)
def test_a_rule_covers_commands_that_begin_with_its_words(rule: str, text: str) -> None:
    assert is_covered(rule, text)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("git status", "git"),
        ("git status", "git push"),
        ("git status", "git -c core.pager=x status"),
        ("git status", "gitstatus"),
        ("git status", '"git status"'),
        ("npm run *", "npm run"),
        ("ls", "ls | wc"),
        ("ls", "ls; rm x"),
        ("ls", "lsof"),
        ("ls", "./ls"),
        ("ls", "/opt/bin/ls"),
        ("ls", "l?"),
        ("ls", "PATH=/opt ls"),
        ("ls", "A=b"),
        ("ls", "ls > f"),
        ("ls", "> f"),
    ],
)
def test_a_rule_covers_nothing_else(rule: str, text: str) -> None:
    assert not is_covered(rule, text)


@pytest.mark.parametrize(
    "wrapper",
    [
        *("env", "sudo", "nice", "time", "xargs", "eval", "exec", "command", "nohup", "timeout 5"),
        *("sh -c", "bash -c", "python -c", "busybox", "builtin"),
    ],
)
def test_a_program_that_runs_another_is_a_command_of_its_own(wrapper: str) -> None:
    assert not is_covered("ls", f"{wrapper} ls")
    assert is_covered(wrapper, f"{wrapper} ls")


@pytest.mark.parametrize(
    "text",
    [
        *("git diff --output=x", "git diff --outp x", "git diff --ext-diff", "git diff -c"),
        *("sort -o x", "sort -ox", "sort -ro x", "sort --out=x", "sort --compress-program=x"),
        *("sort --files0-from=-", "git diff --no-index a b", "git log --stdin"),
        *("grep -r x", "grep -nR x .", "grep --rec x", "grep -d recurse x", "grep x f -r"),
        *("find -delete", "find . -exec rm x +", "find -fprint x", "find -ok x"),
        *("sed -i s/a/b/ x", "sed -ni p x", "sed --in-place p x"),
        *("sort *", "sort ?o", "sort -*", "git diff *", "grep -?x y"),
    ],
)
def test_options_that_reach_further_are_not_covered_by_the_programs_name(text: str) -> None:
    assert not is_covered(text.split(maxsplit=1)[0], text)


@pytest.mark.parametrize(
    "text",
    [
        "git diff --stat -- a.py",
        "sort -rn -k2 x",
        "grep -in x ./*.py",
        "find . -name x",
        "sed -n p x",
    ],
)
def test_harmless_options_are(text: str) -> None:
    assert is_covered(text.split(maxsplit=1)[0], text)


@pytest.mark.parametrize(
    "text", ["", "ls | wc", "A=b ls", "ls > x", "$(ls)", "ls *.py", "git '", "(ls)"]
)
def test_a_rules_command_is_words_and_nothing_else(text: str) -> None:
    assert beginning(text) is None


# What a text could mean


@pytest.mark.parametrize(
    "text",
    [
        *("rm x", "/bin/rm x", "RM x", "r\\m x", "'r'm x", "r\\\nm x", "ls;rm x", "ls&rm"),
        "(rm x)",
        *("$(rm x)", "`rm x`", "sh -c 'rm x'", 'sh -c "ls;rm x"', "find -exec rm x", "A=rm; $A x"),
        *("for f in *; do rm $f; done", "cat <<E | sh\nrm x\nE", "{rm,x}", "trap rm EXIT"),
    ],
)
def test_the_words_of_a_rule_are_found_wherever_they_stand(text: str) -> None:
    assert rule_words("rm") <= possible_words(text)


def test_words_are_found_in_any_order_and_only_whole() -> None:
    assert rule_words("git push") <= possible_words("p=push; git -C x $p")
    assert rule_words("git * --force") <= possible_words("git push --force=x")
    assert not rule_words("git push") <= possible_words("git pushd")
    assert not rule_words("rm") <= possible_words("farm rmdir")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cat .env", ".env"),
        ("cat < .env", ".env"),
        ("echo > .env", ".env"),
        ("wc --files0-from=.env", ".env"),
        ("grep -f.env x", ".env"),
        ("git show HEAD:.env", ".env"),
        ("curl -d @.env", ".env"),
        ("A=.env ls", ".env"),
    ],
)
def test_files_are_named_by_words_and_by_parts_of_words(text: str, name: str) -> None:
    assert name in possible_names(only(text))


def test_the_null_device_is_no_file(tmp_path: Path) -> None:
    assert possible_names(only("ls 2>/dev/null")) == {"ls"}
