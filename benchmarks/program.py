"""The program that `packaging/build.py` made, beside a virtual environment and `oterm`."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.equipment import BUILT, Equipment, find_single_file
from benchmarks.install import size_mb
from benchmarks.measure import compare, in_turn, measure
from benchmarks.rows import Row, at_most
from tests.support.cli import environment


def rows(equipment: Equipment) -> Iterator[Row]:
    file = find_single_file()
    if file is None:
        raise FileNotFoundError("not built: python3 packaging/build.py")
    yield from _starts(file, equipment.program("oterm", "oterm"))
    for name, mb, bar in (
        ("size of the program's folder", size_mb(BUILT.parent), 300),
        ("size of the single file", file.stat().st_size / 1e6, 130),
    ):
        yield Row(name=name, figure=f"{mb:.0f} MB", bars=(at_most(bar, mb, " MB"),))


def _starts(file: Path, oterm: Path) -> Iterator[Row]:
    installed = Path(sys.executable).with_name("agentctl")
    with tempfile.TemporaryDirectory() as home:
        env = environment(Path(home))
        unpacking_s = measure([str(file), "--version"], env).wall_s
        programs = (installed, BUILT, file, oterm)
        ours, folder, single, theirs = in_turn(
            [[str(program), "--version"] for program in programs], env
        )
    for name, one, other, bar in (
        ("the program's folder / a virtual environment, `--version`", folder, ours, 1.5),
        ("the single file from its second start on / `oterm`, `--version`", single, theirs, 0.6),
    ):
        ratio, figure = compare(one, other)
        yield Row(name=name, figure=figure, bars=(at_most(bar, ratio),))
    name = "the single file's first start, which unpacks it"
    yield Row(name=name, figure=f"{unpacking_s:.1f} s")
