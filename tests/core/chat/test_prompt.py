"""Prompts as a model sees them."""

from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import Image
from agentctl.core.chat.attachments import Attachment
from agentctl.core.chat.prompt import fenced, user_message


def test_context_comes_named_before_the_question() -> None:
    message = user_message("Why?", [Attachment("a.txt", "text/plain", "alpha\n")])

    assert message.content == "a.txt:\n```\nalpha\n```\n\nWhy?"


def test_images_are_named_in_the_text_and_travel_beside_it() -> None:
    image = Image("image/png", b"x")
    message = user_message("What?", [Attachment("a.png", "image/png", image=image)])

    assert message.content == "Image 1: a.png\n\nWhat?"
    assert message.images == (image,)


@given(st.text(alphabet="`a\n ", max_size=60), st.text(alphabet="`a\n", max_size=10))
def test_no_text_and_no_name_breaks_out_of_its_fence(text: str, name: str) -> None:
    block = fenced(name, text).split("\n")
    fence = block[-1]

    assert set(fence) == {"`"}
    assert len(fence) >= 3
    assert block[1] == fence
    assert all(fence not in line for line in block[2:-1])
