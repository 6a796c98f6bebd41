"""Writes down what a Python process tries beyond this machine, and lets none of it happen.

Python imports a module of this name at start from the folders of PYTHONPATH. Each line of the file
that `WATCH_RECORD` names is the process, what it tried, and whom it tried to reach or to start.
"""

import ipaddress
import os
import sys

RECORD = os.environ.get("WATCH_RECORD", "")
NAMES = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
ADDRESSES = {"socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind"}
STARTS = {"subprocess.Popen": 1, "os.exec": 1, "os.posix_spawn": 1, "os.system": 0}


def is_local(host: object) -> bool:
    text = host.decode() if isinstance(host, bytes) else str(host or "")
    if text in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def note(kind: str, what: object) -> None:
    line = "\t".join([" ".join(sys.orig_argv[1:4]), kind, str(what)]).replace("\n", " ")
    descriptor = os.open(RECORD, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, f"{line}\n".encode("utf-8", "replace"))
    os.close(descriptor)


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event in ADDRESSES:
        address = arguments[1]
        # A path is a socket of this machine; to bind to nothing is to ask for any place.
        if isinstance(address, tuple) and (
            not is_local(address[0]) or (event == "socket.bind" and not address[0])
        ):
            note(event, address)
            raise PermissionError(f"{event} {address}")
    elif event in NAMES:
        if not is_local(arguments[0]):
            note(event, arguments[0])
            raise PermissionError(f"{event} {arguments[0]!r}")
    elif event in STARTS:
        started = arguments[STARTS[event]]
        first = started[0] if isinstance(started, list | tuple) else started
        note("start", os.fsdecode(first).rpartition("/")[2])


if RECORD:
    sys.addaudithook(watch)
