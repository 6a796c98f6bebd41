"""The machine that commands are walked over sees what it has to see."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.machine import machine

if os.name != "posix":
    pytest.skip("rights and terminals are POSIX's", allow_module_level=True)

NATIVE = """
import ctypes, socket
libc, to = ctypes.CDLL(None), socket.socket(type=socket.SOCK_DGRAM)
# A datagram to 203.0.113.9, which Python hears nothing of.
address = (2).to_bytes(2, "little") + (53).to_bytes(2, "big") + bytes([203, 0, 113, 9]) + bytes(8)
libc.sendto(to.fileno(), b"x", 1, 0, address, 16)
"""
ATTEMPTS = {
    "connect": "import socket; socket.socket().connect(('203.0.113.9', 80))",
    "datagram": "import socket; socket.socket(type=2).sendto(b'x', ('203.0.113.9', 53))",
    "name": "import socket; socket.getaddrinfo('example.org', 80)",
    "old name": "import socket; socket.gethostbyname('example.org')",
    "page": "import urllib.request; urllib.request.urlopen('http://example.org')",
    "proxy": "import http.client; http.client.HTTPConnection('203.0.113.9').request('GET', '/')",
    "open to all": "import socket; socket.socket().bind(('', 0))",
    "child": "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket;"
    ' socket.create_connection(("203.0.113.9", 80))\'], check=True)',
}


def test_what_python_tries_is_written_down_and_does_not_happen(tmp_path: Path) -> None:
    with machine(tmp_path, is_default_home=True) as made:
        for name, code in ATTEMPTS.items():
            before = len(made.tried())
            done = subprocess.run(
                [*made.prefix, sys.executable, "-c", code],
                env=made.env,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            assert (name, done.returncode) == (name, 1)
            assert (name, len(made.tried())) == (name, before + 1)
        assert made.started() == {Path(sys.executable).name}


def test_what_native_code_sends_is_counted(tmp_path: Path) -> None:
    with machine(tmp_path, is_default_home=True) as made:
        if not made.prefix:
            pytest.skip("no network of its own is allowed here")
        assert made.unrouted() == 0
        subprocess.run([*made.prefix, sys.executable, "-c", NATIVE], env=made.env, check=True)

        assert made.tried() == []
        assert made.unrouted() == 1
