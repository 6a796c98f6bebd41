"""A page whose address was named, and where it may lead."""

import socket
from collections.abc import Iterator

import pytest

from agentctl.core.errors import InputMissing, UsageProblem
from agentctl.core.web_page import fetch_page, is_address
from tests.support.file_server import FileServer


@pytest.fixture
def web() -> Iterator[FileServer]:
    with FileServer().running() as server:
        server.serve("/there", b"a page")
        yield server


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def redirect(web: FileServer, target: str) -> str:
    """The address of a page that has gone to `target`."""
    served = web.serve("/here", b"")
    served.status, served.headers = 302, {"Location": target}
    return f"{web.url}/here"


def test_an_address_of_another_kind_is_no_file() -> None:
    assert is_address("https://example.org")
    assert not is_address("notes/a.md")
    assert not is_address(r"C:\notes")
    with pytest.raises(UsageProblem, match="ftp://x/y: only http:// and https:// can be read"):
        is_address("ftp://x/y")


def test_where_nobody_answers_it_is_told_in_words(closed_port: int) -> None:
    with pytest.raises(InputMissing, match="refused") as raised:
        fetch_page(f"http://127.0.0.1:{closed_port}/", 100, 10)

    assert "Errno" not in raised.value.message


@pytest.mark.parametrize("same_site", [True, False])
def test_a_page_that_has_moved_within_its_host_is_followed(
    web: FileServer, same_site: bool
) -> None:
    page = fetch_page(redirect(web, "/there"), 100, 10, same_site=same_site)

    assert page.data == b"a page"


def test_a_page_is_followed_to_another_host_unless_it_is_to_stay(web: FileServer) -> None:
    url = redirect(web, f"{web.url}/there".replace("127.0.0.1", "localhost"))

    assert fetch_page(url, 100, 10).data == b"a page"
    with pytest.raises(InputMissing, match="302 leads to http://localhost:"):
        fetch_page(url, 100, 10, same_site=True)
