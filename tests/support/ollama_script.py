"""What a scripted Ollama has, says and does wrong."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]  # Any: whatever a test wants on the wire
FaultKind = Literal["status", "hang", "reset", "malformed_line", "error_line", "no_done"]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, once `after` pieces of the answer were sent.

    With 0 it goes wrong before any byte of the answer, the status line included.
    """

    kind: FaultKind
    after: int = 0
    code: int = 200
    message: str = ""


def status(code: int, message: str = "out of order") -> Fault:
    """An HTTP status with Ollama's `{"error": message}` instead of an answer."""
    return Fault("status", code=code, message=message)


def hang(after: int = 0) -> Fault:
    """Silence until the client leaves or the server closes."""
    return Fault("hang", after)


def reset(after: int = 0) -> Fault:
    """The connection is reset (RST)."""
    return Fault("reset", after)


def malformed_line(after: int = 1) -> Fault:
    """A line that is cut in two, then the proper end of the HTTP answer."""
    return Fault("malformed_line", after)


def error_line(message: str = "the engine stopped", after: int = 1) -> Fault:
    """An error inside of an answer that began with status 200."""
    return Fault("error_line", after, message=message)


def no_done(after: int = 1) -> Fault:
    """The proper end of the HTTP answer where the last line is missing."""
    return Fault("no_done", after)


@dataclass(frozen=True)
class Gate:
    """Holds an answer after some pieces: `reached` is set there, `opened` lets it go on."""

    after: int = 1
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Call:
    """A tool call as the model makes it; Ollama's newer versions give it an id."""

    name: str
    arguments: Any
    id: str | None = None


@dataclass(frozen=True)
class Reply:
    """One answer: pieces of thinking, then of text, then tool calls, then the end.

    A plain string is one piece. Times are seconds, counts are tokens; without `prompt_tokens`
    the prompt's words are counted.
    """

    text: str | Sequence[str] = ("Hello ", "there.")
    thinking: str | Sequence[str] = ()
    tool_calls: Sequence[Call] = ()
    finish: Literal["stop", "length"] = "stop"
    prompt_tokens: int | None = None
    fault: Fault | None = None
    gate: Gate | None = None
    start_delay_s: float = 0.0
    piece_delay_s: float = 0.0

    @property
    def thinking_pieces(self) -> Sequence[str]:
        return _pieces(self.thinking)

    @property
    def text_pieces(self) -> Sequence[str]:
        return _pieces(self.text)


def _pieces(text: str | Sequence[str]) -> Sequence[str]:
    return [text] if isinstance(text, str) else text


@dataclass(frozen=True)
class ScriptedModel:
    """A model the server has. `capabilities` None is a server from before 0.6.4.

    `loaded_vram` is its share on the GPU, 0 to 1, or None when it is not loaded.
    """

    name: str = "scripted:1b"
    size: int = 1_300_000_000
    parameters: str = "1.2B"
    quantization: str = "Q4_K_M"
    family: str = "llama"
    context_window: int = 32_768
    capabilities: Sequence[str] | None = ("completion", "tools", "vision", "thinking")
    template: str = "{{ .Prompt }}"
    license: str = "Apache License\nVersion 2.0, January 2004"
    remote_host: str = ""
    loaded_vram: float | None = None


PULL = (
    {"status": "pulling manifest"},
    {"status": "pulling aeda25e63ebd", "digest": "sha256:aeda25e63ebd", "total": 3_000},
    {"status": "pulling aeda25e63ebd", "total": 3_000, "completed": 1_000},
    {"status": "pulling aeda25e63ebd", "total": 3_000, "completed": 3_000},
    {"status": "verifying sha256 digest"},
    {"status": "writing manifest"},
    {"status": "success"},
)
