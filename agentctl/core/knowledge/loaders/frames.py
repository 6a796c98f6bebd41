"""How the reading process and its parent talk: each message is its length (8 bytes, the highest
first) and its bytes. A request is a `LoadRequest` in JSON and the file, an answer a `LoadAnswer`.
"""

from dataclasses import dataclass
from typing import BinaryIO

from agentctl.core.errors import InputEncrypted, InputHostile, InputTooLarge, InputUnreadable
from agentctl.core.knowledge.documents import Document
from agentctl.core.knowledge.loaders.base import ReadLimits

_LENGTH = 8


@dataclass(frozen=True, slots=True)
class LoadRequest:
    name: str
    limits: ReadLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAnswer:
    """A document, or an error by its slug."""

    document: Document | None = None
    slug: str = ""
    message: str = ""
    hint: str = ""

    def error(self) -> InputUnreadable:
        kinds = (InputEncrypted, InputHostile, InputTooLarge)
        kind = next((kind for kind in kinds if kind.slug == self.slug), InputUnreadable)
        return kind(self.message, self.hint)


def write_frame(stream: BinaryIO, data: bytes) -> None:
    stream.write(len(data).to_bytes(_LENGTH, "big"))
    stream.write(data)
    stream.flush()


def read_frame(stream: BinaryIO, limit: int) -> bytes | None:
    """The next message, None when there is none, or one that is cut off or over the limit."""
    length = int.from_bytes(head, "big") if len(head := stream.read(_LENGTH)) == _LENGTH else -1
    data = stream.read(length) if 0 <= length <= limit else b""
    return data if len(data) == length else None
