"""The knowledge base under kills and under load: `python -m benchmarks.crash [--kills COUNT]`.

Again and again the program is killed (`kill -9`) at a random moment of an ingest or a reindex,
with the built-in embedder; after each the base is verified and searched. Then four writers and
four readers work at once.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.equipment import Equipment
from benchmarks.rows import Row, none

FILES = 60
KILLS, RUN_S = 40, 30.0


def rows(_: Equipment) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        yield kills(KILLS, Path(folder))
        yield at_once(Path(folder))


class Program:
    """The program with a home of its own."""

    def __init__(self, home: Path) -> None:
        self._environ = {
            **os.environ,
            "AGENTCTL_HOME": str(home),
            "AGENTCTL_OLLAMA_HOST": "http://127.0.0.1:1",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "agentctl", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environ,
        )

    def run(self, *arguments: str) -> dict[str, object]:
        """The `data` of its JSON. Raises RuntimeError when it fails."""
        process = self.start(*arguments, "--json")
        out, problem = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{arguments}: {process.returncode}: {problem}{out}")
        data: dict[str, object] = json.loads(out)["data"]
        return data


def kills(count: int, folder: Path) -> Row:
    moments = random.Random(1)
    notes = folder / "notes"
    told: set[str] = set()
    lost = duplicates = unclean = wrong = during_reindex = 0
    program = Program(folder / "home")
    for number in range(count):
        is_reindex = number % 3 == 2
        if not is_reindex:
            _write(notes, number)
        command = ("docs", "reindex", "--force") if is_reindex else ("ingest", str(notes))
        process = program.start(*command, "--jsonl") if not is_reindex else program.start(*command)
        try:
            out, _ = process.communicate(timeout=moments.uniform(0.3, 4.0))
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            during_reindex += is_reindex
        told |= _added(out)
        paths = [str(each["path"]) for each in _rows(program, "docs", "list")]
        lost += len(told - set(paths))
        duplicates += len(paths) - len(set(paths))
        unclean += not program.run("docs", "verify")["ok"]
        if paths:
            hits = program.run("search", Path(paths[0]).stem)["hits"]
            wrong += not hits
    program.run("ingest", str(notes))
    return Row(
        name="the knowledge base killed (`kill -9`): lost, doubled, not clean, not found",
        figure=f"{lost}, {duplicates}, {unclean}, {wrong} ({count} ingests and reindexes; "
        f"{during_reindex} killed while reindexing)",
        bars=(none(lost + duplicates + unclean + wrong),),
    )


def at_once(folder: Path) -> Row:
    program = Program(folder / "shared")
    first = folder / "first"
    first.mkdir()
    (first / "lighthouse.md").write_text("# Lighthouse\n\nThe lamp of the lighthouse is green.")
    program.run("ingest", str(first))
    count: Counter[str] = Counter()
    problems: list[str] = []
    end = time.monotonic() + RUN_S

    def work(kind: str, number: int) -> None:
        round_ = 0
        while time.monotonic() < end:
            round_ += 1
            try:
                if kind == "writes":
                    notes = folder / f"writer{number}"
                    _write(notes, round_, files=4)
                    program.run("ingest", str(notes))
                else:
                    hits = program.run("search", "What colour is the lamp?", "-n", "3")["hits"]
                    assert isinstance(hits, list)
                    if "lighthouse.md" not in hits[0]["path"]:
                        problems.append(f"wrong: {hits[0]['path']}")
            except RuntimeError as error:
                problems.append(str(error))
            count[kind] += 1

    threads = [
        threading.Thread(target=work, args=(kind, number))
        for kind in ("writes", "reads")
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not program.run("docs", "verify")["ok"]:
        problems.append("not clean at the end")
    for problem in problems:
        print(problem, file=sys.stderr)
    return Row(
        name="four writers and four readers at once: problems",
        figure=f"{len(problems)} in {RUN_S:.0f} s ({count['writes']} ingests, {count['reads']} "
        "searches, verified)",
        bars=(none(len(problems)),),
    )


def _write(folder: Path, number: int, files: int = FILES) -> None:
    """New and changed files."""
    folder.mkdir(exist_ok=True)
    for n in range(files):
        if n % 7 == number % 7:
            text = f"Note {n} of round {number} speaks of subject{n * number}. " * 12
            (folder / f"note{n}.md").write_text(f"# Note {n}\n\n{text}")


def _added(lines: str) -> set[str]:
    """Paths the program said were stored, by the whole lines of its events."""
    steps = [json.loads(line) for line in lines.splitlines() if line.endswith("}")]
    return {step["path"] for step in steps if step.get("status") in ("added", "updated")}


def _rows(program: Program, *arguments: str) -> list[dict[str, object]]:
    data = program.run(*arguments)
    rows = data["documents"] if isinstance(data, dict) else data
    assert isinstance(rows, list)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    count = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        print(*kills(count, Path(folder)).cells(), sep="; ")
        print(*at_once(Path(folder)).cells(), sep="; ")


if __name__ == "__main__":
    main()
