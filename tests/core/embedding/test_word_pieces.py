"""The pieces of the built-in vocabulary, against what the reference tokenizer makes.

word_pieces.json was written by Hugging Face's `tokenizers` from all-MiniLM-L6-v2's tokenizer.json.
"""

import json
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.embedding.llama_cpp import built_in_pieces
from agentctl.core.embedding.word_pieces import WordPieces, well_formed
from agentctl.core.errors import ModelIncapable
from tests.support.embedded_model import gguf_header

REFERENCE = json.loads(Path(__file__).with_name("word_pieces.json").read_text(encoding="utf-8"))
SPECIAL = ["[UNK]", "[CLS]", "[SEP]"]

pieces = cache(built_in_pieces)


@pytest.mark.parametrize("expected", REFERENCE, ids=lambda expected: repr(expected["text"][:20]))
def test_pieces_and_their_places_are_the_references(
    expected: dict[str, str | list[int]],
) -> None:
    text = str(expected["text"])

    assert pieces().encode(text, 10_000)[1:-1] == expected["ids"]
    assert pieces().starts(text) == expected["starts"]


def test_a_text_has_no_special_tokens() -> None:
    classify, *inside, separate = pieces().encode("[CLS] [SEP] [MASK]", 100)

    assert (classify, separate) == (101, 102)
    assert {101, 102, 103}.isdisjoint(inside)


def test_ids_are_cut_at_the_limit_and_stay_between_the_special_tokens() -> None:
    long = pieces().encode("unbelievable " * 1000, 10)

    assert len(long) == 12
    assert long == [*pieces().encode("unbelievable " * 10, 100)[:11], 102]


@given(st.text())
def test_any_text_is_cut(text: str) -> None:
    starts = pieces().starts(text)

    assert len(pieces().encode(text, 10_000)) == len(starts) + 2
    for found in (starts, pieces().cautious_starts(text)):
        assert found == sorted(found)
        assert all(0 <= start < len(text) for start in found)


@given(st.text(), st.text())
def test_texts_with_a_space_between_are_cut_each_by_itself(one: str, other: str) -> None:
    both = pieces().starts(f"{one} {other}")

    moved = [start + len(one) + 1 for start in pieces().starts(other)]
    assert both == pieces().starts(one) + moved


@given(st.text())
def test_what_was_seen_before_does_not_matter(text: str) -> None:
    assert pieces().starts(text) == pieces().starts(text)


def test_caution_counts_letters_of_what_is_no_word_and_bytes_of_other_scripts() -> None:
    assert len(pieces().cautious_starts("An English sentence.")) == 4
    assert len(pieces().cautious_starts("x" * 200)) == 200
    assert len(pieces().cautious_starts("🙂🙂")) == 4


def test_a_vocabulary_may_mark_the_inside_of_words() -> None:
    marked = WordPieces([*SPECIAL, "em", "##bed", "##ding", "bed"])
    converted = WordPieces([*SPECIAL, "\u2581em", "bed", "ding", "\u2581bed", "\u2581a"])

    for vocabulary in (marked, converted):
        assert vocabulary.encode("Embedding bed", 9) == [1, 3, 4, 5, 6, 2]


def test_a_vocabulary_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf_header({"general.architecture": "bert", "tokenizer.ggml.model": "t5"}))

    with pytest.raises(ModelIncapable, match="t5"):
        WordPieces.of_model(path)
    with pytest.raises(ModelIncapable, match="CLS"):
        WordPieces(["a", "b"])


@given(st.text(st.characters()))
def test_well_formed_text_can_be_encoded_and_keeps_its_places(text: str) -> None:
    mended = well_formed(text + "\ud800")

    assert mended.encode().decode() == text.encode(errors="replace").decode() + "?"
    assert len(mended) == len(text) + 1
