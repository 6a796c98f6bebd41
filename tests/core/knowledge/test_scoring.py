"""Scoring: figures that can be checked by hand."""

import math

import pytest

from agentctl.core.knowledge.scoring import Hit, Relevant, Scores, mean, score

NINE = "one two three four five six seven eight nine"
FILLER = Hit("other.md", "filler " * 100)


def test_a_relevant_hit_at_rank_two() -> None:
    scores = score([Relevant("a.md", NINE)], [FILLER, Hit("/docs/a.md", f"Zero. {NINE}!")])
    assert scores == Scores(1 / math.log2(3), 1.0, 1.0, 0.5, 1.0, 1.0)


def test_a_passage_counts_once_and_all_of_them_count() -> None:
    hits = [Hit("a.md", "x"), Hit("a.md", "y"), FILLER, Hit("b.md", "z")]
    scores = score([Relevant("a.md"), Relevant("b.md")], hits)
    assert (scores.recall_at_3, scores.recall_at_10, scores.mrr) == (0.5, 1.0, 1.0)
    assert scores.ndcg_at_10 == pytest.approx((1 + 1 / math.log2(5)) / (1 + 1 / math.log2(3)))


@pytest.mark.parametrize(
    ("path", "text", "mrr"),
    [
        ("docs/a.md", "one TWO three, four_five six: seven", 1.0),
        ("docs/a.md", "one two three four five six", 0.0),
        ("docs/aa.md", NINE, 0.0),
        ("docs\\a.md", NINE, 1.0),
        ("a.md", "", 0.0),
    ],
    ids=["60 %", "less", "other file", "Windows", "empty"],
)
def test_a_hit_must_cover_the_excerpt_in_the_right_document(
    path: str, text: str, mrr: float
) -> None:
    assert score([Relevant("a.md", NINE)], [Hit(path, text)]).mrr == mrr


def test_a_short_excerpt_must_be_there_as_it_stands() -> None:
    assert score([Relevant("a.md", "in 1999")], [Hit("a.md", "It was in 1999.")]).mrr == 1.0
    assert score([Relevant("a.md", "in 1999")], [Hit("a.md", "1999 was in.")]).mrr == 0.0


def test_words_returned_are_counted() -> None:
    hits = [FILLER] * 8 + [Hit("a.md", "found here")]
    scores = score([Relevant("a.md")], hits)
    assert (scores.recall_within_800, scores.recall_within_1600) == (0.0, 1.0)


def test_a_whole_document_as_one_hit_is_judged_by_its_beginning() -> None:
    assert score([Relevant("a.md", NINE)], [Hit("a.md", "word " * 1200 + NINE)]).mrr == 0.0


def test_the_mean_is_taken_of_each_figure() -> None:
    best = Scores(1, 1, 1, 1, 1, 1)
    assert mean([best, Scores(0, 0, 0, 0, 0, 0)]) == Scores(0.5, 0.5, 0.5, 0.5, 0.5, 0.5)
    assert mean([]) == Scores(0, 0, 0, 0, 0, 0)
