"""The build for Windows under Wine: its script is sound, and its measures are told."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WINDOWS = ROOT / "packaging" / "windows"
SCRIPT = (WINDOWS / "build.sh").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the build is one of Debian")


def test_the_script_is_sound_and_may_be_run() -> None:
    checked = subprocess.run(["bash", "-n", WINDOWS / "build.sh"], capture_output=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, b"")
    assert os.access(WINDOWS / "build.sh", os.X_OK)


def test_no_registry_is_named() -> None:
    assert re.findall(r"https?://|\w+\.(?:org|com|net)\b", SCRIPT.replace("python.org", "")) == []


def test_what_it_calls_on_the_other_side_exists() -> None:
    called = re.findall(r"C:\\source\\([\w\\]+\.py)", SCRIPT)

    assert called
    assert [name for name in called if not (ROOT / name.replace("\\", "/")).is_file()] == []


def test_who_is_not_root_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    environ = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    ended = subprocess.run(
        ["bash", WINDOWS / "build.sh", tmp_path / "cache"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: a chroot wants root\n  try: sudo ")


def test_sizes_and_starts_are_told(tmp_path: Path) -> None:
    program = tmp_path / "folder" / "agentctl"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    (program.parent / "data").write_bytes(bytes(2_000_000))

    told = subprocess.run(
        [sys.executable, WINDOWS / "measure.py", program, program],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert told[0] == "| what | size | `--version`, first | then, median |"
    assert re.fullmatch(r"\| folder \| 2\.0 MB \| \d+\.\d\d s \| \d+\.\d\d s \|", told[2])
    assert re.fullmatch(r"\| single file \| 0\.0 MB \| \d+\.\d\d s \| \d+\.\d\d s \|", told[3])
