"""Which addresses can only mean this machine."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.addresses import stays_here
from agentctl.core.backends.ollama_server import default_host


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:11434/v1",
        "127.0.0.1:11434",
        "127.9.9.9",
        "localhost",
        "LocalHost:80",
        "HTTPS://LOCALHOST/v1",
        "http://[::1]:11434",
        "[::1]",
        "::1",
        ":11434",
    ],
)
def test_addresses_of_this_machine(address: str) -> None:
    assert stays_here(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "example.com",
        "http://",
        "http:///example.com",
        "//example.com",
        "http:example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://localhost@example.com",
        "http://127.0.0.1:80@example.com",
        "http://user@localhost",
        "http://127.0.0.1\\@example.com",
        "http://127.0.0.1\\.example.com",
        "http://127.0.0.1\t.example.com",
        "http://example.com#@127.0.0.1",
        "http://example.com/://127.0.0.1",
        "localhost://example.com",
        "localhost/x://example.com",
        "127.0.0.1:example.com",
        "127.0.0.1:80:example.com",
        "http://[::1].example.com",
        "http://example.com[::1]",
        "http://[::ffff:8.8.8.8]",
        "[::1%example]",
        "[::]",
        "0.0.0.0",  # noqa: S104 - refused
        "http://0:80",
        "http://2130706433",
        "http://127.1",
        "http://0x7f.0.0.1",
        "http://\uff11\uff12\uff17.0.0.1",
        "localhost.",
    ],
)
def test_addresses_that_only_look_like_it(address: str) -> None:
    assert not stays_here(address)


ADDRESS_PARTS = st.sampled_from(
    [*"/:@.#?[]\\% \t", "://", "http", "localhost", "127.0.0.1", "::1", "example.com", "80", ""]
)


@given(st.lists(ADDRESS_PARTS, max_size=7).map("".join))
def test_what_stays_here_is_read_as_this_machine_when_it_is_used(address: str) -> None:
    if stays_here(address):
        host = urlsplit(default_host(address, {})).hostname
        assert host == "localhost" or ip_address(host or "").is_loopback
