"""Looking at runs and steering them from outside: list, show, answer what waits, cancel."""

from collections.abc import Callable
from dataclasses import replace

from agentctl.core.agents.gate import BY_USER, BY_USER_ALWAYS, BY_USER_FOR_RUN
from agentctl.core.agents.run_request import ApprovalAnswer, Scope
from agentctl.core.agents.run_store import Decision, DecisionKind, RunDetails, RunRow, RunStore
from agentctl.core.errors import BackendBusy, NotFound, UsageProblem

_DECIDED_BY: dict[Scope, str] = {
    "once": BY_USER,
    "run": BY_USER_FOR_RUN,
    "always": BY_USER_ALWAYS,
}


class RunControl:
    """`is_live` tells whether some process is working on a run now."""

    def __init__(self, store: RunStore, is_live: Callable[[str], bool]) -> None:
        self._store = store
        self._is_live = is_live

    def recent(self, limit: int | None = None) -> list[RunRow]:
        return [self._as_it_is(run) for run in self._store.recent(limit)]

    def show(self, reference: str) -> RunDetails:
        """Raises NotFound."""
        run = self._store.find(reference)
        return RunDetails(
            run=self._as_it_is(run),
            tasks=tuple(str(body["text"]) for body in self._store.entries(run.id, "task")),
            events=tuple(self._store.events(run.id)),
            decisions=tuple(self._store.decisions(run.id)),
            is_live=self._is_live(run.id),
        )

    def answer(self, answer: ApprovalAnswer) -> Decision:
        """Decides a call that waits; the run, if some process holds it, goes on by itself.

        Raises:
            NotFound: no such run, or nothing of it waits.
            UsageProblem: several calls wait, and none was named.
            BackendBusy: somebody else has answered just now.
        """
        run = self._store.find(answer.run)
        pending = [
            decision
            for decision in self._store.pending(run.id)
            if answer.call_id in (None, decision.call_id)
        ]
        if not pending:
            raise NotFound(f"no call of run {run.id} waits", f"agentctl runs show {run.id}")
        if len(pending) > 1:
            calls = ", ".join(decision.call_id for decision in pending)
            raise UsageProblem(f"several calls wait: {calls}", "name one: --call ID")
        kind: DecisionKind = "allow" if answer.allow else "deny"
        by = _DECIDED_BY[answer.scope] if answer.allow else BY_USER
        is_first = self._store.answer(
            pending[0].id, kind, decided_by=by, reason=answer.reason, args=answer.args
        )
        if not is_first:
            raise BackendBusy("somebody else has answered just now", f"agentctl runs show {run.id}")
        return self._store.decisions(run.id, pending[0].call_id)[-1]

    def cancel(self, reference: str) -> RunRow:
        """Stops it wherever it runs; one that waits is over at once. Raises NotFound."""
        run = self._store.find(reference)
        if self._is_live(run.id):
            self._store.request_cancel(run.id)
        elif run.status in ("running", "waiting"):
            self._store.set_status(run.id, "cancelled", run.answer)
        else:
            raise UsageProblem(f"run {run.id} has ended: {run.status}", "agentctl runs list")
        return self._as_it_is(self._store.find(run.id))

    def _as_it_is(self, run: RunRow) -> RunRow:
        """As stored, but for a run whose process has died."""
        is_dead = run.status == "running" and not self._is_live(run.id)
        return replace(run, status="interrupted") if is_dead else run
