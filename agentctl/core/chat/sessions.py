"""Saved conversations: sessions, their messages and attachments, and full-text search.

An answer is stored while it arrives: `begin_answer`, `append` for each piece, `finish_answer`.
A process killed in between leaves the pieces; whoever reads the message next finds them.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import cast

from agentctl.core.backends.base import Image, Role
from agentctl.core.chat.attachments import Attachment
from agentctl.core.chat.conversations import (
    AnswerKey,
    MessageStatus,
    Session,
    SessionMatch,
    StoredMessage,
)
from agentctl.core.errors import NotFound, UsageProblem
from agentctl.core.files import well_formed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.sources import Source
from agentctl.core.storage import BUSY_TIMEOUT_S, transaction, translated_errors

LATEST = "latest"
"""What means the session that was used last; never a name."""

# Digits of an id that no name has by chance.
SHORT_ID = 6


def new_id() -> str:
    """Ten hexadecimal digits: short enough to type, and a prefix of them is enough."""
    return secrets.token_hex(5)


class SessionStore:
    """The sessions of one database.

    Every method may raise StorageError or BackendBusy.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime] = utc_now,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        self._connection = connection
        self._now = now
        self._make_id = make_id

    def create(self, title: str, name: str | None = None, parent: str | None = None) -> str:
        """The new session's id. Raises UsageProblem when the name is taken, or means another."""
        identifier, time = self._make_id(), self._time()
        if name is not None:
            _check_name(name)
        with translated_errors():
            try:
                self._connection.execute(
                    "INSERT INTO sessions (id, name, title, created, updated, parent)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    (identifier, name, title, time, time, parent),
                )
            except sqlite3.IntegrityError:
                raise _taken(name) from None
        return identifier

    def rename(self, session: str, name: str) -> None:
        """Raises UsageProblem when the name is taken, or is none."""
        _check_name(name)
        with translated_errors():
            try:
                self._connection.execute(
                    "UPDATE sessions SET name = ? WHERE id = ?", (name, session)
                )
            except sqlite3.IntegrityError:
                raise _taken(name) from None

    def find(self, reference: str) -> Session:
        """By name, id, the beginning of an id, or `latest`.

        Raises:
            NotFound: none, or more than one, is meant.
        """
        sessions = self._meant(reference, 1)
        if len(sessions) != 1:
            what = "more than one session begins with" if sessions else "no session"
            raise NotFound(f"{what} {reference}", "agentctl sessions list")
        return sessions[0]

    def named(self, name: str) -> str | None:
        """The id of the session to go on with, or None when one of this name is to be made.

        The beginning of an id counts only when it is too long to be a name by chance.
        """
        sessions = self._meant(name, SHORT_ID)
        return sessions[0].id if len(sessions) == 1 else None

    def recent(self, limit: int | None = None) -> list[Session]:
        """The latest first."""
        return self._sessions("", (), limit)

    def messages(self, session: str, last: int | None = None) -> list[StoredMessage]:
        """In order, with what had arrived of unfinished answers; all, or the `last` so many."""
        with translated_errors():
            rows = self._connection.execute(
                f"""SELECT id, role, content || {_parts(0)}, thinking || {_parts(1)}, status,
                           model, backend, created, usage, error, sources
                    FROM messages m WHERE session = ? ORDER BY id DESC LIMIT ?""",
                (session, -1 if last is None else last),
            ).fetchall()
        attachments = self._attachments(session, rows[-1][0] if rows else 0)
        return [
            StoredMessage(
                id=number,
                role=role,
                content=content,
                thinking=thinking,
                status=status,
                model=model,
                backend=backend,
                created=created,
                usage=json.loads(usage) if usage else None,
                error=error,
                attachments=tuple(attachments.get(number, ())),
                sources=tuple(Source(**source) for source in json.loads(sources or "[]")),
            )
            for (
                number,
                role,
                content,
                thinking,
                status,
                model,
                backend,
                created,
                usage,
                error,
                sources,
            ) in reversed(rows)
        ]

    def add_message(
        self, session: str, role: Role, content: str, attachments: Iterable[Attachment] = ()
    ) -> int:
        """Stores a whole message, all of it or nothing; returns its id."""
        with self._transaction():
            message = self._insert(session, role, content, "done", None, None)
            self._connection.executemany(
                "INSERT INTO attachments (message, name, media_type, text, data)"
                " VALUES (?, ?, ?, ?, ?)",
                [
                    (message, a.name, a.media_type, a.text, a.image.data if a.image else None)
                    for a in attachments
                ],
            )
        return message

    def begin_answer(self, session: str, model: str, backend: str) -> AnswerKey:
        with self._transaction():
            self._settle()
            message = self._insert(session, "assistant", "", "partial", model, backend)
        return AnswerKey(session, message)

    def append(self, answer: AnswerKey, text: str, *, thinking: bool = False) -> None:
        """Adds a piece of an unfinished answer; on disk when this returns.

        Raises NotFound when its session was removed meanwhile.
        """
        with translated_errors():
            stored = self._connection.execute(
                "INSERT INTO message_parts (message, thinking, text)"
                " SELECT id, ?, ? FROM messages WHERE id = ? AND session = ?",
                (thinking, text, answer.message, answer.session),
            ).rowcount
        if not stored:
            raise NotFound(
                f"session {answer.session} was removed: its answer is not stored",
                "agentctl sessions list",
            )

    def finish_answer(
        self,
        answer: AnswerKey,
        content: str,
        thinking: str,
        status: MessageStatus,
        usage: JsonObject | None = None,
        error: str | None = None,
        sources: Iterable[Source] = (),
    ) -> None:
        """Stores all of it in place of its pieces, or nothing when its session was removed."""
        cited = [asdict(source) for source in sources]
        with self._transaction():
            stored = self._connection.execute(
                "UPDATE messages SET content = ?, thinking = ?, status = ?, usage = ?, error = ?,"
                " sources = ? WHERE id = ? AND session = ?",
                (
                    *(content, thinking, status, json.dumps(usage) if usage else None, error),
                    *(json.dumps(cited) if cited else None, answer.message, answer.session),
                ),
            ).rowcount
            if not stored:
                return
            self._connection.execute(
                "DELETE FROM message_parts WHERE message = ?", (answer.message,)
            )
            self._connection.execute(
                "UPDATE sessions SET updated = ? WHERE id = ?", (self._time(), answer.session)
            )

    def search(self, query: str, limit: int = 20) -> list[SessionMatch]:
        """Messages that hold all the words of `query`, the best first. Any string is legal."""
        query = well_formed(query).replace('"', " ").replace("\0", " ")
        words = [f'"{word}"' for word in query.split()]
        if not words:
            return []
        with self._transaction():
            self._settle()
        with translated_errors():
            rows = self._connection.execute(
                """SELECT m.session, s.name, m.id, m.role, m.created,
                          snippet(messages_fts, 0, '**', '**', '…', 24)
                   FROM messages_fts JOIN messages m ON m.id = messages_fts.rowid
                   JOIN sessions s ON s.id = m.session
                   WHERE messages_fts MATCH ? ORDER BY bm25(messages_fts) LIMIT ?""",
                (" ".join(words), limit),
            ).fetchall()
        return [SessionMatch(*row) for row in rows]

    def remove(self, session: str) -> None:
        with self._transaction():
            messages = "(SELECT id FROM messages WHERE session = ?)"
            for statement in (
                f"DELETE FROM message_parts WHERE message IN {messages}",
                f"DELETE FROM attachments WHERE message IN {messages}",
                "DELETE FROM messages WHERE session = ?",
                "UPDATE sessions SET parent = NULL WHERE parent = ?",
                "DELETE FROM sessions WHERE id = ?",
            ):
                self._connection.execute(statement, (session,))

    def fork(self, session: str, name: str | None = None, last_message: int | None = None) -> str:
        """A copy that goes its own way, up to and with `last_message` (an id); its id.

        Raises:
            NotFound: `last_message` is not of this session.
            UsageProblem: the name is taken.
        """
        original = self.find(session)
        kept = [message.id for message in self.messages(original.id)]
        if last_message is not None:
            if last_message not in kept:
                raise NotFound(
                    f"session {original.id} has no message {last_message}",
                    f"agentctl sessions show {original.id}",
                )
            kept = kept[: kept.index(last_message) + 1]
        with self._transaction():
            self._settle()
            copy = self.create(original.title, name, original.id)
            for message in kept:
                self._copy_message(message, copy)
        return copy

    def _meant(self, reference: str, shortest: int) -> list[Session]:
        """The sessions that may be meant; the beginning of an id has `shortest` digits or more."""
        reference = well_formed(reference)
        sessions = self._sessions("WHERE s.name = ? OR s.id = ?", (reference, reference))
        if not sessions and reference == LATEST:
            sessions = self._sessions("", (), 1)
        if not sessions and len(reference) >= shortest and reference.isalnum():
            sessions = self._sessions("WHERE s.id GLOB ?", (f"{reference}*",), 2)
        return sessions

    def _sessions(
        self, where: str, values: tuple[str, ...], limit: int | None = None
    ) -> list[Session]:
        with translated_errors():
            rows = self._connection.execute(
                f"""SELECT s.id, s.name, s.title, s.created, s.updated, s.parent,
                      s.messages,
                      (SELECT model FROM messages WHERE session = s.id AND model IS NOT NULL
                       ORDER BY id DESC LIMIT 1), s.summary
                    FROM sessions s {where}
                    ORDER BY s.updated DESC, s.rowid DESC LIMIT ?""",
                (*values, -1 if limit is None else limit),
            ).fetchall()
        return [Session(*row) for row in rows]

    def _copy_message(self, message: int, session: str) -> None:
        columns = "role, content, thinking, status, model, backend, created, usage, error, sources"
        copy = self._connection.execute(
            f"INSERT INTO messages (session, {columns})"
            f" SELECT ?, {columns} FROM messages WHERE id = ?",
            (session, message),
        ).lastrowid
        self._connection.execute(
            "INSERT INTO attachments (message, name, media_type, text, data)"
            " SELECT ?, name, media_type, text, data FROM attachments WHERE message = ?",
            (copy, message),
        )

    def _attachments(self, session: str, first: int) -> dict[int, list[Attachment]]:
        with translated_errors():
            rows = self._connection.execute(
                "SELECT message, name, media_type, text, data FROM attachments WHERE message IN"
                " (SELECT id FROM messages WHERE session = ? AND id >= ?) ORDER BY id",
                (session, first),
            ).fetchall()
        found: dict[int, list[Attachment]] = {}
        for message, name, media_type, text, data in rows:
            image = Image(media_type, data) if data is not None else None
            found.setdefault(message, []).append(Attachment(name, media_type, text, image))
        return found

    def _insert(
        self,
        session: str,
        role: Role,
        content: str,
        status: MessageStatus,
        model: str | None,
        backend: str | None,
    ) -> int:
        time = self._time()
        cursor = self._connection.execute(
            "INSERT INTO messages (session, role, content, thinking, status, model, backend,"
            " created) VALUES (?, ?, ?, '', ?, ?, ?, ?)",
            (session, role, content, status, model, backend, time),
        )
        self._connection.execute("UPDATE sessions SET updated = ? WHERE id = ?", (time, session))
        return cast("int", cursor.lastrowid)

    def _settle(self) -> None:
        """Moves the pieces of unfinished answers into their messages, where search sees them.

        Harmless while one is still arriving: `finish_answer` writes the whole text.
        """
        self._connection.execute(
            f"""UPDATE messages AS m SET content = content || {_parts(0)},
                  thinking = thinking || {_parts(1)}
                WHERE status = 'partial'
                  AND id IN (SELECT message FROM message_parts)"""
        )
        self._connection.execute(
            "DELETE FROM message_parts WHERE message IN"
            " (SELECT id FROM messages WHERE status = 'partial')"
        )

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Nothing in it waits for another process: it raises BackendBusy instead."""
        with translated_errors():
            self._connection.execute("PRAGMA busy_timeout = 0")
            try:
                yield
            finally:
                self._connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000:.0f}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with translated_errors(), transaction(self._connection):
            yield

    def _time(self) -> str:
        return moment_text(self._now())


def _check_name(name: str) -> None:
    if name == LATEST or not name.strip():
        raise UsageProblem(f"{name!r} is no name for a session", "choose another name")


def _taken(name: str | None) -> UsageProblem:
    return UsageProblem(f"a session named {name} exists already", f"agentctl sessions show {name}")


def _parts(thinking: int) -> str:
    return (
        "coalesce((SELECT group_concat(text, '') FROM (SELECT text FROM message_parts"
        f" WHERE message = m.id AND thinking = {thinking} ORDER BY id)), '')"
    )
