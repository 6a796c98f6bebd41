"""Cutting documents: whatever the text, nothing is lost and every chunk fits."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.chunking import Chunk, cut, embedding_text
from agentctl.core.knowledge.documents import Document, Section, SectionKind

SENTENCE = "One two three four five six seven eight nine ten. "


def token_starts(text: str) -> list[int]:
    """Words in bits of four letters, and each other sign: as word pieces are."""
    return [match.start() for match in re.finditer(r"[^\W_]{1,4}|[^\w\s]|_", text)]


def document(text: str, *sections: Section, has_lines: bool = True) -> Document:
    return Document(
        text=text,
        title="",
        media_type="text/plain",
        sections=sections or (Section(0),),
        has_lines=has_lines,
    )


def chunks(text: str, *sections: Section, max_tokens: int = 50, context: str = "") -> list[Chunk]:
    return cut(document(text, *sections), token_starts, max_tokens, context)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    words = st.sampled_from(["a", "word", "Ünïcode", "x" * 40, "e\u0301" * 9, "好。", "(!)", "."])
    spaces = st.sampled_from([" ", "\n", "\n\n", "\n \n\t", " " * 30])
    text = "".join(
        word + space for word, space in draw(st.lists(st.tuples(words, spaces), max_size=60))
    )
    text = draw(st.sampled_from(["", "\n\n"])) + text + draw(st.text(max_size=20))
    kind = st.sampled_from(["prose", "code", "table"])
    starts = draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=5)) if text else set()
    sections = [
        Section(
            start,
            tuple(draw(st.lists(st.sampled_from(["Top", "Sub title"]), max_size=2))),
            draw(st.sampled_from([None, 1, 2])),
            draw(kind),
        )
        for start in (0, *sorted(starts))
    ]
    return document(text, *sections, has_lines=draw(st.booleans()))


@given(documents(), st.integers(12, 60))
def test_chunks_hold_all_text_in_order_and_never_overlap(
    document: Document, max_tokens: int
) -> None:
    found = cut(document, token_starts, max_tokens, "Title")
    for chunk in found:
        assert chunk.text == document.text[chunk.start : chunk.end] == chunk.text.strip() != ""
    gaps = [0, *(edge for chunk in found for edge in (chunk.start, chunk.end)), len(document.text)]
    assert gaps == sorted(gaps)
    assert (
        "".join(document.text[a:b] for a, b in zip(gaps[::2], gaps[1::2], strict=True)).strip()
        == ""
    )


@given(documents(), st.integers(30, 60), st.sampled_from(["", "Title", "A longer title, 1999"]))
def test_what_is_embedded_fits_the_model(document: Document, max_tokens: int, context: str) -> None:
    for chunk in cut(document, token_starts, max_tokens, context):
        prefix = embedding_text(context, chunk).removesuffix(chunk.text)
        allowed = max_tokens
        if len(token_starts(prefix)) > max_tokens * 3 // 4:
            allowed = len(token_starts(prefix)) + max_tokens // 4
        assert len(token_starts(embedding_text(context, chunk))) <= allowed


@given(documents())
def test_lines_and_pages_are_true(document: Document) -> None:
    for chunk in cut(document, token_starts, 20, ""):
        inside = [each for each in document.sections if each.start < chunk.end]
        assert chunk.page == inside[-1].page
        if document.has_lines:
            assert chunk.line_start == document.text.count("\n", 0, chunk.start) + 1
            assert chunk.line_end == document.text.count("\n", 0, chunk.end) + 1
        else:
            assert chunk.line_start is chunk.line_end is None


def test_a_text_that_fits_is_one_chunk() -> None:
    [chunk] = chunks("\n First.\n\nSecond. \n")
    assert chunk == Chunk(2, 17, "First.\n\nSecond.", "", None, 2, 4)


@pytest.mark.parametrize(
    ("text", "beginnings"),
    [
        (f"{SENTENCE * 3}\n\n{SENTENCE * 3}", ["One two"] * 2),
        ("\n".join(f"{n} {'word ' * 30}" for n in range(3)), ["0 word", "1 word", "2 word"]),
        (SENTENCE * 9, ["One two"] * 3),
        ("word " * 90, ["word wo"] * 2),
        ("x" * 500, ["xxxxxxx"] * 3),
    ],
    ids=["paragraphs", "lines", "sentences", "words", "anywhere"],
)
def test_a_text_is_cut_at_the_best_boundaries_there_are(text: str, beginnings: list[str]) -> None:
    found = chunks(text)
    assert [chunk.text.startswith(start) for chunk, start in zip(found, beginnings, strict=False)]
    assert [chunk.text[:7].strip() for chunk in found] == [each.strip() for each in beginnings]


def test_letters_keep_their_accents() -> None:
    for chunk in chunks("e\u0301" * 500, max_tokens=7):
        assert chunk.text[0] == "e"


def test_a_word_without_end_does_not_make_a_chunk_without_end() -> None:
    found = cut(document("x" * 10_000), lambda text: [0] if text else [], 50, "")
    assert max(len(chunk.text) for chunk in found) <= 1000


@pytest.mark.parametrize(("kind", "number"), [("prose", 1), ("table", 1), ("code", 2)])
def test_small_sections_are_joined_but_definitions_are_not(kind: SectionKind, number: int) -> None:
    sections = (Section(0, ("A", "B"), kind=kind), Section(6, ("A", "C"), kind=kind))
    found = chunks("First\nSecond\n", *sections)
    assert len(found) == number
    assert found[0].heading.startswith("A")


def test_sections_of_two_pages_stay_apart() -> None:
    found = chunks("First\nSecond\n", Section(0, page=1), Section(6, page=2))
    assert [(chunk.page, chunk.text) for chunk in found] == [(1, "First"), (2, "Second")]


def test_title_and_headings_are_embedded_but_not_part_of_the_text() -> None:
    [chunk] = chunks("Text.", Section(0, ("Guide", "Part", "Detail")), context="Guide")
    assert (chunk.heading, chunk.text) == ("Guide > Part > Detail", "Text.")
    assert embedding_text("Guide", chunk) == "Guide\nPart > Detail\nText."


def test_each_part_of_a_table_is_embedded_with_its_first_row() -> None:
    rows = "".join(f"city {n},{n}\n" for n in range(40))
    found = chunks(f"name,people\n{rows}", Section(0, kind="table"), context="cities")
    assert len(found) > 1
    assert all(embedding_text("cities", each).startswith("cities\nname,people\n") for each in found)


def test_a_text_is_tokenised_once() -> None:
    text, seen = SENTENCE * 1000, []

    def counting(text: str) -> list[int]:
        seen.append(len(text))
        return token_starts(text)

    cut(document(text), counting, 50, "Title")
    assert sum(seen) < len(text) * 1.1
