"""The help texts: whole sentences, each option explained, and examples that the commands take."""

import re
import shlex
from itertools import takewhile

import pytest
from typer._click import Command

from tests.support.command_tree import LEAVES, TREE

_EXAMPLE = re.compile(r"^\s*Example: (.+)$", re.M)


def examples(command: Command) -> list[str]:
    return _EXAMPLE.findall(command.help or "")


def words_of(example: str) -> list[str]:
    """What the program gets of a line for a shell: without pipes, files and variables around it."""
    lexer = shlex.shlex(example, posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    words = [*lexer]
    ours = words[words.index("agentctl") + 1 :]
    return [*takewhile(lambda word: word not in ("|", "<", ">", ">>"), ours)]


def is_sentence(text: str) -> bool:
    """Begins like one (with a capital, an option, a name in backticks) and ends like one."""
    return re.fullmatch(r"([A-Z]|--?[a-z]|`).*\.\)?", text, re.S) is not None


@pytest.mark.parametrize("path", TREE)
def test_a_help_text_is_made_of_sentences(path: str) -> None:
    text = _EXAMPLE.sub("", TREE[path].help or "")
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]

    assert paragraphs
    assert [part for part in paragraphs if not is_sentence(part)] == []


@pytest.mark.parametrize("path", TREE)
def test_every_argument_and_option_is_explained_in_a_sentence(path: str) -> None:
    helps = {each.name: getattr(each, "help", None) or "" for each in TREE[path].params}

    assert {name: text for name, text in helps.items() if not is_sentence(text)} == {}


@pytest.mark.parametrize("path", TREE)
def test_every_help_text_has_an_example_that_its_command_takes(path: str) -> None:
    given = [words_of(example) for example in examples(TREE[path])]

    assert given
    for words in given:
        name = next(leaf for leaf in LEAVES if words[: len(leaf.split())] == leaf.split())
        assert f"{name} ".startswith(f"{path} ")
        LEAVES[name].make_context(name, words[len(name.split()) :])
