"""Where the daemon can be reached, and by whom."""

import os
import socket
import stat
from pathlib import Path

import psutil
import pytest

from agentctl.core.errors import BackendBusy, UsageProblem
from agentctl.daemon.listening import Listening, Place, _names, listen

EVERYWHERE = "0.0.0.0"  # noqa: S104 - what others can reach is what is tested

with_unix_sockets = pytest.mark.skipif(
    not hasattr(socket, "AF_UNIX"), reason="Python has none on Windows"
)


def closed(listening: Listening) -> Listening:
    listening.close()
    return listening


@pytest.mark.parametrize("host", [EVERYWHERE, "::", "192.168.1.2", "example.com"])
def test_what_others_can_reach_is_never_in_the_clear(host: str) -> None:
    with pytest.raises(UsageProblem, match="nothing would be encrypted") as refused:
        listen(Place(host=host))

    assert "--tls-cert" in refused.value.hint


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_the_loopback_needs_no_encryption(host: str) -> None:
    listening = closed(listen(Place(host=host)))

    assert listening.url.startswith(f"http://{host}:")
    assert listening.url.removeprefix("http://") in listening.hosts


def test_each_daemon_gets_a_port_of_its_own() -> None:
    one, other = listen(Place()), listen(Place())

    assert closed(one).url != closed(other).url


def test_a_port_that_is_taken_is_said_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(BackendBusy, match="nothing can listen"):
            listen(Place(port=taken.getsockname()[1]))


def test_a_certificate_that_is_not_there_is_said_so() -> None:
    with pytest.raises(UsageProblem, match="there is no file"):
        listen(Place(host=EVERYWHERE, certificate="/no/cert.pem", key="/no/key.pem"))


def test_every_interface_is_answered_by_its_names_and_nothing_else(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    place = Place(
        host=EVERYWHERE, certificate=str(tmp_path / "cert.pem"), key=str(tmp_path / "key.pem")
    )

    listening = closed(listen(place))
    port = listening.url.rpartition(":")[2]

    assert listening.url == f"https://127.0.0.1:{port}"
    assert f"{socket.gethostname().lower()}:{port}" in listening.hosts
    assert f"{EVERYWHERE}:{port}" in listening.hosts
    assert all(name.endswith(f":{port}") or name == "agentctl" for name in listening.hosts)


@with_unix_sockets
def test_the_socket_is_only_its_owners_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        listening = listen(Place(socket=tmp_path / "daemon.sock"))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "daemon.sock").stat().st_mode) == 0o600
    listening.close()
    assert not (tmp_path / "daemon.sock").exists()


@with_unix_sockets
def test_a_socket_that_a_kill_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))

    assert closed(listen(Place(socket=path))).path == str(path)


def test_a_file_in_the_sockets_place_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "daemon.sock"
    path.write_text("mine")

    assert closed(listen(Place(socket=path))).path == ""
    assert path.read_text() == "mine"


def test_a_path_too_long_for_a_socket_is_done_without(tmp_path: Path) -> None:
    listening = closed(listen(Place(socket=tmp_path / ("x" * 120))))

    assert (listening.path, len(listening.sockets)) == ("", 1)


def test_nobody_else_can_listen_at_our_port_even_by_sharing_it() -> None:
    listening = listen(Place())
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match=r"."):
            other.bind(listening.sockets[0].getsockname())
    listening.close()


def test_a_machine_that_does_not_tell_its_addresses_is_reached_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails() -> None:
        raise RuntimeError("GetAdaptersAddresses() syscall failed.")

    monkeypatch.setattr(psutil, "net_if_addrs", fails)

    names = _names(EVERYWHERE, 80)

    assert f"{socket.gethostname().lower()}:80" in names
    assert "localhost:80" in names
