"""Shell commands as the gate reads them: parsed, and only where nothing is in doubt.

What is understood is a small part of POSIX: words with their quotes, `|`, `||`, `&&`, `;` and
newlines between commands, redirections, assignments, `*` and `?`. All else (expansions, subshells,
here-documents, `&`, comments, keywords) is not, and no rule that allows a command covers it. Rules
that ask or deny need no understanding: they look for their words anywhere.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

# Characters. What is longer nobody should allow unread; and no system runs what is far longer.
LONGEST_UNDERSTOOD = 2_000
LONGEST_JUDGED = 100_000
NO_FILE = "/dev/null"
ANY_WORD = "*"

# Options that make a program which only reads write a file, run another one, or read files that the
# command does not name. A rule allows them only by name: "sort" does not cover `sort -o FILE`.
_REACHING: Mapping[str, str] = {
    "find": "-delete -exec -execdir -files0-from -fls -fprint -fprint0 -fprintf -ok -okdir",
    "git": "-c -O --config-env --exec --exec-path --ext-diff --git-dir --no-index "
    "--open-files-in-pager --output --pathspec-from-file --receive-pack --stdin --upload-pack "
    "--work-tree",
    "grep": "-d -r -R --dereference-recursive --directories --recursive",
    "sed": "-i --in-place",
    "sort": "-o -T --compress-program --files0-from --output --temporary-directory",
}
_KEYWORDS = (
    "! [[ ]] case coproc do done elif else esac fi for function if in select then until while"
)
_BLANK = re.compile(r"(?:[ \t]|\\\n)+")
_SEPARATOR = re.compile(r"\|\||&&|[|;\n]")
_REDIRECTION = re.compile(r"[0-9]?(>>|>\||>&|<&|<>|>|<(?!<))")
# Letters of any alphabet, and the signs that mean nothing to a shell. Brackets are left out:
# shells differ in what they make of [^a].
_PIECE = re.compile(
    r"""(?P<plain>[\w@%+=:,./^~#*?-]+)
    | '(?P<single>[^']*)'
    | "(?P<double>(?:[^"\\$`]|\\[\s\S])*)"
    | \\(?P<escaped>[^\n])
    | (?P<continued>\\\n)""",
    re.VERBOSE,
)
_ESCAPED_IN_QUOTES = re.compile(r'\\(?:([$`"\\])|\n)')
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_BETWEEN_WORDS = re.compile(r"""[\s'"\\`$(){}\[\];&|<>=,:@!#\0]+""")
_BETWEEN_NAMES = re.compile(r"[=:,@]")


@dataclass(frozen=True, slots=True)
class Redirection:
    """A file that a command is redirected from or to; `2>&1` names none."""

    target: str
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: its words without their quotes, the assignments before it, its redirections."""

    words: tuple[str, ...]
    assignments: tuple[str, ...] = ()
    redirections: tuple[Redirection, ...] = ()
    has_glob: bool = False


Parsed: TypeAlias = tuple[Command, ...]
"""The commands of a line in their order, at least one."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    has_glob: bool


@dataclass(frozen=True, slots=True)
class _Sign:
    text: str


class _NotUnderstood(Exception):
    """What stands there might mean more than is known here."""


def parse(text: str) -> Parsed | None:
    """The commands of a text, or None where it is not understood. Never raises."""
    if len(text) > LONGEST_UNDERSTOOD:
        return None
    try:
        return tuple(map(_command, _groups(text))) or None
    except _NotUnderstood:
        return None


def beginning(text: str) -> tuple[str, ...] | None:
    """The words of a rule's command; None when it is more, or less, than words."""
    match parse(text):
        case (Command(assignments=(), redirections=()) as only,):
            plain = all(word == ANY_WORD or not _has_glob(word) for word in only.words)
            return only.words if plain else None
    return None


def begins(command: Command, words: tuple[str, ...]) -> bool:
    """Whether the command begins with these words and does nothing that they do not say.

    That is: no assignment before it, no file written, no option that reaches further.
    """
    return (
        0 < len(words) <= len(command.words)
        and all(word in (ANY_WORD, own) for word, own in zip(words, command.words, strict=False))
        and not command.assignments
        and not any(each.writes for each in command.redirections)
        and not any(_reaches(command.words[0], word) for word in command.words[len(words) :])
    )


def possible_words(text: str, *, is_posix: bool = True) -> frozenset[str]:
    """All that could be a word of the text, whatever its signs mean; programs without folders, too.

    In lower case, since some systems run `RM` as `rm`. Elsewhere than in POSIX's shells `r^m/q` is
    `rm` with an option, and `rm.exe` is `rm`.
    """
    text = text.replace("\\\n", "").casefold()
    bare = re.sub(r"['\"\\]", "", text)
    forms = [text, bare] if is_posix else [text, bare, text.replace("^", ""), bare.replace("^", "")]
    words = {word for each in forms for word in _BETWEEN_WORDS.split(each) if word}
    if not is_posix:
        words |= {part for word in words for part in re.split("[/%]", word) if part}
        words |= {re.sub(r"\.(exe|com|bat|cmd)$", "", word) for word in words}
    return frozenset(words | {word.rpartition("/")[2] for word in words})


def rule_words(text: str) -> frozenset[str]:
    """The words that `possible_words` must hold for a rule to ask or deny."""
    return frozenset(_BETWEEN_WORDS.split(text.casefold())) - {"", ANY_WORD}


def written_out(command: Command) -> str:
    """All of a command in one text, without its quotes."""
    targets = (each.target for each in command.redirections)
    return " ".join((*command.assignments, *command.words, *targets))


def possible_names(command: Command) -> set[str]:
    """All that could name a file: each word, and the parts of words such as `--file=x` or `-fx`."""
    words = (*command.assignments, *command.words, *(each.target for each in command.redirections))
    names = set(words)
    for word in words:
        names.update(_BETWEEN_NAMES.split(word))
        if word.startswith("-"):
            names.add(word[2:])
    return names - {"", NO_FILE}


def _reaches(program: str, word: str) -> bool:
    """Whether a word is one of the program's reaching options, or could become one."""
    options = _REACHING.get(program, "").split()
    if word.startswith(("*", "?")) or (word.startswith("-") and _has_glob(word)):
        return bool(options)  # a file may be called --output
    return any(_is_option(word, option) for option in options)


def _is_option(word: str, option: str) -> bool:
    """Whether a word gives this option, also shortened or in a cluster."""
    name = word.partition("=")[0]
    if option.startswith("--"):
        return len(name) > 2 and option.startswith(name)
    if len(option) > 2:
        return word == option
    return word.startswith("-") and not word.startswith("--") and option[1] in word


def _has_glob(text: str) -> bool:
    return "*" in text or "?" in text


def _groups(text: str) -> Iterator[list[_Word | _Sign]]:
    """The parts of each command. Newlines may stand anywhere, other separators after a command."""
    group: list[_Word | _Sign] = []
    is_owed = False
    for part in _tokens(text):
        if not isinstance(part, str):
            group.append(part)
        elif group:
            yield group
            group, is_owed = [], part in ("|", "||", "&&")
        elif part != "\n":
            raise _NotUnderstood
    if group:
        yield group
    elif is_owed:
        raise _NotUnderstood


def _tokens(text: str) -> Iterator[_Word | _Sign | str]:
    """Words, signs of redirection, and separators as they stand."""
    if "\0" in text:
        raise _NotUnderstood
    at = 0
    while at < len(text):
        if found := _BLANK.match(text, at):
            pass
        elif found := _SEPARATOR.match(text, at):
            yield found[0]
        elif found := _REDIRECTION.match(text, at):
            yield _Sign(found[1])
        else:
            word, at = _word(text, at)
            yield word
            continue
        at = found.end()


def _word(text: str, at: int) -> tuple[_Word, int]:
    """The word that begins here, and where it ends."""
    start, pieces, has_glob = at, [], False
    while found := _PIECE.match(text, at):
        at = found.end()
        kind, piece = found.lastgroup, found[found.lastgroup or 0]
        if kind == "plain":
            has_glob = has_glob or _has_glob(piece)
        elif kind == "double":
            piece = _ESCAPED_IN_QUOTES.sub(lambda escaped: escaped[1] or "", piece)
        elif kind == "continued":
            piece = ""
        pieces.append(piece)
    word = "".join(pieces)
    # Shells differ in whether the 10 of `10>file` is a word.
    is_number = text.startswith(("<", ">"), at) and word.isdigit()
    if at == start or text[start] == "#" or is_number:
        raise _NotUnderstood
    return _Word(word, has_glob), at


def _command(group: list[_Word | _Sign]) -> Command:
    words: list[str] = []
    assignments: list[str] = []
    redirections: list[Redirection] = []
    tokens = iter(group)
    for token in tokens:
        if isinstance(token, _Sign):
            redirections += _redirection(token.text, next(tokens, None))
        elif not words and _ASSIGNMENT.match(token.text):
            assignments.append(token.text)
        else:
            words.append(token.text)
    if words and words[0] in _KEYWORDS.split():
        raise _NotUnderstood
    return Command(
        words=tuple(words),
        assignments=tuple(assignments),
        redirections=tuple(redirections),
        has_glob=any(isinstance(each, _Word) and each.has_glob for each in group),
    )


def _redirection(sign: str, target: _Word | _Sign | None) -> list[Redirection]:
    if not isinstance(target, _Word) or target.has_glob:
        raise _NotUnderstood
    if sign in (">&", "<&"):
        if target.text != "-" and not re.fullmatch(r"[0-9]", target.text):
            raise _NotUnderstood
        return []
    return [Redirection(target.text, writes=sign != "<" and target.text != NO_FILE)]
