"""The Workspace in this process: wires the wings together, decides nothing."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

from agentctl.core.backends.progress import PullProgress
from agentctl.core.backends.registry import Registry
from agentctl.core.backends.threads import run_in_thread
from agentctl.core.chat.answer import Answerer
from agentctl.core.chat.attachments import InputLimits
from agentctl.core.chat.conversation import AskRequest, Prepared
from agentctl.core.chat.conversations import Session, SessionMatch, StoredMessage
from agentctl.core.chat.export import to_json, to_markdown
from agentctl.core.chat.grounding import Grounder
from agentctl.core.chat.sessions import SessionStore
from agentctl.core.chat.templates import Template, TemplateStore
from agentctl.core.config import Settings
from agentctl.core.events import Event
from agentctl.core.local_automation import AutomationVerbs, Daemon
from agentctl.core.paths import Paths
from agentctl.core.workspace import ExportFormat

if TYPE_CHECKING:
    from agentctl.core.agents.definitions import AgentEntry, AgentKind
    from agentctl.core.agents.run_control import RunControl
    from agentctl.core.agents.run_request import AgentRequest, ApprovalAnswer, ResumeRequest
    from agentctl.core.agents.run_store import Decision, RunDetails, RunRow
    from agentctl.core.agents.runner import AgentRunner
    from agentctl.core.agents.tools.base import Tool
    from agentctl.core.backends.base import Delta
    from agentctl.core.backends.kept_models import KeptModels
    from agentctl.core.backends.model_manager import ModelEntry, ModelList, ModelManager
    from agentctl.core.backup import BackupReport, BackupRequest, BackupStep
    from agentctl.core.chat.passthrough import ChatBegan, ChatCall
    from agentctl.core.knowledge.knowledge_base import KnowledgeBase
    from agentctl.core.knowledge.library import (
        CollectionEntry,
        DocumentEntry,
        Embeddings,
        Evaluation,
        IngestReport,
        IngestRequest,
        IngestStep,
        Passage,
        ReindexStep,
        SearchMode,
        SearchRequest,
        SearchResult,
        VerifyReport,
    )


class LocalWorkspace(AutomationVerbs):
    """Opens the database at the first verb that needs it."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        environ: Mapping[str, str],
        *,
        daemon: Daemon | None = None,
        kept: "KeptModels | None" = None,
        tools: "Sequence[Tool]" = (),
    ) -> None:
        """`daemon` is the one it lives in; with `kept`, models stay loaded between answers.

        `tools` are offered to agents besides the built-in ones.
        """
        super().__init__(settings, paths, environ, daemon)
        self._registry = Registry(settings, paths, environ, kept)
        self._tools = tools

    @cached_property
    def _sessions(self) -> SessionStore:
        return SessionStore(self._database)

    @cached_property
    def _answerer(self) -> Answerer:
        limits = InputLimits(
            self._settings.limits.input_bytes,
            self._settings.limits.folder_files,
            self._settings.timeouts.idle,
            self._settings.knowledge.file_seconds,
            self._settings.knowledge.file_memory,
        )
        return Answerer(self._registry, lambda: self._sessions, limits, grounder=self._grounder)

    @cached_property
    def _grounder(self) -> Grounder:
        return Grounder(
            lambda: self._knowledge,
            answers=self._settings.knowledge.answers,
            passages=self._settings.knowledge.passages,
        )

    @cached_property
    def _models(self) -> "ModelManager":
        # It knows every backend; an answer needs one.
        from agentctl.core.backends.model_manager import ModelManager

        return ModelManager(self._registry, self._settings, self._paths, self._environ)

    @cached_property
    def _knowledge(self) -> "KnowledgeBase":
        from agentctl.core.knowledge.knowledge_base import KnowledgeBase

        return KnowledgeBase(self._settings, self._paths, self._environ)

    @cached_property
    def _agents(self) -> "AgentRunner":
        from agentctl.core.agents.models import Models
        from agentctl.core.agents.run_store import RunStore
        from agentctl.core.agents.runner import AgentRunner
        from agentctl.core.agents.toolbox import Toolbox
        from agentctl.core.automation.task_requests import schedule_task

        schedule = partial(schedule_task, self.add_task)
        toolbox = Toolbox(
            self._settings.agents, self._paths, self._environ, self.search, schedule, self._tools
        )
        models = Models(self._registry, self._settings.model)
        return AgentRunner(self._paths, RunStore(self._database), toolbox, models)

    @cached_property
    def _runs(self) -> "RunControl":
        from agentctl.core.agents.run_control import RunControl

        return RunControl(self._agents.store, self._agents.is_live)

    @cached_property
    def _templates(self) -> TemplateStore:
        return TemplateStore(self._paths)

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        return self._answerer.ask(request)

    async def prepare(self, request: AskRequest) -> Prepared:
        return await self._answerer.prepare(request)

    def chat(self, request: "ChatCall") -> "AsyncGenerator[ChatBegan | Delta, None]":
        from agentctl.core.chat.passthrough import Passthrough

        return Passthrough(self._registry, self._grounder).chat(request)

    async def embed(self, texts: Sequence[str], model: str | None = None) -> "Embeddings":
        return await self._knowledge.embed(texts, model)

    async def templates(self) -> list[str]:
        return self._templates.names()

    async def template(self, name: str) -> Template:
        return self._templates.load(name)

    async def save_template(self, name: str, template: Template) -> str:
        return str(self._templates.save(name, template))

    async def list_models(self) -> "ModelList":
        return await self._models.list_models()

    async def show_model(self, name: str) -> "ModelEntry":
        return await self._models.show(name)

    def pull_model(self, name: str) -> AsyncGenerator[PullProgress, None]:
        return self._models.pull(name)

    async def remove_model(self, name: str) -> None:
        await self._models.remove(name)

    async def use_model(self, name: str) -> None:
        if name != "auto":
            await self._models.show(name)
        from agentctl.core.config_file import set_value

        await run_in_thread(lambda: set_value(self._paths, "model", name))

    def ingest(self, request: "IngestRequest") -> "AsyncGenerator[IngestStep | IngestReport, None]":
        return self._knowledge.ingest(request)

    async def search(self, request: "SearchRequest") -> "SearchResult":
        return await self._knowledge.search(request)

    async def list_documents(self, collection: str | None = None) -> "list[DocumentEntry]":
        return await self._knowledge.list_documents(collection)

    async def show_document(self, reference: str, chunk: int | None = None) -> "Passage":
        return await self._knowledge.show_document(reference, chunk)

    async def remove_documents(
        self, references: Sequence[str], collection: str | None = None
    ) -> "list[DocumentEntry]":
        return await self._knowledge.remove_documents(references, collection)

    async def list_collections(self) -> "list[CollectionEntry]":
        return await self._knowledge.list_collections()

    async def verify_documents(self) -> "VerifyReport":
        return await self._knowledge.verify_documents()

    def reindex_documents(self, *, force: bool = False) -> "AsyncGenerator[ReindexStep, None]":
        return self._knowledge.reindex_documents(force=force)

    def export_documents(self, collection: str | None = None) -> AsyncGenerator[str, None]:
        return self._knowledge.export_documents(collection)

    def import_documents(self, path: str) -> "AsyncGenerator[IngestStep | IngestReport, None]":
        return self._knowledge.import_documents(path)

    async def evaluate(
        self, path: str, *, mode: "SearchMode" = "hybrid", collection: str | None = None
    ) -> "Evaluation":
        return await self._knowledge.evaluate(path, mode=mode, collection=collection)

    async def list_agents(self) -> "list[AgentEntry]":
        return self._agents.list_agents()

    async def show_agent(self, name: str) -> "AgentEntry":
        return await self._agents.show_agent(name)

    async def new_agent(self, name: str, kind: "AgentKind") -> str:
        from agentctl.core.agents.definitions import AgentFiles

        return str(AgentFiles(self._paths).create(name, kind))

    def run_agent(self, request: "AgentRequest") -> AsyncGenerator[Event, None]:
        return self._agents.start(request)

    def resume_run(self, request: "ResumeRequest") -> AsyncGenerator[Event, None]:
        return self._agents.resume(request)

    async def list_runs(self, limit: int | None = None) -> "list[RunRow]":
        return self._runs.recent(limit)

    async def show_run(self, reference: str) -> "RunDetails":
        return self._runs.show(reference)

    async def answer_run(self, answer: "ApprovalAnswer") -> "Decision":
        return self._runs.answer(answer)

    async def cancel_run(self, reference: str) -> "RunRow":
        return self._runs.cancel(reference)

    def run_task(self, reference: str) -> AsyncGenerator[Event, None]:
        from agentctl.core.automation.journal import Journal
        from agentctl.core.automation.task_runner import TaskRunner

        journal = Journal(self._database)
        runner = TaskRunner(self._tasks, self, journal, self._paths.task_locks)
        return runner.run(self._tasks.find(reference))

    async def list_sessions(self, limit: int | None = None) -> list[Session]:
        return self._sessions.recent(limit)

    async def show_session(
        self, reference: str, last: int | None = None
    ) -> tuple[Session, list[StoredMessage]]:
        session = self._sessions.find(reference)
        return session, self._sessions.messages(session.id, last)

    async def search_sessions(self, query: str, limit: int = 20) -> list[SessionMatch]:
        return self._sessions.search(query, limit)

    async def export_session(self, reference: str, form: ExportFormat) -> str:
        session, messages = await self.show_session(reference)
        return (to_json if form == "json" else to_markdown)(session, messages)

    async def remove_session(self, reference: str) -> Session:
        session = self._sessions.find(reference)
        self._sessions.remove(session.id)
        return session

    async def rename_session(self, reference: str, name: str) -> Session:
        session = self._sessions.find(reference)
        self._sessions.rename(session.id, name)
        return self._sessions.find(session.id)

    async def fork_session(
        self, reference: str, name: str | None = None, last_message: int | None = None
    ) -> Session:
        return self._sessions.find(self._sessions.fork(reference, name, last_message))

    def back_up(
        self, request: "BackupRequest"
    ) -> "AsyncGenerator[BackupStep | BackupReport, None]":
        from agentctl.core.backends.threads import stream_from_thread
        from agentctl.core.backup import back_up

        def produce(emit: "Callable[[BackupStep | BackupReport], None]") -> None:
            emit(back_up(request, self._paths, emit))

        # What is told next ends it.
        return stream_from_thread(produce, lambda: None)

    async def summarise_sessions(self) -> int:
        """Writes summaries of long conversations; how many."""
        from agentctl.core.chat.summaries import summarise

        return await summarise(self._database, self._sessions, self.chat)

    async def refresh_index(self) -> None:
        """Brings the vector index up to date, for the next search to find it so."""
        await self._knowledge.refresh_index()

    async def close(self) -> None:
        await self._knowledge.close()
        if self._connection is not None:
            self._connection.close()
