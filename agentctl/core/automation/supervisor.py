"""Keeps the user's Ollama answering: looks at it, waits, restarts it, and says when it cannot.

    healthy -> retrying -> healthy        it answers again, by itself or after a restart
                        -> degraded       three restarts did not help, or none is allowed

A degraded server is looked at further and becomes healthy by itself; it is not restarted.
"""

import asyncio
import random as random_numbers
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from agentctl.core.addresses import stays_here
from agentctl.core.automation.journal import Journal
from agentctl.core.automation.measurements import BackendState
from agentctl.core.automation.server_look import PATIENCE_S, Problem, ServerLook, Trouble
from agentctl.core.backends.ollama_process import (
    end_all,
    end_started,
    find_listener,
    find_started,
    is_ollama,
    start_server,
    with_children,
)
from agentctl.core.config import Settings
from agentctl.core.errors import AgentctlError
from agentctl.core.paths import Paths

if TYPE_CHECKING:
    import psutil

_WORDS: dict[Trouble, str] = {
    "silent": "silent",
    "hanging": "hanging",
    "memory": "out of memory",
}

# Seconds before looking again, then before a restart that follows one that failed.
_RETRIES_S = (1.0, 3.0)
_RESTARTS_S = (0.0, 5.0, 15.0)
_JITTER = 0.25
# Seconds of health after which the restarts of the past no longer count.
_RESET_S = 600.0
# So many failed loads, each within `_RESET_S` of the one before, are worth a restart.
_FAILED_LOADS = 3
_NO_MEMORY = re.compile(
    r"out of memory|more system memory|insufficient memory|cudaMalloc|unable to allocate"
    r"|runner process has terminated",
    re.IGNORECASE,
)


class ModelSupervisor:
    """Watches over the Ollama of the settings.

    Args:
        notify: told once, with a title and a text, when the server is given up.
        patience_s: seconds the server has for one answer.
        start_s: seconds a new server has until its first answer.
    """

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        journal: Journal,
        *,
        notify: Callable[[str, str], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_numbers.random,
        patience_s: float = PATIENCE_S,
        start_s: float = 30.0,
    ) -> None:
        self._paths = paths
        self._environ = environ
        self._journal = journal
        self._notify = notify
        self._monotonic = monotonic
        self._sleep = sleep
        self._random = random
        self._patience_s = patience_s
        self._start_s = start_s
        self._one_at_a_time = asyncio.Lock()
        self._begin(settings)

    def _begin(self, settings: Settings) -> None:
        self._concerns = _concerns(settings)
        self._settings = settings.ollama
        self._look = ServerLook(settings, self._paths, self._environ, self._patience_s)
        self._address = self._look.address
        self._state = BackendState(name="ollama", status="off")
        self._restarts = 0
        self._healthy_since: float | None = None
        self._failed_loads: list[float] = []

    @property
    def state(self) -> BackendState:
        """As it was last seen."""
        return self._state

    @property
    def is_held(self) -> bool:
        """Whether jobs for the server should wait: it is being mended now."""
        return self._state.status == "retrying"

    async def check(self) -> BackendState:
        """Looks at the server and mends it, which may take a minute or two; the state after that.

        A second call meanwhile waits for the first. Raises StorageError, BackendBusy.
        """
        async with self._one_at_a_time:
            seen = await self._see()
            if isinstance(seen, BackendState):
                self._settle(seen)
            elif self._state.status != "degraded":
                await self._mend(seen)
            return self._state

    def report_failure(self, error: AgentctlError) -> None:
        """An answer failed with this. The next `check` counts it when a load ran out of memory."""
        if _NO_MEMORY.search(error.message):
            now = self._monotonic()
            recent = self._failed_loads and now - self._failed_loads[-1] < _RESET_S
            self._failed_loads = [*(self._failed_loads if recent else ()), now]

    async def use(self, settings: Settings) -> None:
        """Goes on with these, with a fresh start if they concern the server.

        A mend under way ends first. At another address the server of before has no more to do.
        """
        if _concerns(settings) == self._concerns:
            return
        async with self._one_at_a_time:
            before = self._address
            self._begin(settings)
            if before != self._address:
                await self._end_own(before)

    async def stop(self) -> None:
        """Ends the server if the daemon started it; one that a command started is the user's."""
        async with self._one_at_a_time:
            await self._end_own(self._address)

    async def _end_own(self, address: str) -> None:
        started = find_started(self._paths, address)
        if started is not None and started.starter == "daemon":
            await asyncio.to_thread(end_started, self._paths, address)

    async def _see(self) -> BackendState | Problem:
        seen = await self._look.see()
        if isinstance(seen, BackendState) and len(self._failed_loads) >= _FAILED_LOADS:
            return Problem(
                kind="memory",
                detail="Ollama ran out of memory again and again while it loaded a model",
                fix="take a smaller model: agentctl models list; or a smaller window: "
                "agentctl config set ollama.context_window 4096",
            )
        return seen

    def _settle(self, seen: BackendState) -> None:
        """The server answers, or nobody wants it."""
        before, self._state = self._state.status, seen
        now = self._monotonic()
        if seen.status != "healthy" or self._healthy_since is None:
            self._healthy_since = now if seen.status == "healthy" else None
        elif now - self._healthy_since >= _RESET_S:
            self._restarts = 0
        if before == "degraded" and seen.status == "healthy":
            self._journal.write("info", "model", "Ollama answers again")

    async def _mend(self, problem: Problem) -> None:
        self._healthy_since = None
        if not problem.is_final:
            self._state = problem.state("retrying")
            for pause_s in _RETRIES_S:
                await self._pause(pause_s)
                seen = await self._see()
                if isinstance(seen, BackendState):
                    self._settle(seen)
                    return
                problem = seen
                if problem.is_final:
                    break
        await self._restart(problem)

    async def _restart(self, problem: Problem) -> None:
        """As often as is left of the budget; then the server is given up."""
        first = problem
        while not problem.is_final and self._restarts < len(_RESTARTS_S):
            instead = await self._what_instead(problem)
            if instead is not None:
                # Where a model is too large, a restart is not the best that can be done.
                problem = problem if problem.kind == "memory" else replace(problem, fix=instead)
                break
            await self._pause(_RESTARTS_S[self._restarts])
            self._restarts += 1
            began = self._monotonic()
            try:
                await self._start_anew()
            except AgentctlError as error:
                problem = replace(problem, detail=error.message, fix=error.hint)
                continue
            self._failed_loads.clear()
            seen = await self._see()
            if isinstance(seen, BackendState):
                self._tell_restart(first, self._monotonic() - began)
                self._settle(seen)
                return
            problem = seen
        await self._give_up(problem)

    async def _what_instead(self, problem: Problem) -> str | None:
        """What the user can do where the server may not be started anew; None where it may."""
        if not stays_here(self._address):
            return f"see to Ollama on its machine: {self._address}"
        if self._settings.restart == "off":
            return "restart it: ollama serve"
        if find_started(self._paths, self._address) is not None:
            return None
        listener = await asyncio.to_thread(find_listener, self._look.port)
        if listener is None and problem.kind == "silent":
            return None if self._settings.start else "start it: ollama serve"
        return self._instead_of(listener)

    def _instead_of(self, listener: "psutil.Process | None") -> str | None:
        """The same, where somebody else started what has the port."""
        if listener is not None and not is_ollama(listener):
            return (
                f"another program has port {self._look.port}; set the address of Ollama: "
                "agentctl config set ollama.host http://127.0.0.1:11434"
            )
        if listener is not None and self._settings.restart == "any":
            return None
        return (
            "restart it yourself (agentctl did not start it), or allow it: "
            "agentctl config set ollama.restart any"
        )

    async def _start_anew(self) -> None:
        await asyncio.to_thread(self._end)
        await start_server(
            self._look.server,
            self._paths,
            self._environ,
            starter="daemon",
            deadline_s=self._start_s,
            sleep=self._sleep,
        )

    def _end(self) -> None:
        """The server of ours, and another one only where the user allows it."""
        end_started(self._paths, self._address)
        listener = find_listener(self._look.port) if self._settings.restart == "any" else None
        if listener is not None and is_ollama(listener):
            end_all(with_children(listener))

    def _tell_restart(self, problem: Problem, seconds: float) -> None:
        self._journal.write(
            "warning",
            "model",
            f"Ollama was {_WORDS[problem.kind]}; restarted, answering after {seconds:.1f} s",
            {"kind": problem.kind, "seconds": round(seconds, 1), "restarts": self._restarts},
        )

    async def _give_up(self, problem: Problem) -> None:
        detail = problem.detail
        if self._restarts:
            detail += f" (restarted {self._restarts} times)"
        self._failed_loads.clear()
        self._state = replace(problem, detail=detail).state("degraded")
        self._journal.write("error", "model", detail, {"kind": problem.kind, "fix": problem.fix})
        await self._notify("Ollama does not answer", f"{detail}\n{problem.fix}")

    async def _pause(self, seconds: float) -> None:
        """With jitter, so that several daemons on one machine do not act in step."""
        await self._sleep(seconds * (1 + _JITTER * (2 * self._random() - 1)))


def _concerns(settings: Settings) -> tuple[object, ...]:
    """What of the settings the supervision of Ollama goes by."""
    return settings.ollama, settings.model, settings.knowledge.embedder
