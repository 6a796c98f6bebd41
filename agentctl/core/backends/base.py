"""The one door to a model: `ChatModel`, and the values that pass through it."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from agentctl.core.jsontypes import Json, JsonObject

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
FinishReason: TypeAlias = Literal["stop", "length", "tool_calls"]
Capability: TypeAlias = Literal["tools", "vision", "thinking", "embedding"]


@dataclass(frozen=True, slots=True)
class Image:
    """A picture for a vision model: `data` is the encoded file (PNG, JPEG, WebP, GIF)."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for; `arguments` is always an object."""

    id: str
    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool the model may call; `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: JsonObject


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    `tool_calls` belongs to an assistant, `tool_call_id` and `tool_name` to a tool's result.
    """

    role: Role
    content: str
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """How to sample. None leaves the backend's own default.

    `context_window` and `max_tokens` are in tokens, `keep_alive` is a duration such as `5m`.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] | None = None
    max_tokens: int | None = None
    context_window: int | None = None
    keep_alive: str | None = None
    think: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A whole conversation to answer. `schema`, a JSON Schema, constrains the answer."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    schema: Mapping[str, Json] | None = None
    options: ModelOptions = field(default_factory=ModelOptions)


@dataclass(frozen=True, slots=True)
class TextDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """One whole tool call: backends assemble the fragments."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Done:
    """The last delta of every answer that did not fail. `prompt_tokens` counts cached ones too."""

    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


Delta: TypeAlias = TextDelta | ThinkingDelta | ToolCallDelta | Done


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a model is and can do.

    `context_window` (tokens) is the one that will be used, `parameters` are billions, None when
    the backend cannot tell.
    """

    name: str
    backend: str
    context_window: int
    max_context_window: int
    capabilities: frozenset[Capability]
    parameters: float | None = None


class ChatModel(Protocol):
    """A model that answers. Not safe for two streams at once unless the backend says so."""

    async def info(self) -> ModelInfo:
        """Raises ModelNotFound, ModelForbidden, or a RetryError."""
        ...

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens the prompt will take, exact where the engine can tell, else not below it."""
        ...

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """The answer as it arrives, ended by exactly one `Done`.

        Closing the generator, or cancelling the task that reads it, stops the model. A stream
        never ends without `Done` and without an error: an answer that breaks off raises
        AnswerInterrupted, silence BackendTimeout, a prompt over the window ContextOverflow.
        """
        ...

    async def device(self) -> str | None:
        """Where the model runs now, such as `CPU` or `GPU 100%`; None if it cannot be told."""
        ...

    async def close(self) -> None:
        """Frees what the model holds. Harmless when called twice."""
        ...
