"""Files that somebody has open: on Windows they are waited for, a little."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from agentctl.core.errors import BackendBusy, StorageError
from agentctl.core.file_lock import locked, locked_past_lookers
from agentctl.core.open_files import move_over, open_to_append, patiently, remove


class OpenFor:
    """A file that a reader has open while so many attempts are made."""

    def __init__(self, attempts: int) -> None:
        self._left = attempts

    def replace(self) -> str:
        if self._left:
            self._left -= 1
            raise PermissionError(13, "Access is denied")
        return "replaced"


def test_a_reader_is_waited_for_on_windows() -> None:
    slept: list[float] = []

    assert patiently(OpenFor(3).replace, slept.append, "win32") == "replaced"

    assert len(slept) == 3


def test_nobody_is_waited_for_for_long() -> None:
    slept: list[float] = []

    with pytest.raises(PermissionError):
        patiently(OpenFor(1_000).replace, slept.append, "win32")

    assert 1 < sum(slept) < 2


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_elsewhere_what_is_forbidden_stays_so(platform: str) -> None:
    slept: list[float] = []

    with pytest.raises(PermissionError):
        patiently(OpenFor(1).replace, slept.append, platform)

    assert slept == []


def test_what_is_missing_is_not_waited_for() -> None:
    slept: list[float] = []

    def replace() -> None:
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        patiently(replace, slept.append, "win32")

    assert slept == []


def test_a_file_takes_the_place_of_another(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_text("new", encoding="utf-8")
    old.write_text("old", encoding="utf-8")

    move_over(new, old)

    assert old.read_text(encoding="utf-8") == "new"
    assert not new.exists()


def test_a_file_is_removed_whether_it_is_there_or_not(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()

    remove(path)
    remove(path)

    assert not path.exists()


@pytest.mark.parametrize("ends", [lambda: None, lambda: 1 / 0], ids=["well", "badly"])
def test_a_lock_leaves_no_file_behind(tmp_path: Path, ends: Callable[[], object]) -> None:
    path = tmp_path / "lock"

    with suppress(ZeroDivisionError), locked(path, "it"):
        assert path.exists()
        ends()

    assert not path.exists()


def test_a_lock_that_is_held_stays_whoever_else_tries(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, "it"):
        with pytest.raises(BackendBusy), locked(path, "it"):
            pass
        assert path.exists()


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    path, refusal = tmp_path / "lock", BackendBusy("it is held")
    with ExitStack() as holder:
        holder.enter_context(locked(path, "it"))
        with locked_past_lookers(path, refusal, lambda _: holder.close()):
            assert path.exists()


def test_a_lock_that_goes_on_being_held_is_refused(tmp_path: Path) -> None:
    path, refusal, pauses = tmp_path / "lock", BackendBusy("it is held"), list[float]()
    with locked(path, "it"), pytest.raises(BackendBusy) as refused:
        with locked_past_lookers(path, refusal, pauses.append, attempts=3):
            pass

    assert refused.value is refusal
    assert len(pauses) == 2


def test_where_there_are_no_locks_none_is_taken_for_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("agentctl.core.file_lock._try_lock", refuse)

    with pytest.raises(StorageError) as refused, locked(tmp_path / "lock", "it"):
        pass

    assert refused.value.message == f"{tmp_path / 'lock'} cannot be locked: No locks available"
    assert refused.value.hint == "use a file system that has locks: export AGENTCTL_HOME=FOLDER"


@pytest.mark.skipif(sys.platform != "win32", reason="only there a reader is in the way")
def test_a_reader_that_stays_is_told_in_the_systems_words(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.touch()
    old.touch()

    with old.open("rb"), pytest.raises(PermissionError):
        move_over(new, old)

    move_over(new, old)


def test_what_two_have_open_to_append_goes_to_the_end_for_both(tmp_path: Path) -> None:
    path = tmp_path / "log"
    one, other = open_to_append(path), open_to_append(path)

    for number, descriptor in enumerate((one, other, other, one)):
        os.write(descriptor, b"%d\n" % number)
    moved = path.rename(tmp_path / "log.1")
    os.write(one, b"4\n")
    os.close(one)
    os.close(other)

    assert moved.read_bytes() == b"0\n1\n2\n3\n4\n"


def test_a_file_in_a_folder_that_is_missing_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_to_append(tmp_path / "nowhere" / "log")
