"""The verbs that the daemon's own parts use, by the settings that are in force at the moment."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.agents.run_store import RunDetails
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.events import Event
from agentctl.core.knowledge.library import IngestReport, IngestRequest, IngestStep
from agentctl.daemon.hub import Hub


class CurrentVerbs:
    """Each verb holds on to the workspace it began with."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def ask(self, request: AskRequest) -> AsyncGenerator[Event, None]:
        async with self._hub.workspace() as workspace:
            async for event in self._heard(workspace.ask(request)):
                yield event

    async def run_agent(self, request: AgentRequest) -> AsyncGenerator[Event, None]:
        async with self._hub.workspace() as workspace:
            async for event in self._heard(workspace.run_agent(request)):
                yield event

    async def resume_run(self, request: ResumeRequest) -> AsyncGenerator[Event, None]:
        async with self._hub.workspace() as workspace:
            async for event in self._heard(workspace.resume_run(request)):
                yield event

    async def show_run(self, reference: str) -> RunDetails:
        async with self._hub.workspace() as workspace:
            return await workspace.show_run(reference)

    async def ingest(
        self, request: IngestRequest
    ) -> AsyncGenerator[IngestStep | IngestReport, None]:
        async with self._hub.workspace() as workspace, aclosing(workspace.ingest(request)) as steps:
            async for step in steps:
                yield step

    async def _heard(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        async with aclosing(events):
            async for event in events:
                self._hub.heard(event)
                yield event
