"""How large the built programs are, and how long they take to say their version, as Markdown.

`python measure.py FOLDER\\agentctl.exe SINGLE.exe`; the first start of the single file unpacks it.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

STARTS = 5


def main() -> int:
    in_folder, single = map(Path, sys.argv[1:])
    folder_size = sum(each.stat().st_size for each in in_folder.parent.rglob("*"))
    print("| what | size | `--version`, first | then, median |\n|---|---|---|---|")
    for name, program, size in (
        ("folder", in_folder, folder_size),
        ("single file", single, single.stat().st_size),
    ):
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            environ = {**os.environ, "AGENTCTL_HOME": home}
            first = seconds(program, environ)
            later = median(seconds(program, environ) for _ in range(STARTS))
        print(f"| {name} | {size / 1e6:.1f} MB | {first:.2f} s | {later:.2f} s |")
    print()
    return 0


def seconds(program: Path, environ: Mapping[str, str]) -> float:
    begin = time.perf_counter()
    subprocess.run([program, "--version"], env=environ, check=True, capture_output=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
