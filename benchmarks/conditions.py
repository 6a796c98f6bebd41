"""Under what conditions something was measured: the date, the versions, the machine."""

import os
import platform
from datetime import date
from pathlib import Path

from agentctl import __version__
from benchmarks.equipment import PEERS, versions


def conditions(needs: tuple[str, ...], today: date) -> str:
    peers = [each for need in needs if need in PEERS for each in versions(need)]
    software = [f"agentctl {__version__}", f"Python {platform.python_version()}", *peers]
    return f"{today.isoformat()}: {', '.join(software)}. {_machine()}."


def _machine() -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{_processor()}, {os.cpu_count()} cores, {memory_gb:.0f} GB, {_system()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _system() -> str:
    kernel = f"{platform.system()} {'.'.join(platform.release().split('.')[:2])}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel
