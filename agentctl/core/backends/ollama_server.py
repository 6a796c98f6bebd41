"""One Ollama server: what it holds and what it can fetch."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from agentctl.core.backends.ollama_wire import (
    Processes,
    PullStep,
    Show,
    Tag,
    Tags,
    Version,
    read_answer,
    read_error,
    read_line,
    translate_status,
)
from agentctl.core.backends.progress import PullProgress
from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json, stream_lines
from agentctl.core.config import nearest
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendTimeout,
    DownloadFailed,
    ModelNotFound,
)

T = TypeVar("T")

_BILLIONS = {"K": 1e-6, "M": 1e-3, "B": 1.0, "T": 1e3}


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model the server has. `size` is bytes on disk, `parameters` billions, `modified` ISO 8601.

    `capabilities` is empty where the server is too old to tell.
    """

    name: str
    size: int
    parameters: float | None
    quantization: str
    capabilities: frozenset[str]
    is_remote: bool
    modified: str


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """`context_window` is the most tokens the model can see, 0 where the server does not say;
    `parameters` are billions, `license` is its first line."""

    name: str
    context_window: int
    capabilities: frozenset[str]
    is_remote: bool
    parameters: float | None
    quantization: str
    family: str
    license: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory: bytes in all, bytes on GPUs, tokens it was loaded for (0: unknown)."""

    name: str
    size: int
    size_vram: int
    context_window: int


class OllamaServer:
    """The server at `endpoint`. Every call may raise what `transport.fetch_json` does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = replace(endpoint, hint="start Ollama: ollama serve")

    async def version(self) -> str:
        return (await self._get("/api/version", Version))["version"]

    async def models(self) -> list[InstalledModel]:
        return [_installed(tag) for tag in (await self._get("/api/tags", Tags))["models"] or ()]

    async def digest(self, name: str) -> str:
        """What tells two versions of an installed model apart; empty where it is not told."""
        tags = (await self._get("/api/tags", Tags))["models"] or ()
        wanted = (name, f"{name}:latest")
        return next((tag.get("digest", "") for tag in tags if tag["name"] in wanted), "")

    async def details(self, name: str) -> ModelDetails:
        """Raises ModelNotFound, which names the most similar model that is installed."""
        try:
            answer = await fetch_json(self.endpoint, "POST", "/api/show", {"model": name})
        except StatusError as error:
            if error.status in (400, 404):
                raise await self._not_found(name) from None
            raise translate_status(error, name) from None
        return _details(name, read_answer(answer, Show))

    async def loaded(self) -> list[LoadedModel]:
        return [
            LoadedModel(
                name=process["name"],
                size=process.get("size", 0),
                size_vram=process.get("size_vram", 0),
                context_window=process.get("context_length", 0),
            )
            for process in (await self._get("/api/ps", Processes))["models"] or ()
        ]

    async def pull(self, name: str) -> AsyncGenerator[PullProgress, None]:
        """Downloads a model; a pull that was cancelled or broke off resumes where it stopped.

        Raises:
            ModelNotFound: Ollama's library has no such model.
            DownloadFailed: the server says why it could not fetch it, or broke off.
        """
        resume = f"it resumes where it stopped: agentctl models pull {name}"
        # Checking the sum of many gigabytes is a silence, too.
        endpoint = replace(self.endpoint, idle_s=self.endpoint.first_byte_s)
        try:
            async with aclosing(
                stream_lines(endpoint, "POST", "/api/pull", {"model": name, "stream": True})
            ) as lines:
                async for line in lines:
                    step = read_line(line, PullStep)
                    if "error" in step:
                        raise _pull_problem(name, step["error"])
                    status = step.get("status", "")
                    yield PullProgress(status, step.get("completed", 0), step.get("total", 0))
                    if status == "success":
                        return
        except StatusError as error:
            raise _pull_problem(name, read_error(error.body)) from None
        except (AnswerInterrupted, BackendTimeout) as error:
            raise DownloadFailed(error.message, resume) from None
        raise DownloadFailed(f"the download of {name} broke off", resume)

    async def remove(self, name: str) -> None:
        """Raises ModelNotFound when it is not installed."""
        try:
            async for _ in stream_lines(self.endpoint, "DELETE", "/api/delete", {"model": name}):
                pass
        except StatusError as error:
            if error.status == 404:
                raise await self._not_found(name) from None
            raise translate_status(error, name) from None

    async def _get(self, path: str, shape: type[T]) -> T:
        try:
            return read_answer(await fetch_json(self.endpoint, "GET", path), shape)
        except StatusError as error:
            raise translate_status(error) from None

    async def _not_found(self, name: str) -> ModelNotFound:
        close = nearest(name, [model.name for model in await self.models()])
        meant = f" (did you mean {close}?)" if close else ""
        return ModelNotFound(f"Ollama has no model {name}{meant}", f"agentctl models pull {name}")


def default_host(setting: str, environ: Mapping[str, str]) -> str:
    """The URL of the server: the setting, else OLLAMA_HOST in any form that Ollama takes.

    As in Ollama's envconfig, a scheme moves the default port to 80 or 443, and an address that
    only a server can bind becomes the loopback's. What is no address is left to `transport`.
    """
    text = setting.strip() or environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    scheme, _, rest = text.rpartition("://")
    place, slash, path = rest.partition("/")
    if place.count(":") > 1 and "[" not in place:
        place = f"[{place}]"
    try:
        parts = urlsplit(f"//{place}")
        port = parts.port or {"http": 80, "https": 443}.get(scheme, 11434)
    except ValueError:
        return f"{scheme or 'http'}://{rest}"
    host = parts.hostname or "127.0.0.1"
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme or 'http'}://{shown}:{port}{slash}{path}".rstrip("/")


def is_cloud_name(name: str) -> bool:
    """Whether the tag sends the prompt to Ollama's cloud: `:cloud` or `:120b-cloud`."""
    tag = name.lower().rpartition(":")[2] if ":" in name else ""
    return tag == "cloud" or (tag.endswith("-cloud") and "/" not in tag)


def _installed(tag: Tag) -> InstalledModel:
    details = tag.get("details", {})
    return InstalledModel(
        name=tag["name"],
        size=tag.get("size", 0),
        parameters=_billions(details.get("parameter_size", "")),
        quantization=details.get("quantization_level", ""),
        capabilities=frozenset(tag.get("capabilities") or ()),
        is_remote=bool(tag.get("remote_host")) or is_cloud_name(tag["name"]),
        modified=tag.get("modified_at", ""),
    )


def _details(name: str, show: Show) -> ModelDetails:
    details = show.get("details", {})
    info = show.get("model_info") or {}
    window = info.get(f"{info.get('general.architecture')}.context_length")
    return ModelDetails(
        name=name,
        context_window=window if isinstance(window, int) else details.get("context_length", 0),
        capabilities=_capabilities(show),
        is_remote=bool(show.get("remote_host")) or is_cloud_name(name),
        parameters=_billions(details.get("parameter_size", "")),
        quantization=details.get("quantization_level", ""),
        family=details.get("family", ""),
        license=show.get("license", "").strip().partition("\n")[0].strip(),
    )


def _capabilities(show: Show) -> frozenset[str]:
    told = show.get("capabilities")
    if told is not None:
        return frozenset(told)
    # Servers before 0.6.4 leave it to be told from the parts of the model.
    signs = {
        "tools": ".Tools" in show.get("template", ""),
        "vision": bool(show.get("projector_info")),
        "embedding": any(key.endswith(".pooling_type") for key in show.get("model_info") or ()),
    }
    return frozenset(name for name, shown in signs.items() if shown)


def _billions(size: str) -> float | None:
    """`4.3B` is 4.3, `135M` is 0.135."""
    match = re.fullmatch(r"([\d.]+)\s*([KMBT])", size.strip(), re.IGNORECASE)
    return float(match[1]) * _BILLIONS[match[2].upper()] if match else None


def _pull_problem(name: str, message: str) -> AgentctlError:
    if "file does not exist" in message:
        return ModelNotFound(
            f"Ollama's library has no model {name}", "look for it at https://ollama.com/library"
        )
    return DownloadFailed(
        f"Ollama could not pull {name}: {message}", f"try again: agentctl models pull {name}"
    )
