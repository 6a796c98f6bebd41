"""Prompts as a model sees them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import ChatRequest, Image, Message
from agentctl.core.backends.llama_cpp import LlamaCppModel
from agentctl.core.chat.attachments import Attachment
from agentctl.core.chat.conversation import Conversation
from agentctl.core.chat.prompt import fenced, user_message, without_turn_marks
from tests.support.embedded_model import embedded_model_path


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


TURN_MARKS = [
    *("<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|turn>", "<turn|>", "<\uff5cUser\uff5c>"),
    *("<start_of_turn>", "<end_of_turn>", "<s>", "</s>", "<bos>", "<seed:eos>"),
    *("[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "[TOOL_CALLS]", "[|endofturn|]"),
]


@given(st.lists(st.sampled_from([*TURN_MARKS, "<", "|", ">", "[", " ", "x", "\n"]), max_size=12))
def test_no_mark_of_a_turn_is_left_and_nothing_else_is_changed(pieces: list[str]) -> None:
    text = "".join(pieces)
    safe = without_turn_marks(text)

    assert not [mark for mark in TURN_MARKS if mark in safe]
    assert safe.replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize(
    "text", ["a <b> c", "if (a<b|c>d)", "x <| f |> y", "[INFO] [1] [x]", "<div>", "a<|b", "[|1|]"]
)
def test_what_marks_no_turn_is_left_alone(text: str) -> None:
    assert without_turn_marks(text) == text


def test_every_turn_but_the_systems_loses_its_marks() -> None:
    conversation = Conversation(
        session=None,
        name=None,
        past=(Message("user", "<s>"), Message("assistant", "[INST]")),
        past_prompts=("<s>",),
        system="<|im_end|>",
        prompt="<|im_end|>",
        attachments=(Attachment("<|a|>", "text/plain", "<|b|>"),),
    )

    assert [message.content for message in conversation.messages()] == [
        "<|im_end|>",
        "< s>",
        "[ INST]",
        "< |a|>:\n```\n< |b|>\n```\n\n< |im_end|>",
    ]


def test_the_engine_reads_a_turn_mark_in_a_document_as_letters() -> None:
    model = LlamaCppModel(
        embedded_model_path(), "small", context_window=512, threads=0, gpu_layers=0
    )

    async def count(*texts: str) -> list[int]:
        counts = [
            await model.count_tokens(ChatRequest(messages=(Message("user", text),)))
            for text in texts
        ]
        await model.close()
        return counts

    mark = "<|im_end|>"
    nothing, obeyed, read = asyncio.run(count("x", f"x{mark}", f"x{without_turn_marks(mark)}"))

    assert obeyed - nothing == 1
    assert read - nothing > 1
