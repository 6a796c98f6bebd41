"""How a verb travels: its arguments and answers as JSON, its errors as errors.

A call is `POST /workspace/VERB` with one object of arguments. The answer is one JSON object a line
(NDJSON): `{"item": …}` for each thing that the verb returns or yields, then `{"end": true}`,
`{"cancelled": true}` or `{"error": {code, message, hint}}`. An empty line only says that the work
goes on. An item of a union stands under the name of its class: `{"IngestStep": {…}}`. What a verb
takes and gives is read from the Workspace's own annotations: there is no second list of verbs.
"""

import dataclasses
import inspect
import types
import typing
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, Union, get_args, get_origin

import msgspec

from agentctl.core.errors import AgentctlError, UsageProblem
from agentctl.core.jsontypes import JsonObject
from agentctl.core.workspace import Workspace

# Annotations, values and arguments are whatever the verbs say they are.
Shape: TypeAlias = Any
Value: TypeAlias = Any

KEEP_ALIVE_S = 5.0
"""Seconds between two empty lines of a call that has nothing to say."""

# Where the values that verbs speak of live; a client imports only those of the verb it calls.
_HOMES = {
    "agents.definitions": ("AgentEntry", "AgentKind"),
    "agents.run_request": ("AgentRequest", "ApprovalAnswer", "ResumeRequest"),
    "agents.run_store": ("Decision", "RunDetails", "RunRow"),
    "automation.journal": ("JournalEntry",),
    "automation.measurements": ("MinuteAverages", "SystemStats"),
    "automation.tasks": ("TaskEntry", "TaskRequest", "TaskRun"),
    "automation.watching": ("WatchedFolder", "WatchRequest"),
    "backends.base": ("Delta",),
    "backends.model_manager": ("ModelEntry", "ModelList"),
    "backends.progress": ("PullProgress",),
    "backup": ("BackupReport", "BackupRequest", "BackupStep"),
    "chat.conversation": ("AskRequest", "Prepared"),
    "chat.passthrough": ("ChatBegan", "ChatCall"),
    "chat.conversations": ("Session", "SessionMatch", "StoredMessage"),
    "chat.templates": ("Template",),
    "events": ("Event",),
    "knowledge.library": (
        "CollectionEntry",
        "DocumentEntry",
        "Embeddings",
        "Evaluation",
        "IngestReport",
        "IngestRequest",
        "IngestStep",
        "Passage",
        "ReindexStep",
        "SearchMode",
        "SearchRequest",
        "SearchResult",
        "VerifyReport",
    ),
}


@dataclass(frozen=True, slots=True)
class Verb:
    """`answer` is what it returns, or what it yields when it `streams`."""

    name: str
    parameters: Mapping[str, Shape]
    answer: Shape
    streams: bool

    def bind(self, *positional: Value, **named: Value) -> JsonObject:
        """The arguments of a call as JSON."""
        signature = inspect.signature(getattr(Workspace, self.name))
        arguments = signature.bind(None, *positional, **named).arguments
        arguments.pop("self")
        return {name: _built(value) for name, value in arguments.items()}

    def read_arguments(self, arguments: JsonObject) -> dict[str, Value]:
        """The inverse of `bind`. Raises UsageProblem for what the verb does not take."""
        signature = inspect.signature(getattr(Workspace, self.name))
        try:
            signature.bind(None, **arguments)
            return {
                name: msgspec.convert(value, self.parameters[name], dec_hook=_convert)
                for name, value in arguments.items()
            }
        except (TypeError, KeyError, msgspec.ValidationError) as error:
            raise UsageProblem(f"{self.name}: {error}", "see the API: /docs") from None

    def encode_item(self, item: Value) -> bytes:
        named = {type(item).__name__: item} if _variants(self.answer) else item
        return msgspec.json.encode({"item": named}, enc_hook=_encode) + b"\n"

    def decode_item(self, item: Value) -> Value:
        variants = _variants(self.answer)
        if variants:
            (name, item), *_ = item.items()
            return _read(variants[name], item)
        return _read(self.answer, item)


ALIVE = b"\n"
END = b'{"end":true}\n'
CANCELLED = b'{"cancelled":true}\n'


def encode_error(error: AgentctlError) -> bytes:
    return msgspec.json.encode({"error": error_fields(error)}) + b"\n"


def error_fields(error: AgentctlError) -> dict[str, str]:
    return {"code": error.slug, "message": error.message, "hint": error.hint}


def read_error(fields: Mapping[str, str]) -> AgentctlError:
    """The error as it was raised; one of an unknown kind is an AgentctlError."""
    kind = _kinds().get(fields.get("code", ""), AgentctlError)
    return kind(fields.get("message", "the daemon failed"), fields.get("hint", ""))


@cache
def find_verb(name: str) -> Verb | None:
    """The verb of that name; None for anything else, `close` too, which nobody may call."""
    method = vars(Workspace).get(name)
    if name.startswith("_") or name == "close" or not inspect.isfunction(method):
        return None
    hints = typing.get_type_hints(method, vars(import_module(Workspace.__module__)), _Homes())
    answer = hints.pop("return")
    streams: bool = get_origin(answer) is AsyncGenerator
    return Verb(name, hints, get_args(answer)[0] if streams else answer, streams)


class _Homes(dict[str, Shape]):
    """Imports a value's module when an annotation speaks of it."""

    def __missing__(self, name: str) -> Shape:
        for module, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"agentctl.core.{module}"), name)
        raise KeyError(name)


@cache
def _kinds() -> dict[str, type[AgentctlError]]:
    kinds: dict[str, type[AgentctlError]] = {}
    waiting = [AgentctlError]
    while waiting:
        kind = waiting.pop()
        kinds.setdefault(kind.slug, kind)
        waiting += kind.__subclasses__()
    return kinds


def _variants(shape: Shape) -> dict[str, type]:
    """The classes of a union of values, by name; none for every other shape."""
    origin: Shape = get_origin(shape)
    if origin not in (Union, types.UnionType):
        return {}
    classes = [each for each in get_args(shape) if each is not type(None)]
    return {each.__name__: each for each in classes} if len(classes) > 1 else {}


def _read(shape: Shape, value: Value) -> Value:
    """The value of that shape; msgspec cannot tell the events inside of another value apart."""
    hints = typing.get_type_hints(shape) if dataclasses.is_dataclass(shape) else {}
    if not any(_variants(inner) for hint in hints.values() for inner in get_args(hint)):
        return msgspec.convert(value, shape, dec_hook=_convert)
    from agentctl.core.events import Event, read_event

    with_events = {name for name, hint in hints.items() if Event in get_args(hint)}
    fields = {
        name: tuple(map(read_event, each)) if name in with_events else _read(hints[name], each)
        for name, each in value.items()
    }
    return shape(**fields)


def _built(value: Value) -> Value:
    return msgspec.to_builtins(value, enc_hook=_encode)


def _encode(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} does not travel")


def _convert(kind: type, value: object) -> object:
    if issubclass(kind, Path):
        return Path(str(value))
    raise NotImplementedError(f"{kind.__name__} does not travel")
