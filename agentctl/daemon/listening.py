"""Where the daemon listens: a port of the loopback, and a Unix socket where there are such."""

import os
import socket
import stat
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from agentctl.core.addresses import stays_here
from agentctl.core.errors import BackendBusy, UsageProblem

SOCKET_HOST = "agentctl"
"""The `Host` of requests that come by the Unix socket: `curl --unix-socket … http://agentctl/`."""

# The longest path that a Unix socket may have, everywhere.
_LONGEST_PATH = 100
_BACKLOG = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What was asked for. `port` 0 is any that is free; the key's and certificate's files make
    it HTTPS, which all but the loopback needs."""

    host: str = "127.0.0.1"
    port: int = 0
    certificate: str | None = None
    key: str | None = None
    socket: Path | None = None

    @property
    def scheme(self) -> str:
        return "https" if self.certificate is not None else "http"

    def check(self) -> None:
        """Raises UsageProblem for a place that others can reach in the clear."""
        if not stays_here(f"http://{self._in_url()}") and self.certificate is None:
            raise UsageProblem(
                f"{self.host} can be reached by others, and nothing would be encrypted",
                "agentctl serve --host ADDRESS --tls-cert FILE --tls-key FILE",
            )
        for name in filter(None, (self.certificate, self.key)):
            if not Path(name).is_file():
                raise UsageProblem(f"there is no file {name}", "name the certificate and its key")

    def _in_url(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


@dataclass(frozen=True, slots=True)
class Listening:
    """Bound sockets. `url` is where to connect, `hosts` what such requests may call us."""

    sockets: tuple[socket.socket, ...]
    url: str
    hosts: frozenset[str]
    path: str

    def close(self) -> None:
        for each in self.sockets:
            each.close()
        if self.path:
            with suppress(OSError):
                os.unlink(self.path)  # noqa: PTH108 - the plain string that was bound


def listen(place: Place) -> Listening:
    """Binds. Raises BackendBusy for a port that is taken, UsageProblem for what is no place."""
    place.check()
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    tcp = socket.socket(family, socket.SOCK_STREAM)
    try:
        claim(tcp)
        tcp.bind((place.host, place.port))
        tcp.listen(_BACKLOG)
    except OSError as error:
        tcp.close()
        raise BackendBusy(
            f"nothing can listen at {place.host}:{place.port}: {error.strerror}",
            "take another port: --port 0, or agentctl config set daemon.port 0",
        ) from None
    tcp.setblocking(False)
    port = int(tcp.getsockname()[1])
    unix = _listen_unix(place.socket) if place.certificate is None else None
    is_any = place.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    reached = _loopback(place.host) if is_any else place.host.lower()
    shown = f"[{reached}]" if ":" in reached else reached
    return Listening(
        sockets=(tcp,) if unix is None else (tcp, unix),
        url=f"{place.scheme}://{shown}:{port}",
        hosts=frozenset({SOCKET_HOST, *_names(place.host, port)}),
        path=str(place.socket) if unix is not None else "",
    )


def claim(tcp: socket.socket) -> None:
    """Before it is bound: a port that was just left may be taken, one in use by nobody else."""
    if sys.platform == "win32":
        # There the other option would let any program listen at the same port.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _loopback(host: str) -> str:
    return "::1" if ":" in host else "127.0.0.1"


def _names(host: str, port: int) -> set[str]:
    """What a request may call us, in lower case."""
    names = {host, "localhost", "127.0.0.1", "[::1]"}
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        import psutil

        names |= {socket.gethostname().lower()}
        # Windows may not tell its addresses; its name is left then.
        with suppress(RuntimeError):
            for each in chain.from_iterable(psutil.net_if_addrs().values()):
                if each.family == socket.AF_INET:
                    names.add(each.address)
                elif each.family == socket.AF_INET6:
                    names.add(f"[{each.address.partition('%')[0]}]")
    return {f"[{name}]:{port}" if _is_bare_v6(name) else f"{name.lower()}:{port}" for name in names}


def _is_bare_v6(name: str) -> bool:
    return ":" in name and not name.startswith("[")


def _listen_unix(path: Path | None) -> socket.socket | None:
    """A socket that only its owner may use; None where there can be none."""
    if path is None or not hasattr(socket, "AF_UNIX") or len(os.fsencode(path)) > _LONGEST_PATH:
        return None
    with suppress(FileNotFoundError):
        # Left behind by a kill; who holds the daemon's lock may remove it.
        if stat.S_ISSOCK(path.lstat().st_mode):
            path.unlink()
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        unix.bind(str(path))
        unix.listen(_BACKLOG)
    except OSError:
        unix.close()
        return None
    finally:
        os.umask(before)
    unix.setblocking(False)
    return unix
