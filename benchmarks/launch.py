"""Runs a command and prints what it took: `python -I -S launch.py COMMAND…`.

It is a process of its own, and a small one, for the peak of memory that the system tells of a
process is never below that of the process which started it. Prints the moment of the start on the
clock of `time.perf_counter`, wall-clock seconds, peak resident memory in MB, and the exit code.
"""

import os
import sys
import time


def main() -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    redirected = [(os.POSIX_SPAWN_DUP2, nothing, descriptor) for descriptor in (0, 1)]
    started = time.perf_counter()
    process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=redirected)
    _, status, usage = os.wait4(process, 0)
    wall = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kB elsewhere
    print(started, wall, usage.ru_maxrss * unit / 1e6, os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
