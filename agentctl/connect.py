"""Opens the Workspace that a front end talks to, with the user's configuration."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentctl.core.config import Config, Log, default_settings, load_config
from agentctl.core.paths import Paths, find_paths
from agentctl.core.workspace import Workspace


def user_paths() -> Paths:
    return find_paths(os.environ)


def user_config() -> Config:
    """Raises ConfigError."""
    return load_config(user_paths(), os.environ, working_directory())


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


@asynccontextmanager
async def open_workspace(config: Config) -> AsyncIterator[Workspace]:
    """The workspace of this user, closed at the end."""
    from agentctl.core.local_workspace import LocalWorkspace

    workspace = LocalWorkspace(config.settings, user_paths(), os.environ)
    try:
        yield workspace
    finally:
        await workspace.close()
