"""What a piece of work has freed goes back to the machine: the daemon runs for months."""

import platform
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="the heaps of another C library"
)

_BEGIN = """
import ctypes, sys, threading
from agentctl.daemon.host import keep_memory_low

keep_memory_low()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]

def tell():
    libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
    libc.fflush(None)
"""

# Threads that allocate at once, each of which glibc would give a heap of its own.
_MANY_THREADS = """
together = threading.Barrier(12)

def work():
    together.wait()
    for _ in range(200):
        libc.malloc(5000)
    together.wait()

threads = [threading.Thread(target=work) for _ in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tell()
"""

# After the first is freed, glibc would take the others from a heap, where the last pins them all.
_LARGE_BLOCKS = """
libc.free(libc.malloc(30 * 2**20))
blocks = [libc.malloc(20 * 2**20) for _ in range(4)]
tell()
"""


def malloc_info(program: str) -> str:
    """What glibc tells of its heaps where that program runs."""
    done = subprocess.run(
        [sys.executable, "-c", _BEGIN + program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


def test_all_threads_share_two_heaps() -> None:
    assert len(re.findall("<heap ", malloc_info(_MANY_THREADS))) in (1, 2)


def test_large_blocks_stay_out_of_the_heaps() -> None:
    mapped = re.findall(r'type="mmap" count="(\d+)"', malloc_info(_LARGE_BLOCKS))

    assert int(mapped[-1]) >= 4
