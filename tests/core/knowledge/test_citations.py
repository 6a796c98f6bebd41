"""Citations are counted, invented ones removed, and nothing else is touched."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.citations import (
    CitationFilter,
    cited_sources,
    listed,
    location,
    sources_heading,
)
from agentctl.core.sources import Source

PIECES = [
    *("[1]", "[2]", "[9]", "[1, 9]", "[1-9]", "[ 7 ;8]", "[0, 2]", "[2019]", "[^1]", "[x]"),
    *("[9](http://x)", "[^9]", "[Source 9]", "\u30109\u3011", "\u30101\u2020a\u3011", "a_b", ":"),
    *("[", "]", "(", "`", "``", "```", "~~~", "\n", " ", "word", "é", "-", ",", "1", "\\", "\r"),
]
ANSWERS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(max_size=40)


def filtered(text: str, count: int = 3) -> str:
    citations = CitationFilter(count)
    return citations.feed(text) + citations.end()


def source(n: int, **changes: object) -> Source:
    values: dict[str, object] = {
        "n": n,
        "score": 1.0,
        "path": "/notes.md",
        "title": "Notes",
        "collection": "default",
        "page": None,
        "line_start": None,
        "line_end": None,
        "text": "text",
        "chunk_id": n,
        "document_id": 1,
    }
    return Source(**(values | changes))  # type: ignore[arg-type]  # a table of values


@pytest.mark.parametrize(
    ("answer", "shown", "cited", "invented"),
    [
        ("Ships [1] sail [3].", "Ships [1] sail [3].", {1, 3}, set()),
        ("Ships [9].", "Ships.", set(), {9}),
        ("Both [1][2], none [4][5].", "Both [1][2], none.", {1, 2}, {4, 5}),
        ("Lists [1, 2; 9].", "Lists [1, 2].", {1, 2}, {9}),
        ("Ranges [2-5], [1\u20132].", "Ranges [2-3], [1\u20132].", {1, 2, 3}, {4, 5}),
        ("für Schiffe[4] 船[4]", "für Schiffe 船", set(), {4}),
        ("Namibia[9]. In 1990[9][2].", "Namibia. In 1990[2].", {2}, {9}),
        ("Namibia (a country)[9], don't[9].", "Namibia (a country), don't.", set(), {9}),
        ("**bold**[9] and `code`[9]", "**bold** and `code`", set(), {9}),
        ("Nothing [0] [00], [01].", "Nothing, [01].", {1}, {0}),
        (
            "As \u30109\u3011 and \u30102\u2020notes.md\u3011",
            "As and \u30102\u2020notes.md\u3011",
            {2},
            {9},
        ),
        ("A footnote[^9], [^1].", "A footnote, [^1].", {1}, {9}),
        ("[Source 9] [source 2] [Sources 1, 9]", " [source 2] [1]", {1, 2}, {9}),
        ("a link [9](https://example.org), [1](notes.md)", "a link, [1](notes.md)", {1}, {9}),
        ("[4] begins", " begins", set(), {4}),
        ("[ 2 ] has spaces", "[ 2 ] has spaces", {2}, set()),
    ],
)
def test_given_citations_stay_and_invented_ones_go(
    answer: str, shown: str, cited: set[int], invented: set[int]
) -> None:
    citations = CitationFilter(3)

    assert citations.feed(answer) + citations.end() == shown
    assert (citations.cited, citations.invented) == (cited, invented)


@pytest.mark.parametrize(
    "text",
    [
        "a[9] = b[8][9]",
        "my_list[9], os.environ[9], vec::data[9], p->items[9], f(x)[9], $words[9], \\[9]",
        "[9](not an address), [another][9]",
        "[9]: https://example.org\n[^9]: a footnote\n> [9]: quoted",
        "between [0, 9], in [2019], [x] done, [9 to 12], [9",
        "`x = [9]` and ``[9] ` [9]``",
        "```python\nx = [9]\n```py\n[9]\n```\n",
        "1. ~~~\n   [9]\n   ```\n   [9]\n   ~~~\n",
        "> ````\n> [9]\n> ```\n> [9]\n> ````\n",
        "[[9]9]",
    ],
)
def test_what_may_be_something_else_is_not_touched(text: str) -> None:
    assert filtered(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("```\ncode\n```\nprose [9]", "```\ncode\n```\nprose"),
        ("a stray ` in one line\nprose [9]", "a stray ` in one line\nprose"),
        ("`code` [9] and ```code``` [9]", "`code` and ```code```"),
        ("~~wrong [9]~~", "~~wrong~~"),
    ],
)
def test_prose_begins_again_where_code_ends(text: str, shown: str) -> None:
    assert filtered(text) == shown


def test_text_is_passed_on_but_for_what_may_become_a_citation() -> None:
    citations = CitationFilter(3)

    assert [citations.feed(piece) for piece in ("The ship", " [", "1", ", 2", "]", ".")] == [
        "The ship",
        "",
        "",
        "",
        "",
        " [1, 2].",
    ]


def test_a_cited_index_counts_though_it_may_be_one() -> None:
    answer = "It sank in 1912[2]."
    sources = [source(1), source(2)]

    assert cited_sources(answer, sources) == (sources[1],)
    assert cited_sources("It sank.", sources) == tuple(sources)


@given(ANSWERS, st.data())
def test_where_the_answer_is_cut_makes_no_difference(answer: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
    citations = CitationFilter(3)
    pieces = [answer[a:b] for a, b in zip([0, *cuts], [*cuts, len(answer)], strict=True)]

    assert "".join(map(citations.feed, pieces)) + citations.end() == filtered(answer)


@given(ANSWERS)
def test_nothing_but_invented_citations_is_lost(answer: str) -> None:
    whole = CitationFilter(3)
    shown = whole.feed(answer) + whole.end()

    assert filtered(answer, 999) == answer == filtered(answer, 0)
    if not whole.invented:
        assert shown == answer
    bare = re.compile(r"\(http://x\)|Source|[\d\s\[\],;^\u3010\u3011\u2020-]")
    assert bare.sub("", shown) == bare.sub("", answer)


@given(st.lists(st.sampled_from([p for p in PIECES if p[0] not in "`~"]), max_size=30))
def test_removing_makes_no_new_citation(pieces: list[str]) -> None:
    shown = filtered("".join(pieces))
    again = CitationFilter(3)

    assert again.feed(shown) + again.end() == shown
    assert again.invented == set()


def test_a_warning_names_ranges_and_not_too_many() -> None:
    citations = CitationFilter(3)
    citations.feed("[1-99] ")

    assert listed(citations.invented) == "[4-99]"
    assert listed({9, 4, 5, 6}) == "[4-6][9]"
    assert listed(range(1, 40, 2)) == "[1][3][5][7][9] …"


def test_an_answer_that_cites_nothing_is_known() -> None:
    sources = [source(2), source(3)]

    assert "not cited" in sources_heading("It sank [1].", sources)
    assert sources_heading("It sank\u30103\u3011.", sources) == ""
    assert sources_heading("It sank.", []) == ""


def test_a_location_names_the_line_or_the_page() -> None:
    assert location(source(1, line_start=3, line_end=9)) == "/notes.md:3"
    assert location(source(1, path="/book.pdf", page=4)) == "/book.pdf (page 4)"
    assert location(source(1), "notes.md") == "notes.md"
