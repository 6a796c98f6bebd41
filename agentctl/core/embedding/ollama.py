"""Embedding models of an Ollama server, over `/api/embed`.

https://github.com/ollama/ollama/blob/main/docs/api.md#generate-embeddings
"""

from collections.abc import Awaitable, Callable, Sequence

from agentctl.core.backends.ollama import check_local, write_keep_alive
from agentctl.core.backends.ollama_server import OllamaServer, is_cloud_name
from agentctl.core.backends.ollama_wire import Embeddings, read_answer, translate_status
from agentctl.core.backends.transport import StatusError, fetch_json
from agentctl.core.embedding.server import ServedModel
from agentctl.core.errors import ModelIncapable
from agentctl.core.jsontypes import JsonObject

# Passages are far shorter; a wider window only takes memory.
_WINDOW = 2048
# What is left free of it, for special tokens and for tokenizers that make more than ours.
_FREE = 0.2


class OllamaEmbeddings:
    """An `EmbeddingServer`: one model of an Ollama.

    Args:
        reach: sees that the server answers; called once, before anything is asked.
        keep_alive: how long the model stays loaded, such as `5m`; `-1` is for ever.
        allow_cloud: whether the model may run on somebody else's machine.
    """

    def __init__(
        self,
        server: OllamaServer,
        model: str,
        *,
        reach: Callable[[], Awaitable[object]],
        keep_alive: str,
        allow_cloud: bool,
    ) -> None:
        self._server = server
        self._model = model
        self._reach = reach
        self._keep_alive = keep_alive
        self._allow_cloud = allow_cloud
        self._window = _WINDOW

    async def describe(self) -> ServedModel:
        """Raises ModelNotFound, ModelForbidden, or ModelIncapable when it is a chat model."""
        check_local(self._model, is_cloud_name(self._model), allow_cloud=self._allow_cloud)
        await self._reach()
        details = await self._server.details(self._model)
        check_local(self._model, details.is_remote, allow_cloud=self._allow_cloud)
        if details.capabilities and "embedding" not in details.capabilities:
            raise ModelIncapable(
                f"{self._model} does not turn text into vectors",
                "agentctl models pull nomic-embed-text, then agentctl config set"
                " knowledge.embedder ollama:nomic-embed-text",
            )
        self._window = min(details.context_window or _WINDOW, _WINDOW)
        return ServedModel(
            revision=(await self._server.digest(self._model))[:16],
            max_tokens=int(self._window * (1 - _FREE)),
        )

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        body: JsonObject = {
            "model": self._model,
            "input": list(texts),
            # Texts are cut already: this only spares a refusal where the server counts more.
            "truncate": True,
            "keep_alive": write_keep_alive(self._keep_alive),
            "options": {"num_ctx": self._window},
        }
        try:
            answer = await fetch_json(self._server.endpoint, "POST", "/api/embed", body)
        except StatusError as error:
            raise translate_status(error, self._model) from None
        return read_answer(answer, Embeddings)["embeddings"]
