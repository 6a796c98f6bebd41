"""The order of hits: both searches count, and what belongs together is shown together."""

import math

from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.ranking import (
    JOINED,
    LONGEST_PASSAGE,
    Candidate,
    distinct,
    fuse,
    join_neighbours,
)

IDS = st.integers(1, 30)
COSINES = st.dictionaries(IDS, st.floats(-1, 1), max_size=20)
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


@given(COSINES, KEYWORDS, st.floats(0, 1))
def test_every_chunk_is_ranked_once_with_falling_scores_from_1_to_0(
    cosines: dict[int, float], keywords: dict[int, float], alpha: float
) -> None:
    ranked = fuse(cosines, keywords, alpha)
    scores = [score for _, score in ranked]
    assert sorted(chunk for chunk, _ in ranked) == sorted(cosines.keys() | keywords.keys())
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@given(COSINES, KEYWORDS)
def test_the_order_does_not_depend_on_the_order_of_the_input(
    cosines: dict[int, float], keywords: dict[int, float]
) -> None:
    turned = fuse(dict(reversed(cosines.items())), dict(reversed(keywords.items())))
    assert fuse(cosines, keywords) == turned


@given(COSINES.filter(lambda found: len(found) > 1), KEYWORDS, st.data())
def test_a_chunk_that_is_better_in_both_is_ahead(
    cosines: dict[int, float], keywords: dict[int, float], data: st.DataObject
) -> None:
    one, other = data.draw(st.permutations(sorted(cosines)))[:2]
    if cosines[one] >= cosines[other] and keywords.get(one, 0) > keywords.get(other, 0) + 1e-6:
        ranked = [chunk for chunk, _ in fuse(cosines, keywords)]
        assert ranked.index(one) < ranked.index(other)


def test_equal_scores_go_by_id() -> None:
    assert [chunk for chunk, _ in fuse({3: 0.5, 1: 0.5, 2: 0.5}, {})] == [1, 2, 3]


def test_the_search_that_tells_hits_apart_has_more_to_say() -> None:
    cosines = {1: 0.51, 2: 0.50, 3: 0.50, 4: 0.50, 5: 0.49, 6: 0.50}
    keywords = {1: 5.0, 2: 4.9, 3: 5.1, 4: 5.0, 5: 20.0, 6: 5.0}
    assert fuse(cosines, keywords)[0][0] in (1, 5)
    assert fuse(cosines, keywords, alpha=0.3)[0][0] == 5


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


def test_far_down_nothing_is_joined_and_no_text_is_asked_for() -> None:
    candidates = [candidate(0, f"hit {n}", document=n) for n in range(JOINED)]
    candidates += [candidate(0, "one", document=99), candidate(4, "two", document=99)]
    assert join_neighbours(candidates, {}.__getitem__) == candidates


def test_scores_of_nothing_are_nothing() -> None:
    assert fuse({}, {}) == []
    assert math.isclose(fuse({1: 0.3}, {})[0][1], 0.5)
