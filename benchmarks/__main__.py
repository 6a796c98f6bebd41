"""Runs the benchmarks and writes their tables into README.md and docs/benchmarks.md.

Each runs in a process of its own, one after the other; all of them take about half an hour. What
needs something that is not there is left out: its table stays as it is, with its date.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path

import msgspec

from benchmarks import tables
from benchmarks.conditions import conditions
from benchmarks.equipment import PEERS, ROOT, Equipment
from benchmarks.registry import BENCHMARKS
from benchmarks.rows import Row

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options().parse_args(arguments)
    equipment = Equipment(peers=options.peers.absolute(), sets=tuple(options.sets))
    if options.measure:
        measure(options.measure, equipment)
        return 0
    names = options.only or list(BENCHMARKS)
    if options.install_peers:
        for peer in sorted({need for name in names for need in BENCHMARKS[name]} & PEERS.keys()):
            equipment.install(peer)
    failed = [name for name in names if not _run(name, equipment, is_dry=options.dry_run)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    default = Path(tempfile.gettempdir()) / "agentctl-benchmark-peers"
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help="run these")
    parser.add_argument("--dry-run", action="store_true", help="write no files")
    parser.add_argument("--peers", type=Path, default=default, help="where peers are installed")
    parser.add_argument("--install-peers", action="store_true", help="install what is missing")
    parser.add_argument(
        "--sets", type=Path, nargs="+", default=[], help="further questions (question_sets.py)"
    )
    # What this program calls itself with.
    parser.add_argument("--measure", choices=BENCHMARKS, help=argparse.SUPPRESS)
    return parser


def measure(name: str, equipment: Equipment) -> None:
    """Writes the rows of one benchmark to stdout, a line of JSON each."""
    for row in import_module(f"benchmarks.{name}").rows(equipment):
        print(msgspec.json.encode(row).decode(), flush=True)


def _run(name: str, equipment: Equipment, *, is_dry: bool) -> bool:
    """Prints its table and writes it down. False when it failed."""
    missing = equipment.missing(BENCHMARKS[name])
    if missing:
        print(f"{name}: left out, {missing}\n", flush=True)
        return True
    print(f"{name}\n{tables.line(tables.HEADING)}", flush=True)
    rows = []
    try:
        for row in _measured(name, equipment):
            rows.append(row.cells())
            print(tables.line(rows[-1]), flush=True)
    except subprocess.CalledProcessError:
        return False
    print(flush=True)
    if not is_dry:
        write(name, rows)
    return True


def _measured(name: str, equipment: Equipment) -> Iterator[Row]:
    """Raises subprocess.CalledProcessError when it ends badly."""
    command = [sys.executable, "-m", "benchmarks", "--measure", name]
    command += ["--peers", str(equipment.peers)]
    if equipment.sets:
        command += ["--sets", *map(str, equipment.sets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if process.stdout is not None:
            yield from (msgspec.json.decode(line, type=Row) for line in process.stdout)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def write(name: str, rows: Sequence[Sequence[str]]) -> None:
    """One benchmark's table, and those that are made from all."""
    told = conditions(BENCHMARKS[name], date.today())  # noqa: DTZ011 - the date here
    page = tables.replace(PAGE.read_text(encoding="utf-8"), name, f"{told}\n\n{tables.table(rows)}")
    page = tables.replace(page, "missed", tables.missed(page))
    readme = README.read_text(encoding="utf-8")
    PAGE.write_text(page, encoding="utf-8")
    README.write_text(tables.replace(readme, "choice", tables.choice(page)), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
