"""Opens the Workspace that a front end talks to, with the user's configuration."""

import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from agentctl.core.config import Config, Log, default_settings, load_config
from agentctl.core.errors import ConfigError, StorageError
from agentctl.core.home_swap import finish_swap
from agentctl.core.paths import Paths, find_paths, nearest_place
from agentctl.core.workspace import Workspace

if TYPE_CHECKING:
    from agentctl.daemon.process import DaemonAddress

GLANCE_S = 1.0
"""Seconds a daemon has to show that it hears."""


def user_paths() -> Paths:
    return find_paths(os.environ)


def user_config() -> Config:
    """Raises ConfigError; StorageError for a folder that is shut; BackendBusy while a restore is
    under way."""
    paths = user_paths()
    _check_access(paths)
    # One that was killed is ended first.
    finish_swap(paths)
    return load_config(paths, os.environ, working_directory())


def _check_access(paths: Paths) -> None:
    """Raises ConfigError or StorageError when one of the folders is there, but may not be entered.

    What is in it would seem not to be there.
    """
    for folder in (paths.config, paths.data, paths.cache, paths.state):
        try:
            os.stat(os.path.join(folder, os.curdir))  # noqa: PTH116, PTH118 - Path drops the dot
        except PermissionError:
            place = nearest_place(folder)
            kind = ConfigError if folder == paths.config else StorageError
            raise kind(
                f"{place} may not be entered", f"chmod u+rwx {shlex.quote(str(place))}"
            ) from None
        except OSError:
            # It is made when it is needed.
            continue


def working_directory() -> Path:
    """Where the program was started; a folder that was removed meanwhile has no settings."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return user_paths().config


def set_up_logging(settings: Log | None = None) -> None:
    """Writes the log file from here on; None before the configuration is known."""
    from agentctl.core.logs import set_up_logging as set_up

    set_up(user_paths(), settings or default_settings().log, os.environ)


def is_daemon_running() -> bool:
    """Whether a daemon of this user's runs, be it with these settings or with others."""
    from agentctl.daemon.process import is_running

    return is_running(user_paths())


def has_daemon(config: Config) -> bool:
    """Whether `open_workspace` would take a daemon's: one listens, with these very settings."""
    return _address(config) is not None


@asynccontextmanager
async def open_workspace(config: Config) -> AsyncIterator[Workspace]:
    """The workspace of this user, closed at the end: a running daemon's, else one in this process.

    A daemon that works with other settings, those of another project say, is left alone.
    """
    workspace = await _of_daemon(config)
    if workspace is None:
        from agentctl.core.local_workspace import LocalWorkspace

        workspace = LocalWorkspace(config.settings, user_paths(), os.environ)
    try:
        yield workspace
    finally:
        await workspace.close()


async def _of_daemon(config: Config) -> Workspace | None:
    address = _address(config)
    if address is None:
        return None
    from agentctl.daemon.client import daemon_endpoint, is_answering, remote_workspace

    if not await is_answering(daemon_endpoint(address, GLANCE_S)):
        return None
    return remote_workspace(daemon_endpoint(address))


def _address(config: Config) -> "DaemonAddress | None":
    paths = user_paths()
    if not config.settings.daemon.use or not paths.daemon_address.exists():
        return None
    from agentctl.daemon.process import fingerprint, read_address

    address = read_address(paths)
    is_ours = address is not None and address.settings == fingerprint(config, os.environ)
    return address if is_ours else None
