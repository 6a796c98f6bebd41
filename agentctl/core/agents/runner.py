"""A run from beginning to end: what is behind `agents run` and `runs resume`.

The order of things: take the run's lock, open its tools and model, play what it has had before, go
on from there, and end it in one of the ways a run can end. While it goes on, whoever wants it
cancelled writes that into its row.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Literal

from agentctl.core.agents.base import Agent
from agentctl.core.agents.crew import Crew
from agentctl.core.agents.definitions import AgentDefinition, AgentEntry, AgentFiles
from agentctl.core.agents.gate import Gate, Manners
from agentctl.core.agents.instructions import instructions_for
from agentctl.core.agents.models import AgentModel, Models
from agentctl.core.agents.permissions.policy import Policy
from agentctl.core.agents.router import choose_agent
from agentctl.core.agents.run_context import Limits, Record, RunContext, shorten
from agentctl.core.agents.run_request import (
    ROUTER,
    AgentRequest,
    Approve,
    LimitChanges,
    ResumeRequest,
)
from agentctl.core.agents.run_spec import RunSpec
from agentctl.core.agents.run_store import RunStore
from agentctl.core.agents.toolbox import Toolbox, matches
from agentctl.core.backends.base import ChatModel
from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    BackendTimeout,
    StorageError,
    UsageProblem,
)
from agentctl.core.events import (
    ErrorRaised,
    Event,
    MessageFinished,
    RunFinished,
    RunStarted,
    RunStatus,
)
from agentctl.core.file_lock import locked
from agentctl.core.paths import Paths, make_private

# Seconds between looks at whether the run was cancelled elsewhere, and that a framework has to end.
_LOOK_S = 0.2
_PATIENCE_S = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run that is to go on now."""

    id: str
    spec: RunSpec
    approve: Approve
    is_attended: bool
    limits: Limits
    reason: str | None


class AgentRunner:
    """Runs agents, and keeps what becomes of it in `store`."""

    def __init__(self, paths: Paths, store: RunStore, toolbox: Toolbox, models: Models) -> None:
        self.store = store
        self._paths = paths
        self._toolbox = toolbox
        self._models = models
        self._files = AgentFiles(paths)

    async def start(self, request: AgentRequest) -> AsyncGenerator[Event, None]:
        """A new run's events. Raises only what is wrong with the request itself.

        Cancelling the reading task stops the run; `RunFinished` still arrives, then CancelledError
        is raised.
        """
        if not request.task.strip():
            raise UsageProblem("the task is empty", 'agentctl agents run NAME "the task"')
        name, reason = request.agent, None
        if name == ROUTER:
            name, reason = choose_agent(request.task, self._files.names())
        definition = self._files.load(name)
        # Links are followed once: a link that changes later leads no run elsewhere.
        folder = request.folder.resolve()
        spec = RunSpec(
            definition=replace(
                definition,
                model=request.model or definition.model,
                instructions=instructions_for(definition, folder),
            ),
            approve=request.approve,
            code_may_write=request.code_may_write,
        )
        store = self.store
        run = store.create(
            agent=name,
            kind=definition.kind,
            task=request.task,
            folder=str(folder),
            spec=spec.encode(),
        )
        store.append(run, "task", {"text": request.task})
        limits = _changed(definition.limits, request.limits)
        begun = _Begun(run, spec, request.approve, request.is_attended, limits, reason)
        async for event in self._run(begun):
            yield event

    async def resume(self, request: ResumeRequest) -> AsyncGenerator[Event, None]:
        """The events of a run that goes on, as `start`."""
        store = self.store
        row = store.find(request.run)
        spec = RunSpec.decode(row.spec)
        has_ended = row.status in ("done", "denied")
        if request.task is None and has_ended:
            raise UsageProblem(
                f"run {row.id} has ended", f'agentctl agents run {row.agent} "…" --resume {row.id}'
            )
        if request.task is not None:
            if row.status == "waiting":
                raise UsageProblem(
                    f"run {row.id} waits for an answer", f"agentctl runs approve {row.id}"
                )
            store.append(row.id, "task", {"text": request.task})
        limits = _changed(spec.definition.limits, request.limits)
        approve = request.approve or spec.approve
        async for event in self._run(
            _Begun(row.id, spec, approve, request.is_attended, limits, None)
        ):
            yield event

    def list_agents(self) -> list[AgentEntry]:
        return [*map(self._files.listed, self._files.names())]

    async def show_agent(self, name: str) -> AgentEntry:
        """With the tools that it would have now. Raises NotFound, ConfigError."""
        entry = self._files.entry(name)
        async with AsyncExitStack() as stack:
            nowhere = self._toolbox.nowhere()
            kit = await self._toolbox.open(entry.definition, nowhere, stack, Record(), 0)
            own = entry.definition.tools
            specs = tuple(tool.spec for name, tool in kit.tools.items() if matches(name, own))
        return replace(entry, tools=specs, warnings=kit.warnings)

    def is_live(self, run: str) -> bool:
        """Whether some process is working on it."""
        with suppress(BackendBusy), self._locked(run):
            return False
        return True

    async def _run(self, begun: _Begun) -> AsyncGenerator[Event, None]:
        """The events, to the one end. Whoever answers a run that looks alive leaves its going on to
        it: one that was about to wait then goes on once more."""
        end: RunFinished | None = None
        try:
            while end is None or self._was_answered(begun.id):
                async with aclosing(self._hold(begun)) as events:
                    async for event in events:
                        if isinstance(event, RunFinished):
                            end = event
                        else:
                            yield event
        except asyncio.CancelledError:
            if end is not None:
                yield end
            raise
        except BackendBusy:
            if end is None:
                raise
            # Somebody else goes on with it.
        if end is not None:
            yield end

    def _was_answered(self, run: str) -> bool:
        """Whether a run that is to wait has nothing to wait for. One that was cancelled is over."""
        row = self.store.find(run)
        if row.status != "waiting":
            return False
        if self.store.is_cancelled(run):
            self.store.set_status(run, "cancelled", row.answer)
            return False
        return not self.store.pending(run)

    async def _hold(self, begun: _Begun) -> AsyncGenerator[Event, None]:
        """The events while the run is held."""
        with self._locked(begun.id):
            store = self.store
            place = self._toolbox.place(store.find(begun.id), may_write=begun.spec.code_may_write)
            context = RunContext(
                begun.id, store, place, begun.limits, record=Record.read(store, begun.id)
            )
            store.set_status(begun.id, "running")
            work = asyncio.ensure_future(self._work(context, begun))
            cancelled: asyncio.CancelledError | None = None
            try:
                while not (work.done() and context.events.empty()):
                    try:
                        event = await _next_event(context, work)
                    except asyncio.CancelledError as error:
                        cancelled = error
                        context.stop("cancelled")
                        continue
                    if event is not None:
                        yield event
            finally:
                context.stop("cancelled")
                with suppress(asyncio.CancelledError):
                    await work
            if cancelled is not None:
                raise cancelled

    async def _work(self, context: RunContext, begun: _Begun) -> None:
        """Everything up to and with `RunFinished`; raises nothing."""
        error: AgentctlError | None = None
        answer = ""
        try:
            async with AsyncExitStack() as stack:
                answer = await self._until_stopped(context, self._play(context, begun, stack))
        except _Ended:
            pass
        except AgentctlError as problem:
            error = context.failure or problem
        except Exception as problem:
            error = context.failure
            if error is None:
                logger.exception("unexpected error")
                error = AgentctlError(f"{type(problem).__name__}: {problem}")
        self._finish(context, answer, error or context.failure)

    async def _play(self, context: RunContext, begun: _Begun, stack: AsyncExitStack) -> str:
        """Plays the tasks of before, works on the last; its answer."""
        definition = begun.spec.definition
        opened: dict[str, AgentModel] = {}
        main = await self._models.open(definition, opened, stack)
        context.emit(
            RunStarted(
                **context.stamp(),
                model=main.name,
                backend=main.backend,
                agent=definition.name,
                reason="; ".join(filter(None, (begun.reason, main.reason))) or None,
            )
        )
        context.store.set_status(context.run_id, "running", model=main.name)
        kit = await self._toolbox.open(
            definition, context.place, stack, context.record, main.result_chars
        )
        for warning in kit.warnings:
            context.warn("tools", warning)
        manners = Manners(
            asks=begun.is_attended,
            answers_no=begun.approve == "none",
            answers_yes=begun.approve == "all",
            result_chars=main.result_chars,
        )
        gate = Gate(context, kit.tools, Policy(kit.rules), manners, self._toolbox.remember)

        async def open_model(other: AgentDefinition) -> ChatModel:
            return (await self._models.open(other, opened, stack)).model

        crew = Crew(context, gate, kit.tools, open_model, stack)
        if kit.agents:
            crew.let_delegate(kit.agents)
        agent = await crew.make(definition)
        return await self._in_turn(context, agent)

    async def _in_turn(self, context: RunContext, agent: Agent) -> str:
        """Tasks that were cut short are not played again: the next one speaks of them."""
        tasks = list(context.store.entries(context.run_id, "task"))
        answer, cut = "", ""
        for number, task in enumerate(tasks, 1):
            text = str(task["text"])
            is_last = number == len(tasks)
            if not is_last and number not in context.record.whole_tasks:
                cut += f"[An earlier task was not finished: {shorten(text)}]\n"
                continue
            context.begin_task(number)
            answer = await agent.run(cut + text)
            if number not in context.record.whole_tasks:
                context.store.append(context.run_id, "task_done", {"number": number})
            cut = ""
        return answer

    async def _until_stopped(self, context: RunContext, working: Awaitable[str]) -> str:
        """What comes of it. Raises _Ended when the run was stopped before that."""
        work = asyncio.ensure_future(working)
        stopped = asyncio.ensure_future(context.stopped.wait())
        watch = asyncio.ensure_future(self._watch(context))
        try:
            await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
            if context.status is None:
                return work.result()
            raise _Ended
        finally:
            stopped.cancel()
            watch.cancel()
            # Frameworks that are stopped end by themselves; cancelled, they leave things undone.
            await asyncio.wait((work,), timeout=_PATIENCE_S if work.done() else _LOOK_S)
            work.cancel()
            await asyncio.wait((work,), timeout=_PATIENCE_S)

    async def _watch(self, context: RunContext) -> None:
        """Stops the run when its time is over, or when it was cancelled in another process."""
        while context.status is None:
            try:
                if context.monotonic() >= context.deadline:
                    context.stop("timeout")
                    context.warn("limit", f"stopped after {context.limits.seconds:g} seconds")
                elif context.store.is_cancelled(context.run_id):
                    context.stop("cancelled")
            except AgentctlError as error:
                # The database may be busy, or full; the run's time goes by all the same.
                logger.warning("a look at the run failed: %s", error)
            await asyncio.sleep(_LOOK_S)

    def _finish(self, context: RunContext, answer: str, error: AgentctlError | None) -> None:
        """Tells and stores the end, and what had arrived of an answer that was cut short."""
        store, run = context.store, context.run_id
        pieces = "".join(str(body.get("text", "")) for body in store.entries(run, "piece"))
        if pieces:
            context.emit(
                MessageFinished(**context.stamp(), agent="", role="assistant", content=pieces)
            )
        answer = answer or pieces or context.last_text
        status = _status(context, error)
        if not context.has_started:
            definition = RunSpec.decode(store.find(run).spec).definition
            context.emit(
                RunStarted(
                    **context.stamp(), model=definition.model, backend="", agent=definition.name
                )
            )
        if error is not None:
            context.emit(
                ErrorRaised(
                    **context.stamp(),
                    code=error.slug,
                    message=error.message,
                    hint=error.hint,
                    exit_code=error.exit_code,
                )
            )
        store.set_status(run, status, answer)
        self._toolbox.tidy(context.place)
        told: RunStatus = "denied" if status == "waiting" else status
        logger.info("run finished", extra={"run_id": run, "status": status})
        context.emit(RunFinished(**context.stamp(), status=told, answer=answer))

    @contextmanager
    def _locked(self, run: str) -> Iterator[None]:
        with ExitStack() as stack:
            try:
                lock = make_private(self._paths.runs) / f"{run}.lock"
                stack.enter_context(locked(lock, f"run {run}"))
            except OSError as error:
                message = f"the run {run} cannot be held: {error.strerror}"
                raise StorageError(message, "agentctl doctor") from None
            yield


class _Ended(Exception):
    """The run was stopped."""


def _status(context: RunContext, error: AgentctlError | None) -> RunStatus | Literal["waiting"]:
    if context.status is not None and not (context.status == "failed" or error is not None):
        return context.status
    if error is not None:
        return "timeout" if isinstance(error, BackendTimeout) else "failed"
    if context.was_cut:
        return "max_rounds"
    return "denied" if context.was_denied else "done"


def _changed(limits: Limits, changes: LimitChanges) -> Limits:
    values = {name: value for name, value in asdict(changes).items() if value is not None}
    return replace(limits, **values)


async def _next_event(context: RunContext, work: "asyncio.Future[None]") -> Event | None:
    """The next event; None when the work has ended meanwhile."""
    coming = asyncio.ensure_future(context.events.get())
    try:
        await asyncio.wait((coming, work), return_when=asyncio.FIRST_COMPLETED)
        return coming.result() if coming.done() else None
    finally:
        coming.cancel()
