"""One page of the web, fetched because the user named its address."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentctl.core.errors import InputMissing, InputTooLarge, UsageProblem
from agentctl.core.files import read_up_to

if TYPE_CHECKING:
    from http.client import HTTPMessage
    from typing import IO
    from urllib.request import OpenerDirector, Request

URL_SCHEMES = ("http://", "https://")
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"
"""What stays as it is in an address; the rest, such as a space or an umlaut, is encoded."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """`media_type` and `charset` are what the server said."""

    data: bytes
    media_type: str
    charset: str | None


def is_address(name: str) -> bool:
    """Whether it names a page, not a file. Raises UsageProblem for an address of another kind."""
    if name.startswith(URL_SCHEMES):
        return True
    if scheme := _ADDRESS.match(name):
        raise UsageProblem(
            f"{name}: only http:// and https:// can be read, not {scheme[0]}",
            "save it in a file, and name that",
        )
    return False


def url_path(url: str) -> str:
    """The part of an address that names a file: without its query and what is behind `#`."""
    from urllib.parse import unquote, urlsplit

    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return url


def fetch_page(url: str, limit: int, timeout_s: float, *, same_site: bool = False) -> WebPage:
    """The page, at most `limit` bytes; `timeout_s` bounds each silence of the server.

    With `same_site` it is not followed to another host, for whoever was allowed this one only.

    Raises:
        InputMissing: there is none, it cannot be had, or it has gone to another host.
        InputTooLarge: it has more than `limit` bytes.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import quote
    from urllib.request import Request

    try:
        # The user named this address, and the scheme was checked.
        address = quote(url, safe=URL_LETTERS)
        request = Request(address, headers={"User-Agent": "agentctl"})  # noqa: S310 - as above
        with _opener(same_site=same_site).open(request, timeout=timeout_s) as answer:
            data = read_up_to(answer, limit + 1)
            is_cut = bool(answer.length) and len(data) <= limit
            page = WebPage(
                data, answer.headers.get_content_type(), answer.headers.get_content_charset()
            )
    except HTTPError as error:
        error.close()
        raise InputMissing(f"{url}: {error.code} {error.reason}", "check the address") from None
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        # What the system says, without its number.
        reason = getattr(reason, "strerror", None) or reason
        raise InputMissing(f"{url}: {reason}", "check the address and the network") from None
    if is_cut:
        raise InputMissing(f"{url}: the page broke off before its end", "try again")
    if len(data) > limit:
        raise InputTooLarge(f"{url} is larger than {limit:,} bytes", "save a part of it in a file")
    return page


def _opener(*, same_site: bool) -> "OpenerDirector":
    from urllib.error import HTTPError
    from urllib.request import HTTPRedirectHandler, build_opener

    class SameSite(HTTPRedirectHandler):
        def redirect_request(
            self,
            req: "Request",
            fp: "IO[bytes]",
            code: int,
            msg: str,
            headers: "HTTPMessage",
            newurl: str,
        ) -> "Request | None":
            if _site(newurl) != _site(req.full_url):
                raise HTTPError(req.full_url, code, f"leads to {newurl}", headers, fp)
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    return build_opener(*([SameSite] if same_site else []))


def _site(url: str) -> str:
    """The host of an address, one with or without its `www`."""
    from urllib.parse import urlsplit

    return (urlsplit(url).hostname or "").removeprefix("www.")
