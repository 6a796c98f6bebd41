"""Pages of the public web, fetched without a way into the user's own network.

Only the addresses of a public host are spoken to, and exactly those that were checked: a name is
looked up once, so that it cannot mean another machine a moment later. Proxies are not used, for
they look up names themselves.
"""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import quote, urljoin, urlsplit

from agentctl.core.errors import ToolFailed
from agentctl.core.files import read_up_to
from agentctl.core.web_page import URL_LETTERS

PORTS = frozenset({80, 443, 8080, 8443})
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Seconds that a server may be silent.
_SILENCE_S = 10.0
_HOST_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")
# A host that ends like this is an IPv4 address to some libraries: 2130706433, 0x7f.1, 0177.0.0.1
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
# What `is_global` lets pass: places for protocols and relays, and the metadata of Azure.
_NOT_PUBLIC = tuple(
    map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "2002::/16"))
)
_GLOBAL_UNICAST = ip_network("2000::/3")
# On networks without IPv4 its hosts have addresses in here: RFC 6052.
_TRANSLATED = ip_network("64:ff9b::/96")


def is_public(address: str) -> bool:
    """Whether an IP address is a host on the public internet, beyond doubt."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip in _TRANSLATED:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
        if ip not in _GLOBAL_UNICAST:
            return False
    return (
        ip.is_global
        and not ip.is_multicast
        and not any(ip.version == each.version and ip in each for each in _NOT_PUBLIC)
    )


def look_up(host: str, port: int) -> Sequence[str]:
    """The addresses of a host. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [*dict.fromkeys(str(address[0]) for *_, address in found)]


@dataclass(frozen=True, slots=True)
class WebRules:
    """Whom a fetch may speak to: hosts that `look_up` finds, which are `is_public`, on `ports`."""

    ports: frozenset[int] = PORTS
    is_public: Callable[[str], bool] = is_public
    look_up: Callable[[str, int], Sequence[str]] = look_up


@dataclass(frozen=True, slots=True)
class WebAddress:
    """A URL, taken apart in the one way in which it is then used."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str, rules: WebRules) -> "WebAddress":
        """Raises ToolFailed for what is no plain http or https address."""
        if re.search(r"[\x00-\x1f\x7f\\]", url):
            raise ToolFailed(f"{url!r} is no address: it holds a character that none may have")
        try:
            parts = urlsplit(url.strip())
            host = (parts.hostname or "").encode("idna").decode().lower()
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except (ValueError, UnicodeError):
            raise ToolFailed(f"{url} is no address") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ToolFailed(f"{url} is no address: it must begin with https:// or http://")
        if "@" in parts.netloc:
            raise ToolFailed("an address with a user or a password is not fetched")
        if not _is_host(host):
            raise ToolFailed(f"{host} is no host: write its name, such as www.example.org")
        if port not in rules.ports:
            allowed = ", ".join(map(str, sorted(rules.ports)))
            raise ToolFailed(f"port {port} is not fetched from; allowed are {allowed}")
        target = quote(parts.path or "/", safe=URL_LETTERS)
        if parts.query:
            target += "?" + quote(parts.query, safe=URL_LETTERS)
        return cls(parts.scheme, host, port, target)

    @property
    def place(self) -> str:
        """Host and port, as the Host header and a URL have them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.place}{self.target}"

    def is_same_site(self, other: "WebAddress") -> bool:
        return self.host.removeprefix("www.") == other.host.removeprefix("www.")


def _is_host(host: str) -> bool:
    if ":" not in host and not _NUMERIC.fullmatch(host):
        return _HOST_NAME.fullmatch(host) is not None
    try:
        ip_address(host)
    except ValueError:
        return False
    return "%" not in host


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedPage:
    """What came from `url`; `is_cut` when there was more. `charset` is what the server said."""

    url: str
    media_type: str
    charset: str | None
    data: bytes
    is_cut: bool


class PublicFetch:
    """One fetch. `run` blocks a thread until it is done, or another thread calls `stop`."""

    def __init__(self, address: WebAddress, rules: WebRules, limit: int) -> None:
        self._address = address
        self._rules = rules
        self._limit = limit
        self._socket: socket.socket | None = None
        self._is_stopped = False

    def stop(self) -> None:
        self._is_stopped = True
        if self._socket is not None:
            with suppress(OSError):
                # Not the TLS socket's own method, which drops its state under the reader.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def run(self) -> FetchedPage:
        """The page, its first `limit` bytes. Raises ToolFailed."""
        address = self._address
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._fetch(address)
            if isinstance(answer, FetchedPage):
                return answer
            if not address.is_same_site(answer):
                # Whether the other host may be spoken to has not been asked.
                raise ToolFailed(f"{address.url} leads to {answer.url}: fetch that, if you want it")
            address = answer
        raise ToolFailed(f"{address.url}: more than {_MOST_REDIRECTS} redirects")

    def _fetch(self, address: WebAddress) -> FetchedPage | WebAddress:
        """The page, or where it has gone."""
        try:
            connection = http.client.HTTPConnection(address.host, address.port)
            connection.sock = self._connect(address)
            headers = {
                "Host": address.place,
                "User-Agent": "agentctl",
                "Accept": "text/html, text/*, application/json, application/pdf, */*;q=0.5",
                "Accept-Encoding": "identity",
                "Connection": "close",
            }
            connection.request("GET", address.target, headers=headers)
            with connection.getresponse() as response:
                return self._receive(address, response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = "it was silent for too long" if isinstance(error, TimeoutError) else error
            raise ToolFailed(f"{address.url} cannot be fetched: {reason}") from None
        finally:
            self._close()

    def _receive(
        self, address: WebAddress, response: http.client.HTTPResponse
    ) -> FetchedPage | WebAddress:
        location = response.headers["Location"]
        if response.status in _REDIRECTS and location:
            # Headers are read as Latin-1, whatever their bytes are.
            location = quote(location, safe=URL_LETTERS, encoding="latin-1")
            return WebAddress.parse(urljoin(address.url, location), self._rules)
        if not 200 <= response.status < 300:
            raise ToolFailed(f"{address.url}: {response.status} {response.reason}".rstrip())
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ToolFailed(f"{address.url} is sent in a compressed form only")
        data = read_up_to(response, self._limit + 1)
        if response.length and len(data) <= self._limit:
            raise ToolFailed(f"{address.url}: the page broke off before its end")
        return FetchedPage(
            url=address.url,
            media_type=response.headers.get_content_type(),
            charset=response.headers.get_content_charset(),
            data=data[: self._limit],
            is_cut=len(data) > self._limit,
        )

    def _connect(self, address: WebAddress) -> socket.socket:
        problem = OSError("it has no address")
        for ip in self._checked(address):
            try:
                plain = self._use(socket.create_connection((ip, address.port), _SILENCE_S))
                return self._secure(plain, address.host) if address.scheme == "https" else plain
            except OSError as error:
                self._close()
                problem = error
        raise problem

    def _secure(self, plain: socket.socket, host: str) -> socket.socket:
        secure = ssl.create_default_context().wrap_socket(
            plain, server_hostname=host, do_handshake_on_connect=False
        )
        self._use(secure)
        secure.do_handshake()
        return secure

    def _checked(self, address: WebAddress) -> Sequence[str]:
        """The host's addresses. Raises ToolFailed unless all of them are public."""
        try:
            ip_address(address.host)
            found: Sequence[str] = [address.host]
        except ValueError:
            found = self._rules.look_up(address.host, address.port)
        if not all(map(self._rules.is_public, found)):
            # Not which: a name of the user's own network is not looked up for a model.
            raise ToolFailed(f"{address.host} is not on the public web, and is not fetched from")
        return found

    def _use(self, new: socket.socket) -> socket.socket:
        """Makes `new` the socket that `stop` shuts down."""
        self._socket = new
        if self._is_stopped:
            raise InterruptedError("it was stopped")
        return new

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
