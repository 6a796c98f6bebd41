"""Everything a user can do: the verbs that every front end calls.

Three things stand apart, for they must work when no workspace can be opened: the configuration
(`config.py`, `config_file.py`), the doctor (`doctor.py`) and restoring a backup (`restore.py`).
"""

from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from agentctl.core.agents.definitions import AgentEntry, AgentKind
    from agentctl.core.agents.run_request import AgentRequest, ApprovalAnswer, ResumeRequest
    from agentctl.core.agents.run_store import Decision, RunDetails, RunRow
    from agentctl.core.automation.journal import JournalEntry
    from agentctl.core.automation.measurements import MinuteAverages, SystemStats
    from agentctl.core.automation.tasks import TaskEntry, TaskRequest, TaskRun
    from agentctl.core.automation.watching import WatchedFolder, WatchRequest
    from agentctl.core.backends.base import Delta
    from agentctl.core.backends.model_manager import ModelEntry, ModelList
    from agentctl.core.backends.progress import PullProgress
    from agentctl.core.backup import BackupReport, BackupRequest, BackupStep
    from agentctl.core.chat.conversation import AskRequest, Prepared
    from agentctl.core.chat.conversations import Session, SessionMatch, StoredMessage
    from agentctl.core.chat.passthrough import ChatBegan, ChatCall
    from agentctl.core.chat.templates import Template
    from agentctl.core.events import Event
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

ExportFormat: TypeAlias = Literal["md", "json"]


class Workspace(Protocol):
    """Every verb may raise any AgentctlError, except `ask`, whose failures are events."""

    # Answers

    def ask(self, request: "AskRequest") -> "AsyncGenerator[Event, None]":
        """One answer, from `RunStarted` to `RunFinished`.

        Cancelling the reading task stops the model; `RunFinished` still arrives, then
        CancelledError is raised.
        """
        ...

    async def prepare(self, request: "AskRequest") -> "Prepared":
        """What `ask` would send, without asking."""
        ...

    def chat(self, request: "ChatCall") -> "AsyncGenerator[ChatBegan | Delta, None]":
        """A model's answer to a conversation that the caller keeps; nothing is stored."""
        ...

    async def embed(self, texts: Sequence[str], model: str | None = None) -> "Embeddings":
        """Vectors of length 1, by the embedder of the settings or another one."""
        ...

    async def templates(self) -> list[str]: ...

    async def template(self, name: str) -> "Template": ...

    async def save_template(self, name: str, template: "Template") -> str:
        """Keeps it for the user; where it stands."""
        ...

    # Models

    async def list_models(self) -> "ModelList": ...

    async def show_model(self, name: str) -> "ModelEntry": ...

    def pull_model(self, name: str) -> "AsyncGenerator[PullProgress, None]":
        """Fetches a model; closing the generator stops, and the next pull goes on from there."""
        ...

    async def remove_model(self, name: str) -> None: ...

    async def use_model(self, name: str) -> None:
        """Makes it the model that answers when none is named. Raises ModelNotFound."""
        ...

    # Knowledge; a document's reference is its id or its path

    def ingest(self, request: "IngestRequest") -> "AsyncGenerator[IngestStep | IngestReport, None]":
        """Takes in files, folders, pages or text; the report is the last thing that comes.

        What cannot be read is in the report's `failed`. Closing the generator stops; what was
        reported as added or updated stays.

        Raises EmbedderChanged when the documents there were embedded by another model.
        """
        ...

    async def search(self, request: "SearchRequest") -> "SearchResult":
        """Raises EmbedderChanged, NotFound for a collection that nobody has."""
        ...

    async def list_documents(self, collection: str | None = None) -> "list[DocumentEntry]": ...

    async def show_document(self, reference: str, chunk: int | None = None) -> "Passage":
        """The document's text, or one chunk of it. Raises NotFound."""
        ...

    async def remove_documents(
        self, references: Sequence[str], collection: str | None = None
    ) -> "list[DocumentEntry]":
        """By id, path, folder or glob; all of one collection when there are no references.

        Raises NotFound, and then nothing was removed.
        """
        ...

    async def list_collections(self) -> "list[CollectionEntry]": ...

    async def verify_documents(self) -> "VerifyReport": ...

    def reindex_documents(self, *, force: bool = False) -> "AsyncGenerator[ReindexStep, None]":
        """Cuts and embeds all documents anew where the settings changed, or with `force`.

        Searches go on with the old vectors until the last document is done; a reindex that was
        stopped goes on where it was.
        """
        ...

    def export_documents(self, collection: str | None = None) -> AsyncGenerator[str, None]:
        """Lines of JSON that `import_documents` reads: a header, then one a document."""
        ...

    def import_documents(self, path: str) -> "AsyncGenerator[IngestStep | IngestReport, None]":
        """Raises InputUnreadable when the file is no export."""
        ...

    async def evaluate(
        self, path: str, *, mode: "SearchMode" = "hybrid", collection: str | None = None
    ) -> "Evaluation":
        """Scores retrieval on a file of questions. Raises InputUnreadable."""
        ...

    # Agents; a run's reference is its id, the beginning of it, or `latest`

    async def list_agents(self) -> "list[AgentEntry]":
        """The user's and the shipped ones, without their tools."""
        ...

    async def show_agent(self, name: str) -> "AgentEntry":
        """One with the tools that it would have now. Raises NotFound, ConfigError."""
        ...

    async def new_agent(self, name: str, kind: "AgentKind") -> str:
        """Writes an agent's file for the user to edit; where it stands."""
        ...

    def run_agent(self, request: "AgentRequest") -> "AsyncGenerator[Event, None]":
        """A run, from `RunStarted` to `RunFinished`; what goes wrong on the way is an event.

        A call that needs the user is an `ApprovalRequired`. With `is_attended` the run waits here
        for `answer_run`; without, it is stored and ends with the status `denied`, to go on by
        `answer_run` and `resume_run`. Cancelling the reading task stops the run.

        Raises what is wrong with the request: NotFound, ConfigError, UsageProblem.
        """
        ...

    def resume_run(self, request: "ResumeRequest") -> "AsyncGenerator[Event, None]":
        """The events of a run that goes on. Raises BackendBusy when another process has it."""
        ...

    async def list_runs(self, limit: int | None = None) -> "list[RunRow]": ...

    async def show_run(self, reference: str) -> "RunDetails": ...

    async def answer_run(self, answer: "ApprovalAnswer") -> "Decision":
        """Allows or denies a call that waits, wherever its run is.

        A run that some process holds goes on by itself, any other by `resume_run`.
        """
        ...

    async def cancel_run(self, reference: str) -> "RunRow": ...

    # Tasks; a reference is a name or an id

    async def list_tasks(self) -> "list[TaskEntry]": ...

    async def show_task(self, reference: str) -> "TaskEntry": ...

    async def add_task(self, request: "TaskRequest") -> "TaskEntry":
        """Raises UsageProblem for a name that is taken and a trigger that is never due."""
        ...

    async def preview_task(self, request: "TaskRequest", count: int = 5) -> list[str]:
        """The next times it would be due, in UTC, without adding it."""
        ...

    async def enable_task(self, reference: str, *, is_enabled: bool) -> "TaskEntry":
        """Pauses or resumes it; what passed while it was paused is not run later."""
        ...

    async def remove_task(self, reference: str) -> "TaskEntry": ...

    def run_task(self, reference: str) -> "AsyncGenerator[Event, None]":
        """Runs it now, in its place in the history. Raises BackendBusy when it runs already."""
        ...

    async def task_history(self, reference: str | None = None, limit: int = 50) -> "list[TaskRun]":
        """The newest first."""
        ...

    # Watched folders, by their absolute path

    async def list_watched(self) -> "list[WatchedFolder]": ...

    async def watch_folder(self, request: "WatchRequest") -> "WatchedFolder":
        """Followed by the daemon from now on, and always. Raises InputMissing."""
        ...

    async def unwatch_folder(self, path: str) -> "WatchedFolder":
        """Its documents stay. Raises NotFound."""
        ...

    # The machine, and what happened on it

    async def measure(self) -> "SystemStats": ...

    async def measurements(self, seconds: float) -> "list[MinuteAverages]":
        """The averages of the last so many seconds, the oldest first."""
        ...

    def changes(self) -> "AsyncGenerator[int, None]":
        """A number that grows whenever anybody, in any process, has stored something.

        The first comes at once; then at most two a second, for as long as somebody reads.
        """
        ...

    async def journal(self, since: str) -> "list[JournalEntry]":
        """What happened since a time (ISO 8601, UTC), the oldest first."""
        ...

    # Sessions; a reference is a name, an id, the beginning of an id, or `latest`

    async def list_sessions(self, limit: int | None = None) -> "list[Session]": ...

    async def show_session(
        self, reference: str, last: int | None = None
    ) -> "tuple[Session, list[StoredMessage]]":
        """With all of its messages, or the `last` so many."""
        ...

    async def search_sessions(self, query: str, limit: int = 20) -> "list[SessionMatch]": ...

    async def export_session(self, reference: str, form: ExportFormat) -> str: ...

    async def remove_session(self, reference: str) -> "Session": ...

    async def rename_session(self, reference: str, name: str) -> "Session":
        """Raises UsageProblem for a name that is taken, or is none."""
        ...

    async def fork_session(
        self, reference: str, name: str | None = None, last_message: int | None = None
    ) -> "Session": ...

    # All of it

    def back_up(
        self, request: "BackupRequest"
    ) -> "AsyncGenerator[BackupStep | BackupReport, None]":
        """Writes one file with all of the user's own; the report comes last, when it is whole.

        Closing the generator stops, and leaves no file. Raises UsageProblem, InputMissing.
        """
        ...

    async def close(self) -> None: ...
