"""Embedding models of any server that speaks OpenAI's `/v1/embeddings`.

https://platform.openai.com/docs/api-reference/embeddings
"""

from collections.abc import Sequence
from typing import TypedDict

from agentctl.core.backends.openai_compatible import translate_refusal
from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json
from agentctl.core.embedding.server import ServedModel
from agentctl.core.errors import BackendFailed
from agentctl.core.jsontypes import JsonObject

# The protocol does not tell what a model sees. Nearly all see 512 tokens, which leaves a
# quarter for tokenizers that make more of a text than ours.
_MAX_TOKENS = 384


class _Row(TypedDict):
    index: int
    embedding: list[float]


class _Answer(TypedDict):
    data: list[_Row]


class OpenAIEmbeddings:
    """An `EmbeddingServer`: one model, whose versions the protocol does not tell apart.

    Args:
        endpoint: the server; its base URL ends in `/v1`, its headers hold the key, if any.
        model: as the server calls it.
        api_key_env: the variable that holds the key, for the message when the key is refused.
    """

    def __init__(self, endpoint: Endpoint, model: str, *, api_key_env: str) -> None:
        self._endpoint = endpoint
        self._model = model
        self._api_key_env = api_key_env

    async def describe(self) -> ServedModel:
        return ServedModel(revision="", max_tokens=_MAX_TOKENS)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        import msgspec

        body: JsonObject = {
            "model": self._model,
            "input": list(texts),
            "encoding_format": "float",
        }
        try:
            raw = await fetch_json(self._endpoint, "POST", "/embeddings", body)
            answer = msgspec.convert(raw, _Answer)
        except StatusError as error:
            raise await translate_refusal(
                self._endpoint,
                error,
                self._model,
                self._api_key_env,
                "config set knowledge.embedder",
            ) from None
        except msgspec.ValidationError as error:
            raise BackendFailed(
                f"{self._endpoint.address} does not embed as OpenAI's protocol says: {error}",
                self._endpoint.hint,
            ) from None
        rows = sorted(answer["data"], key=lambda row: row["index"])
        return [row["embedding"] for row in rows]
