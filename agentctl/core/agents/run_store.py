"""Runs as they are kept: one row each, a log of all that happened, and every decision.

The log is only ever added to. It is the transcript, and it is what a run goes on from: whoever
resumes a run plays its turns and tool results again, and nothing of a framework's state is stored.
"""

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from agentctl.core.backends.base import FinishReason, ToolCall
from agentctl.core.errors import NotFound, UsageProblem
from agentctl.core.events import EVENT_TYPES, Event, RunStatus, decode_event, encode_event
from agentctl.core.jsontypes import JsonObject
from agentctl.core.moments import moment_text, utc_now
from agentctl.core.storage import transaction, translated_errors

StoredStatus: TypeAlias = RunStatus | Literal["running", "waiting"]
DecisionKind: TypeAlias = Literal["pending", "allow", "deny"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run. `spec` is what it was started with, as its runner encodes it."""

    id: str
    agent: str
    kind: str
    task: str
    status: str
    answer: str
    model: str | None
    folder: str
    spec: JsonObject
    created: str
    updated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One answer of a model. `key` says whose and which: the speaker, and a number from 1."""

    key: str
    text: str
    thinking: str
    calls: tuple[ToolCall, ...]
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether one call may run: asked (`pending`), or decided, by whom and why.

    `args` are those that will run: the user may have edited them.
    """

    id: int
    run: str
    call_id: str
    agent: str
    tool: str
    risk: str
    args: JsonObject
    preview: str
    decision: DecisionKind
    decided_by: str
    reason: str
    asked: str
    answered: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDetails:
    """A run with all that is kept of it. `is_live`: some process is working on it now."""

    run: RunRow
    tasks: tuple[str, ...]
    events: tuple[Event, ...]
    decisions: tuple[Decision, ...]
    is_live: bool


class RunStore:
    """The tables of runs, on a connection in autocommit mode."""

    def __init__(
        self, connection: sqlite3.Connection, now: Callable[[], datetime] = utc_now
    ) -> None:
        self._connection = connection
        self._now = now

    def create(self, *, agent: str, kind: str, task: str, folder: str, spec: JsonObject) -> str:
        """A new run's id."""
        run, time = secrets.token_hex(4), self.time()
        with translated_errors():
            self._connection.execute(
                "INSERT INTO runs (id, agent, kind, task, status, folder, spec, created, updated)"
                " VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?)",
                (run, agent, kind, task, folder, json.dumps(spec), time, time),
            )
        return run

    def set_status(
        self, run: str, status: StoredStatus, answer: str = "", model: str | None = None
    ) -> None:
        """What a cancelled run had asked waits no more: it asks anew when it goes on."""
        with translated_errors(), transaction(self._connection):
            if status == "cancelled":
                self._connection.execute(
                    "DELETE FROM decisions WHERE run = ? AND decision = 'pending'", (run,)
                )
            self._connection.execute(
                "UPDATE runs SET status = ?, answer = ?, model = coalesce(?, model), updated = ?,"
                " is_cancelled = CASE ? WHEN 'running' THEN 0 ELSE is_cancelled END WHERE id = ?",
                (status, answer, model, self.time(), status, run),
            )

    def find(self, reference: str) -> RunRow:
        """By id, the beginning of one, or `latest`. Raises NotFound, UsageProblem."""
        if reference == "latest":
            found = self.recent(1)
        else:
            is_id = reference.isascii() and reference.isalnum()
            found = self._rows("WHERE id GLOB ?", (f"{reference}*",), 2) if is_id else []
        if not found:
            raise NotFound(f"no run {reference}", "agentctl runs list")
        if len(found) > 1 and found[0].id != reference:
            raise UsageProblem(f"several runs begin with {reference}", "agentctl runs list")
        return found[0]

    def recent(self, limit: int | None = None) -> list[RunRow]:
        return self._rows("", (), limit)

    def request_cancel(self, run: str) -> None:
        """Whoever runs it sees it and stops."""
        with translated_errors():
            self._connection.execute("UPDATE runs SET is_cancelled = 1 WHERE id = ?", (run,))

    def is_cancelled(self, run: str) -> bool:
        with translated_errors():
            row = self._connection.execute(
                "SELECT is_cancelled FROM runs WHERE id = ?", (run,)
            ).fetchone()
        return bool(row and row[0])

    # The log

    def append(self, run: str, kind: str, body: JsonObject) -> None:
        """Adds what is no event, such as a task; on disk when this returns."""
        self._append(run, kind, json.dumps(body, ensure_ascii=False))

    def append_event(self, event: Event) -> None:
        self._append(event.run_id, event.type, encode_event(event))

    def append_turn(self, run: str, turn: Turn) -> None:
        """In place of the pieces that had arrived of it."""
        with translated_errors(), transaction(self._connection):
            self._connection.execute("DELETE FROM run_log WHERE run = ? AND type = 'piece'", (run,))
            self._append(run, "turn", json.dumps(asdict(turn), ensure_ascii=False))

    def entries(self, run: str, kind: str) -> Iterator[JsonObject]:
        """The bodies of one type, in order."""
        with translated_errors():
            rows = self._connection.execute(
                "SELECT body FROM run_log WHERE run = ? AND type = ? ORDER BY id", (run, kind)
            ).fetchall()
        for (body,) in rows:
            yield json.loads(body)

    def turns(self, run: str) -> list[Turn]:
        import msgspec

        return [msgspec.convert(body, Turn) for body in self.entries(run, "turn")]

    def events(self, run: str) -> list[Event]:
        """The transcript: everything of the event stream but the pieces of text."""
        with translated_errors():
            rows = self._connection.execute(
                "SELECT type, body FROM run_log WHERE run = ? ORDER BY id", (run,)
            ).fetchall()
        return [decode_event(body) for kind, body in rows if kind in EVENT_TYPES]

    # Decisions

    def decide(
        self,
        *,
        run: str,
        call_id: str,
        agent: str,
        tool: str,
        risk: str,
        args: JsonObject,
        preview: str,
        decision: DecisionKind,
        decided_by: str = "",
        reason: str = "",
    ) -> Decision:
        """Records what was decided, or that the user is to decide."""
        time = self.time()
        answered = None if decision == "pending" else time
        values = (run, call_id, agent, tool, risk, json.dumps(args), preview, decision)
        with translated_errors():
            self._connection.execute(
                "INSERT INTO decisions (run, call_id, agent, tool, risk, args, preview, decision,"
                " decided_by, reason, asked, answered) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, decided_by, reason, time, answered),
            )
        return self.decisions(run, call_id)[-1]

    def answer(
        self,
        decision: int,
        kind: DecisionKind,
        *,
        decided_by: str,
        reason: str = "",
        args: JsonObject | None = None,
    ) -> bool:
        """Answers a pending one; False when somebody else was faster."""
        edited = None if args is None else json.dumps(args)
        with translated_errors():
            cursor = self._connection.execute(
                "UPDATE decisions SET decision = ?, decided_by = ?, reason = ?, answered = ?,"
                " args = coalesce(?, args) WHERE id = ? AND decision = 'pending'",
                (kind, decided_by, reason, self.time(), edited, decision),
            )
        return cursor.rowcount == 1

    def decisions(self, run: str | None = None, call_id: str | None = None) -> list[Decision]:
        """All of one run or of one call of it, the oldest first."""
        where = "WHERE run = coalesce(?, run) AND call_id = coalesce(?, call_id)"
        return self._decisions(where, (run, call_id))

    def pending(self, run: str | None = None) -> list[Decision]:
        """What waits for the user."""
        return self._decisions("WHERE decision = 'pending' AND run = coalesce(?, run)", (run,))

    def time(self) -> str:
        return moment_text(self._now())

    def _append(self, run: str, kind: str, body: str) -> None:
        with translated_errors():
            self._connection.execute(
                "INSERT INTO run_log (run, type, body) VALUES (?, ?, ?)", (run, kind, body)
            )

    def _rows(self, where: str, values: Sequence[str], limit: int | None = None) -> list[RunRow]:
        with translated_errors():
            rows = self._connection.execute(
                "SELECT id, agent, kind, task, status, answer, model, folder, spec, created,"
                f" updated FROM runs {where} ORDER BY updated DESC, rowid DESC LIMIT ?",
                (*values, -1 if limit is None else limit),
            ).fetchall()
        names = RunRow.__dataclass_fields__
        return [
            RunRow(**{**dict(zip(names, row, strict=True)), "spec": json.loads(row[8])})
            for row in rows
        ]

    def _decisions(self, where: str, values: Sequence[str | None]) -> list[Decision]:
        names = list(Decision.__dataclass_fields__)
        with translated_errors():
            rows = self._connection.execute(
                f"SELECT {', '.join(names)} FROM decisions {where} ORDER BY id", values
            ).fetchall()
        return [
            Decision(**{**dict(zip(names, row, strict=True)), "args": json.loads(row[6])})
            for row in rows
        ]
