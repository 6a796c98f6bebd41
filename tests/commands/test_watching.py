"""Folders that the daemon follows, from the command line."""

import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentctl.core.automation.watched_folders import WatchedFolders
from agentctl.core.automation.watching import WatchRequest
from agentctl.core.file_lock import locked
from agentctl.core.paths import find_paths, make_private
from agentctl.core.storage import open_database
from tests.support.cli import command, environment, run
from tests.support.library import data_of, stored, write_notes

on_posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX terminal")


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    """Commands do all the work themselves, whatever runs."""
    return environment(home, AGENTCTL_DAEMON_USE="false")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return write_notes(tmp_path / "notes")


@pytest.fixture
def daemon(env: dict[str, str]) -> Iterator[None]:
    """What tells others that one runs."""
    paths = find_paths(env)
    make_private(paths.state)
    with locked(paths.daemon_lock, "a daemon"):
        yield


def watch(env: dict[str, str], folder: Path, include: tuple[str, ...] = ()) -> None:
    with closing(open_database(find_paths(env).database)) as connection:
        WatchedFolders(connection).add(WatchRequest(path=str(folder), include=include))


@pytest.mark.usefixtures("daemon")
def test_with_a_daemon_a_folder_is_taken_in_and_handed_over(
    env: dict[str, str], notes: Path
) -> None:
    done = run("ingest", "notes", "--watch", "--include", "*.md", env=env, cwd=notes.parent)

    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == (
        "the daemon follows notes/ from now on; stop that: agentctl docs unwatch notes/"
    )
    assert stored(env) == ["lighthouse.md", "sextant.md"]
    [folder] = data_of("docs", "watched", env=env)
    assert (folder["path"], folder["include"]) == (str(notes), ["*.md"])


@on_posix
@pytest.mark.usefixtures("daemon")
def test_a_single_file_is_followed_in_front_all_the_same(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    arguments = command("ingest", str(notes / "sextant.md"), "--watch", "--plain")
    with Terminal(arguments, env, columns=200) as terminal:
        terminal.wait_for("watching for changes; Ctrl+C ends it")
        terminal.type("\x03")
        terminal.wait_for("no longer watching")
        assert terminal.finish() == 130

    assert data_of("docs", "watched", env=env) == []


@on_posix
def test_without_a_daemon_it_says_what_a_daemon_would_do(env: dict[str, str], notes: Path) -> None:
    from tests.support.terminal import Terminal

    with Terminal(command("ingest", str(notes), "--watch"), env, columns=200) as terminal:
        terminal.wait_for("watching for changes; Ctrl+C ends it")
        terminal.wait_for("agentctl daemon start")
        terminal.type("\x03")
        assert terminal.finish() == 130


def test_watched_folders_are_listed_with_what_is_followed(env: dict[str, str], notes: Path) -> None:
    watch(env, notes, include=("*.md", "*.txt"))

    shown = run("docs", "watched", env=env, cwd=notes.parent)

    assert shown.returncode == 0
    assert [*shown.stdout.split("\t")[:4]] == ["notes", "default", "idle", "*.md *.txt"]
    assert "agentctl daemon start" in shown.stderr


def test_no_watched_folders_say_how_to_add_one(env: dict[str, str]) -> None:
    shown = run("docs", "watched", env=env)

    assert (shown.returncode, shown.stdout) == (0, "")
    assert "agentctl ingest FOLDER --watch" in shown.stderr


def test_a_folder_that_is_unwatched_keeps_its_documents(env: dict[str, str], notes: Path) -> None:
    run("ingest", str(notes), env=env)
    watch(env, notes)

    done = run("docs", "unwatch", "notes/", env=env, cwd=notes.parent)

    assert done.returncode == 0
    assert done.stderr == "notes is no longer followed; its documents stay\n"
    assert data_of("docs", "watched", env=env) == []
    assert stored(env) == ["lighthouse.md", "sextant.md"]


def test_unwatching_what_is_not_watched_says_where_to_look(
    env: dict[str, str], notes: Path
) -> None:
    done = run("docs", "unwatch", str(notes), "--json", env=env)

    assert done.returncode == 1
    assert json.loads(done.stderr)["error"]["hint"] == "agentctl docs watched"
