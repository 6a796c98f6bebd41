"""What the shell offers for a name that the workspace knows; never an error, never a wait.

Names may be a stranger's, as those of files and of imported documents are, and a shell reads what
it is offered: zsh runs commands that stand in it at the tab key already. So a name that any shell
takes for more than letters is not offered.
"""

import os
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from agentctl.core.workspace import Workspace

# A backslash only where folders have one, and no shell of these two.
_HARMLESS = re.compile(r"(?!-)[\w @%+=:,./~\\-]+" if os.name == "nt" else r"(?!-)[\w @%+=:,./~-]+")


def models(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        listed = await workspace.list_models()
        return [entry.name for entry in listed.models if entry.installed]

    return _matching(names, incomplete)


def known_models(incomplete: str) -> list[str]:
    """Those that could be pulled too."""

    async def names(workspace: Workspace) -> list[str]:
        return [entry.name for entry in (await workspace.list_models()).models]

    return _matching(names, incomplete)


def sessions(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [session.name or session.id for session in await workspace.list_sessions(50)]

    return _matching(names, incomplete)


def templates(incomplete: str) -> list[str]:
    return _matching(lambda workspace: workspace.templates(), incomplete)


def collections(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [each.name for each in await workspace.list_collections()]

    return _matching(names, incomplete)


def documents(incomplete: str) -> list[str]:
    """Their paths, as they are called from here."""
    from agentctl.connect import working_directory
    from agentctl.render.links import short_path

    async def names(workspace: Workspace) -> list[str]:
        folder = working_directory()
        return [short_path(each.path, folder) for each in await workspace.list_documents()]

    return _matching(names, incomplete)


def agents(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [entry.definition.name for entry in await workspace.list_agents()]

    return _matching(names, incomplete)


def runs(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [run.id for run in await workspace.list_runs(50)]

    return _matching(names, incomplete)


def waiting_runs(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [run.id for run in await workspace.list_runs() if run.status == "waiting"]

    return _matching(names, incomplete)


def tasks(incomplete: str) -> list[str]:
    async def names(workspace: Workspace) -> list[str]:
        return [task.name for task in await workspace.list_tasks()]

    return _matching(names, incomplete)


def _matching(names: Callable[[Workspace], Awaitable[list[str]]], incomplete: str) -> list[str]:
    from agentctl.commands.common import with_workspace

    # Whatever goes wrong, an error here would be written into the line that the user types.
    with suppress(Exception):
        return [
            name
            for name in with_workspace(names)
            if name.startswith(incomplete) and _HARMLESS.fullmatch(name)
        ]
    return []
