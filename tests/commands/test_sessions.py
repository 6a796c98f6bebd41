"""`agentctl sessions`: what was said is listed, found, shown, exported, removed and forked."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agentctl.core.chat.sessions import SessionStore
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from tests.support.cli import command, environment, run, with_ollama
from tests.support.ollama_server import ScriptedOllama

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """Two sessions: one of two answers named `ships`, then one whose answer failed."""
    env = environment(home)
    connection = open_database(find_paths(env).database)
    store = SessionStore(connection)
    ships = store.create("How do ships navigate?", "ships")
    say(store, ships, "How do ships navigate?", "By stars.")
    say(store, ships, "How exactly?", "With a sextant.")
    say(store, store.create("What is a lighthouse?"), "What is a lighthouse?", "Half", "it broke")
    connection.close()
    return env


def say(
    store: SessionStore, session: str, question: str, answer: str, error: str | None = None
) -> None:
    store.add_message(session, "user", question)
    message = store.begin_answer(session, "scripted:1b", "ollama")
    store.finish_answer(message, answer, "", "failed" if error else "done", None, error)


def data_of(*arguments: str, env: dict[str, str]) -> Any:  # Any: JSON
    done = run(*arguments, "--json", env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def names(env: dict[str, str]) -> list[str | None]:
    return [session["name"] for session in data_of("sessions", "list", env=env)]


def test_the_latest_session_is_listed_first(env: dict[str, str]) -> None:
    listed = data_of("sessions", "list", env=env)

    assert [(one["name"], one["title"], one["messages"]) for one in listed] == [
        (None, "What is a lighthouse?", 2),
        ("ships", "How do ships navigate?", 4),
    ]
    assert len(data_of("sessions", "list", "-n", "1", env=env)) == 1


def test_a_list_in_a_pipe_has_a_line_a_session(env: dict[str, str]) -> None:
    done = run("sessions", "list", env=env)

    fields = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(each[1], each[2], each[3]) for each in fields] == [
        ("", "2", "scripted:1b"),
        ("ships", "4", "scripted:1b"),
    ]


def test_without_sessions_the_way_to_the_first_is_told(home: Path) -> None:
    done = run("sessions", "list", env=environment(home))

    assert (done.returncode, done.stdout) == (0, "")
    assert 'agentctl ask "your question"' in done.stderr


def test_a_session_is_shown_with_all_that_was_said(env: dict[str, str]) -> None:
    done = run("sessions", "show", "ships", env=env)

    said = [line for line in done.stdout.splitlines() if line and not line.startswith("[")]
    assert said == ["How do ships navigate?", "By stars.", "How exactly?", "With a sextant."]


def test_an_answer_that_failed_is_shown_with_its_reason(env: dict[str, str]) -> None:
    shown = data_of("sessions", "show", env=env)
    done = run("sessions", "show", env=env)

    answer = shown["messages"][-1]
    assert (answer["content"], answer["status"]) == ("Half", "failed")
    assert "(failed)" in done.stdout
    assert "it broke" in done.stderr


def test_attachments_are_kept_by_name(home: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("remember the milk")
    with ScriptedOllama() as server:
        env = with_ollama(home, server)
        run("ask", "-f", str(tmp_path / "notes.txt"), "what?", env=env)
        question = data_of("sessions", "show", env=env)["messages"][0]
        shown = run("sessions", "show", env=env).stdout

    assert question["attachments"] == [
        {
            "name": str(tmp_path / "notes.txt"),
            "media_type": "text/plain",
            "text": "remember the milk",
            "bytes": 17,
        }
    ]
    assert f"  + {tmp_path / 'notes.txt'} (text/plain)" in shown


@pytest.mark.parametrize("query", ["navigating ship", "SHIP"])
def test_messages_are_found_by_their_words(query: str, env: dict[str, str]) -> None:
    found = data_of("sessions", "search", query, env=env)

    assert [(match["name"], match["role"]) for match in found] == [("ships", "user")]
    assert "**ships**" in found[0]["excerpt"]


def test_a_search_may_find_nothing(env: dict[str, str]) -> None:
    done = run("sessions", "search", 'no "such AND* words', env=env)

    assert (done.returncode, done.stdout) == (0, "")
    assert "no message holds all of" in done.stderr


def test_a_session_is_exported_as_markdown_or_json(env: dict[str, str]) -> None:
    markdown = run("sessions", "export", "ships", env=env).stdout
    document = json.loads(run("sessions", "export", "ships", "--format", "json", env=env).stdout)

    assert markdown.startswith("# How do ships navigate?\n")
    assert "## scripted:1b\n\nBy stars.\n" in markdown
    assert document == data_of("sessions", "show", "ships", env=env)
    assert document == data_of("sessions", "export", "ships", env=env)


def test_an_unknown_format_is_wrong_usage(env: dict[str, str]) -> None:
    done = run("sessions", "export", "--format", "pdf", env=env)

    assert done.returncode == 2
    assert "--format md, or --format json" in done.stderr


def test_a_fork_goes_its_own_way(env: dict[str, str]) -> None:
    first_answer = data_of("sessions", "show", "ships", env=env)["messages"][1]["id"]
    forked = run("sessions", "fork", "ships", "--name", "again", "--at", str(first_answer), env=env)

    copy = data_of("sessions", "show", "again", env=env)
    assert forked.stdout == f"{copy['session']['id']}\n"
    assert "agentctl ask -s again" in forked.stderr
    assert [message["content"] for message in copy["messages"]] == [
        "How do ships navigate?",
        "By stars.",
    ]
    assert len(data_of("sessions", "show", "ships", env=env)["messages"]) == 4


@pytest.mark.parametrize("name", ["ships", "latest", " "])
def test_a_fork_needs_a_name_of_its_own(name: str, env: dict[str, str]) -> None:
    done = run("sessions", "fork", "ships", "--name", name, env=env)

    assert done.returncode == 2
    assert len(names(env)) == 2


def test_a_removal_without_a_terminal_needs_yes(env: dict[str, str]) -> None:
    refused = run("sessions", "remove", "ships", env=env)
    assert (refused.returncode, len(names(env))) == (2, 2)
    assert "add --yes" in refused.stderr

    removed = data_of("sessions", "remove", "ships", "--yes", env=env)
    assert (removed["name"], removed["messages"]) == ("ships", 4)
    assert names(env) == [None]


@on_posix
@pytest.mark.parametrize(("answer", "left", "code"), [("y", 1, 0), ("n", 2, 1)])
def test_on_a_terminal_a_removal_asks_first(
    answer: str, left: int, code: int, env: dict[str, str]
) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("sessions", "remove", "ships"), env) as terminal:
        terminal.wait_for("Remove 'How do ships navigate?' (4 messages)?")
        terminal.type(f"{answer}\n")
        assert terminal.finish() == code
    assert len(names(env)) == left


def test_an_unknown_session_is_not_found(env: dict[str, str]) -> None:
    done = run("sessions", "show", "nothing", env=env)

    assert done.returncode == 1
    assert done.stderr == "error: no session nothing\n  try: agentctl sessions list\n"
