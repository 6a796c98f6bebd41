import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.gguf import MAX_FIELDS, parse_gguf_header, read_gguf_header
from agentctl.core.errors import InputUnreadable, ModelNotFound
from tests.support.embedded_model import embedded_model_path, gguf_header

CHAT = gguf_header(
    {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "tokenizer.ggml.tokens": ["a", "b", "ü"],
        "llama.context_length": 4096,
        "tokenizer.chat_template": "{{ messages }}",
    },
    tensors={"embedding": (8, 3), "output": (8,)},
)


def test_a_header_says_what_the_model_is() -> None:
    header = parse_gguf_header(CHAT)

    assert (header.architecture, header.name) == ("llama", "Tiny")
    assert header.context_length == 4096
    assert header.chat_template == "{{ messages }}"
    assert header.parameters == 8 * 3 + 8
    assert not header.is_embedding


def test_a_real_file_is_read() -> None:
    header = read_gguf_header(embedded_model_path())

    assert header.architecture == "llama"
    assert header.context_length == 8192
    assert header.parameters == 134_515_008
    assert "<|im_start|>" in header.chat_template


def test_a_model_that_pools_is_an_embedding_model() -> None:
    header = gguf_header({"general.architecture": "qwen3", "qwen3.pooling_type": 3})

    assert parse_gguf_header(header).is_embedding


def test_fields_that_are_missing_or_of_another_type_count_as_not_told() -> None:
    header = parse_gguf_header(
        gguf_header(
            {"general.architecture": "llama", "llama.context_length": "many", "general.name": 7}
        )
    )

    assert (header.name, header.context_length, header.chat_template) == ("", 0, "")


@given(st.integers(0, len(CHAT) - 1))
def test_a_header_that_is_cut_anywhere_is_refused(end: int) -> None:
    with pytest.raises(ValueError, match=r"header|GGUF"):
        parse_gguf_header(CHAT[:end])


@given(st.binary())
def test_random_bytes_are_read_or_refused(data: bytes) -> None:
    _read_or_refuse(data)


@given(st.binary(min_size=1), st.integers(0, len(CHAT)))
def test_a_header_with_random_bytes_in_it_is_read_or_refused(noise: bytes, at: int) -> None:
    _read_or_refuse(CHAT[:at] + noise + CHAT[at + len(noise) :])


@pytest.mark.parametrize(
    "counts",
    [
        struct.pack("<QQ", 2**63, 0),
        struct.pack("<QQ", 0, MAX_FIELDS + 1),
        struct.pack("<QQQ", 0, 1, 2**63),
        struct.pack("<QQQIIQ", 0, 1, 0, 9, 8, 2**63),
        struct.pack("<QQQIIQ", 0, 1, 0, 9, 4, 2**62),
        struct.pack("<QQQIIQ", 0, 1, 0, 9, 9, 1),
        struct.pack("<QQQI", 1, 0, 0, 2**31),
    ],
    ids=["tensors", "fields", "key", "strings", "numbers", "nested arrays", "dimensions"],
)
def test_counts_that_no_file_could_hold_are_refused(counts: bytes) -> None:
    with pytest.raises(ValueError, match=r"claims|ends|unknown"):
        parse_gguf_header(b"GGUF" + struct.pack("<I", 3) + counts)


def test_a_missing_file_is_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound) as caught:
        read_gguf_header(tmp_path / "none.gguf")

    assert "agentctl models pull" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"GGU", b"PK\x03\x04 a zip", b"GGUF", CHAT[:40]])
def test_a_file_of_another_kind_is_unreadable(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)

    with pytest.raises(InputUnreadable, match="GGUF"):
        read_gguf_header(path)


def test_a_folder_is_unreadable(tmp_path: Path) -> None:
    with pytest.raises(InputUnreadable):
        read_gguf_header(tmp_path)


def _read_or_refuse(data: bytes) -> None:
    try:
        parse_gguf_header(data)
    except ValueError:
        return
