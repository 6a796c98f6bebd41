"""The header of a GGUF model file, read without touching its weights.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeAlias, TypeVar

from agentctl.core.errors import InputUnreadable, ModelNotFound

Value: TypeAlias = bool | int | float | str | None
T = TypeVar("T")

# Real headers stay far below these; a hostile one may claim anything.
MAX_HEADER_BYTES = 64 * 2**20
MAX_FIELDS = 4096
MAX_TENSORS = 65536
MAX_DIMENSIONS = 4

_SCALARS = dict(enumerate(("<B", "<b", "<H", "<h", "<I", "<i", "<f", "<?"))) | {
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING = 8
_ARRAY = 9


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a model says of itself.

    `context_length` is the training context in tokens and `embedding_length` the width of its
    vectors, 0 when the file does not tell; `parameters` counts the weights; `tokenizer` is
    llama.cpp's name for the kind; `chat_template` is Jinja, empty when there is none.
    """

    architecture: str
    name: str
    parameters: int
    context_length: int
    embedding_length: int
    tokenizer: str
    chat_template: str
    is_embedding: bool
    is_reranker: bool


def read_gguf_header(path: Path) -> GgufHeader:
    """Maps the file and reads its header: some 10 ms, whatever the size of the weights.

    Raises:
        ModelNotFound: there is no such file.
        InputUnreadable: it may not be read, or is no GGUF file.
    """
    return _read(path, parse_gguf_header)


def read_gguf_strings(path: Path, field: str) -> list[str]:
    """A field that is an array of strings, such as the vocabulary; empty when there is none.

    Raises what `read_gguf_header` does.
    """
    return _read(path, lambda data: parse_gguf_strings(data, field))


def _read(path: Path, parse: Callable[[mmap.mmap], T]) -> T:
    mend = "check the path, or take a model of the catalogue: agentctl models pull smollm2-135m"
    try:
        with path.open("rb") as file:
            size = min(path.stat().st_size, MAX_HEADER_BYTES)
            if file.read(4) != b"GGUF":
                raise InputUnreadable(f"{path} is not a GGUF model", mend)
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as data:
                return parse(data)
    except FileNotFoundError:
        raise ModelNotFound(f"there is no model file {path}", mend) from None
    except OSError as error:
        raise InputUnreadable(f"{path} cannot be read: {error.strerror}", mend) from None
    except ValueError as error:
        raise InputUnreadable(f"{path} is a damaged GGUF file: {error}", mend) from None


def parse_gguf_header(data: bytes | mmap.mmap) -> GgufHeader:
    """Raises ValueError when the bytes are no whole GGUF header of version 2 or 3."""
    cursor = _Cursor(data)
    tensors, count = cursor.counts()
    fields = {cursor.string(): cursor.value(cursor.number("<I")) for _ in range(count)}
    sizes = dict(cursor.tensor() for _ in range(tensors))
    architecture = _text(fields.get("general.architecture"))
    return GgufHeader(
        architecture=architecture,
        name=_text(fields.get("general.name")),
        parameters=sum(sizes.values()),
        context_length=_count(fields.get(f"{architecture}.context_length")),
        embedding_length=_count(fields.get(f"{architecture}.embedding_length")),
        tokenizer=_text(fields.get("tokenizer.ggml.model")),
        chat_template=_text(fields.get("tokenizer.chat_template")),
        is_embedding=_count(fields.get(f"{architecture}.pooling_type")) > 0
        or architecture.endswith("bert"),
        is_reranker=any(name.startswith("cls.") for name in sizes),
    )


def parse_gguf_strings(data: bytes | mmap.mmap, field: str) -> list[str]:
    """Raises ValueError when the bytes are no whole GGUF header up to that field."""
    cursor = _Cursor(data)
    _, count = cursor.counts()
    for _ in range(count):
        key, kind = cursor.string(), cursor.number("<I")
        if (key, kind) == (field, _ARRAY):
            return cursor.strings()
        cursor.value(kind)
    return []


class _Cursor:
    """A place in the header that never leaves it."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        self._data = data
        self._size = len(data)
        self._at = 0

    def counts(self) -> tuple[int, int]:
        """Passes over the file's beginning; the numbers of its tensors and of its fields."""
        if self.take(4) != b"GGUF":
            raise ValueError("the first four bytes are not GGUF")
        if (version := self.number("<I")) not in (2, 3):
            raise ValueError(f"version {version} is unknown")
        tensors, count = self.number("<Q"), self.number("<Q")
        if tensors > MAX_TENSORS or count > MAX_FIELDS:
            raise ValueError(f"it claims {tensors} tensors and {count} fields")
        return tensors, count

    def take(self, size: int) -> bytes:
        start = self._at
        self._skip(size)
        return self._data[start : self._at]

    def number(self, layout: str) -> int:
        return int(struct.unpack(layout, self.take(struct.calcsize(layout)))[0])

    def string(self) -> str:
        return self.take(self.number("<Q")).decode("utf-8", errors="replace")

    def value(self, kind: int) -> Value:
        """One field's value; arrays are passed over and give None."""
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            self._skip_array(self.number("<I"), self.number("<Q"))
            return None
        if kind not in _SCALARS:
            raise ValueError(f"value type {kind} is unknown")
        layout = _SCALARS[kind]
        scalar: Value = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return scalar

    def strings(self) -> list[str]:
        """An array of strings; empty when it holds something else."""
        kind, count = self.number("<I"), self.number("<Q")
        if kind != _STRING:
            self._skip_array(kind, count)
            return []
        at, data, length = self._at, self._data, struct.Struct("<Q")
        self._skip_strings(count)
        found: list[str] = []
        for _ in range(count):
            start = at + 8
            at = start + length.unpack_from(data, at)[0]
            found.append(data[start:at].decode("utf-8", errors="replace"))
        return found

    def tensor(self) -> tuple[str, int]:
        """Passes over one tensor's description; its name and the number of its elements."""
        name = self.string()
        if (dimensions := self.number("<I")) > MAX_DIMENSIONS:
            raise ValueError(f"a tensor claims {dimensions} dimensions")
        shape = struct.unpack(f"<{dimensions}Q", self.take(8 * dimensions))
        self._skip(4 + 8)  # type and offset
        return name, prod(shape)

    def _skip_array(self, kind: int, count: int) -> None:
        if kind in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
        elif kind == _STRING:
            self._skip_strings(count)
        else:
            raise ValueError(f"an array of type {kind} is unknown")

    def _skip_strings(self, count: int) -> None:
        # A vocabulary has hundreds of thousands of strings: no call for each of them.
        at, data, length = self._at, self._data, struct.Struct("<Q")
        if count * 8 > self._size - at:
            raise ValueError("it ends in the middle of its header")
        for _ in range(count):
            if at + 8 > self._size:
                break
            at += 8 + length.unpack_from(data, at)[0]
        self._skip(at - self._at)

    def _skip(self, size: int) -> None:
        if size > self._size - self._at:
            raise ValueError("it ends in the middle of its header")
        self._at += size


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Value) -> int:
    return value if isinstance(value, int) and value > 0 else 0
