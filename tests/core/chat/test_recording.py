"""The stored side of an answer, while another process writes to the database."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.core.backends.base import TextDelta
from agentctl.core.backends.registry import Opened
from agentctl.core.backends.scripted import ScriptedModel
from agentctl.core.chat.conversation import Conversation
from agentctl.core.chat.recording import LONGEST_PAUSE_S, Recording
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.errors import BackendBusy
from agentctl.core.storage import BUSY_TIMEOUT_S, open_database

ASKED = Conversation(
    session=None,
    name=None,
    past=(),
    past_prompts=(),
    system="be brief",
    prompt="count",
    attachments=(),
)
OPENED = Opened(ScriptedModel(()), "m", "b")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SessionStore]:
    connection = open_database(tmp_path / "test.db")
    yield SessionStore(connection)
    connection.close()


class Other:
    """Another process that writes, until this one has slept `pauses` times."""

    def __init__(self, path: Path) -> None:
        self.slept: list[float] = []
        self._connection = open_database(path)
        self._pauses = 0

    def write(self, pauses: int) -> None:
        self.slept.clear()
        self._pauses = pauses
        self._connection.execute("BEGIN IMMEDIATE")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self._pauses:
            self._connection.commit()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def other(store: SessionStore, tmp_path: Path) -> Iterator[Other]:
    opened = Other(tmp_path / "test.db")
    yield opened
    opened.close()


def test_every_step_waits_for_its_turn(store: SessionStore, other: Other) -> None:
    recording = Recording(lambda: store, other.sleep)

    async def record() -> str | None:
        other.write(pauses=3)
        session = await recording.begin(ASKED, OPENED)
        assert len(other.slept) == 3
        other.write(pauses=2)
        assert await recording.append(TextDelta("one ")) is None
        assert await recording.append(TextDelta("two")) is None
        assert len(other.slept) == 2
        other.write(pauses=4)
        assert await recording.finish("done") is None
        assert len(other.slept) == 4
        return session

    session = asyncio.run(record())

    messages = store.messages(session or "")
    assert [(message.role, message.content) for message in messages] == [
        ("system", "be brief"),
        ("user", "count"),
        ("assistant", "one two"),
    ]
    assert messages[-1].status == "done"


def test_a_database_that_stays_locked_is_told_once(store: SessionStore, other: Other) -> None:
    recording = Recording(lambda: store, other.sleep)
    asyncio.run(recording.begin(ASKED, OPENED))
    other.write(pauses=-1)

    problem = asyncio.run(recording.append(TextDelta("one")))

    assert isinstance(problem, BackendBusy)
    assert BUSY_TIMEOUT_S <= sum(other.slept) < BUSY_TIMEOUT_S + LONGEST_PAUSE_S
    other.slept.clear()
    assert asyncio.run(recording.append(TextDelta(" two"))) is None
    assert (other.slept, recording.text) == ([], "one two")


def test_a_piece_whose_storing_was_cancelled_has_not_arrived(
    store: SessionStore, other: Other
) -> None:
    async def cancelled(_: float) -> None:
        await other.sleep(0)
        raise asyncio.CancelledError

    recording = Recording(lambda: store, cancelled)
    session = asyncio.run(recording.begin(ASKED, OPENED))
    asyncio.run(recording.append(TextDelta("one ")))

    other.write(pauses=1)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(recording.append(TextDelta("two")))
    assert asyncio.run(recording.finish("cancelled")) is None

    stored = store.messages(session or "")[-1]
    assert (stored.content, stored.status) == (recording.text, "cancelled") == ("one ", "cancelled")


def test_only_what_is_written_at_once_is_impatient(store: SessionStore, tmp_path: Path) -> None:
    other = open_database(tmp_path / "test.db")
    patience = _patience(store._connection)
    other.execute("BEGIN IMMEDIATE")

    for _ in range(3):
        with pytest.raises(BackendBusy), store.at_once():
            assert _patience(store._connection) == 0
            store.create("t")

    assert _patience(store._connection) == patience == BUSY_TIMEOUT_S * 1000
    other.close()


def _patience(connection: sqlite3.Connection) -> int:
    """Milliseconds that it waits for a lock."""
    return int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
