"""What Ollama writes: its answers as far as they are read, and what its errors mean.

The wire is https://github.com/ollama/ollama/blob/main/docs/api.md. Servers older than a field
leave it out, and Go writes an empty list as null.
"""

import json
import re
from typing import Any, Required, TypedDict, TypeVar

from agentctl.core.backends.transport import StatusError
from agentctl.core.errors import (
    AgentctlError,
    AnswerInterrupted,
    BackendBusy,
    BackendFailed,
    ContextOverflow,
    ModelIncapable,
    ModelNotFound,
)
from agentctl.core.jsontypes import Json

T = TypeVar("T")

_OVERFLOW = re.compile(r"(exceeds|longer than) (the |available |maximum )*context", re.IGNORECASE)


# TypedDicts, since a dataclass takes most of a millisecond to make, and `ask` waits for them.


class Version(TypedDict):
    version: str


class Details(TypedDict, total=False):
    parameter_size: str
    quantization_level: str
    family: str
    context_length: int


class Tag(TypedDict, total=False):
    name: Required[str]
    size: int
    modified_at: str
    digest: str
    remote_host: str
    details: Details
    capabilities: list[str] | None


class Tags(TypedDict):
    models: list[Tag] | None


class Show(TypedDict, total=False):
    license: str
    template: str
    remote_host: str
    details: Details
    model_info: dict[str, Any] | None  # Any: a GGUF value of any type
    projector_info: dict[str, Any] | None
    capabilities: list[str] | None


class Process(TypedDict, total=False):
    name: Required[str]
    size: int
    size_vram: int
    context_length: int


class Processes(TypedDict):
    models: list[Process] | None


class Embeddings(TypedDict):
    embeddings: list[list[float]]


class PullStep(TypedDict, total=False):
    status: str
    completed: int
    total: int
    error: str


class Function(TypedDict, total=False):
    name: Required[str]
    arguments: dict[str, Any] | str | None  # Any: msgspec knows no recursive type


class Call(TypedDict, total=False):
    function: Required[Function]
    id: str


class Speech(TypedDict, total=False):
    content: str
    thinking: str
    tool_calls: list[Call] | None


class ChatLine(TypedDict, total=False):
    message: Speech
    done: bool
    done_reason: str
    prompt_eval_count: int
    eval_count: int
    error: str


def read_answer(answer: Json, shape: type[T]) -> T:
    """A whole answer. Raises BackendFailed when it is not what it should be."""
    import msgspec

    try:
        return msgspec.convert(answer, shape)
    except msgspec.ValidationError as error:
        raise BackendFailed(
            f"this is not the answer of an Ollama server: {error}",
            "check its address: agentctl config get ollama.host",
        ) from None


def read_line(line: bytes, shape: type[T]) -> T:
    """One line of a stream. Raises AnswerInterrupted when it is not what it should be."""
    import msgspec

    try:
        return msgspec.json.decode(line, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AnswerInterrupted(f"Ollama sent a malformed line: {error}") from None


def translate_status(error: StatusError, model: str = "") -> AgentctlError:
    """What an HTTP status means; `model` is the one that was asked for."""
    message = read_error(error.body)
    if error.status == 404 and model:
        return ModelNotFound(f"Ollama has no model {model}", f"agentctl models pull {model}")
    if error.status == 503:
        return BackendBusy(f"Ollama is busy: {message}", "try again in a moment")
    return translate_message(message or f"HTTP {error.status}")


def translate_message(message: str) -> AgentctlError:
    """What an error in words means."""
    if _OVERFLOW.search(message):
        return ContextOverflow(
            f"the prompt does not fit: {message}",
            "shorten it, or widen the window: agentctl config set ollama.context_window 32768",
        )
    if "does not support" in message:
        return ModelIncapable(message, "choose another model: agentctl models list")
    return BackendFailed(f"Ollama failed: {message}", "look into the log of the Ollama server")


def read_error(text: str) -> str:
    """The innermost message, as one line: the server wraps its engine's JSON in its own."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return read_error(error) if isinstance(error, str) else " ".join(text.split())
