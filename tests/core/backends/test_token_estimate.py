"""The estimate against the true counts of the tokenizer it is calibrated on (SmolLM2's)."""

import json
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import ChatRequest, Image, Message, ToolCall, ToolSpec
from agentctl.core.backends.token_estimate import (
    IMAGE_TOKENS,
    estimate_request_tokens,
    estimate_tokens,
)

PROSE = """The Black Death was one of the most devastating pandemics in human history, resulting in
the deaths of an estimated 75 to 200 million people in Eurasia and peaking in Europe in the years
1346-1353. Although several competing theories exist, analysis of DNA from victims in northern and
southern Europe indicates that the pathogen responsible was the bacterium Yersinia pestis."""

PYTHON = '''def read_lines(path: Path, *, limit: int = 10_000) -> Iterator[str]:
    """Yields the lines of a file, at most `limit` of them."""
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file):
            if number >= limit:
                raise ValueError(f"{path} has more than {limit} lines")
            yield line.rstrip("\\n")
'''

C = """static int
buffer_grow(struct buffer *buf, size_t needed)
{
    if (needed > SIZE_MAX - buf->length)
        return -ENOMEM;
    char *data = realloc(buf->data, buf->length + needed);
    if (data == NULL)
        return -ENOMEM;  /* the old block is still ours */
    buf->data = data;
    buf->capacity = buf->length + needed;
    return 0;
}
"""

JSON = json.dumps(
    [{"id": n, "name": f"user_{n}", "active": n % 2 == 0, "score": n / 7} for n in range(8)]
)
BASE64 = b64encode(b"".join(sha256(bytes([n])).digest() for n in range(8))).decode()


@pytest.mark.parametrize(
    ("text", "true_tokens"),
    [
        pytest.param(PROSE, 85, id="prose"),
        pytest.param(PYTHON, 102, id="python"),
        pytest.param(C, 110, id="c"),
        pytest.param(JSON, 309, id="json"),
        pytest.param(BASE64, 269, id="base64"),
        pytest.param(sha256(b"agentctl").hexdigest(), 62, id="hexadecimal"),
        pytest.param("3.14159265358979323846264338327950288", 37, id="digits"),
        pytest.param("Правительство объявило о новых мерах.", 29, id="cyrillic"),  # noqa: RUF001
    ],
)
def test_the_estimate_is_hardly_below_the_truth_and_not_far_above(
    text: str, true_tokens: int
) -> None:
    assert 0.98 * true_tokens <= estimate_tokens(text) <= 1.35 * true_tokens


def test_nothing_takes_no_tokens() -> None:
    assert estimate_tokens("") == 0


@given(st.text())
def test_a_token_is_some_bytes_and_a_few_bytes_are_a_token(text: str) -> None:
    size = len(text.encode(errors="replace"))
    assert size / 16 <= estimate_tokens(text) <= size


@given(st.text(), st.text())
def test_texts_together_take_about_the_tokens_of_each(one: str, other: str) -> None:
    apart = estimate_tokens(one) + estimate_tokens(other)
    assert apart - 2 <= estimate_tokens(one + other) <= apart + 2


@pytest.mark.parametrize("text", ["word ", "\n", "é"])
def test_a_large_text_takes_as_many_tokens_as_its_parts(text: str) -> None:
    part = text * (1_000_000 // len(text))
    assert estimate_tokens(part * 5) == pytest.approx(5 * estimate_tokens(part), abs=5)


def test_every_part_of_a_request_counts() -> None:
    message = Message("user", "What is it?")
    call = ToolCall("call_0", "look", {"at": "it"})
    tool = ToolSpec("look", "Looks at it.", {"type": "object"})
    plain = estimate_request_tokens(ChatRequest(messages=(message,)))

    assert plain > estimate_tokens(message.content)
    for larger in (
        ChatRequest(messages=(message, message)),
        ChatRequest(messages=(message,), tools=(tool,)),
        ChatRequest(messages=(Message("assistant", "What is it?", tool_calls=(call,)),)),
    ):
        assert estimate_request_tokens(larger) > plain + 5


def test_an_image_counts_flat() -> None:
    image = Image("image/png", b"\x89PNG")
    plain, seen = (Message("user", "Hi", images=images) for images in ((), (image, image)))
    assert (
        estimate_request_tokens(ChatRequest(messages=(seen,)))
        == estimate_request_tokens(ChatRequest(messages=(plain,))) + 2 * IMAGE_TOKENS
    )
