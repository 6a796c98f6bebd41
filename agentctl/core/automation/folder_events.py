"""The system's own word of what changes in a folder, where it gives it. It may miss things."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agentctl.core.files import IGNORE_FILES

if TYPE_CHECKING:
    from watchdog.observers.api import BaseObserver

# Other machines change files there, of which this one is not told; or their drivers tell nothing.
_NETWORK_TYPES = frozenset(
    {"9p", "afs", "afpfs", "beegfs", "ceph", "cifs", "davfs", "drvfs", "glusterfs", "lustre"}
    | {"ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "webdav"}
    | {"fuse.gvfsd-fuse", "fuse.rclone", "fuse.sshfs"}
    | {"prl_fs", "vboxsf", "virtiofs", "vmhgfs"}
)
_MAX_WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")
# The share of the limit that one folder may use: the user's other programs watch files, too.
_SHARE = 0.8
_RAISE_LIMIT = "sudo sysctl fs.inotify.max_user_watches=524288"
_RAISE_INSTANCES = "sudo sysctl fs.inotify.max_user_instances=1024"


class NoEvents(Exception):
    """There are none for this folder: why, and the command that mends it, if one does."""

    def __init__(self, reason: str, mend: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.mend = mend


class Events(Protocol):
    """Events that flow until they are closed."""

    @property
    def is_alive(self) -> bool: ...

    def close(self) -> None: ...


class FolderEvents:
    """Those of the system; `tell` is called with each changed path, in a thread of their own."""

    def __init__(self, observer: "BaseObserver") -> None:
        self._observer = observer

    @property
    def is_alive(self) -> bool:
        emitters = list(self._observer.emitters)
        return bool(emitters) and all(each.is_alive() for each in emitters)

    def close(self) -> None:
        self._observer.stop()


def open_events(root: str, tell: Callable[[str], None]) -> Events:
    """Events from here on. Walks through the folder, so call it in a thread.

    Raises:
        NoEvents: a network drive, or more folders than the system lets one watch.
    """
    kind = network_type(root)
    if kind is not None:
        raise NoEvents(f"it is on a network drive ({kind})")
    if _has_too_many_folders(root):
        raise NoEvents("it has more folders than this system watches", _RAISE_LIMIT)
    return _observe(root, tell)


def network_type(root: str) -> str | None:
    """The type of the network drive a folder is on, or None."""
    import psutil

    real = os.path.realpath(root)
    try:
        partitions = psutil.disk_partitions(all=True)
    except OSError:
        return None
    above = [each for each in partitions if is_below(real, each.mountpoint)]
    # Of two that are mounted at one place, the later hides the earlier.
    place = max(reversed(above), key=lambda each: len(each.mountpoint), default=None)
    if place is None:
        return None
    is_remote = place.fstype.lower() in _NETWORK_TYPES or "remote" in place.opts.split(",")
    return (place.fstype or "remote") if is_remote else None


def relevant(root: str, own: Sequence[str], path: str) -> str | None:
    """The path of an event when it matters below `root`; None for hidden and for agentctl's `own`.

    One from elsewhere, as of a folder that is known by another path, stands for the whole root.
    """
    below = path.removeprefix(root.rstrip(os.sep) + os.sep)
    if below == path:
        return root
    if any(is_below(path, each) for each in own):
        return None
    *folders, last = Path(below).parts
    is_hidden = last.startswith(".") and last not in IGNORE_FILES
    return None if is_hidden or any(each.startswith(".") for each in folders) else path


def is_below(path: str, folder: str) -> bool:
    """Whether a path lies in a folder, or is it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _has_too_many_folders(root: str) -> bool:
    try:
        limit = int(_MAX_WATCHES.read_text()) * _SHARE
    except (OSError, ValueError):
        return False
    return any(number > limit for number, _ in enumerate(os.walk(root), 1))


def _observe(root: str, tell: Callable[[str], None]) -> FolderEvents:
    from watchdog import events
    from watchdog.observers import Observer

    class Handler(events.FileSystemEventHandler):
        def dispatch(self, event: events.FileSystemEvent) -> None:
            for path in (event.src_path, event.dest_path):
                if path:
                    tell(os.fsdecode(path))

    # That a file was read is no news, and a look at the folder would be told of itself.
    told = [
        *(events.FileCreatedEvent, events.FileModifiedEvent, events.FileMovedEvent),
        *(events.FileDeletedEvent, events.FileClosedEvent, events.FileAttribEvent),
        *(events.DirCreatedEvent, events.DirMovedEvent, events.DirDeletedEvent),
    ]
    observer = Observer()
    try:
        observer.start()
        observer.schedule(Handler(), root, recursive=True, event_filter=told)
    except OSError as error:
        observer.stop()
        mends = {errno.ENOSPC: _RAISE_LIMIT, errno.EMFILE: _RAISE_INSTANCES}
        raise NoEvents(error.strerror or str(error), mends.get(error.errno or 0, "")) from None
    return FolderEvents(observer)
