"""Where events come from, and where there are none."""

import errno
import queue
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
import watchdog.observers

from agentctl.core.automation import folder_events
from agentctl.core.automation.folder_events import NoEvents, network_type, open_events


class Partition(NamedTuple):
    mountpoint: str
    fstype: str
    opts: str = "rw"


@pytest.fixture
def partitions(monkeypatch: pytest.MonkeyPatch) -> list[Partition]:
    """What is mounted, as a test puts it."""
    mounted = [Partition("/", "ext4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: mounted)
    return mounted


def names_until(events: "queue.SimpleQueue[str]", last: str) -> Iterator[str]:
    while (name := Path(events.get(timeout=20)).name) != last:
        yield name


def test_files_and_new_folders_are_told_of_but_not_that_something_was_read(tmp_path: Path) -> None:
    (tmp_path / "old.md").write_text("old")
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    with closing(open_events(str(tmp_path), told.put)) as events:
        assert events.is_alive
        (tmp_path / "old.md").read_text()
        list(tmp_path.iterdir())
        (tmp_path / "new").mkdir()
        (tmp_path / "b.md").write_text("B")
        (tmp_path / "b.md").rename(tmp_path / "c.md")
        (tmp_path / "last").write_text("")

        assert set(names_until(told, "last")) == {"new", "b.md", "c.md"}


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ([], None),
        ([Partition("/mnt/share", "nfs4")], "nfs4"),
        ([Partition("/mnt/sharehouse", "nfs4")], None),
        ([Partition("/mnt", "cifs"), Partition("/mnt/share", "ext4")], None),
        ([Partition("/mnt/share", "ext4"), Partition("/mnt/share", "fuse.sshfs")], "fuse.sshfs"),
        ([Partition("/mnt/share", "", "rw,remote")], "remote"),
    ],
)
def test_a_network_drive_is_known_by_what_is_mounted_there(
    partitions: list[Partition], added: list[Partition], expected: str | None
) -> None:
    partitions += added

    assert network_type("/mnt/share/notes") == expected


def test_a_network_drive_has_no_events(partitions: list[Partition], tmp_path: Path) -> None:
    partitions.append(Partition(str(tmp_path), "smb3"))

    with pytest.raises(NoEvents) as raised:
        open_events(str(tmp_path), print)

    assert (raised.value.reason, raised.value.mend) == ("it is on a network drive (smb3)", "")


def test_more_folders_than_the_system_watches_have_no_events(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    limit = tmp_path / "limit"
    limit.write_text("10\n")
    monkeypatch.setattr(folder_events, "_MAX_WATCHES", limit)
    for number in range(8):
        (tmp_path / str(number)).mkdir()

    with pytest.raises(NoEvents) as raised:
        open_events(str(tmp_path), print)

    assert raised.value.mend == "sudo sysctl fs.inotify.max_user_watches=524288"


def test_a_system_that_has_no_more_instances_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Exhausted:
        def start(self) -> None: ...

        def stop(self) -> None: ...

        def schedule(self, *_: object, **__: object) -> None:
            raise OSError(errno.EMFILE, "inotify instance limit reached")

    monkeypatch.setattr(watchdog.observers, "Observer", Exhausted)

    with pytest.raises(NoEvents, match="inotify instance limit reached") as raised:
        open_events(str(tmp_path), print)

    assert raised.value.mend == "sudo sysctl fs.inotify.max_user_instances=1024"
