"""Names to models: which backend a name means, and the model it opens there."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from agentctl.core.backends.base import ChatModel
from agentctl.core.config import Settings, nearest
from agentctl.core.errors import (
    AgentctlError,
    BackendFailed,
    BackendUnreachable,
    ConfigError,
    ModelIncapable,
    ModelNotFound,
    RetryError,
)
from agentctl.core.paths import Paths, expand

if TYPE_CHECKING:
    from agentctl.core.backends.catalog import CatalogModel
    from agentctl.core.backends.kept_models import KeptModels

BackendName: TypeAlias = Literal["ollama", "embedded", "openai", "scripted"]

SMALLEST_MODEL = "smollm2-135m"
"""The model of the catalogue that runs everywhere."""

GLANCE_S = 1.5
"""Seconds a server has to show that it is there, where nobody asked for it by name: a port that
hangs must not hold up an answer."""

LOOK_S = 10.0
"""The same for a server that the user named, or one of whose models."""

_PREFIXES: Mapping[str, BackendName] = {
    "ollama": "ollama",
    "embedded": "embedded",
    "openai": "openai",
    "scripted": "scripted",
}


@dataclass(frozen=True, slots=True)
class Located:
    """Where a name leads: `path` is the file of an embedded or a scripted model.

    `reason`, one line, says what was decided or done for the user on the way.
    """

    backend: BackendName
    name: str
    path: Path = Path()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A model ready to be asked; the rest is as in `Located`."""

    model: ChatModel
    name: str
    backend: str
    reason: str | None = None


def split_name(name: str) -> tuple[BackendName | None, str]:
    """`embedded:tiny` is ("embedded", "tiny"), `qwen3:4b` is (None, "qwen3:4b")."""
    prefix, colon, rest = name.partition(":")
    backend = _PREFIXES.get(prefix)
    return (backend, rest) if colon and backend else (None, name)


def anchored(name: str) -> str:
    """A model's name that means the same in every folder: a file is named by its whole path.

    One that is not here may be in the models folder, so its name stays as it is.
    """
    backend, rest = split_name(name)
    is_file = bool(rest) and backend == "scripted"
    if backend in (None, "embedded") and rest.endswith(".gguf"):
        is_file = rest.startswith((".", "~")) or Path(rest).is_file()
    return f"{name.removesuffix(rest)}{expand(rest).absolute()}" if is_file else name


class Registry:
    """Finds and opens models. It holds nothing open itself, but what `kept` keeps loaded."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        kept: "KeptModels | None" = None,
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._environ = environ
        self._kept = kept

    async def open(
        self, name: str | None, *, context_window: int | None = None, keep_alive: str | None = None
    ) -> Opened:
        """The model that `locate` finds. None leaves what the settings say of it.

        Raises ConfigError for `openai:` without openai.base_url, and what `locate` raises.
        """
        found = await self.locate(name or self._settings.model)
        if self._kept is not None and found.backend == "embedded":
            key = (found.path, context_window)
            model = self._kept.take(key, lambda: self._make(found, context_window, keep_alive))
        else:
            model = self._make(found, context_window, keep_alive)
        return Opened(model, found.name, found.backend, found.reason)

    async def open_langchain_ollama(self, name: str) -> Opened:
        """A model of Ollama's by LangChain's client.

        Raises ModelIncapable when the name leads elsewhere, and what `locate` raises.
        """
        from agentctl.core.backends.langchain_ollama import LangChainOllamaModel
        from agentctl.core.backends.model_servers import find_ollama

        found = await self.locate(name)
        if found.backend != "ollama":
            raise ModelIncapable(
                f"langchain-ollama speaks to Ollama only, and {found.name} is {found.backend}",
                "name a model of Ollama's, or leave the client out of the agent's file",
            )
        model = LangChainOllamaModel(
            find_ollama(self._settings, self._environ),
            found.name,
            context_window=self._settings.ollama.context_window,
            keep_alive=self._settings.ollama.keep_alive,
            allow_cloud=self._settings.ollama.allow_cloud,
        )
        return Opened(model, found.name, found.backend, found.reason)

    async def locate(self, name: str) -> Located:
        """Which backend a name means, and what the model is called there.

        A name is "auto"; or has its backend in front (`ollama:`, `embedded:`, `openai:`,
        `scripted:`); or is a path that ends in .gguf; or else is looked for among the embedded
        engine's models, then on Ollama, then on the OpenAI-compatible server.

        Raises:
            ModelNotFound: nobody has it; names the most similar one and the command to get it.
            RetryError: a server that had to be asked does not answer, and no embedded model may
                stand in for it (`ollama.fallback`).
        """
        if name == "auto":
            return await self._choose()
        backend, rest = split_name(name)
        if backend == "ollama":
            return await self._locate_on_ollama(rest)
        if backend == "openai":
            return Located(backend, rest)
        if backend == "scripted":
            return Located(backend, rest, Path(rest))
        found = self.locate_file(rest)
        if found is not None:
            return found
        if backend == "embedded" or rest.endswith(".gguf"):
            raise self.unknown(rest, self._embedded_names(), SMALLEST_MODEL)
        return await self._locate_on_servers(rest)

    def locate_file(self, name: str) -> Located | None:
        """An embedded model that is here: by its catalogue name, its file's stem, or a path."""
        models = self._paths.models
        if name.endswith(".gguf"):
            places = (expand(name).absolute(), models / name)
            path = next((path for path in places if path.is_file()), None)
            if path is None:
                return None
            is_ours = path.parent == models.absolute()
            return Located("embedded", path.stem if is_ours else str(path), path)
        # Most names are Ollama's: they need no look at the catalogue.
        if re.search(r"[:/\\]", name) or not models.is_dir():
            return None
        entry = self._catalog().get(name)
        path = models / (entry.file if entry else f"{name}.gguf")
        return Located("embedded", name, path) if path.is_file() else None

    async def reach_ollama(self, *, start: bool = True) -> str | None:
        """Sees that Ollama answers; starts it if it may, and says so.

        Raises RetryError when it does not answer.
        """
        from agentctl.core.backends.model_servers import find_ollama
        from agentctl.core.backends.ollama_process import start_server

        server = find_ollama(self._settings, self._environ, LOOK_S)
        try:
            await server.version()
        except BackendUnreachable:
            if not (start and self._settings.ollama.start):
                raise
            await start_server(server, self._paths, self._environ)
            return "started ollama serve"
        return None

    async def _locate_on_servers(self, name: str) -> Located:
        known: list[str] = []
        absent: BackendUnreachable | None = None
        try:
            found, known = await self._look_on_ollama(name)
        except BackendUnreachable as error:
            found, absent = None, error
        except RetryError:
            found = self._stand_in()
            if found is None:
                raise
        if found is None and self._settings.openai.base_url:
            found, names = await self._look_on_openai(name)
            known += names
        if found is None and absent is not None and name not in self._catalog():
            found = self._stand_in()
        if found is None:
            raise self.unknown(name, [*known, *self._embedded_names()], name, absent)
        return found

    async def _locate_on_ollama(self, name: str) -> Located:
        try:
            return Located("ollama", name, reason=await self.reach_ollama())
        except RetryError:
            found = self._stand_in()
            if found is None:
                raise
            return found

    def _stand_in(self) -> Located | None:
        """The embedded default, where the user lets it answer while Ollama does not."""
        if not self._settings.ollama.fallback:
            return None
        found = self.locate_file(self._settings.embedded.model)
        reason = f"Ollama does not answer; {self._settings.embedded.model} answers instead"
        return replace(found, reason=reason) if found else None

    async def _look_on_ollama(self, name: str) -> tuple[Located | None, list[str]]:
        """Where the name leads on Ollama, and the names of all its models."""
        from agentctl.core.backends.model_servers import find_ollama
        from agentctl.core.backends.ollama_server import is_cloud_name

        # No reason to start it for what the catalogue has. Its names hold no colon, most do here.
        reason = await self.reach_ollama(start=":" in name or name not in self._catalog())
        server = find_ollama(self._settings, self._environ, LOOK_S)
        names = [model.name for model in await server.models()]
        wanted = {name.casefold(), f"{name}:latest".casefold()}
        full = next((one for one in names if one.casefold() in wanted), None)
        # A cloud model need not be listed; when it is refused, it says itself why.
        if full is None and is_cloud_name(name):
            full = name
        return (Located("ollama", full, reason=reason) if full else None), names

    async def _look_on_openai(self, name: str) -> tuple[Located | None, list[str]]:
        from agentctl.core.backends.model_servers import find_openai
        from agentctl.core.backends.openai_compatible import list_models

        endpoint = find_openai(self._settings, self._environ, LOOK_S)
        # It is the last place to look: a server that fails has no such model either.
        with suppress(AgentctlError):
            names = await list_models(endpoint, self._settings.openai.api_key_env)
            return (Located("openai", name) if name in names else None), names
        return None, []

    async def _choose(self) -> Located:
        """What "auto" means: the best of a running Ollama, else the embedded default."""
        from agentctl.core.backends.model_choice import choose_chat_model, is_chat
        from agentctl.core.backends.model_servers import find_ollama

        server = find_ollama(self._settings, self._environ, GLANCE_S)
        try:
            async with asyncio.timeout(2 * GLANCE_S):
                models = await server.models()
        except ConfigError:
            raise
        except (AgentctlError, TimeoutError) as error:
            why = f"no Ollama answers at {server.endpoint.address}"
            if isinstance(error, BackendFailed):
                why = f"Ollama fails ({error.message})"
        else:
            allow_cloud = self._settings.ollama.allow_cloud
            best = choose_chat_model(models, allow_cloud=allow_cloud)
            if best is not None:
                alone = sum(map(is_chat, models)) == 1
                how = "only" if alone else "largest installed"
                fit = "" if alone else " that fits this machine"
                reason = f"auto: the {how} chat model of Ollama{fit}"
                return Located("ollama", best.name, reason=reason)
            why = "Ollama has no chat model that fits this machine"
        default = self._settings.embedded.model
        found = self.locate_file(default)
        if found is None:
            name = default if default in self._catalog() else SMALLEST_MODEL
            raise ModelNotFound(f"no model is installed, and {why}", f"agentctl models pull {name}")
        return replace(found, reason=f"auto: {why}")

    def _make(
        self, found: Located, context_window: int | None, keep_alive: str | None
    ) -> ChatModel:
        """Each backend is only imported where it is taken: their libraries are heavy."""
        settings = self._settings
        if found.backend == "ollama":
            from agentctl.core.backends.model_servers import find_ollama
            from agentctl.core.backends.ollama import OllamaModel

            return OllamaModel(
                find_ollama(settings, self._environ),
                found.name,
                context_window=context_window or settings.ollama.context_window,
                keep_alive=keep_alive or settings.ollama.keep_alive,
                allow_cloud=settings.ollama.allow_cloud,
            )
        if found.backend == "openai":
            from agentctl.core.backends.model_servers import find_openai
            from agentctl.core.backends.openai_compatible import OpenAICompatibleModel

            return OpenAICompatibleModel(
                find_openai(settings, self._environ),
                found.name,
                context_window=context_window or settings.openai.context_window,
                api_key_env=settings.openai.api_key_env,
            )
        if found.backend == "scripted":
            from agentctl.core.backends.scripted import ScriptedModel

            return ScriptedModel.from_file(expand(str(found.path)))
        from agentctl.core.backends.llama_cpp import LlamaCppModel

        return LlamaCppModel(
            found.path,
            found.name,
            context_window=context_window or settings.embedded.context_window,
            threads=settings.embedded.threads,
            gpu_layers=settings.embedded.gpu_layers,
        )

    def _catalog(self) -> "dict[str, CatalogModel]":
        from agentctl.core.backends.catalog import read_catalog

        return read_catalog(self._paths)

    def _embedded_names(self) -> list[str]:
        return [*self._catalog(), *(path.stem for path in self._paths.models.glob("*.gguf"))]

    def unknown(
        self,
        name: str,
        known: Sequence[str],
        pullable: str,
        absent: BackendUnreachable | None = None,
    ) -> ModelNotFound:
        """That nobody has the model, and how to get it, or the one that may have been meant.

        `pullable` is what to pull when nothing is similar, `absent` why Ollama was not asked.
        """
        catalog = self._catalog()
        if name in catalog:
            return ModelNotFound(f"{name} is not installed", f"agentctl models pull {name}")
        close = nearest(name, known)
        message = f"there is no model {name}" + (f" (did you mean {close}?)" if close else "")
        if close in catalog:
            return ModelNotFound(message, self._way_to(close))
        if absent is None:
            return ModelNotFound(message, self._way_to(pullable))
        return ModelNotFound(
            f"{message}, and Ollama cannot be asked: {absent.message}",
            "get Ollama at https://ollama.com/download, or do without: "
            f"{self._way_to(SMALLEST_MODEL)}",
        )

    def _way_to(self, name: str) -> str:
        """The command that gets a model; of one that is here only the name was wrong."""
        is_here = self.locate_file(name) is not None
        return "agentctl models list" if is_here else f"agentctl models pull {name}"
