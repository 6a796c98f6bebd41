"""Sampling options: what is read of them, and what is refused in words that help."""

import pytest

from agentctl.core.backends.base import ModelOptions
from agentctl.core.backends.options import parse_options
from agentctl.core.errors import UsageProblem


def test_text_is_read_as_the_type_of_the_option() -> None:
    options = parse_options(
        {"temperature": "0", "num_ctx": "4096", "stop": "END", "think": "false"}
    )
    assert options == ModelOptions(temperature=0.0, context_window=4096, stop=("END",), think=False)


@pytest.mark.parametrize(
    ("name", "value", "message", "hint"),
    [
        ("temperature", "hi", "a number from 0 to 2, not 'hi'", "-o temperature 0.7"),
        ("temperature", "-5", "a number from 0 to 2, not -5.0", "-o temperature 0.7"),
        ("temperature", "99999", "a number from 0 to 2, not 99999.0", "-o temperature 0.7"),
        ("top_p", "nan", "a number from 0 to 1, not nan", "-o top_p 0.7"),
        ("presence_penalty", "inf", "a number, not inf", "-o presence_penalty 0.7"),
        ("seed", "1.5", "a whole number, not '1.5'", "-o seed 1024"),
        ("max_tokens", "0", "a whole number of at least 1, not 0", "-o max_tokens 1024"),
        ("think", "maybe", "true or false, not 'maybe'", "-o think true"),
        ("stop", [1], "text, not [1]", "-o stop TEXT"),
    ],
)
def test_a_value_that_no_model_can_use_is_refused(
    name: str, value: str, message: str, hint: str
) -> None:
    with pytest.raises(UsageProblem) as raised:
        parse_options({name: value})

    assert raised.value.message == f"option {name}: must be {message}"
    assert raised.value.hint == hint
