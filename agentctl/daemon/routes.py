"""The documented routes: each is one verb, or two."""

from contextlib import aclosing
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import FastAPI, Query, Request
from starlette.responses import Response

from agentctl.core.agents.run_request import (
    ROUTER,
    AgentRequest,
    ApprovalAnswer,
    LimitChanges,
    ResumeRequest,
)
from agentctl.core.agents.run_store import Decision, RunRow
from agentctl.core.automation.journal import JournalEntry
from agentctl.core.automation.measurements import MinuteAverages, SystemStats
from agentctl.core.automation.tasks import TaskEntry, TaskRun
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import AnswerInterrupted, BackendBusy, UsageProblem
from agentctl.core.knowledge.library import (
    DocumentEntry,
    IngestReport,
    IngestRequest,
    SearchMode,
    SearchRequest,
    SearchResult,
)
from agentctl.core.moments import moment_text
from agentctl.daemon.bodies import (
    Answer,
    Moment,
    NewDocuments,
    NewTask,
    Question,
    RunTask,
    TaskChange,
    folder_of,
    is_place,
)
from agentctl.daemon.hub import DaemonState, Hub
from agentctl.daemon.streams import Runs

Limit = Annotated[int, Query(ge=1, le=1000)]
Name = Annotated[str, Query(min_length=1, max_length=200)]
Reference = Annotated[str, Query(min_length=1, max_length=4000)]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def add_routes(app: FastAPI, hub: Hub, runs: Runs) -> None:
    _add_health(app, hub)
    _add_questions(app, runs)
    _add_agents(app, hub, runs)
    _add_runs(app, hub, runs)
    _add_documents(app, hub, runs)
    _add_tasks(app, hub, runs)
    _add_machine(app, hub)


def _add_health(app: FastAPI, hub: Hub) -> None:
    @app.get("/health", response_model=None)
    async def health(request: Request) -> DaemonState | dict[str, str]:
        """That the daemon is there; with the token, how it and its parts are."""
        state = hub.state()
        return state if request.state.is_known else {"status": state.status}


def _add_questions(app: FastAPI, runs: Runs) -> None:
    @app.post("/agent/query", response_model=None)
    async def ask(question: Question, client: Request) -> Response:
        """Ask a question, or an agent when one is named. With `stream`, server-sent events."""
        if question.agent is not None:
            task = _agent_request(question.agent, question.task())
            if question.stream:
                return await runs.stream(lambda workspace: workspace.run_agent(task))
            return await runs.result(lambda workspace: workspace.run_agent(task), client)
        request = AskRequest(
            prompt=question.prompt,
            model=question.model,
            system=question.system,
            knowledge=question.knowledge,
            collection=question.collection,
            session=question.session,
            create_session=question.session is not None,
            timeout_s=question.timeout_s,
        )
        if question.stream:
            return await runs.stream(lambda workspace: workspace.ask(request))
        return await runs.answer(lambda workspace: workspace.ask(request), client)


def _add_agents(app: FastAPI, hub: Hub, runs: Runs) -> None:
    @app.get("/agents")
    async def list_agents() -> list[dict[str, str]]:
        """The agents there are."""
        async with hub.workspace() as workspace:
            entries = await workspace.list_agents()
        return [
            {"name": each.definition.name, "description": each.definition.description}
            for each in entries
        ]

    @app.post("/agents/{name}/runs", response_model=None, status_code=202)
    async def start_run(name: str, task: RunTask) -> Response:
        """Give an agent a task. It goes on by itself; with `stream`, server-sent events."""
        request = _agent_request(name, task)
        if task.stream:
            return await runs.stream(lambda workspace: workspace.run_agent(request))
        return await runs.set_going(lambda workspace: workspace.run_agent(request))


def _add_runs(app: FastAPI, hub: Hub, runs: Runs) -> None:
    @app.get("/runs")
    async def list_runs(limit: Limit = 50) -> list[RunRow]:
        """Runs of agents, the newest first."""
        async with hub.workspace() as workspace:
            return await workspace.list_runs(limit)

    @app.get("/runs/{run}")
    async def show_run(run: str) -> RunRow:
        """One run."""
        async with hub.workspace() as workspace:
            return (await workspace.show_run(run)).run

    @app.post("/runs/{run}/cancel")
    async def cancel_run(run: str) -> RunRow:
        """Stop a run."""
        async with hub.workspace() as workspace:
            return await workspace.cancel_run(run)

    @app.post("/runs/{run}/{answer}")
    async def answer_run(
        run: str, answer: Literal["approve", "deny"], told: Answer | None = None
    ) -> Decision:
        """Allow or deny a call that waits; the run goes on."""
        told = told or Answer()
        request = ApprovalAnswer(
            run=run,
            allow=answer == "approve",
            call_id=told.call_id,
            scope=told.scope,
            args=told.args,
            reason=told.reason,
        )
        async with hub.workspace() as workspace:
            decision = await workspace.answer_run(request)
            is_live = (await workspace.show_run(decision.run)).is_live
        if not is_live:
            await _go_on(runs, decision.run)
        return decision


async def _go_on(runs: Runs, run: str) -> None:
    """Where somebody else has taken it up meanwhile, or more calls wait, that is well."""
    try:
        await runs.set_going(lambda workspace: workspace.resume_run(ResumeRequest(run=run)))
    except (BackendBusy, UsageProblem):
        return


def _agent_request(name: str, task: RunTask) -> AgentRequest:
    return AgentRequest(
        agent=name or ROUTER,
        task=task.task,
        folder=folder_of(task.folder),
        code_may_write=task.folder is not None,
        model=task.model,
        approve=task.approve,
        limits=LimitChanges(rounds=task.max_rounds, seconds=task.timeout_s),
    )


def _add_documents(app: FastAPI, hub: Hub, runs: Runs) -> None:
    @app.get("/search")
    async def search(
        q: Annotated[str, Query(min_length=1, max_length=10_000)],
        n: Annotated[int, Query(ge=1, le=100)] = 10,
        collection: Name | None = None,
        mode: SearchMode = "hybrid",
    ) -> SearchResult:
        """Passages of the knowledge base, the best first."""
        request = SearchRequest(query=q, n=n, collection=collection, mode=mode)
        async with hub.workspace() as workspace:
            return await workspace.search(request)

    @app.get("/documents")
    async def list_documents(collection: Name | None = None) -> list[DocumentEntry]:
        """What is in the knowledge base."""
        async with hub.workspace() as workspace:
            return await workspace.list_documents(collection)

    @app.post("/documents")
    async def add_documents(new: NewDocuments, client: Request) -> IngestReport:
        """Take in files, folders, pages or a text."""
        if (new.text is None) != (new.title is None):
            raise UsageProblem("a text and its title go together", "send both, or paths alone")
        if not new.paths and new.text is None:
            raise UsageProblem("there is nothing to take in", "send paths, or a text and its title")
        if any(not is_place(path) for path in new.paths):
            raise UsageProblem("a path is not absolute", "send absolute paths, or URLs")
        request = IngestRequest(
            sources=tuple(new.paths),
            stdin=None if new.text is None else new.text.encode(),
            title=new.title,
            collection=new.collection,
        )
        async with aclosing(runs.items(lambda each: each.ingest(request), client)) as steps:
            async for step in steps:
                if isinstance(step, IngestReport):
                    return step
        raise AnswerInterrupted("the daemon was stopped before all was taken in")

    @app.delete("/documents")
    async def remove_documents(
        reference: Annotated[list[Reference], Query(max_length=1000)],
        collection: Name | None = None,
    ) -> list[DocumentEntry]:
        """Remove documents by id, path, folder or glob."""
        async with hub.workspace() as workspace:
            return await workspace.remove_documents(reference, collection)


def _add_tasks(app: FastAPI, hub: Hub, runs: Runs) -> None:
    @app.get("/tasks")
    async def list_tasks() -> list[TaskEntry]:
        """Scheduled tasks, with their next and last run."""
        async with hub.workspace() as workspace:
            return await workspace.list_tasks()

    @app.post("/tasks", status_code=201)
    async def add_task(new: NewTask) -> TaskEntry:
        """Schedule a task."""
        request = new.request(datetime.now(UTC))
        async with hub.workspace() as workspace:
            return await workspace.add_task(request)

    @app.get("/tasks/{task}")
    async def show_task(task: str) -> TaskEntry:
        """One task."""
        async with hub.workspace() as workspace:
            return await workspace.show_task(task)

    @app.patch("/tasks/{task}")
    async def change_task(task: str, change: TaskChange) -> TaskEntry:
        """Pause or resume a task."""
        async with hub.workspace() as workspace:
            return await workspace.enable_task(task, is_enabled=change.enabled)

    @app.delete("/tasks/{task}")
    async def remove_task(task: str) -> TaskEntry:
        """Remove a task and its history."""
        async with hub.workspace() as workspace:
            return await workspace.remove_task(task)

    @app.get("/tasks/{task}/history")
    async def task_history(task: str, limit: Limit = 50) -> list[TaskRun]:
        """What became of a task, the newest first."""
        async with hub.workspace() as workspace:
            return await workspace.task_history(task, limit)

    @app.post("/tasks/{task}/run", response_model=None, status_code=202)
    async def run_task(task: str) -> Response:
        """Run a task now."""
        return await runs.set_going(lambda workspace: workspace.run_task(task))


def _add_machine(app: FastAPI, hub: Hub) -> None:
    @app.get("/system/stats")
    async def stats() -> SystemStats:
        """One look at the machine, the models and the knowledge base."""
        async with hub.workspace() as workspace:
            return await workspace.measure()

    @app.get("/system/history")
    async def history(
        seconds: Annotated[float, Query(gt=0, le=31 * 86_400)] = 3600,
    ) -> list[MinuteAverages]:
        """Averages of each minute."""
        async with hub.workspace() as workspace:
            return await workspace.measurements(seconds)

    @app.get("/journal")
    async def journal(since: Moment = _EPOCH) -> list[JournalEntry]:
        """What happened while nobody looked, the oldest first; UTC where no offset is given."""
        async with hub.workspace() as workspace:
            return await workspace.journal(moment_text(since))
