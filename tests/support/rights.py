"""Who may read a file, where files say so."""

import sys
from pathlib import Path


def has_mode(path: Path, mode: int) -> bool:
    """Windows has no such modes: what lies in a user's profile is that user's there."""
    return sys.platform == "win32" or path.stat().st_mode & 0o777 == mode
