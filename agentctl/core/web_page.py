"""One page of the web, fetched because the user named its address."""

from dataclasses import dataclass

from agentctl.core.errors import InputMissing, InputTooLarge
from agentctl.core.files import read_up_to

URL_SCHEMES = ("http://", "https://")
URL_LETTERS = "%/:=&?~#+!$,;'@()*[]"
"""What stays as it is in an address; the rest, such as a space or an umlaut, is encoded."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """`media_type` and `charset` are what the server said."""

    data: bytes
    media_type: str
    charset: str | None


def url_path(url: str) -> str:
    """The part of an address that names a file: without its query and what is behind `#`."""
    from urllib.parse import unquote, urlsplit

    try:
        return unquote(urlsplit(url).path)
    except ValueError:
        return url


def fetch_page(url: str, limit: int, timeout_s: float) -> WebPage:
    """The page, at most `limit` bytes; `timeout_s` bounds each silence of the server.

    Raises:
        InputMissing: there is none, or it cannot be had.
        InputTooLarge: it has more than `limit` bytes.
    """
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.parse import quote
    from urllib.request import Request, urlopen

    try:
        # The user named this address, and the scheme was checked.
        address = quote(url, safe=URL_LETTERS)
        request = Request(address, headers={"User-Agent": "agentctl"})  # noqa: S310 - as above
        with urlopen(request, timeout=timeout_s) as answer:  # noqa: S310 - as above
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
        raise InputMissing(f"{url}: {reason}", "check the address and the network") from None
    if is_cut:
        raise InputMissing(f"{url}: the page broke off before its end", "try again")
    if len(data) > limit:
        raise InputTooLarge(f"{url} is larger than {limit:,} bytes", "save a part of it in a file")
    return page
