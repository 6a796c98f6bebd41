"""The folders that a home has on each system, below a folder of the test."""

from pathlib import Path
from typing import TypeAlias

import pytest
from platformdirs.api import PlatformDirsABC
from platformdirs.macos import MacOS
from platformdirs.unix import Unix
from platformdirs.windows import Windows

from agentctl.core.paths import Paths, find_paths

System: TypeAlias = type[PlatformDirsABC]
SYSTEMS: tuple[System, ...] = (Unix, MacOS, Windows)


def paths_on(system: System, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """As `system` has them for a user whose own folder is `folder`."""
    monkeypatch.setattr("platformdirs.PlatformDirs", system)
    # Windows is asked for it, the others go by a variable.
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda _: str(folder))
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    paths = find_paths({})
    assert paths.data.is_relative_to(folder)
    return paths
