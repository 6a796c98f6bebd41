"""Makes a Python process fail when it tries to reach beyond this machine.

Python imports a module of this name at start from the folders of PYTHONPATH.
"""

import ipaddress
import sys


def _is_local(host: object) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        address = arguments[1]
        if isinstance(address, tuple) and not _is_local(address[0]):
            raise AssertionError(f"tried to connect to {address}")
    elif event == "socket.getaddrinfo" and not _is_local(arguments[0]):
        raise AssertionError(f"tried to look up {arguments[0]!r}")


sys.addaudithook(_guard)
