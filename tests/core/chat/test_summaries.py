"""Summaries of long conversations."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from agentctl.core.chat.sessions import SessionStore
from agentctl.core.config import default_settings
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database
from tests.support.cli import environment, run


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "agentctl")})


@pytest.fixture
def connection(paths: Paths) -> Iterator[sqlite3.Connection]:
    opened = open_database(paths.database)
    yield opened
    opened.close()


@pytest.fixture
def store(connection: sqlite3.Connection) -> SessionStore:
    return SessionStore(connection)


def talk(store: SessionStore, title: str, messages: int, word: str = "word") -> str:
    """The id of a session with so many messages."""
    session = store.create(title, title)
    for n in range(messages):
        store.add_message(session, "assistant" if n % 2 else "user", f"{word} {n}")
    return session


def summarise(paths: Paths, *replies: str | Mapping[str, object]) -> int:
    """By a model that gives these replies."""
    from dataclasses import replace

    script = paths.data / "script.jsonl"
    lines = [json.dumps({"text": each} if isinstance(each, str) else each) for each in replies]
    script.write_text("\n".join(lines))
    settings = replace(default_settings(), model=f"scripted:{script}")

    async def work() -> int:
        workspace = LocalWorkspace(settings, paths, {"OLLAMA_HOST": "127.0.0.1:1"})
        try:
            return await workspace.summarise_sessions()
        finally:
            await workspace.close()

    return asyncio.run(work())


def test_a_long_conversation_gets_a_summary_and_stays_as_it_is(
    paths: Paths, store: SessionStore
) -> None:
    session = talk(store, "long", 41)
    before = store.messages(session), store.find(session).updated

    assert summarise(paths, "They talked\n  about words. ") == 1

    assert store.find(session).summary == "They talked about words."
    assert (store.messages(session), store.find(session).updated) == before


def test_a_short_conversation_gets_none(paths: Paths, store: SessionStore) -> None:
    session = talk(store, "short", 40)

    assert summarise(paths, "Nobody asked.") == 0
    assert store.find(session).summary is None


def test_a_summary_is_written_anew_when_more_was_said(paths: Paths, store: SessionStore) -> None:
    session = talk(store, "long", 42)

    assert summarise(paths, "First.") == 1
    assert summarise(paths, "Nobody asked.") == 0
    store.add_message(session, "user", "and now?")
    assert summarise(paths, "Second.") == 1

    assert store.find(session).summary == "Second."


def test_what_does_not_fit_the_window_is_left_out(paths: Paths, store: SessionStore) -> None:
    session = talk(store, "very long", 60, "word " * 300)

    assert summarise(paths, "Much was said.") == 1
    assert store.find(session).summary == "Much was said."


def test_a_failure_leaves_the_conversation_for_the_next_time(
    paths: Paths, store: SessionStore
) -> None:
    talk(store, "long", 41)
    failure = {"error": {"slug": "backend-failed", "message": "out of memory"}}

    assert summarise(paths, failure) == 0
    assert summarise(paths, "") == 0
    assert summarise(paths, "At last.") == 1


def test_the_command_shows_it(tmp_path: Path, paths: Paths, store: SessionStore) -> None:
    talk(store, "long", 41)
    summarise(paths, "They talked about words.")
    env = environment(tmp_path)

    shown = run("sessions", "show", "long", env=env)
    data = json.loads(run("sessions", "show", "long", "--json", env=env).stdout)["data"]

    assert "in short: They talked about words." in shown.stderr
    assert data["session"]["summary"] == "They talked about words."
