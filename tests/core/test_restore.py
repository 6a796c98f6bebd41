"""Restoring: everything is checked first, and a kill leaves one whole home."""

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core import backup_file, home_swap
from agentctl.core.backup_file import DATABASE, MANIFEST
from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    InputHostile,
    InputMissing,
    InputUnreadable,
    StorageError,
)
from agentctl.core.file_lock import locked
from agentctl.core.home_swap import finish_swap
from agentctl.core.migrations import MIGRATIONS
from agentctl.core.paths import Paths
from agentctl.core.restore import check, look_into, present_counts, restore
from agentctl.core.storage import open_database, schema_version
from tests.support.backups import (
    MOMENT,
    add_sessions,
    add_task,
    backed_up,
    contents,
    database_bytes,
    empty_home,
    filled,
    make_home,
    manifest_of,
    silent,
    write,
    write_archive,
)
from tests.support.systems import SYSTEMS, System, paths_on


def restored(path: Path, paths: Paths, **options: bool) -> tuple[str, ...]:
    report = restore(path, paths, silent, now=lambda: MOMENT, sleep=lambda _: None, **options)
    return report.missing


def everything_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# Round trips.


def test_a_restored_home_is_the_one_that_was_backed_up(tmp_path: Path) -> None:
    old, new = make_home(tmp_path / "old", "one"), empty_home(tmp_path / "new")
    before = contents(old)

    restored(backed_up(old, tmp_path / "backup.zip"), new)

    assert contents(new) == before


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_home_comes_back_on_every_system(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = filled(paths_on(system, tmp_path, monkeypatch), "one")
    before = contents(paths)
    path = backed_up(paths, tmp_path / "backup.zip")
    write(paths.models / "stays.gguf", "weights")
    with closing(open_database(paths.database)) as connection:
        add_sessions(connection, "later")

    restored(path, paths, keeps_old=False)

    assert contents(paths) == before | {"models/stays.gguf": b"weights"}


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_home_moves_to_every_system(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_home(tmp_path / "old", "one")
    new = filled(paths_on(system, tmp_path, monkeypatch), "two")
    write(new.models / "stays.gguf", "weights")

    restored(backed_up(old, tmp_path / "backup.zip"), new, keeps_old=False)

    assert contents(new) == contents(old) | {"models/stays.gguf": b"weights"}
    assert new.log.read_text() == "log of two"


def test_what_was_replaced_is_kept_and_what_was_added_since_is_gone(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path, before = backed_up(paths, tmp_path / "backup.zip"), contents(paths)
    write(paths.agents / "later.toml", "# later\n")
    write(paths.models / "stays.gguf", "weights")
    with closing(open_database(paths.database)) as connection:
        add_sessions(connection, "later")

    report = restore(path, paths, silent, now=lambda: MOMENT)

    assert contents(paths) == before | {"models/stays.gguf": b"weights"}
    assert len(report.kept) == 3
    kept = paths.data / "replaced-20260301-120000"
    assert (paths.config / kept.name / "agents" / "later.toml").exists()
    with closing(sqlite3.connect(kept / "agentctl.db")) as old:
        assert old.execute("SELECT count(*) FROM sessions").fetchone() == (2,)


def test_the_next_backup_leaves_out_what_was_replaced(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path = backed_up(paths, tmp_path / "backup.zip")
    restored(path, paths)

    again = backed_up(paths, tmp_path / "again.zip")

    assert look_into(again).members == look_into(path).members


def test_two_restores_in_one_second_keep_both(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path = backed_up(paths, tmp_path / "backup.zip")

    restored(path, paths)
    restored(path, paths)

    assert len([*paths.data.glob("replaced-*")]) == 2


def test_nothing_is_kept_when_that_is_wanted(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")

    restored(backed_up(paths, tmp_path / "backup.zip"), paths, keeps_old=False)

    assert [*(tmp_path / "home").rglob("replaced-*")] == []
    assert [*(tmp_path / "home").rglob("*restore*")] == []


def test_the_index_of_the_old_documents_is_dropped(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")

    restored(backed_up(paths, tmp_path / "backup.zip"), paths)

    assert not paths.vector_indexes.exists()


def test_models_come_back_and_those_that_are_here_are_left(tmp_path: Path) -> None:
    old, new = make_home(tmp_path / "old", "one"), make_home(tmp_path / "new", "two")
    write(old.models / "a.gguf", "weights of a")
    write(old.models / "b.gguf", "weights of b")
    write(new.models / "a.gguf", "weights of a")
    write(new.models / "b.gguf", "weights of X")
    inode = (new.models / "a.gguf").stat().st_ino

    restored(backed_up(old, tmp_path / "backup.zip", models=True), new)

    assert (new.models / "a.gguf").stat().st_ino == inode
    assert (new.models / "b.gguf").read_text() == "weights of b"


def test_an_older_database_is_brought_up_to_date(tmp_path: Path) -> None:
    from sqlite_utils import Database

    paths = make_home(tmp_path / "home", "one")
    older = sqlite3.connect(tmp_path / "older.db", isolation_level=None)
    for migrate in MIGRATIONS[:5]:
        migrate(Database(older))
    older.execute("PRAGMA user_version = 5")
    add_sessions(older, "long ago")
    older.close()
    members = {DATABASE: (tmp_path / "older.db").read_bytes()}
    manifest = manifest_of(paths, members, schema=5)

    restored(write_archive(tmp_path / "backup.zip", manifest, members), paths)

    with closing(sqlite3.connect(paths.database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema_version(),)
        assert connection.execute("SELECT id FROM sessions").fetchall() == [("long ago",)]


def test_a_damaged_home_is_replaced_and_kept(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path, before = backed_up(paths, tmp_path / "backup.zip"), contents(paths)
    paths.database.write_bytes(b"no database at all " * 1000)
    write(paths.data / "agentctl.db-wal", "what was left of it")

    assert present_counts(paths) is None
    restored(path, paths)

    assert contents(paths) == before
    assert (paths.data / "replaced-20260301-120000" / "agentctl.db-wal").exists()


# Who may not be there.


def test_nothing_is_restored_while_a_daemon_runs(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path, before = backed_up(paths, tmp_path / "backup.zip"), contents(paths)

    with locked(paths.daemon_lock, "the daemon"), pytest.raises(BackendBusy) as refused:
        restored(path, paths)

    assert refused.value.hint == "agentctl daemon stop"
    assert contents(paths) == before


def test_nothing_is_restored_while_another_agentctl_has_the_database_open(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path, before = backed_up(paths, tmp_path / "backup.zip"), contents(paths)

    with (
        closing(open_database(paths.database)) as other,
        pytest.raises(BackendBusy, match="another agentctl"),
    ):
        other.execute("SELECT count(*) FROM sessions").fetchone()
        restored(path, paths)

    assert contents(paths) == before


def test_a_backup_is_checked_while_a_daemon_runs(tmp_path: Path) -> None:
    paths = make_home(tmp_path / "home", "one")
    path, before = backed_up(paths, tmp_path / "backup.zip"), everything_in(tmp_path)

    with locked(paths.daemon_lock, "the daemon"):
        check(path, paths, silent)

    assert everything_in(tmp_path) == before


# What is refused before anything is replaced.


def refused(path: Path, paths: Paths, kind: type[AgentctlError]) -> AgentctlError:
    """The error; nothing has changed."""
    before = everything_in(paths.data.parent)
    with pytest.raises(kind) as raised:
        restored(path, paths)
    after = everything_in(paths.data.parent)
    assert after == before
    return raised.value


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = make_home(tmp_path / "home", "one")
    database_bytes(made)
    return made


@pytest.mark.parametrize(
    "name",
    [
        "../escaped",
        "config/../../escaped",
        "/etc/passwd",
        "C:/windows/system.ini",
        "config/C:evil",
        "config\\..\\..\\escaped",
        "config/.. /escaped",
        "config//escaped",
        "config/",
        "state/daemon.json",
        "data/models/deep/er.gguf",
        "data/other.db",
        "config/nul\x01l",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(name: str, paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths), name: b"evil"}
    path = write_archive(tmp_path / "evil.zip", manifest_of(paths, members), members)

    refused(path, paths, InputHostile)


def test_a_link_is_refused(paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths), "config/link": b"/etc/passwd"}
    link = ZipInfo("config/link")
    link.external_attr = 0o120777 << 16
    with ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(DATABASE, members[DATABASE])
        archive.writestr(link, members["config/link"])
        manifest = manifest_of(paths, members)
        archive.writestr(MANIFEST, json.dumps(as_json(manifest)))

    refused(tmp_path / "evil.zip", paths, InputHostile)


def test_a_bomb_is_refused(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_file, "_ALWAYS_ALLOWED", 1_000_000)
    members = {DATABASE: database_bytes(paths), "config/zeros": bytes(20_000_000)}
    path = write_archive(tmp_path / "bomb.zip", manifest_of(paths, members), members)

    refused(path, paths, InputHostile)


def test_a_directory_that_claims_to_be_huge_is_not_read(paths: Paths, tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    path.write_bytes(b"PK\5\6" + bytes(8) + (2_000_000_000).to_bytes(4, "little") + bytes(6))

    refused(path, paths, InputHostile)


def test_two_members_of_one_name_are_refused(paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths)}
    path = write_archive(tmp_path / "twice.zip", manifest_of(paths, members), members)
    with ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(DATABASE, b"another one")

    refused(path, paths, InputUnreadable)


def test_a_member_below_a_file_is_refused(paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths), "config/a": b"", "config/a/b/c": b""}
    path = write_archive(tmp_path / "odd.zip", manifest_of(paths, members), members)

    refused(path, paths, InputUnreadable)


def test_a_member_with_another_hash_is_refused(paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths), "config/config.toml": b"# mine"}
    manifest = manifest_of(paths, members)
    path = write_archive(tmp_path / "a.zip", manifest, {**members, "config/config.toml": b"# evil"})

    assert "config/config.toml" in refused(path, paths, InputUnreadable).message


@pytest.mark.parametrize("schema", [0, 1])
def test_a_database_of_another_schema_than_is_listed_is_refused(
    schema: int, paths: Paths, tmp_path: Path
) -> None:
    members = {DATABASE: database_bytes(paths)}
    manifest = manifest_of(paths, members, schema=schema)

    refused(write_archive(tmp_path / "a.zip", manifest, members), paths, InputUnreadable)


def test_a_damaged_database_is_refused(paths: Paths, tmp_path: Path) -> None:
    whole = database_bytes(paths)
    members = {DATABASE: whole[:4096] + bytes(len(whole) - 4096)}
    path = write_archive(tmp_path / "a.zip", manifest_of(paths, members), members)

    refused(path, paths, InputUnreadable)


def test_a_database_of_some_other_program_is_refused(paths: Paths, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE songs (x)")
        other.execute(f"PRAGMA user_version = {schema_version()}")
    members = {DATABASE: (tmp_path / "other.db").read_bytes()}
    path = write_archive(tmp_path / "a.zip", manifest_of(paths, members), members)

    refused(path, paths, StorageError)


def test_a_newer_backup_says_which_version_it_needs(paths: Paths, tmp_path: Path) -> None:
    members = {DATABASE: database_bytes(paths)}
    for changes in ({"schema": schema_version() + 1}, {"format": 2}):
        manifest = manifest_of(paths, members, agentctl="9.1.0", **changes)
        error = refused(write_archive(tmp_path / "a.zip", manifest, members), paths, StorageError)

        assert "agentctl 9.1.0" in error.message
        assert error.hint == "pip install --upgrade 'agentctl>=9.1.0'"


def test_a_disk_that_is_too_small_is_told_before(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = backed_up(paths, tmp_path / "backup.zip")
    database_bytes(paths)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))

    assert "1 bytes free" in refused(path, paths, StorageError).message


def test_a_file_that_is_not_there_is_told(paths: Paths, tmp_path: Path) -> None:
    refused(tmp_path / "nothing.zip", paths, InputMissing)


@pytest.mark.parametrize("data", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_backup_is_told(data: bytes, paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(data)

    refused(tmp_path / "a.zip", paths, InputUnreadable)


def test_some_other_zip_is_told(paths: Paths, tmp_path: Path) -> None:
    with ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")

    refused(tmp_path / "a.zip", paths, InputUnreadable)


def as_json(value: object) -> object:
    import msgspec

    return msgspec.to_builtins(value)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, Path]:
    """A home, and a backup of it, for many examples."""
    folder = tmp_path_factory.mktemp("whole")
    made = make_home(folder / "home", "one")
    path = backed_up(made, folder / "backup.zip")
    database_bytes(made)
    return made, path


def survives(home: Paths, path: Path) -> None:
    """Either it is whole or it is refused; a check changes nothing in any case."""
    folder = home.data.parent.parent
    before = {name for name in everything_in(folder) if not name.startswith("try")}
    with suppress(InputUnreadable, InputHostile, StorageError):
        check(path, home, silent)
    assert {name for name in everything_in(folder) if not name.startswith("try")} == before


@given(st.floats(0, 1))
def test_a_backup_that_is_cut_off_is_refused(whole: tuple[Paths, Path], share: float) -> None:
    home, path = whole
    data = path.read_bytes()
    cut = path.with_name("try.zip")
    cut.write_bytes(data[: int(share * (len(data) - 1))])

    with pytest.raises((InputUnreadable, InputHostile)):
        check(cut, home, silent)


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8))))
def test_whatever_is_changed_in_a_backup_harms_nothing(
    whole: tuple[Paths, Path], changes: list[tuple[float, bytes]]
) -> None:
    home, path = whole
    data = bytearray(path.read_bytes())
    for place, piece in changes:
        start = int(place * len(data))
        data[start : start + len(piece)] = piece
    changed = path.with_name("try.zip")
    changed.write_bytes(data)

    survives(home, changed)


@given(
    st.dictionaries(
        st.one_of(
            st.text(max_size=20),
            st.lists(
                st.sampled_from(["config", "data", "runs", "..", ".", "", "a", "C:", "\\", "x "])
            ).map("/".join),
        ),
        st.binary(max_size=50),
        max_size=4,
    ),
    st.integers(-(2**63), 2**63 - 1),
)
def test_whatever_a_stranger_packs_harms_nothing(
    whole: tuple[Paths, Path], extra: dict[str, bytes], size: int
) -> None:
    home, path = whole
    members = {DATABASE: home.database.read_bytes()} | {
        name.encode("utf-8", "replace").decode(): data for name, data in extra.items()
    }
    manifest = as_json(manifest_of(home, members))
    assert isinstance(manifest, dict)
    manifest["members"][-1]["size"] = size
    packed = path.with_name("try.zip")
    with ZipFile(packed, "w") as archive:
        for name, data in members.items():
            archive.writestr(name or "x", data)
        archive.writestr(MANIFEST, json.dumps(manifest))

    survives(home, packed)


# Kills.


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Does the work in a process that is killed at its n-th change of the disk; whether it was."""
    child = os.fork()
    if child == 0:
        left = number

        def count_down(event: str, _: object) -> None:
            nonlocal left
            if event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count_down)
        with suppress(BaseException):
            work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.skipif(sys.platform == "win32", reason="forks")
@pytest.mark.parametrize("keeps_old", [True, False])
def test_a_kill_at_any_moment_leaves_one_whole_home(tmp_path: Path, keeps_old: bool) -> None:
    source = make_home(tmp_path / "source", "two")
    write(source.models / "m.gguf", "weights")
    path = backed_up(source, tmp_path / "backup.zip", models=True)
    new = contents(source)
    number, ends = 0, set()
    while True:
        home = make_home(tmp_path / f"home{number}", "one")
        old = contents(home)
        was_killed = killed_at(number, lambda home=home: restored(path, home, keeps_old=keeps_old))
        # The next start, which may be killed too, and the one after it.
        killed_at(2, lambda home=home: finish_swap(home))
        finish_swap(home)
        found = contents(home)
        assert found in (old, new), number
        assert not home_swap.journal(home).exists()
        ends.add("old" if found == old else "new")
        if not was_killed:
            break
        # And the next restore has nothing to mend.
        restored(path, home)
        assert contents(home) == new
        assert [*home.data.parent.rglob(".restore-*")] == []
        number += 1
    assert ends == {"old", "new"}
    assert number > 15


def test_what_cannot_be_replaced_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, home = make_home(tmp_path / "source", "two"), make_home(tmp_path / "home", "one")
    path, before = backed_up(source, tmp_path / "backup.zip"), contents(home)
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        if self == home.permissions:
            raise PermissionError(13, "in use", str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(StorageError, match=r"permissions\.toml cannot be replaced"):
        restored(path, home)

    assert contents(home) == before
    assert not home_swap.journal(home).exists()
    assert [*home.data.parent.rglob("*replaced-*")] == []


def test_a_restore_that_is_under_way_elsewhere_is_waited_for(paths: Paths) -> None:
    home_swap.journal(paths).write_text("{}")

    with locked(home_swap.lock(paths), "a restore"), pytest.raises(BackendBusy):
        finish_swap(paths)


def test_a_journal_that_cannot_be_read_is_named_and_kept(paths: Paths) -> None:
    home_swap.journal(paths).write_text("{}")

    with pytest.raises(StorageError, match=r"restore\.json"):
        finish_swap(paths)
    assert home_swap.journal(paths).exists()


# Another machine.


def test_paths_inside_of_the_old_home_lead_into_the_new_one(tmp_path: Path) -> None:
    old, new = make_home(tmp_path / "data", "one"), empty_home(tmp_path / "elsewhere" / "new")
    model = old.models / "mine.gguf"
    write(model, "weights")
    write(old.settings, f'# keep {tmp_path}/database\nmodel = "{model}"\n')
    with closing(open_database(old.database)) as connection:
        spec = json.dumps({"embedder": {"name": f"embedded:{model}"}})
        connection.execute(
            "INSERT INTO embedding_profiles (spec, is_active) VALUES (?, 1)", (spec,)
        )
        add_task(connection, "brief", model=str(model), folder=str(old.runs / "one"))

    missing = restored(backed_up(old, tmp_path / "backup.zip", models=True), new)

    moved = new.models / "mine.gguf"
    assert moved.read_text() == "weights"
    assert new.settings.read_text() == f'# keep {tmp_path}/database\nmodel = "{moved}"\n'
    with closing(sqlite3.connect(new.database)) as connection:
        (spec,) = connection.execute("SELECT spec FROM embedding_profiles").fetchone()
        (body,) = connection.execute("SELECT body FROM tasks").fetchone()
    assert json.loads(spec)["embedder"]["name"] == f"embedded:{moved}"
    assert json.loads(body)["action"]["model"] == str(moved)
    # A run's folder is there once the home is in its place.
    assert missing == ()


def test_what_the_new_machine_has_not_is_told_and_stays(tmp_path: Path) -> None:
    old, new = make_home(tmp_path / "old", "one"), empty_home(tmp_path / "new")
    write(old.settings, f"model = '{old.models / 'mine.gguf'}'\n")
    with closing(open_database(old.database)) as connection:
        connection.execute(
            "INSERT INTO watched_folders (path, collection, include, exclude, added)"
            " VALUES ('/nowhere/notes', 'default', '[]', '[]', '')"
        )
        add_task(connection, "tidy", folder="/nowhere/work")

    missing = restored(backed_up(old, tmp_path / "backup.zip"), new)

    assert [line.partition(": ")[0] for line in missing] == [
        "watched folder /nowhere/notes",
        f"model = {new.models / 'mine.gguf'}",
        "task tidy works in /nowhere/work",
    ]
    with closing(sqlite3.connect(new.database)) as connection:
        assert connection.execute("SELECT path FROM watched_folders").fetchall() == [
            ("/nowhere/notes",)
        ]
