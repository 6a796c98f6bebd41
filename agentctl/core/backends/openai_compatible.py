"""Any server that speaks OpenAI's chat completions: vLLM, llama.cpp's server, LM Studio, a cloud.

The protocol tells neither a model's context window nor what it can do: the window is a
setting, every capability is assumed, and what a server refuses is reported as such.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentctl.core.backends.base import ChatRequest, Delta, ModelInfo
from agentctl.core.backends.openai_format import (
    AnswerParser,
    encode_request,
    is_overflow,
    overflow,
    translate_error,
)
from agentctl.core.backends.token_estimate import estimate_request_tokens
from agentctl.core.backends.transport import Endpoint, StatusError, fetch_json, stream_lines
from agentctl.core.config import nearest
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendBusy,
    BackendFailed,
    ModelForbidden,
    ModelIncapable,
    ModelNotFound,
)
from agentctl.core.jsontypes import Json

_OVERFLOW_HINT = (
    "send less, or if the server's window is larger: agentctl config set openai.context_window {n}"
)


class OpenAICompatibleModel:
    """A `ChatModel` over HTTP; several streams at once are as many requests.

    Args:
        endpoint: the server; its base URL ends in `/v1`, its headers hold the key, if any.
        name: the model, as the server calls it.
        context_window: tokens; a prompt estimated above it is not sent, for some servers
            would cut it silently.
        api_key_env: the variable that holds the key, for the message when the key is refused.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        name: str,
        *,
        context_window: int,
        api_key_env: str = "OPENAI_API_KEY",
    ) -> None:
        self._endpoint = endpoint
        self._name = name
        self._context_window = context_window
        self._api_key_env = api_key_env

    async def info(self) -> ModelInfo:
        return ModelInfo(
            name=self._name,
            backend="openai",
            context_window=self._context_window,
            max_context_window=self._context_window,
            capabilities=frozenset({"tools", "vision", "thinking"}),
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        return estimate_request_tokens(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        prompt_tokens = estimate_request_tokens(request)
        window = request.options.context_window or self._context_window
        if prompt_tokens > window:
            raise overflow(prompt_tokens, window, _OVERFLOW_HINT)
        body = encode_request(request) | {"model": self._name}
        parser = AnswerParser(prompt_tokens, _OVERFLOW_HINT)
        lines = stream_lines(self._endpoint, "POST", "/chat/completions", body)
        try:
            async with aclosing(_read_events(lines)) as events:
                async for data in events:
                    if data == "[DONE]":
                        break
                    for delta in parser.feed(_decode(data)):
                        yield delta
        except StatusError as error:
            raise await translate_refusal(
                self._endpoint, error, self._name, self._api_key_env
            ) from None
        yield parser.end()

    async def device(self) -> str | None:
        return None

    async def close(self) -> None:
        """Each request has a connection of its own, so there is nothing to free."""


async def translate_refusal(
    endpoint: Endpoint, error: StatusError, model: str, api_key_env: str, choose: str = "models use"
) -> AgentctlError:
    """What an HTTP status means; `choose` is the command that takes another model."""
    if error.status != 404:
        return _translate_status(endpoint, error, api_key_env)
    try:
        names = await list_models(endpoint, api_key_env)
    except AgentctlError:
        return ModelNotFound(
            f"{endpoint.address} knows neither {model} nor where models are listed",
            "check that the address ends in /v1: agentctl config get openai.base_url",
        )
    close = nearest(model, names)
    return ModelNotFound(
        f"{endpoint.address} has no model {model}",
        f"did you mean {close}? agentctl {choose} openai:{close}"
        if close
        else "see what it has: agentctl models list",
    )


async def list_models(endpoint: Endpoint, api_key_env: str = "OPENAI_API_KEY") -> list[str]:
    """The names of a server's models.

    Raises:
        ModelForbidden: the server refuses the key.
        RetryError: nothing answers, or not as it should.
    """
    try:
        answer = await fetch_json(endpoint, "GET", "/models")
    except StatusError as error:
        raise _translate_status(endpoint, error, api_key_env) from None
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise BackendFailed(
            f"{endpoint.address} does not list its models as OpenAI's protocol says", endpoint.hint
        )
    return [str(model["id"]) for model in models if isinstance(model, dict) and "id" in model]


async def _read_events(lines: AsyncGenerator[bytes, None]) -> AsyncGenerator[str, None]:
    """The data of server-sent events.

    As https://html.spec.whatwg.org/multipage/server-sent-events.html parses them, except that
    the end of the stream also ends an event: servers forget the last blank line.
    """
    data: list[bytes] = []
    async with aclosing(lines):
        async for line in lines:
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data).decode(errors="replace")
                data = []
    if data:
        yield b"\n".join(data).decode(errors="replace")


def _decode(data: str) -> Json:
    try:
        chunk: Json = json.loads(data)
    except (ValueError, RecursionError):
        raise AnswerInterrupted("the model server sent a malformed line", "try again") from None
    return chunk


def _translate_status(endpoint: Endpoint, error: StatusError, api_key_env: str) -> AgentctlError:
    server, status = endpoint.address, error.status
    if status in (401, 403):
        return ModelForbidden(
            f"{server} refuses the key (HTTP {status})",
            f"put a valid key into the environment variable {api_key_env}",
        )
    key = endpoint.headers.get("Authorization", "").removeprefix("Bearer ")
    reason = _reason(error.body.replace(key, "(key)") if key else error.body)
    if is_overflow(reason):
        return translate_error(reason, _OVERFLOW_HINT)
    message = f"{server} answered HTTP {status}: {reason['message']}"
    if status in (429, 503):
        return BackendBusy(message, "try again in a moment")
    if status in (400, 413, 422):
        return ModelIncapable(message, "ask without what it refuses, or take another model")
    return BackendFailed(message, endpoint.hint)


def _reason(body: str) -> dict[str, Json]:
    """The `error` object of a refusal, with a message of one line in any case."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    reason: dict[str, Json] = error if isinstance(error, dict) else {"message": error or body}
    message = " ".join(str(reason.get("message") or "no reason given").split())[:300]
    return reason | {"message": message}
