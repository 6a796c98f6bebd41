"""Queries: any string may be typed, and what stands in a name can be found by its words."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.knowledge.query import (
    WEIGHTS,
    contextual_query,
    identifiers,
    match_expression,
    search_words,
    title_words,
)


def table(*rows: tuple[str, str, str]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE t USING fts5(title, text, identifiers, tokenize='porter unicode61')"
    )
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    return connection


def found(connection: sqlite3.Connection, query: str) -> list[str]:
    expression = match_expression(query)
    if not expression:
        return []
    weights = ", ".join(map(str, WEIGHTS))
    rows = connection.execute(
        f"SELECT text FROM t WHERE t MATCH ? ORDER BY bm25(t, {weights}), rowid",  # noqa: S608 - of ours
        (expression,),
    )
    return [row[0] for row in rows]


SYNTAX = st.sampled_from(
    ['"', "'", "*", "^", ":", "(", ")", "-", "+", "{", "}", "AND", "OR", "NOT", "NEAR", "title",
     "text", "\0", "\ud800", " ", "word", "C++", "what's", "node.js", "é", "好", "_"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(SYNTAX).map("".join), st.lists(SYNTAX).map(" ".join)))
def test_any_string_is_a_query(query: str) -> None:
    found(table(("title", "some text", "")), query)


@given(st.sampled_from(["title", "text", "identifiers"]), st.sampled_from([": ", " : ", ":"]))
def test_no_query_names_a_column(column: str, colon: str) -> None:
    rows = table(("apple", "pear", ""), ("", "apple", ""))
    assert sorted(found(rows, f"{column}{colon}apple")) == ["apple", "pear"]


@pytest.mark.parametrize("query", ["", "   ", "?!", '"', "\0", "\ud800", "_"])
def test_without_a_word_nothing_is_searched(query: str) -> None:
    assert match_expression(query) == ""


def test_any_of_the_words_is_enough_and_more_are_better() -> None:
    rows = table(("", "red", ""), ("", "red apples", ""), ("", "blue", ""))
    assert found(rows, "Where are the red apples?") == ["red apples", "red"]


def test_common_words_count_only_when_there_are_no_others() -> None:
    rows = table(("", "to be or not to be", ""), ("", "the question", ""))
    assert found(rows, "what is the question") == ["the question"]
    assert found(rows, "to be or not to be") == ["to be or not to be"]


def test_words_that_stand_together_in_the_query_are_better_together() -> None:
    rows = table(("", "house that is quite white", ""), ("", "that quite is white house", ""))
    assert found(rows, "white house")[0] == "that quite is white house"


def test_what_is_looked_for_is_each_word_once_with_the_words_within_names() -> None:
    assert search_words("Where does readFile read the file? read it") == [
        "readFile", "read", "file"
    ]  # fmt: skip
    assert search_words("to be or not to be") == ["to", "be", "or", "not"]
    assert search_words("?!") == []


def test_a_pasted_page_is_a_query_of_reasonable_length() -> None:
    assert len(match_expression("word after word " * 10_000)) < 10_000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("readSettingsFile()", "read settings file"),
        ("class HTTPServer2(Base):", "http server 2"),
        ("parse_HTMLPage, parse_htmlPage", "html page"),
        ("utf8 and plain words", "utf 8"),
        ("größteZahl", "größte zahl"),
        ("NAME Name name snake_case", ""),
    ],
)
def test_names_are_split_into_their_words(text: str, words: str) -> None:
    assert identifiers(text) == words


@pytest.mark.parametrize("query", ["read settings", "readSettings", "read_settings"])
def test_a_name_is_found_by_its_words_and_by_itself(query: str) -> None:
    text = "def readSettings(): ..."
    assert found(table(("", text, identifiers(text)), ("", "other", "")), query) == [text]


def test_where_a_chunk_stands_is_found_by_words() -> None:
    words = title_words("User guide", "/docs/userGuide_v2.md", "Setup > On Windows")
    assert words == "User guide docs userGuide v2 md Setup On Windows user v 2"
    assert found(table((words, "text", "")), "windows setup") == ["text"]


@pytest.mark.parametrize(
    "question",
    [
        "When was the Eiffel Tower built?",
        "docker",
        "Why does Redis keep its data in memory?",
        "Is it possible to add styles to console messages?",
        "how to configure the disk cache of a server so that it expires",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert contextual_query(question, ["Who was Nikola Tesla?"]) == question


@pytest.mark.parametrize(
    "question",
    ["and when was it built?", "What about Paris?", "Who designed it?", "why?", "Its height"],
)
def test_a_follow_up_takes_the_names_of_the_question_it_follows(question: str) -> None:
    previous = ["Is docker fast?", "Where is the Eiffel Tower?", "and how tall is it?"]
    assert contextual_query(question, previous) == f"Eiffel Tower {question}"


def test_a_follow_up_takes_the_words_of_a_question_without_names() -> None:
    assert contextual_query("how large is it?", ["what is the cache for?"]) == (
        "cache how large is it?"
    )


def test_a_follow_up_to_nothing_is_left_alone() -> None:
    assert contextual_query("and when was it built?", []) == "and when was it built?"


@given(st.text(), st.lists(st.text()))
def test_any_conversation_gives_a_query_that_ends_with_the_question(
    question: str, previous: list[str]
) -> None:
    assert contextual_query(question, previous).strip().endswith(question.strip())
