"""The stored side of an answer that is still arriving."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import TypeVar

from agentctl.core.backends.base import TextDelta, ThinkingDelta
from agentctl.core.backends.registry import Opened
from agentctl.core.chat.conversation import Conversation
from agentctl.core.chat.conversations import AnswerKey
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.errors import AgentctlError, BackendBusy
from agentctl.core.events import RunStatus, UsageMeasured
from agentctl.core.knowledge.citations import cited_sources
from agentctl.core.sources import Source
from agentctl.core.storage import BUSY_TIMEOUT_S

TITLE_CHARACTERS = 60

# Between two tries to write while another process does: doubled from one to the next.
FIRST_PAUSE_S = 0.001
LONGEST_PAUSE_S = 0.1

T = TypeVar("T")


class Recording:
    """Keeps an answer in memory and, with `sessions` (which opens them), piece by piece on disk.

    A disk that fills up in the middle does not stop the answer: it is reported once, and
    `finish` tries again with the whole text. `sources` are the passages that the model was given.
    While another process writes, only this answer waits: the event loop goes on.
    """

    def __init__(
        self,
        sessions: Callable[[], SessionStore] | None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.usage: UsageMeasured | None = None
        self.sources: tuple[Source, ...] = ()
        self._open = sessions
        self._sleep = sleep
        self._sessions: SessionStore | None = None
        self._answer: AnswerKey | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._problem: AgentctlError | None = None

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def has_arrived(self) -> bool:
        return bool(self._text or self._thinking)

    async def begin(self, conversation: Conversation, opened: Opened) -> str | None:
        """Stores the question; the session's id, None when nothing is stored.

        Raises:
            StorageError, BackendBusy: it could not be stored; then the model is not asked.
        """
        if self._open is None:
            return None
        sessions = self._sessions = self._open()
        write = partial(self._in_turn, sessions)
        session = conversation.session
        if session is None:
            title = " ".join(conversation.prompt.split())[:TITLE_CHARACTERS]
            session = await write(partial(sessions.create, title, conversation.name))
        system, prompt = conversation.system, conversation.prompt
        if system and all(message.content != system for message in conversation.past):
            await write(partial(sessions.add_message, session, "system", system))
        question = partial(sessions.add_message, session, "user", prompt)
        await write(partial(question, conversation.attachments))
        begin = partial(sessions.begin_answer, session, opened.name, opened.backend)
        self._answer = await write(begin)
        return session

    async def append(self, delta: TextDelta | ThinkingDelta) -> AgentctlError | None:
        """Stores a piece; the problem, the first time that this fails.

        A piece whose storing is cancelled has not arrived: nobody was shown it.
        """
        is_thinking = isinstance(delta, ThinkingDelta)
        problem = None
        if self._sessions is not None and self._answer is not None and self._problem is None:
            store = partial(self._sessions.append, self._answer, delta.text, thinking=is_thinking)
            try:
                await self._in_turn(self._sessions, store)
            except AgentctlError as error:
                problem = self._problem = error
        (self._thinking if is_thinking else self._text).append(delta.text)
        return problem

    async def finish(self, status: RunStatus, error: str | None = None) -> AgentctlError | None:
        """Stores the whole answer, once; the problem, when that fails."""
        if self._sessions is None or self._answer is None:
            return None
        answer, self._answer = self._answer, None
        usage = asdict(self.usage) if self.usage is not None else None
        sources = cited_sources(self.text, self.sources) if self.text else ()
        thinking = "".join(self._thinking)
        finish = partial(self._sessions.finish_answer, answer, self.text, thinking, status)
        try:
            await self._in_turn(self._sessions, partial(finish, usage, error, sources))
        except AgentctlError as problem:
            return problem
        return None

    async def _in_turn(self, sessions: SessionStore, write: Callable[[], T]) -> T:
        """What `write` returns, once no other process holds the database.

        Not a thread: the loop uses the same connection, and would wait for it there.

        Raises:
            BackendBusy: it was held for longer than `BUSY_TIMEOUT_S` seconds.
        """
        waited, pause = 0.0, FIRST_PAUSE_S
        while True:
            try:
                with sessions.at_once():
                    return write()
            except BackendBusy:
                if waited >= BUSY_TIMEOUT_S:
                    raise
            await self._sleep(pause)
            waited, pause = waited + pause, min(2 * pause, LONGEST_PAUSE_S)
