"""One look at the user's Ollama: what it holds, or what is wrong with it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from agentctl.core.addresses import stays_here
from agentctl.core.automation.measurements import BackendState, Health, LoadedModelUse
from agentctl.core.automation.monitor import percent
from agentctl.core.backends.model_servers import find_ollama
from agentctl.core.backends.ollama_process import find_started
from agentctl.core.backends.ollama_server import LoadedModel
from agentctl.core.backends.registry import split_name
from agentctl.core.child_processes import find_program
from agentctl.core.config import Settings
from agentctl.core.errors import (
    AgentctlError,
    BackendFailed,
    BackendUnreachable,
    ConfigError,
)
from agentctl.core.paths import Paths

PATIENCE_S = 2.0
"""Seconds a server has for one answer."""

Trouble: TypeAlias = Literal["silent", "hanging", "missing", "wrong", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with the server, and what the user can do about it."""

    kind: Trouble
    detail: str
    fix: str

    @property
    def is_final(self) -> bool:
        """Whether waiting or starting anew cannot help."""
        return self.kind in ("missing", "wrong")

    def state(self, status: Health) -> BackendState:
        return BackendState(name="ollama", status=status, detail=self.detail, fix=self.fix)


class ServerLook:
    """Looks at the Ollama of the settings, and remembers whether it was ever there."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._paths = paths
        self._environ = environ
        embedder = settings.knowledge.embedder
        self._is_named = _is_ollamas(settings.model) or embedder.startswith("ollama:")
        self._seen = False
        self._patience_s = patience_s
        self.server = find_ollama(settings, environ, patience_s)

    @property
    def address(self) -> str:
        return self.server.endpoint.address

    @property
    def port(self) -> int:
        """0 where the settings hold none that could be one."""
        try:
            parts = urlsplit(self.address)
            return parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        except ValueError:
            return 0

    async def see(self) -> BackendState | Problem:
        """A healthy state, `off` where nobody wants a server and none is there, or a problem."""
        try:
            # However slowly they drip.
            async with asyncio.timeout(3 * self._patience_s):
                await self.server.version()
                loaded = await self.server.loaded()
        except (AgentctlError, TimeoutError) as error:
            if isinstance(error, BackendUnreachable | BackendFailed) and not self._is_wanted():
                return BackendState(name="ollama", status="off")
            return self._problem(error)
        self._seen = True
        models = tuple(map(_use, loaded))
        return BackendState(name="ollama", status="healthy", loaded_models=models)

    async def state(self) -> BackendState:
        """What is seen, where nobody mends it."""
        seen = await self.see()
        return seen if isinstance(seen, BackendState) else seen.state("degraded")

    def _is_wanted(self) -> bool:
        """Named in the settings, seen before, or started by agentctl.

        `auto` takes a server that runs; it wants none.
        """
        is_known = self._is_named or self._seen
        return is_known or find_started(self._paths, self.address) is not None

    def _problem(self, error: AgentctlError | TimeoutError) -> Problem:
        if isinstance(error, BackendUnreachable):
            is_missing = stays_here(self.address) and find_program("ollama", self._environ) is None
            if is_missing and find_started(self._paths, self.address) is None:
                return Problem(
                    kind="missing",
                    detail=f"{error.message}, and Ollama is not installed: no `ollama` on PATH",
                    fix="get it at https://ollama.com/download",
                )
            return Problem(kind="silent", detail=error.message, fix=error.hint)
        if isinstance(error, BackendFailed):
            return Problem(
                kind="wrong",
                detail=f"what answers at {self.address} is no Ollama: {error.message}",
                fix="set its address: agentctl config set ollama.host http://127.0.0.1:11434",
            )
        if isinstance(error, ConfigError):
            return Problem(kind="wrong", detail=error.message, fix=error.hint)
        return Problem(
            kind="hanging",
            detail=f"Ollama at {self.address} takes connections and does not answer",
            fix="restart it",
        )


def _is_ollamas(name: str) -> bool:
    """`ollama:x` is; so is `qwen3:4b`: no other name has a colon, but for another backend's."""
    backend, _ = split_name(name)
    is_other = backend is not None or name.endswith(".gguf")
    return backend == "ollama" or (":" in name and not is_other)


def _use(model: LoadedModel) -> LoadedModelUse:
    return LoadedModelUse(
        name=model.name,
        size=model.size,
        gpu_percent=percent(model.size_vram, model.size),
        context_window=model.context_window,
    )
