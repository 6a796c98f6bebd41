"""Summaries of long conversations, a few sentences each, by the model that answers."""

import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

from agentctl.core.backends.base import Delta, Message, ModelOptions, TextDelta
from agentctl.core.chat.conversation import Conversation
from agentctl.core.chat.passthrough import ChatBegan, ChatCall
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.errors import AgentctlError
from agentctl.core.files import clipped, well_formed
from agentctl.core.storage import translated_errors

Chat: TypeAlias = Callable[[ChatCall], AsyncGenerator[ChatBegan | Delta, None]]

# Shorter ones are read as fast as a summary is.
_MOST_UNSUMMARISED = 40
_LONGEST_SUMMARY = 1_000
_OPTIONS = ModelOptions(max_tokens=300, temperature=0.0, think=False)
_SYSTEM = "You summarise conversations between a user and an assistant."
_PROMPT = (
    "Summarise the conversation so far in at most three sentences: what the user wanted, and what "
    "came of it. Answer with the summary alone."
)

logger = logging.getLogger(__name__)


async def summarise(connection: sqlite3.Connection, sessions: SessionStore, chat: Chat) -> int:
    """Gives a summary to each long conversation without one of its last message; how many.

    The summary is no turn of the conversation, which stays as it is. One that the model cannot
    summarise is left for the next time.
    """
    count = 0
    for session, last in _unsummarised(connection):
        try:
            summary = await _summary(sessions, session, chat)
        except AgentctlError as error:
            logger.warning("no summary was written", extra={"session": session, "why": str(error)})
            continue
        if summary:
            _store(connection, session, last, summary)
            count += 1
    return count


async def _summary(sessions: SessionStore, session: str, chat: Chat) -> str:
    """What the model says; of a conversation that does not fit, it is shown the end."""
    talk = Conversation(
        session=None,
        name=None,
        past=tuple(Message(each.role, each.content) for each in sessions.messages(session)),
        past_prompts=(),
        system=_SYSTEM,
        prompt=_PROMPT,
        attachments=(),
    )
    words: list[str] = []
    async with aclosing(chat(ChatCall(messages=talk.messages(), options=_OPTIONS))) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                words.append(delta.text)
    return clipped(" ".join(well_formed("".join(words)).split()), _LONGEST_SUMMARY)


def _unsummarised(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """Sessions, and the id of the last message of each."""
    with translated_errors():
        return connection.execute(
            """SELECT s.id, max(m.id) FROM sessions s JOIN messages m ON m.session = s.id
               GROUP BY s.id
               HAVING count(*) > ? AND max(m.id) > coalesce(s.summarised, 0)
               ORDER BY s.updated DESC""",
            (_MOST_UNSUMMARISED,),
        ).fetchall()


def _store(connection: sqlite3.Connection, session: str, last: int, summary: str) -> None:
    with translated_errors():
        connection.execute(
            "UPDATE sessions SET summary = ?, summarised = ? WHERE id = ?",
            (summary, last, session),
        )
