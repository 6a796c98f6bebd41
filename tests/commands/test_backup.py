"""`agentctl backup` and `agentctl restore`, as processes."""

import asyncio
import json
import re
import sys
from pathlib import Path

import pytest

from agentctl.core.automation.watching import WatchRequest
from agentctl.core.file_lock import locked
from agentctl.core.paths import find_paths
from agentctl.daemon.client import daemon_endpoint, remote_workspace
from tests.support.cli import command, environment, run
from tests.support.daemon import running_daemon
from tests.support.daemon_client import eventually
from tests.support.library import data_of, fill_library, stored


def test_a_library_moves_to_another_home(home: Path, tmp_path: Path) -> None:
    env = fill_library(home, tmp_path)
    path = str(tmp_path / "moved.zip")
    other = environment(tmp_path / "other")

    made = data_of("backup", path, env=env)
    back = data_of("restore", path, "--yes", env=other)
    found = data_of("search", "the angle of a star", env=other)

    assert made["counts"] == {"documents": 3, "sessions": 0, "runs": 0, "tasks": 0}
    assert (back["is_restored"], back["present"], back["missing"]) == (True, None, [])
    assert back["counts"] == made["counts"]
    assert stored(other) == stored(env)
    assert found["hits"][0]["path"].endswith("sextant.md")


def test_the_usual_name_has_the_date_and_stands_in_this_folder(home: Path, tmp_path: Path) -> None:
    done = run("backup", env=environment(home), cwd=tmp_path)

    assert done.returncode == 0
    assert re.fullmatch(r"agentctl-backup-\d{4}-\d\d-\d\d\.zip", Path(done.stdout.strip()).name)
    assert Path(done.stdout.strip()).parent == tmp_path


def test_a_second_backup_of_that_name_needs_force(home: Path, tmp_path: Path) -> None:
    env, path = environment(home), str(tmp_path / "a.zip")
    run("backup", path, env=env)

    refused = run("backup", path, env=env)
    forced = run("backup", path, "--force", env=env)

    assert (refused.returncode, forced.returncode) == (2, 0)
    assert "--force" in refused.stderr


def test_a_backup_goes_through_a_pipe(home: Path, tmp_path: Path) -> None:
    import subprocess

    env = environment(home)
    with (tmp_path / "a.zip").open("wb") as file:
        subprocess.run(command("backup", "-"), env=env, stdout=file, check=True)

    checked = run("restore", str(tmp_path / "a.zip"), "--check", env=env)

    assert checked.returncode == 0
    assert checked.stdout == f"{tmp_path / 'a.zip'} is whole\n"


def test_json_and_stdout_exclude_each_other(home: Path) -> None:
    assert run("backup", "-", "--json", env=environment(home)).returncode == 2


def test_restoring_asks_and_without_a_terminal_needs_yes(home: Path, tmp_path: Path) -> None:
    env, path = environment(home), str(tmp_path / "a.zip")
    run("backup", path, env=env)

    done = run("restore", path, env=env)

    assert done.returncode == 2
    assert f"agentctl restore {path} --yes" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX terminal")
@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"y\n", 0)])
def test_on_a_terminal_both_sides_are_shown_first(
    answer: bytes, code: int, home: Path, tmp_path: Path
) -> None:
    from tests.support.terminal import Terminal

    env, path = environment(home), str(tmp_path / "a.zip")
    run("backup", path, env=env)

    with Terminal(command("restore", path), env, columns=120) as terminal:
        terminal.wait_for("Replace what is here by the backup?")
        terminal.type(answer.decode())
        ended = terminal.finish()

    assert ended == code
    assert b"here now:" in terminal.output
    assert b"in the backup:" in terminal.output
    assert b"take only one that you trust" in terminal.output


def test_a_running_daemon_is_named(home: Path, tmp_path: Path) -> None:
    env, path = environment(home), str(tmp_path / "a.zip")
    run("backup", path, env=env)
    paths = find_paths(env)
    paths.state.mkdir(exist_ok=True)

    with locked(paths.daemon_lock, "the daemon"):
        done = run("restore", path, "--yes", "--json", env=env)

    assert done.returncode == 75
    assert json.loads(done.stderr.splitlines()[-1])["error"]["hint"] == "agentctl daemon stop"


def test_what_is_no_backup_ends_with_65(home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("hello")

    done = run("restore", str(tmp_path / "a.zip"), "--check", env=environment(home))

    assert done.returncode == 65
    assert "no backup" in done.stderr


def test_a_backup_is_restored_from_a_pipe(home: Path, tmp_path: Path) -> None:
    env = environment(home)
    run("backup", str(tmp_path / "a.zip"), env=env)
    whole = (tmp_path / "a.zip").read_bytes()

    checked = run("restore", "-", "--check", env=env, stdin=whole)
    asked = run("restore", "-", env=env, stdin=whole)
    restored = run("restore", "-", "--yes", env=env, stdin=whole)

    assert (checked.returncode, checked.stdout) == (0, "stdin is whole\n")
    assert (asked.returncode, "agentctl restore - --yes" in asked.stderr) == (2, True)
    assert (restored.returncode, restored.stdout.partition(" ")[0]) == (0, "restored")


def test_a_backup_that_is_not_there_ends_with_66(home: Path) -> None:
    assert run("restore", "nothing.zip", "--check", env=environment(home)).returncode == 66


def test_settings_that_cannot_be_read_are_replaced(home: Path, tmp_path: Path) -> None:
    env, path = environment(home), str(tmp_path / "a.zip")
    run("config", "set", "model", "auto", env=env)
    run("backup", path, env=env)
    find_paths(env).settings.write_text("this is [no toml")

    done = run("restore", path, "--yes", "--discard-old", env=env)

    assert done.returncode == 0
    assert run("config", "get", "model", env=env).stdout == "auto\n"


def test_a_watched_folder_that_is_not_on_the_new_machine_keeps_its_documents(
    home: Path, tmp_path: Path
) -> None:
    env = fill_library(home, tmp_path)
    notes, path = tmp_path / "notes", str(tmp_path / "a.zip")
    run("ingest", "notes", "--collection", "notes", env=env, cwd=tmp_path)
    with running_daemon(Path(env["AGENTCTL_HOME"])) as address:
        workspace = remote_workspace(daemon_endpoint(address))
        request = WatchRequest(path=str(notes), collection="notes")
        asyncio.run(workspace.watch_folder(request))
    data_of("backup", path, env=env)
    notes.rename(tmp_path / "gone")
    other = environment(tmp_path / "other")

    missing = data_of("restore", path, "--yes", env=other)["missing"]

    assert [line.partition(": ")[0] for line in missing] == [f"watched folder {notes}"]
    before = stored(other)
    with running_daemon(Path(other["AGENTCTL_HOME"])) as address:
        workspace = remote_workspace(daemon_endpoint(address))
        eventually(
            lambda: [each.status for each in asyncio.run(workspace.list_watched())],
            lambda found: found == ["missing"],
        )
        told = [
            each.message
            for each in asyncio.run(workspace.journal("2000"))
            if "gone" in each.message
        ]
    assert stored(other) == before
    assert len(told) == 1
