"""A model that replays a script: for tests, for demonstrations, for `--model scripted:FILE`."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Collection, Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agentctl.core.backends.base import (
    Capability,
    ChatRequest,
    Delta,
    Done,
    FinishReason,
    ModelInfo,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
)
from agentctl.core.errors import (
    AgentctlError,
    BackendFailed,
    ContextOverflow,
    InputMissing,
    InputUnreadable,
)

_WORD = re.compile(r"\s*\S+|\s+")
_ALL_CAPABILITIES: frozenset[Capability] = frozenset({"tools", "vision", "thinking"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedCall:
    name: str
    arguments: dict[str, Any]  # any JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedError:
    """An error of `core/errors.py`, by its slug."""

    slug: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer, field by field as in a script's line.

    `chunks` arrive as they are, `text` word by word; `delay_s` (seconds) passes before each of
    them. `error` is raised in place of the end.
    """

    text: str = ""
    chunks: tuple[str, ...] = ()
    thinking: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    error: ScriptedError | None = None
    delay_s: float = 0.0
    prompt_tokens: int | None = None
    finish_reason: FinishReason | None = None

    @property
    def pieces(self) -> tuple[str, ...]:
        """The answer as it arrives."""
        return self.chunks or tuple(_WORD.findall(self.text))


class ScriptedModel:
    """A `ChatModel` that gives its replies in order, whatever it is asked.

    A token is a word here: what white space separates. `requests` holds what it was asked.
    """

    def __init__(
        self,
        replies: Iterable[Reply | str],
        *,
        name: str = "scripted",
        context_window: int = 8192,
        capabilities: Collection[Capability] = _ALL_CAPABILITIES,
    ) -> None:
        self.requests: list[ChatRequest] = []
        self._replies = [
            Reply(text=reply) if isinstance(reply, str) else reply for reply in replies
        ]
        self._given = 0
        self._info = ModelInfo(
            name=name,
            backend="scripted",
            context_window=context_window,
            max_context_window=context_window,
            capabilities=frozenset(capabilities),
        )

    @classmethod
    def from_file(cls, path: Path) -> "ScriptedModel":
        """Reads a script: JSON Lines, one `Reply` a line.

        Raises:
            InputMissing: there is no such file, or it may not be read.
            InputUnreadable: a line is no reply; the message gives its number.
        """
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except OSError as error:
            raise InputMissing(f"{path}: {error.strerror}", "check the path") from None
        except UnicodeDecodeError:
            raise InputUnreadable(f"{path} is not UTF-8 text", "save it as UTF-8") from None
        replies = [
            _read_reply(line, f"{path}:{number}")
            for number, line in enumerate(lines, 1)
            if line.strip()
        ]
        return cls(replies, name=path.name)

    async def info(self) -> ModelInfo:
        return self._info

    async def count_tokens(self, request: ChatRequest) -> int:
        return _count_words(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        self.requests.append(request)
        prompt_tokens = _count_words(request)
        window = request.options.context_window or self._info.context_window
        if prompt_tokens > window:
            raise ContextOverflow(
                f"the prompt takes {prompt_tokens} tokens, the context window holds {window}",
                "send less",
            )
        reply = self._next_reply()
        async for delta in _play(reply):
            yield delta
        yield Done(
            reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop"),
            prompt_tokens if reply.prompt_tokens is None else reply.prompt_tokens,
            len("".join(reply.pieces).split()),
        )

    async def device(self) -> str | None:
        return None

    async def close(self) -> None:
        """Holds nothing."""

    def _next_reply(self) -> Reply:
        if self._given == len(self._replies):
            raise BackendFailed(
                f"the script has no more replies after {self._given}", "add one to the script"
            )
        self._given += 1
        return self._replies[self._given - 1]


async def _play(reply: Reply) -> AsyncGenerator[Delta, None]:
    for word in _WORD.findall(reply.thinking):
        await asyncio.sleep(reply.delay_s)
        yield ThinkingDelta(word)
    for piece in reply.pieces:
        await asyncio.sleep(reply.delay_s)
        yield TextDelta(piece)
    for number, call in enumerate(reply.tool_calls, 1):
        yield ToolCallDelta(ToolCall(f"call-{number}", call.name, call.arguments))
    if reply.error is not None:
        kind = _error_types(AgentctlError)[reply.error.slug]
        raise kind(reply.error.message, "the script says so")


def _count_words(request: ChatRequest) -> int:
    return sum(len(message.content.split()) for message in request.messages)


def _read_reply(line: str, place: str) -> Reply:
    import msgspec

    known = [field.name for field in fields(Reply)]
    try:
        data = json.loads(line)
        reply = msgspec.convert(data, Reply)
    except (ValueError, RecursionError) as error:
        problem = str(error)
    else:
        unknown = [key for key in data if key not in known]
        if unknown:
            problem = f"unknown key {unknown[0]}"
        elif reply.error is not None and reply.error.slug not in _error_types(AgentctlError):
            problem = f"no error has the slug {reply.error.slug}"
        else:
            return reply
    raise InputUnreadable(f"{place}: {problem}", f"a reply has the keys {', '.join(known)}")


def _error_types(base: type[AgentctlError]) -> dict[str, type[AgentctlError]]:
    """Every type of the tree by its slug; where types share one, the topmost."""
    types: dict[str, type[AgentctlError]] = {}
    for kind in base.__subclasses__():
        types = _error_types(kind) | types
    return types | {base.slug: base}
