"""Saved conversations as values."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agentctl.core.backends.base import Role
from agentctl.core.chat.attachments import Attachment
from agentctl.core.events import RunStatus
from agentctl.core.jsontypes import JsonObject
from agentctl.core.sources import Source

# How its run ended; `partial` while it arrives, and for good when its process was killed.
MessageStatus: TypeAlias = RunStatus | Literal["partial"]


@dataclass(frozen=True, slots=True)
class Session:
    """`title` is the beginning of the first prompt; `parent` the session it was forked from.

    `summary` tells what was said up to some message, if anybody has written one.
    """

    id: str
    name: str | None
    title: str
    created: str
    updated: str
    parent: str | None
    messages: int
    model: str | None
    summary: str | None = None


@dataclass(frozen=True, slots=True)
class StoredMessage:
    id: int
    role: Role
    content: str
    thinking: str
    status: MessageStatus
    model: str | None
    backend: str | None
    created: str
    usage: JsonObject | None
    error: str | None
    attachments: tuple[Attachment, ...] = ()
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Which answer is arriving.

    Its session belongs to it: a message's id is given again once the newest session is removed.
    """

    session: str
    message: int


@dataclass(frozen=True, slots=True)
class SessionMatch:
    """A message found by `search`; `excerpt` marks the words found with **."""

    session: str
    name: str | None
    message_id: int
    role: Role
    created: str
    excerpt: str
