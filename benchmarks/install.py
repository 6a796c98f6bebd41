"""A default install into a new virtual environment, without what pip has kept from before."""

import subprocess
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.equipment import ROOT, Equipment
from benchmarks.rows import Row, at_most


def rows(_: Equipment) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "venv"
        started = time.perf_counter()
        venv.create(folder, with_pip=True)
        bare_mb = size_mb(folder)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", "--no-cache-dir"]
        subprocess.run([*pip, str(ROOT)], check=True)
        took_s = time.perf_counter() - started
        whole_mb = size_mb(folder)
    yield Row(
        name="a default install, without pip",
        figure=f"{whole_mb - bare_mb:.0f} MB ({whole_mb:.0f} MB with pip)",
        bars=(at_most(450, whole_mb - bare_mb, " MB"),),
    )
    yield Row(
        name="time of a default install",
        figure=f"{took_s:.0f} s",
        bars=(at_most(120, took_s, " s"),),
    )


def size_mb(folder: Path) -> float:
    """Of all its files; a link counts nothing."""
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files) / 1e6
