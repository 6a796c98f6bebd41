"""Many short threads do not let the daemon hold ever more memory."""

import platform
import re
import subprocess
import sys

import pytest

# Threads that allocate at once, each of which glibc would give a heap of its own.
_PROGRAM = """
import ctypes, sys, threading
from agentctl.daemon.host import keep_heaps_few

keep_heaps_few()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
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
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the heaps of another C library")
def test_all_threads_share_two_heaps() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )

    assert len(re.findall("<heap ", done.stdout)) in (1, 2)
