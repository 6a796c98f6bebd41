"""Runs the benchmarks and prints README's table: `python -m benchmarks`."""

import argparse
import os
import platform
import tempfile
from pathlib import Path

from benchmarks import embedded, rendering, startup


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(tempfile.gettempdir()) / "agentctl-benchmark-peers"
    parser.add_argument("--peers", type=Path, default=default, help="where peers are installed")
    peers = parser.parse_args().peers
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {platform.system()}\n")
    print("| what | measured | bar |\n|---|---|---|")
    for rows in (startup.rows(peers), rendering.rows(), embedded.rows()):
        for row in rows:
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
