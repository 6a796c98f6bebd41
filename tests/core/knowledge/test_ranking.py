"""The order of hits: both searches count, and what belongs together is shown together."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.ranking import (
    JOINED,
    LONGEST_PASSAGE,
    Candidate,
    distinct,
    fuse,
    join_neighbours,
    support_neighbours,
)

IDS = st.integers(1, 30)
COSINES = st.dictionaries(IDS, st.floats(-1, 1), max_size=20)
WORDS = st.integers(1, 50)
KEYWORDS = st.dictionaries(IDS, st.floats(0, 40), max_size=20)


def candidate(start: int, text: str, document: int = 1, score: float = 0.5) -> Candidate:
    return Candidate(
        chunk_id=1000 * document + start,
        document_id=document,
        start=start,
        end=start + len(text),
        score=score,
        text=text,
    )


@given(COSINES, KEYWORDS, WORDS, st.floats(0, 1))
def test_every_chunk_is_ranked_once_with_falling_scores_from_1_to_0(
    cosines: dict[int, float], keywords: dict[int, float], words: int, alpha: float
) -> None:
    ranked = fuse(cosines, keywords, words, alpha)
    scores = [score for _, score in ranked]
    assert sorted(chunk for chunk, _ in ranked) == sorted(cosines.keys() | keywords.keys())
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@given(COSINES, KEYWORDS, WORDS)
def test_the_order_does_not_depend_on_the_order_of_the_input(
    cosines: dict[int, float], keywords: dict[int, float], words: int
) -> None:
    turned = fuse(dict(reversed(cosines.items())), dict(reversed(keywords.items())), words)
    assert fuse(cosines, keywords, words) == turned


@given(COSINES.filter(lambda found: len(found) > 1), KEYWORDS, WORDS, st.data())
def test_a_chunk_that_is_better_in_both_is_ahead(
    cosines: dict[int, float], keywords: dict[int, float], words: int, data: st.DataObject
) -> None:
    one, other = data.draw(st.permutations(sorted(cosines)))[:2]
    if cosines[one] >= cosines[other] and keywords.get(one, 0) > keywords.get(other, 0) + 1e-6:
        ranked = [chunk for chunk, _ in fuse(cosines, keywords, words)]
        assert ranked.index(one) < ranked.index(other)


def test_equal_scores_go_by_id() -> None:
    assert [chunk for chunk, _ in fuse({3: 0.5, 1: 0.5, 2: 0.5}, {}, 1)] == [1, 2, 3]


def test_keywords_decide_when_they_find_most_of_the_words() -> None:
    cosines = {1: 0.52, 2: 0.50, 3: 0.48}
    keywords = {2: 1.0, 3: 8.0}
    assert fuse(cosines, keywords, words=2)[0][0] == 3
    assert fuse(cosines, keywords, words=20)[0][0] == 1
    assert fuse(cosines, keywords, words=20, alpha=0.1)[0][0] == 3


def test_what_nearly_repeats_a_better_hit_is_left_out() -> None:
    words = [f"word{n}" for n in range(100)]
    first = candidate(0, " ".join(words))
    again = candidate(0, " ".join([*words[:-1], "end"]), document=2)
    part = candidate(0, " ".join(words[:50]), document=3)
    assert distinct([first, again, part]) == [first, part]


@given(st.lists(st.text("ab \n", max_size=30)))
def test_the_first_of_equal_texts_is_kept(texts: list[str]) -> None:
    candidates = [candidate(n, text) for n, text in enumerate(texts)]
    kept = distinct(candidates)
    assert kept[:1] == candidates[:1]
    assert len({each.text for each in kept}) == len(kept)
    assert [each for each in candidates if each in kept] == kept


def test_what_stands_beside_a_good_hit_is_better() -> None:
    good = candidate(0, "One.", score=0.9)
    beside, alone = candidate(6, "Two.", score=0.6), candidate(0, "Far.", document=2, score=0.65)
    far_below = candidate(900, "Three.", score=0.64)
    ranked = support_neighbours([good, alone, far_below, beside])
    assert [each.text for each in ranked] == ["One.", "Two.", "Far.", "Three."]
    assert [each.score for each in ranked[2:]] == pytest.approx([0.65, 0.64])


def test_a_bad_neighbour_takes_nothing() -> None:
    good, bad = candidate(0, "One.", score=0.6), candidate(6, "Two.", score=0.1)
    assert support_neighbours([good, bad])[0].score == pytest.approx(0.6)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=12))
def test_neighbours_lose_no_candidate_and_scores_fall_from_1_to_0(
    drawn: list[tuple[int, float]],
) -> None:
    candidates = [
        candidate(8 * n, "word", document, score) for n, (document, score) in enumerate(drawn)
    ]
    ranked = support_neighbours(candidates)
    assert sorted(each.chunk_id for each in ranked) == sorted(each.chunk_id for each in candidates)
    assert [each.score for each in ranked] == sorted((x.score for x in ranked), reverse=True)
    assert all(0 <= each.score <= 1 for each in ranked)


@st.composite
def cut_documents(draw: st.DrawFn) -> tuple[list[str], list[Candidate]]:
    """Texts, and some of their chunks in any order."""
    texts, candidates = [], []
    for number in range(draw(st.integers(1, 2))):
        text = ""
        for words in draw(st.lists(st.integers(1, 120), max_size=8)):
            chunk = " ".join(["word"] * words)
            candidates.append(candidate(len(text), chunk, number))
            text += chunk + draw(st.sampled_from(["\n", "\n\n", " - "]))
        texts.append(text)
    return texts, draw(st.permutations(candidates))


@given(cut_documents())
def test_joined_passages_are_the_document_s_own_text(
    case: tuple[list[str], list[Candidate]],
) -> None:
    texts, candidates = case
    joined = join_neighbours(candidates, texts.__getitem__)
    for passage in joined:
        assert passage.text == texts[passage.document_id][passage.start : passage.end]
        assert " - " not in passage.text
        assert len(passage.text.split()) <= LONGEST_PASSAGE
    assert sum(len(each.text.split()) for each in joined) == sum(
        len(each.text.split()) for each in candidates
    )
    assert [each.chunk_id for each in joined] == [
        each.chunk_id for each in candidates if each.chunk_id in {kept.chunk_id for kept in joined}
    ]


def test_hits_around_the_best_join_it() -> None:
    text = "One.\n\nTwo.\n\nThree."
    middle, last, first = (
        candidate(6, "Two.", score=0.9),
        candidate(12, "Three."),
        candidate(0, "One."),
    )
    [joined] = join_neighbours([middle, last, first], lambda _: text)
    assert (joined.text, joined.score, joined.chunk_id) == (text, 0.9, middle.chunk_id)


def test_hits_of_a_text_that_has_changed_stay_as_they_were_found() -> None:
    hits = [candidate(0, "Old alpha.", score=0.9), candidate(12, "Old beta.")]
    assert join_neighbours(hits, lambda _: "Something else now stands here.") == hits
    assert join_neighbours(hits, lambda _: "Old alpha.\n\nNew.") == hits
    assert join_neighbours(hits, lambda _: "") == hits


def test_far_down_nothing_is_joined_and_no_text_is_asked_for() -> None:
    candidates = [candidate(0, f"hit {n}", document=n) for n in range(JOINED)]
    candidates += [candidate(0, "one", document=99), candidate(4, "two", document=99)]
    assert join_neighbours(candidates, {}.__getitem__) == candidates


def test_scores_of_nothing_are_nothing() -> None:
    assert fuse({}, {}, 0) == []
    assert support_neighbours([]) == []
    assert math.isclose(fuse({1: 0.3}, {}, 0)[0][1], 0.5)
