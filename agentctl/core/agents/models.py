"""The models of a run: opened once each, closed with it."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from agentctl.core.agents.definitions import AgentDefinition
from agentctl.core.backends.base import ChatModel
from agentctl.core.backends.registry import Opened, Registry

# Share of the window that one tool result may fill, and characters of a token.
_RESULT_SHARE = 0.25
_CHARACTERS_PER_TOKEN = 3
_LEAST_RESULT, _MOST_RESULT = 1000, 50_000


@dataclass(frozen=True, slots=True)
class AgentModel:
    """A model for agents; tool results should have at most `result_chars` characters."""

    model: ChatModel
    name: str
    backend: str
    reason: str | None
    result_chars: int


class Models:
    """Opens models for agents. `default` answers where an agent's file names none."""

    def __init__(self, registry: Registry, default: str) -> None:
        self._registry = registry
        self._default = default

    async def open(
        self, definition: AgentDefinition, opened: dict[str, AgentModel], stack: AsyncExitStack
    ) -> AgentModel:
        """The definition's model; one that the run has opened already is shared.

        Raises what `Registry.open` and `ChatModel.info` raise.
        """
        name = definition.model or self._default
        key = f"{definition.client}:{name}"
        if key not in opened:
            found = await self._open(name, definition.client)
            stack.push_async_callback(found.model.close)
            window = (await found.model.info()).context_window
            room = int(window * _RESULT_SHARE * _CHARACTERS_PER_TOKEN)
            opened[key] = AgentModel(
                found.model,
                found.name,
                found.backend,
                found.reason,
                min(max(room, _LEAST_RESULT), _MOST_RESULT),
            )
        return opened[key]

    async def _open(self, name: str, client: str) -> Opened:
        if client == "agentctl":
            return await self._registry.open(name)
        return await self._registry.open_langchain_ollama(name)
