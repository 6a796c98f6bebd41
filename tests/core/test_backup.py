"""Backing up while everything runs."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from zipfile import ZipFile

import pytest

from agentctl.core.backup import BackupRequest, BackupStep, back_up
from agentctl.core.errors import InputMissing, StorageError, UsageProblem
from agentctl.core.restore import look_into
from agentctl.core.storage import open_database
from tests.support.backups import MOMENT, backed_up, filled, make_home, silent, write
from tests.support.systems import SYSTEMS, System, paths_on

# Rows that make more than one step of the copying.
ROWS = 5_000
# Commits rows one by one for ever, and says once that so many are there for certain.
WRITER = """
import itertools, sys
from pathlib import Path
from agentctl.core.storage import open_database
connection = open_database(Path(sys.argv[1]))
for number in itertools.count(1):
    connection.execute(
        "INSERT INTO sessions (id, title, created, updated) VALUES (?, ?, '', '')",
        (f"n{number}", "x" * 2000),
    )
    if number == int(sys.argv[2]):
        print("written", flush=True)
"""


def members(path: Path) -> set[str]:
    with ZipFile(path) as archive:
        return set(archive.namelist())


def test_a_backup_holds_what_is_the_users_own_and_nothing_else(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    write(paths.models / "small.gguf", "weights")
    write(paths.runs / "abc.lock", "")

    path = backed_up(paths, tmp_path / "backup.zip")

    assert members(path) == {
        "manifest.json",
        "data/agentctl.db",
        "data/runs/mine/chart.csv",
        "state/last-report",
        "config/config.toml",
        "config/permissions.toml",
        "config/mcp.toml",
        "config/agents/mine.toml",
        "config/templates/mine.toml",
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_backup_holds_the_same_on_every_system(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = make_home(tmp_path / "home", "mine")
    paths = filled(paths_on(system, tmp_path, monkeypatch), "mine")
    write(paths.models / "small.gguf", "weights")

    found = members(backed_up(paths, tmp_path / "backup.zip"))

    assert found == members(backed_up(elsewhere, tmp_path / "other.zip"))


def test_models_come_along_when_they_are_wanted(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    write(paths.models / "small.gguf", "weights")
    write(paths.models / "half.gguf.part", "weig")

    report = back_up(BackupRequest(path=str(tmp_path / "backup.zip"), models=True), paths, silent)

    assert report.models == ("small.gguf",)
    assert "data/models/small.gguf" in members(tmp_path / "backup.zip")


def test_the_manifest_says_what_is_inside(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")

    manifest = look_into(backed_up(paths, tmp_path / "backup.zip"))

    assert manifest.created == "2026-03-01T12:00:00Z"
    assert (manifest.counts.sessions, manifest.counts.documents) == (1, 0)
    assert manifest.folders.data == str(paths.data)
    assert all(re.fullmatch("[0-9a-f]{64}", member.sha256) for member in manifest.members)


def test_only_its_owner_may_read_a_backup(tmp_path: Path) -> None:
    path = backed_up(make_home(tmp_path / "home", "mine"), tmp_path / "backup.zip")

    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def numbers(database: Path) -> list[int]:
    """Of the writer's rows."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT substr(id, 2) FROM sessions WHERE id GLOB 'n*'")
        return sorted(int(number) for (number,) in found)


def test_what_was_committed_before_is_inside_while_a_writer_goes_on(tmp_path: Path) -> None:
    paths, copied = make_home(tmp_path / "home", "mine"), list[int]()

    def note(step: BackupStep) -> None:
        if step.stage == "database":
            copied.append(step.done)
            # Copying never begins anew, however much is written.
            assert copied == sorted(set(copied))

    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(paths.database), str(ROWS)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            back_up(BackupRequest(path=str(tmp_path / "backup.zip")), paths, note)
            assert writer.poll() is None
        finally:
            writer.kill()

    with ZipFile(tmp_path / "backup.zip") as archive:
        archive.extract("data/agentctl.db", tmp_path)
    kept = numbers(tmp_path / "data" / "agentctl.db")
    assert len(kept) >= ROWS
    assert kept == [*range(1, len(kept) + 1)]
    assert len(numbers(paths.database)) > len(kept)
    assert len(copied) > 2


def test_a_file_that_is_there_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    write(tmp_path / "backup.zip", "something else")

    with pytest.raises(UsageProblem, match="there already"):
        backed_up(paths, tmp_path / "backup.zip")
    assert (tmp_path / "backup.zip").read_text() == "something else"
    backed_up(paths, tmp_path / "backup.zip", replaces=True)
    assert look_into(tmp_path / "backup.zip").counts.sessions == 1


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")

    with pytest.raises(InputMissing, match="cannot be written") as raised:
        backed_up(paths, tmp_path / "nowhere" / "backup.zip")

    assert raised.value.hint == f"mkdir -p {tmp_path / 'nowhere'}"


def test_a_backup_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    folder = tmp_path / "backups"
    folder.mkdir()

    for stage in ("database", "packing", "checking"):

        def leave(step: BackupStep, at: str = stage) -> None:
            if step.stage == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            back_up(BackupRequest(path=str(folder / "backup.zip")), paths, leave)
        assert list(folder.iterdir()) == []


def test_a_damaged_database_makes_no_backup(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    with closing(open_database(paths.database)) as connection:
        root = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'idx_sessions_updated'"
        ).fetchone()[0]
        page = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with paths.database.open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)

    with pytest.raises(StorageError):
        backed_up(paths, tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


def test_a_file_that_goes_once_it_is_listed_is_left_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = make_home(tmp_path / "home", "mine")
    may = os.access

    def may_and_goes(path: Path, mode: int) -> bool:
        allowed = may(path, mode)
        if path == paths.last_report:
            path.unlink()
        return allowed

    monkeypatch.setattr(os, "access", may_and_goes)

    assert "state/last-report" not in members(backed_up(paths, tmp_path / "backup.zip"))


@pytest.mark.skipif(sys.platform != "linux", reason="has a file that can be opened but not read")
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    (paths.config / "broken.toml").symlink_to("/proc/self/mem")

    with pytest.raises(InputMissing, match=r"broken\.toml cannot be read"):
        backed_up(paths, tmp_path / "backup.zip")
    assert not (tmp_path / "backup.zip").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="such names are none there")
def test_what_no_backup_can_hold_is_named_and_left_out(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    write(paths.runs / "mine" / "a:b.txt", "odd")
    os.mkfifo(paths.runs / "mine" / "pipe")
    (paths.runs / "mine" / "everything").symlink_to("/")

    report = back_up(
        BackupRequest(path=str(tmp_path / "backup.zip")), paths, silent, now=lambda: MOMENT
    )

    assert report.left_out == (str(paths.runs / "mine" / "a:b.txt"),)
    assert report.members == 8


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_settings_that_are_links_come_along_even_when_they_go_in_circles(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "mine")
    write(tmp_path / "dotfiles" / "one.toml", 'kind = "graph"\n')
    (paths.config / "linked").symlink_to(tmp_path / "dotfiles")
    (tmp_path / "dotfiles" / "again").symlink_to(paths.config)

    path = backed_up(paths, tmp_path / "backup.zip")

    found = {name for name in members(path) if "linked" in name}
    assert found == {"config/linked/one.toml"}
