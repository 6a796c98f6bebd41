"""A question, and the conversation it goes on with."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from agentctl.core.backends.base import Message, ModelOptions
from agentctl.core.chat.attachments import Attachment
from agentctl.core.chat.prompt import user_message, without_turn_marks
from agentctl.core.chat.sessions import LATEST, SessionStore
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class AskRequest:
    """A question.

    `knowledge` says whether passages of the knowledge base go along, None as the settings say;
    `collection` narrows that to one. `files` are absolute paths or URLs. `session` is a reference
    to the one to go on with; with `create_session` it is made, under that name, when there is
    none. `timeout_s` bounds the run in seconds. With `log` False nothing is stored.
    """

    prompt: str
    files: tuple[str, ...] = ()
    stdin: bytes | None = None
    model: str | None = None
    system: str | None = None
    knowledge: Literal["auto", "always", "off"] | None = None
    collection: str | None = None
    session: str | None = None
    create_session: bool = False
    options: ModelOptions = field(default_factory=ModelOptions)
    schema: JsonObject | None = None
    timeout_s: float | None = None
    log: bool = True

    def well_formed(self) -> "AskRequest":
        """With no letter that can neither be stored nor sent."""
        return replace(
            self,
            prompt=well_formed(self.prompt),
            system=self.system and well_formed(self.system),
            session=self.session and well_formed(self.session),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What an ask would send, counted in tokens."""

    model: str
    backend: str
    reason: str | None
    messages: tuple[Message, ...]
    prompt_tokens: int
    context_window: int
    truncated_tokens: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What was said before, and the new turn. `session` is the id, None for a new one.

    `past_prompts` are the questions of `past` as they were typed, the oldest first. `passages`
    of the knowledge base go along with the new turn; they are no part of the session, so that
    the next question does not carry them.
    """

    session: str | None
    name: str | None
    past: tuple[Message, ...]
    past_prompts: tuple[str, ...]
    system: str | None
    prompt: str
    attachments: tuple[Attachment, ...]
    passages: tuple[Source, ...] = ()

    @classmethod
    def resume(
        cls,
        sessions: SessionStore | None,
        request: AskRequest,
        prompt: str,
        attachments: Iterable[Attachment],
    ) -> "Conversation":
        """Raises NotFound when the session to go on with does not exist."""
        session = _session(sessions, request)
        stored = sessions.messages(session) if sessions is not None and session is not None else []
        past = tuple(
            user_message(message.content, message.attachments)
            if message.role == "user"
            else Message(message.role, message.content)
            for message in stored
        )
        systems = [message.content for message in past if message.role == "system"]
        return cls(
            session=session,
            name=request.session if session is None and request.session != LATEST else None,
            past=past,
            past_prompts=tuple(message.content for message in stored if message.role == "user"),
            system=request.system or (systems[-1] if systems else None),
            prompt=prompt,
            attachments=tuple(attachments),
        )

    def messages(self) -> tuple[Message, ...]:
        """As a model wants them: one system message first, then user and assistant in turn."""
        spoken = [m for m in self.past if m.role != "system" and (m.content or m.images)]
        turns = [Message("system", self.system)] if self.system else []
        for said in (*spoken, user_message(self.prompt, self.attachments, self.passages)):
            # Models repeat what they read, so that no turn but the system's is trusted.
            message = replace(said, content=without_turn_marks(said.content))
            if turns and turns[-1].role == message.role:
                # Chat templates refuse two in a row, as an unanswered question leaves them.
                turns[-1] = _joined(turns[-1], message)
            else:
                turns.append(message)
        return tuple(turns)


def _session(sessions: SessionStore | None, request: AskRequest) -> str | None:
    if sessions is None or request.session is None:
        return None
    if request.create_session:
        return sessions.named(request.session)
    return sessions.find(request.session).id


def _joined(first: Message, second: Message) -> Message:
    content = f"{first.content}\n\n{second.content}"
    return Message(first.role, content, first.images + second.images)
