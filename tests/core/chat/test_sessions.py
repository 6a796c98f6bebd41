"""Saved conversations."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.backends.base import Image
from agentctl.core.chat.attachments import Attachment
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.errors import NotFound, StorageError, UsageProblem
from agentctl.core.storage import open_database


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(tmp_path / "data" / "test.db")
    yield opened
    opened.close()


@pytest.fixture
def store(connection: sqlite3.Connection) -> SessionStore:
    return SessionStore(connection)


def answered(store: SessionStore, session: str, question: str, answer: str) -> int:
    store.add_message(session, "user", question)
    key = store.begin_answer(session, "m", "scripted")
    store.finish_answer(key, answer, "", "done")
    return key.message


def test_a_session_is_found_by_name_id_beginning_or_as_the_latest(store: SessionStore) -> None:
    first = store.create("first", "notes")
    second = store.create("second")
    store.add_message(second, "user", "hi")

    assert store.find("notes").id == first
    assert store.find(first).id == first
    assert store.find(second[:6]).id == second
    assert store.find("latest").id == second


@pytest.mark.parametrize("reference", ["nothing", "", "*", "' OR 1=1 --"])
def test_an_unknown_session_is_said_so(store: SessionStore, reference: str) -> None:
    store.create("one")
    store.create("two")
    with pytest.raises(NotFound):
        store.find(reference)


def test_a_name_is_given_once(store: SessionStore) -> None:
    store.create("one", "notes")
    with pytest.raises(UsageProblem, match="notes"):
        store.create("two", "notes")


def test_messages_come_back_with_their_attachments(store: SessionStore) -> None:
    session = store.create("t")
    attachments = (
        Attachment("a.txt", "text/plain", "text"),
        Attachment("b.png", "image/png", image=Image("image/png", b"\x89PNG")),
    )
    store.add_message(session, "user", "look", attachments)

    assert store.messages(session)[0].attachments == attachments


def test_pieces_are_there_before_the_answer_is_finished(
    store: SessionStore, connection: sqlite3.Connection
) -> None:
    session = store.create("t")
    answer = store.begin_answer(session, "m", "b")
    store.append(answer, "hm", thinking=True)
    store.append(answer, "Hello ")
    store.append(answer, "there")

    arrived = store.messages(session)[0]

    assert (arrived.content, arrived.thinking, arrived.status) == ("Hello there", "hm", "partial")


def test_the_next_answer_makes_an_unfinished_one_searchable(store: SessionStore) -> None:
    session = store.create("t")
    store.append(store.begin_answer(session, "m", "b"), "lighthouse")
    store.begin_answer(session, "m", "b")

    assert [match.role for match in store.search("lighthouse")] == ["assistant"]
    assert store.messages(session)[0].content == "lighthouse"


def test_settling_an_answer_that_still_arrives_does_no_harm(store: SessionStore) -> None:
    session = store.create("t")
    answer = store.begin_answer(session, "m", "b")
    store.append(answer, "one ")
    store.search("anything")
    store.append(answer, "two")
    assert store.messages(session)[0].content == "one two"

    store.finish_answer(answer, "one two", "", "done")

    assert store.messages(session)[0].content == "one two"


def test_search_finds_words_by_their_stem(store: SessionStore) -> None:
    session = store.create("t")
    answered(store, session, "How do ships navigate?", "By stars.")

    match = store.search("ship navigating")[0]

    assert match.session == session
    assert "**ships**" in match.excerpt


@given(st.text())
def test_any_string_is_a_legal_query(query: str) -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    # A database of its own for each example would be slow: one is enough to parse queries.
    assert isinstance(_SHARED.search(query), list)


def test_a_fork_is_a_whole_copy_that_goes_its_own_way(store: SessionStore) -> None:
    session = store.create("t", "original")
    first = answered(store, session, "one?", "1")
    answered(store, session, "two?", "2")

    copy = store.fork("original", "copy", last_message=first)
    store.add_message(copy, "user", "three?")

    assert [m.content for m in store.messages(copy)] == ["one?", "1", "three?"]
    assert [m.content for m in store.messages(session)] == ["one?", "1", "two?", "2"]
    assert store.find("copy").parent == session


def test_a_fork_that_fails_leaves_nothing(store: SessionStore) -> None:
    session = store.create("t", "original")
    answered(store, session, "one?", "1")
    with pytest.raises(UsageProblem):
        store.fork("original", "original")

    assert len(store.recent()) == 1


def test_a_removed_session_is_gone_for_search_too(store: SessionStore) -> None:
    session = store.create("t")
    answered(store, session, "secret?", "yes")
    store.remove(session)

    assert store.recent() == []
    assert store.search("secret") == []


def test_an_answer_whose_session_was_removed_does_not_get_into_another(
    store: SessionStore,
) -> None:
    gone = store.begin_answer(store.create("gone"), "m", "b")
    store.append(gone, "one ")
    store.remove(gone.session)
    kept = store.begin_answer(store.create("kept"), "m", "b")
    assert kept.message == gone.message
    store.append(kept, "mine")

    with pytest.raises(NotFound, match="removed"):
        store.append(gone, "two")
    store.finish_answer(gone, "one two", "", "done")

    assert [(m.content, m.status) for m in store.messages(kept.session)] == [("mine", "partial")]
    store.finish_answer(kept, "mine", "", "done")
    assert [(m.content, m.status) for m in store.messages(kept.session)] == [("mine", "done")]


def test_a_full_disk_loses_no_stored_message(
    store: SessionStore, connection: sqlite3.Connection
) -> None:
    session = store.create("t")
    answered(store, session, "kept?", "kept")
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StorageError, match="no space"):
        store.add_message(session, "user", "x" * 1_000_000)

    assert [m.content for m in store.messages(session)] == ["kept?", "kept"]
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _shared_store() -> SessionStore:
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="agentctl-test-"))
    store = SessionStore(open_database(folder / "test.db"))
    answered(store, store.create("t"), "one", "two")
    return store


_SHARED = _shared_store()
