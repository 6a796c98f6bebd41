"""The library of the embedded engine, which may want more than a system has."""

import sys
from types import ModuleType

from agentctl.core.errors import EngineMissing

_REINSTALL = "pip install --force-reinstall xllamacpp"


def import_engine() -> ModuleType:
    """xllamacpp. Raises EngineMissing, which names what has to be installed."""
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineMissing(
            f"the embedded engine cannot be loaded: {error}", mend(str(error), sys.platform)
        ) from error
    engine: ModuleType = xllamacpp
    return engine


def mend(problem: str, platform: str) -> str:
    """What to do about an import that failed, by the loader's own words."""
    if platform == "linux" and "libgomp" in problem:
        return "sudo apt-get install libgomp1 (Fedora: sudo dnf install libgomp)"
    if platform == "win32" and "DLL" in problem:
        return "winget install Microsoft.VCRedist.2015+.x64"
    return _REINSTALL
