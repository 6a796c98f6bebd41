"""What a call is made with, as text to edit and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.jsontypes import JsonObject
from agentctl.render.argument_text import file_ending, read_arguments, write_arguments

VALUES = st.none() | st.booleans() | st.integers() | st.text()


@given(st.dictionaries(st.text(), VALUES))
def test_what_nobody_edits_comes_back_as_it_was(args: JsonObject) -> None:
    edited = read_arguments(write_arguments(args), args)

    is_text = file_ending(args) != ".json"
    wanted = {name: str(value).rstrip("\n") for name, value in args.items()} if is_text else args
    assert edited == wanted


@pytest.mark.parametrize(
    ("args", "text", "ending"),
    [
        ({"code": "print(1)\nprint(2)"}, "print(1)\nprint(2)", ".py"),
        ({"command": "rm -r x"}, "rm -r x", ".sh"),
        ({"command": "ls", "timeout_s": 5}, '{\n  "command": "ls",\n  "timeout_s": 5\n}', ".json"),
        ({"code": 5}, '{\n  "code": 5\n}', ".json"),
    ],
)
def test_only_code_or_a_command_alone_is_bare(args: JsonObject, text: str, ending: str) -> None:
    assert (write_arguments(args), file_ending(args)) == (text, ending)


@pytest.mark.parametrize(("text", "problem"), [("{", "not JSON"), ("[1]", "a JSON object")])
def test_what_is_no_object_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_arguments(text, {"path": "x"})
