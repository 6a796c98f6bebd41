"""The stored side of an answer that is still arriving."""

from collections.abc import Callable
from dataclasses import asdict

from agentctl.core.backends.base import TextDelta, ThinkingDelta
from agentctl.core.backends.registry import Opened
from agentctl.core.chat.conversation import Conversation
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.errors import AgentctlError
from agentctl.core.events import RunStatus, UsageMeasured
from agentctl.core.knowledge.citations import cited_sources
from agentctl.core.sources import Source

TITLE_CHARACTERS = 60


class Recording:
    """Keeps an answer in memory and, with `sessions` (which opens them), piece by piece on disk.

    A disk that fills up in the middle does not stop the answer: it is reported once, and
    `finish` tries again with the whole text. `sources` are the passages that the model was given.
    """

    def __init__(self, sessions: Callable[[], SessionStore] | None) -> None:
        self.usage: UsageMeasured | None = None
        self.sources: tuple[Source, ...] = ()
        self._open = sessions
        self._sessions: SessionStore | None = None
        self._message: int | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._problem: AgentctlError | None = None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def has_arrived(self) -> bool:
        return bool(self._text or self._thinking)

    def begin(self, conversation: Conversation, opened: Opened) -> str | None:
        """Stores the question; the session's id, None when nothing is stored.

        Raises:
            StorageError, BackendBusy: it could not be stored; then the model is not asked.
        """
        if self._open is None:
            return None
        self._sessions = self._open()
        session = conversation.session
        if session is None:
            title = " ".join(conversation.prompt.split())[:TITLE_CHARACTERS]
            session = self._sessions.create(title, conversation.name)
        if conversation.system and all(m.content != conversation.system for m in conversation.past):
            self._sessions.add_message(session, "system", conversation.system)
        self._sessions.add_message(session, "user", conversation.prompt, conversation.attachments)
        self._message = self._sessions.begin_answer(session, opened.name, opened.backend)
        return session

    def append(self, delta: TextDelta | ThinkingDelta) -> AgentctlError | None:
        """Stores a piece; the problem, the first time that this fails."""
        is_thinking = isinstance(delta, ThinkingDelta)
        (self._thinking if is_thinking else self._text).append(delta.text)
        if self._sessions is None or self._message is None or self._problem is not None:
            return None
        try:
            self._sessions.append(self._message, delta.text, thinking=is_thinking)
        except AgentctlError as problem:
            self._problem = problem
        return self._problem

    def finish(self, status: RunStatus, error: str | None = None) -> AgentctlError | None:
        """Stores the whole answer, once; the problem, when that fails."""
        if self._sessions is None or self._message is None:
            return None
        message, self._message = self._message, None
        usage = asdict(self.usage) if self.usage is not None else None
        sources = cited_sources(self.text, self.sources) if self.text else ()
        try:
            self._sessions.finish_answer(
                message, self.text, "".join(self._thinking), status, usage, error, sources
            )
        except AgentctlError as problem:
            return problem
        return None
