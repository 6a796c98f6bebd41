"""Tries a built program as its users would: `python3 packaging/smoke.py PROGRAM`.

PROGRAM is agentctl in a folder, in a single file or of a virtual environment. It works in a home of
its own, fresh each time. Standard library only; exit code 1 when a check fails.
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from smoke_checks import CHECKS, left_running
from smoke_program import Failed, Program, Skipped

Verdict = Literal["ok", "skipped", "FAILED"]
_LONGEST_DETAIL = 300


class Result(NamedTuple):
    name: str
    verdict: Verdict
    seconds: float
    detail: str


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    path = shutil.which(options.program)
    if path is None:
        sys.stderr.write(f"{options.program} is no program\n")
        return 2
    program_path = Path(path).absolute()
    with tempfile.TemporaryDirectory(prefix="agentctl-smoke-", ignore_cleanup_errors=True) as place:
        program = Program(program_path, Path(place), options.model and options.model.absolute())
        results = [*run_checks(program, CHECKS)]
        results.append(_result("nothing is left running", lambda: left_running(program)))
        _tell(results[-1])
        version = program.version()
    failed = sum(each.verdict == "FAILED" for each in results)
    print(f"{len(results)} checks, {failed} failed")
    if options.report:
        report = write_report(program_path, version, results, datetime.now(UTC))
        options.report.write_text(report, encoding="utf-8")
    return int(failed > 0)


def run_checks(
    program: Program, checks: Iterable[tuple[str, Callable[[Program], str | None]]]
) -> Iterable[Result]:
    for name, check in checks:
        result = _result(name, lambda check=check: check(program))  # type: ignore[misc]  # bound now
        _tell(result)
        yield result


def write_report(program: Path, version: str, results: Sequence[Result], now: datetime) -> str:
    """Markdown: what was tried, on what, and how it went."""
    size = sum(each.lstat().st_size for each in _files_of(program)) / 1e6
    lines = [
        f"# {version}: smoke test",
        "",
        f"- program: `{program.name}`, {size:.1f} MB",
        f"- date: {now:%Y-%m-%d %H:%M} UTC",
        f"- system: {platform.platform()}, {os.cpu_count()} cores",
        "",
        "| check | result | seconds | detail |",
        "|---|---|---|---|",
    ]
    for each in results:
        detail = " ".join(each.detail.split()).replace("|", "\\|")
        lines.append(f"| {each.name} | {each.verdict} | {each.seconds:.2f} | {detail} |")
    return "\n".join(lines) + "\n"


def _result(name: str, check: Callable[[], str | None]) -> Result:
    begin = time.perf_counter()
    verdict: Verdict = "ok"
    try:
        detail = check() or ""
    except Skipped as reason:
        verdict, detail = "skipped", str(reason)
    except (Failed, OSError, ValueError, LookupError, subprocess.SubprocessError) as problem:
        verdict, detail = "FAILED", f"{type(problem).__name__}: {problem}"
    return Result(name, verdict, time.perf_counter() - begin, detail)


def _tell(result: Result) -> None:
    line = f"{result.verdict:8}{result.seconds:7.2f} s  {result.name}"
    limit = None if result.verdict == "FAILED" else _LONGEST_DETAIL
    print(f"{line}: {result.detail[:limit]}" if result.detail else line, flush=True)


def _files_of(program: Path) -> list[Path]:
    """The files of the program's folder, if it has one; else its only one."""
    if (program.parent / "_internal").is_dir():
        return [each for each in program.parent.rglob("*") if each.is_file()]
    return [program]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Tries a built program as its users would.")
    parser.add_argument("program", help="agentctl's path")
    parser.add_argument(
        "--model", type=Path, help="smollm2-135m's GGUF file, in place of a download"
    )
    parser.add_argument("--report", type=Path, help="write a report in Markdown here")
    return parser


if __name__ == "__main__":
    sys.exit(main())
