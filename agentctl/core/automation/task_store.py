"""Tasks as they are kept: one row each, and one for every attempt at an occurrence.

These tables are the truth of what is due: `handled` says up to when everything was begun, or left
out on purpose, and an occurrence is begun in the same moment in which `handled` moves on.
"""

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime

from agentctl.core.automation.notifications import check_target
from agentctl.core.automation.schedule import check, next_time, to_text
from agentctl.core.automation.tasks import TaskEntry, TaskRequest, TaskRun, TaskStatus, Trigger
from agentctl.core.config import nearest
from agentctl.core.errors import NotFound, UsageProblem
from agentctl.core.moments import utc_now
from agentctl.core.storage import transaction, translated_errors

_LONGEST_NAME = 64
_RUN = (
    "r.id, t.name, r.due, r.status, r.attempt, r.started, r.finished, r.run, r.session,"
    " coalesce(r.result, ''), r.error"
)
# By the index alone, however long the history is.
_LAST_RUN = (
    "WHERE r.id = (SELECT max(id) FROM ("
    "SELECT max(id) AS id FROM task_runs WHERE task = ? AND due IS NULL"
    " UNION ALL SELECT id FROM (SELECT id FROM task_runs WHERE task = ? AND due IS NOT NULL"
    " AND status != 'skipped' ORDER BY due DESC, attempt DESC LIMIT 1)))"
)


class TaskStore:
    """The tables of tasks, on a connection in autocommit mode."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._connection = connection
        self._now = now

    def add(self, request: TaskRequest) -> TaskEntry:
        """Raises UsageProblem: a bad or taken name, a trigger that is never due, a bad target."""
        import msgspec

        _check_name(request.name)
        for target in request.options.notify:
            check_target(target)
        check(request.trigger)
        if next_time(request.trigger, self._now()) is None:
            raise UsageProblem(
                f"task {request.name} would never be due",
                "give it a time to come: --at, --every or --cron",
            )
        time = self.time()
        with translated_errors():
            cursor = self._connection.execute(
                "INSERT INTO tasks (name, body, is_enabled, created, handled)"
                " VALUES (?, ?, 1, ?, ?) ON CONFLICT (name) DO NOTHING",
                (request.name, msgspec.json.encode(request).decode(), time, time),
            )
        if cursor.rowcount == 0:
            raise UsageProblem(
                f"there is a task {request.name} already",
                f"take another name, or: agentctl tasks remove {request.name}",
            )
        return self.find(request.name)

    def find(self, reference: str) -> TaskEntry:
        """By name or id. Raises NotFound."""
        found = self._entries("WHERE name = ? OR id = ?", (reference, reference))
        if found:
            return found[0]
        close = nearest(reference, [entry.name for entry in self.entries()])
        meant = f"; did you mean {close}?" if close else ""
        raise NotFound(f"no task {reference}{meant}", "agentctl tasks list")

    def entries(self) -> list[TaskEntry]:
        """All of them, by name. A `next_run` that has passed is overdue."""
        return self._entries("ORDER BY name")

    def set_enabled(self, reference: str, *, is_enabled: bool) -> TaskEntry:
        """What passes while a task is paused is not run later. Raises NotFound."""
        entry = self.find(reference)
        if entry.enabled != is_enabled:
            with translated_errors():
                self._connection.execute(
                    "UPDATE tasks SET is_enabled = ?, handled = max(handled, ?) WHERE id = ?",
                    (is_enabled, self.time(), entry.id),
                )
        return self.find(entry.name)

    def remove(self, reference: str) -> TaskEntry:
        """With its history. Raises NotFound."""
        entry = self.find(reference)
        with translated_errors(), transaction(self._connection):
            self._connection.execute("DELETE FROM task_runs WHERE task = ?", (entry.id,))
            self._connection.execute("DELETE FROM tasks WHERE id = ?", (entry.id,))
        return entry

    def handled(self, task: int) -> datetime:
        """Up to when all of its occurrences were begun or left out."""
        with translated_errors():
            row = self._connection.execute(
                "SELECT handled FROM tasks WHERE id = ?", (task,)
            ).fetchone()
        return self._now() if row is None else datetime.fromisoformat(row[0])

    def set_handled(self, task: int, time: datetime) -> None:
        with translated_errors():
            self._connection.execute(
                "UPDATE tasks SET handled = ? WHERE id = ?", (to_text(time), task)
            )

    # Attempts

    def begin(self, task: int, due: str | None, attempt: int = 1) -> int | None:
        """A new attempt's id; None when it was begun before, or the task is gone.

        From here on the occurrence counts as handled, whatever dies afterwards.
        """
        return self._insert(task, due, attempt, "running", None)

    def skip(self, task: int, due: str, reason: str) -> None:
        """Handles an occurrence, and all before it, by leaving it out."""
        self._insert(task, due, 1, "skipped", reason)

    def note(self, attempt: int, *, run_id: str | None, session: str | None) -> None:
        """What it led to, as soon as that is known: it is what an agent's run goes on by."""
        with translated_errors():
            self._connection.execute(
                "UPDATE task_runs SET run = ?, session = ? WHERE id = ?",
                (run_id, session, attempt),
            )

    def finish(
        self, attempt: int, status: TaskStatus, *, result: str = "", error: str | None = None
    ) -> None:
        with translated_errors():
            self._connection.execute(
                "UPDATE task_runs SET status = ?, result = ?, error = ?, finished = ? WHERE id = ?",
                (status, result, error, self.time(), attempt),
            )

    def interrupt(self, attempt: int) -> bool:
        """Marks what a kill left running; False when it had ended by itself just now."""
        with translated_errors():
            cursor = self._connection.execute(
                "UPDATE task_runs SET status = 'interrupted', error = 'its process ended',"
                " finished = ? WHERE id = ? AND status = 'running'",
                (self.time(), attempt),
            )
        return cursor.rowcount == 1

    def history(self, reference: str | None = None, limit: int | None = None) -> list[TaskRun]:
        """The newest first; of all tasks without a reference. Raises NotFound."""
        if reference is None:
            return self._runs("", (), limit)
        return self._runs("WHERE r.task = ?", (self.find(reference).id,), limit)

    def unfinished(self) -> list[TaskRun]:
        """Attempts that run, or ran when their process died; the newest first."""
        return self._runs("WHERE r.status = 'running'")

    def interrupted(self) -> list[TaskRun]:
        """The last attempt of each task whose last occurrence was cut short."""
        return self._runs(
            "WHERE r.status = 'interrupted' AND r.due IS NOT NULL AND NOT EXISTS ("
            "SELECT 1 FROM task_runs n WHERE n.task = r.task AND n.id > r.id"
            " AND n.due IS NOT NULL AND n.status != 'skipped')"
        )

    def prune(self, before: str) -> int:
        """Forgets the outcomes of attempts that started before; how many."""
        with translated_errors():
            return self._connection.execute(
                "DELETE FROM task_runs WHERE started < ? AND status != 'running'", (before,)
            ).rowcount

    def time(self) -> str:
        return to_text(self._now())

    def _insert(
        self, task: int, due: str | None, attempt: int, status: TaskStatus, reason: str | None
    ) -> int | None:
        time = self.time()
        finished = None if status == "running" else time
        values = (due, status, attempt, time, finished, reason, task)
        with translated_errors(), transaction(self._connection):
            cursor = self._connection.execute(
                "INSERT INTO task_runs (task, due, status, attempt, started, finished, error)"
                " SELECT id, ?, ?, ?, ?, ?, ? FROM tasks WHERE id = ? ON CONFLICT DO NOTHING",
                values,
            )
            # Also for one that was begun before: else it would be due for ever.
            self._connection.execute(
                "UPDATE tasks SET handled = max(handled, ?) WHERE id = ?", (due or "", task)
            )
        return cursor.lastrowid if cursor.rowcount else None

    def _entries(self, where: str, values: Sequence[str] = ()) -> list[TaskEntry]:
        import msgspec

        with translated_errors():
            rows = self._connection.execute(
                # `where` is one of a few constants, here and below.
                f"SELECT body, id, is_enabled, created, handled FROM tasks {where}",  # noqa: S608 - where is ours
                values,
            ).fetchall()
        return [
            self._entry(msgspec.json.decode(body, type=TaskRequest), *rest) for body, *rest in rows
        ]

    def _entry(
        self, request: TaskRequest, task: int, is_enabled: int, created: str, handled: str
    ) -> TaskEntry:
        last = self._runs(_LAST_RUN, (task, task))
        return TaskEntry(
            id=task,
            name=request.name,
            trigger=request.trigger,
            action=request.action,
            options=request.options,
            enabled=bool(is_enabled),
            created=created,
            next_run=_next_run(request.trigger, handled) if is_enabled else None,
            last_run=last[0] if last else None,
        )

    def _runs(
        self, where: str, values: Sequence[int] = (), limit: int | None = None
    ) -> list[TaskRun]:
        with translated_errors():
            rows = self._connection.execute(
                f"SELECT {_RUN} FROM task_runs r CROSS JOIN tasks t ON t.id = r.task {where}"  # noqa: S608 - where is ours
                " ORDER BY r.id DESC LIMIT ?",
                (*values, -1 if limit is None else limit),
            ).fetchall()
        names = list(TaskRun.__dataclass_fields__)
        return [TaskRun(**dict(zip(names, row, strict=True))) for row in rows]


def _next_run(trigger: Trigger, handled: str) -> str | None:
    due = next_time(trigger, datetime.fromisoformat(handled))
    return to_text(due) if due else None


def _check_name(name: str) -> None:
    hint = 'agentctl tasks add nightly --cron "0 3 * * *" --ask "…"'
    if not name.strip():
        raise UsageProblem("the task has no name", hint)
    if len(name) > _LONGEST_NAME:
        raise UsageProblem(f"the name is longer than {_LONGEST_NAME} characters", hint)
    if name != name.strip() or not name.isprintable() or name.startswith("-"):
        raise UsageProblem(f"{name!r} is no name for a task", hint)
    if name.isdecimal():
        raise UsageProblem(f"the name {name} looks like an id", hint)
