"""The embedded engine's library, and what a system may lack of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.backends.engine import import_engine, mend
from agentctl.core.errors import EngineMissing
from tests.support.cli import environment

NO_LIBRARY = "libgomp.so.1: cannot open shared object file: No such file or directory"


def test_the_engine_is_there() -> None:
    assert import_engine().BUILD_INFO


@pytest.mark.parametrize(
    ("problem", "platform", "fix"),
    [
        (NO_LIBRARY, "linux", "libgomp1"),
        ("DLL load failed while importing xllamacpp", "win32", "VCRedist"),
        ("No module named 'xllamacpp'", "linux", "pip install"),
    ],
)
def test_the_mend_is_named(problem: str, platform: str, fix: str) -> None:
    assert fix in mend(problem, platform)


def test_a_system_without_its_library_is_told_what_to_install(tmp_path: Path) -> None:
    broken = tmp_path / "modules"
    broken.mkdir()
    (broken / "xllamacpp.py").write_text(f"raise ImportError({NO_LIBRARY!r})")
    env = environment(tmp_path / "home")
    env["PYTHONPATH"] = os.pathsep.join([str(broken), env["PYTHONPATH"]])

    done = subprocess.run(
        [sys.executable, "-m", "agentctl", "ingest", "-", "--title", "a"],
        input="hello",
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )

    assert done.returncode == EngineMissing.exit_code
    assert NO_LIBRARY in done.stderr
