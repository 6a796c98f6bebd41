"""Everything a user can do: the verbs that every front end calls.

Two things stand apart, for they must work when no workspace can be opened: the configuration
(`config.py`, `config_file.py`) and the doctor (`doctor.py`).
"""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from agentctl.core.backends.progress import PullProgress
from agentctl.core.chat.conversation import AskRequest, Prepared
from agentctl.core.chat.sessions import Session, SessionMatch, StoredMessage
from agentctl.core.chat.templates import Template
from agentctl.core.events import Event

if TYPE_CHECKING:
    from agentctl.core.backends.model_manager import ModelEntry, ModelList

ExportFormat: TypeAlias = Literal["md", "json"]


class Workspace(Protocol):
    """Every verb may raise any AgentctlError, except `ask`, whose failures are events."""

    # Answers

    def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        """One answer, from `RunStarted` to `RunFinished`.

        Cancelling the reading task stops the model; `RunFinished` still arrives, then
        CancelledError is raised.
        """
        ...

    async def prepare(self, request: AskRequest) -> Prepared:
        """What `ask` would send, without asking."""
        ...

    async def templates(self) -> list[str]: ...

    async def template(self, name: str) -> Template: ...

    async def save_template(self, name: str, template: Template) -> str:
        """Keeps it for the user; where it stands."""
        ...

    # Models

    async def list_models(self) -> "ModelList": ...

    async def show_model(self, name: str) -> "ModelEntry": ...

    def pull_model(self, name: str) -> AsyncGenerator[PullProgress, None]:
        """Fetches a model; closing the generator stops, and the next pull goes on from there."""
        ...

    async def remove_model(self, name: str) -> None: ...

    async def use_model(self, name: str) -> None:
        """Makes it the model that answers when none is named. Raises ModelNotFound."""
        ...

    # Sessions; a reference is a name, an id, the beginning of an id, or `latest`

    async def list_sessions(self, limit: int | None = None) -> list[Session]: ...

    async def show_session(self, reference: str) -> tuple[Session, list[StoredMessage]]: ...

    async def search_sessions(self, query: str, limit: int = 20) -> list[SessionMatch]: ...

    async def export_session(self, reference: str, form: ExportFormat) -> str: ...

    async def remove_session(self, reference: str) -> Session: ...

    async def fork_session(
        self, reference: str, name: str | None = None, last_message: int | None = None
    ) -> Session: ...

    async def close(self) -> None: ...
