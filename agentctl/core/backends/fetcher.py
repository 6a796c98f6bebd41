"""Opening URLs: patience that ends, reasons in one line, and a stop from another thread."""

import base64
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)

_CHUNK_BYTES = 1 << 16
_NO_ADDRESS = "is not a valid http or https address"


class FetchFailed(Exception):
    """Why one source did not deliver, in one line. A pull catches it and tries the next source.

    `status` is the HTTP status of an answer that was an error, else 0.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


class Stopped(Exception):
    """Whoever wanted the answer has left."""


class Fetcher:
    """Opens URLs for one pull, one at a time; `stop` ends whatever it is waiting for.

    Args:
        cafiles: certificates to trust besides the system's: PEM files, or folders of them.
        opening_s: seconds until an answer must have begun, name lookup and redirects included.
        silence_s: seconds of silence in the middle of one.
    """

    def __init__(
        self, cafiles: Sequence[str] = (), *, opening_s: float = 10.0, silence_s: float = 30.0
    ) -> None:
        self._cafiles = cafiles
        self._opening_s = opening_s
        self._silence_s = silence_s
        self._opener: OpenerDirector | None = None
        self._opened: SimpleQueue[HTTPResponse | Exception] = SimpleQueue()
        self._response: HTTPResponse | None = None
        self._line: socket.socket | None = None
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self) -> None:
        """Makes the thread that fetches raise Stopped soon. Safe from any thread, at any time."""
        self._stopped = True
        self._opened.put(Stopped())
        with self._lock, suppress(OSError):
            if self._line is not None:
                self._line.shutdown(socket.SHUT_RDWR)

    def check(self) -> None:
        """Raises Stopped after `stop`."""
        if self._stopped:
            raise Stopped

    def open(self, url: str, headers: Mapping[str, str]) -> HTTPResponse:
        """The answer, its headers read. An `Authorization` header stays with the URL's host.

        Raises FetchFailed or Stopped.
        """
        self.close()
        opened = self._opened = SimpleQueue()
        self.check()
        # A name lookup cannot be given up, so it happens in a thread that can be left behind.
        threading.Thread(
            target=self._open, args=(url, headers, opened), name="agentctl-fetch", daemon=True
        ).start()
        try:
            outcome = opened.get(timeout=self._opening_s)
        except Empty:
            raise FetchFailed(f"no answer within {self._opening_s:g} s") from None
        if isinstance(outcome, Exception):
            raise outcome
        self._response = outcome
        if not outcome.isclosed():
            # A second handle on the connection: `stop` may use it while the first is read.
            self._line = socket.fromfd(outcome.fileno(), socket.AF_INET, socket.SOCK_STREAM)
        return outcome

    def read(self, response: HTTPResponse) -> Iterator[bytes]:
        """The body as it arrives; it may end too early. Raises FetchFailed or Stopped."""
        while True:
            self.check()
            try:
                chunk = response.read1(_CHUNK_BYTES)
            except (OSError, HTTPException) as error:
                self.check()
                raise FetchFailed(f"broke off: {_reason(error)}") from None
            if not chunk:
                break
            yield chunk
        self.check()

    def close(self) -> None:
        """Ends the connection, if one is open."""
        with self._lock:
            if self._line is not None:
                self._line.close()
                self._line = None
        if self._response is not None:
            self._response.close()
            self._response = None

    def _open(
        self, url: str, headers: Mapping[str, str], opened: SimpleQueue[HTTPResponse | Exception]
    ) -> None:
        try:
            if self._opener is None:
                self._opener = _make_opener(self._cafiles)
            opened.put(self._opener.open(_request(url, headers), timeout=self._silence_s))
        except HTTPError as error:
            error.close()
            opened.put(FetchFailed(f"answered {error.code} {error.reason}", error.code))
        except (OSError, HTTPException, ValueError) as error:
            opened.put(FetchFailed(_reason(error)))
        except Exception as error:  # noqa: BLE001 - carried over to the waiting thread
            opened.put(error)


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """The URL without `user:password@`, and the Basic header (RFC 7617) that stands for it.

    Raises FetchFailed when it is no URL.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        raise FetchFailed(_NO_ADDRESS) from None
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    token = base64.b64encode(unquote(userinfo).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {token}"}


def without_credentials(url: str) -> str:
    """The URL as it may be shown, even when it is a malformed one."""
    return re.sub(r"//.*@", "//", url, flags=re.DOTALL)


class _Redirects(HTTPRedirectHandler):
    """Takes credentials along to another address of the same host, and to no other host."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        authorization = req.get_header("Authorization")
        if request is not None and authorization and _same_host(req.full_url, newurl):
            request.add_unredirected_header("Authorization", authorization)
        return request


def _same_host(url: str, new_url: str) -> bool:
    old, new = urlsplit(url), urlsplit(new_url)
    return old.netloc == new.netloc and new.scheme in {old.scheme, "https"}


def _make_opener(cafiles: Sequence[str]) -> OpenerDirector:
    context = ssl.create_default_context()
    for name in cafiles:
        is_folder = Path(name).is_dir()
        try:
            context.load_verify_locations(
                cafile=None if is_folder else name, capath=name if is_folder else None
            )
        except OSError as error:
            raise FetchFailed(f"certificates {name}: {_reason(error)}") from None
    return build_opener(HTTPSHandler(context=context), _Redirects)


def _request(url: str, headers: Mapping[str, str]) -> Request:
    if urlsplit(url).scheme not in {"http", "https"}:
        raise FetchFailed(_NO_ADDRESS)
    request = Request(url, headers={"User-Agent": "agentctl"})  # noqa: S310 - checked above
    for name, value in headers.items():
        if name == "Authorization":
            request.add_unredirected_header(name, value)
        else:
            request.add_header(name, value)
    return request


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    # urllib's own words would quote the address, credentials and all.
    if isinstance(cause, InvalidURL | ValueError) and not isinstance(cause, OSError):
        return _NO_ADDRESS
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
