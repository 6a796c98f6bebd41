"""What is asked of a model or an agent, one prompt after the other, and what comes of it."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agentctl.core.agents.run_request import AgentRequest, ResumeRequest
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import AgentctlError
from agentctl.core.events import (
    ApprovalGiven,
    ApprovalRequired,
    ErrorRaised,
    Event,
    MessageFinished,
    RunFinished,
    RunStarted,
    SourcesFound,
    TextArrived,
    ThinkingArrived,
    ToolCallRequested,
    ToolFinished,
    UsageMeasured,
    WarningRaised,
)
from agentctl.core.knowledge.citations import cited_sources
from agentctl.core.sources import Source
from agentctl.core.workspace import Workspace
from agentctl.tui.widgets.message import Entry, Message


class Watcher(Protocol):
    """Who shows a conversation."""

    def added(self, conversation: "Conversation", message: Message) -> None: ...

    def changed(self, conversation: "Conversation", message: Message) -> None: ...

    def needs_answer(self, conversation: "Conversation", call: ApprovalRequired) -> None: ...

    def turned(self, conversation: "Conversation") -> None:
        """It has begun or ended an answer, or knows more of its session or its run."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What was asked, and how it stands in the transcript."""

    text: str
    files: tuple[str, ...]
    shown: Message


class Conversation:
    """`session` is None until the first answer has made one.

    `entries` are what was in it when another one was last shown in its place.
    With an `agent` prompts are tasks for it; they are kept among the runs, not in the session.
    """

    def __init__(self, watcher: Watcher, folder: Path, session: str | None = None) -> None:
        self.session = session
        self.model: str | None = None
        self.agent: str | None = None
        self.queue: deque[Prompt] = deque()
        self.started: RunStarted | None = None
        self.usage: UsageMeasured | None = None
        self.entries: list[Entry] = []
        self._watcher = watcher
        self._folder = folder
        self._runs: dict[str, str] = {}
        self._reading: asyncio.Task[None] | None = None
        self._answer = Message("assistant", "")
        self._given: tuple[Source, ...] = ()
        self._has_streamed = False

    @property
    def is_busy(self) -> bool:
        return self._reading is not None

    def ask(self, text: str, files: tuple[str, ...] = ()) -> None:
        """Puts a prompt at the end of the queue."""
        shown = Message.of_user(text, files)
        shown.is_of_agent = self.agent is not None
        shown.remark = "queued" if self.is_busy or self.queue else ""
        self.queue.append(Prompt(text, files, shown))
        self._watcher.added(self, shown)

    def stop(self) -> bool:
        """Ends the answer that is coming; False when there is none."""
        if self._reading is None:
            return False
        self._reading.cancel()
        return True

    async def answer_all(self, workspace: Callable[[], Workspace]) -> None:
        """Asks what is in the queue. Harmless when somebody does already."""
        while self.queue and self._reading is None:
            prompt = self.queue.popleft()
            prompt.shown.remark = ""
            prompt.shown.changed()
            self._watcher.changed(self, prompt.shown)
            self._reading = asyncio.ensure_future(self._read(prompt, workspace))
            self._watcher.turned(self)
            try:
                await asyncio.wait([self._reading])
            finally:
                # Whoever waits here may be stopped too.
                self._reading.cancel()
                reading, self._reading = self._reading, None
                self._watcher.turned(self)
            with suppress(asyncio.CancelledError):
                reading.result()

    async def _read(self, prompt: Prompt, workspace: Callable[[], Workspace]) -> None:
        self._given = ()
        self._begin(self.agent or self.model or "…")
        try:
            async with aclosing(self._events(prompt, workspace())) as events:
                async for event in events:
                    self._take(event)
        except AgentctlError as error:
            self._fail(error.message, error.hint)
        finally:
            if self._answer.is_live:
                self._end("cancelled")

    def _events(self, prompt: Prompt, workspace: Workspace) -> AsyncGenerator[Event, None]:
        if self.agent is None:
            # A session that is not there yet is made by the first answer.
            request = AskRequest(
                prompt=prompt.text, files=prompt.files, model=self.model, session=self.session
            )
            return workspace.ask(request)
        task = "\n".join((prompt.text, *prompt.files))
        if run := self._runs.get(self.agent):
            return workspace.resume_run(ResumeRequest(run=run, task=task, is_attended=True))
        return workspace.run_agent(
            AgentRequest(
                agent=self.agent,
                task=task,
                folder=self._folder,
                model=self.model,
                is_attended=True,
            )
        )

    # What comes

    def _take(self, event: Event) -> None:
        answer = self._answer
        match event:
            case RunStarted():
                self._start(event)
            case TextArrived(text=text):
                self._turn_to(event.agent)
                self._answer.say(text)
                self._has_streamed = True
            case ThinkingArrived(text=text):
                self._turn_to(event.agent)
                self._answer.think(text)
            case MessageFinished():
                self._finish_message(event)
            case ToolCallRequested() | ApprovalGiven() | ToolFinished():
                answer.add_call(event)
            case ApprovalRequired():
                answer.add_call(event)
                self._watcher.needs_answer(self, event)
            case SourcesFound(sources=sources):
                self._given = sources
            case UsageMeasured():
                self.usage = event
                self._watcher.turned(self)
            case WarningRaised(message=message):
                answer.note(f"! {message}", "warning")
            case ErrorRaised():
                self._fail(event.message, event.hint)
            case RunFinished():
                self._finish(event)
        self._watcher.changed(self, self._answer)

    def _start(self, event: RunStarted) -> None:
        self.started = event
        if event.agent is not None:
            self._runs[event.agent] = event.run_id
            if self.agent is not None:
                self._runs[self.agent] = event.run_id
        else:
            self.session = event.session or self.session
        self._answer.speaker = event.agent or event.model
        self._answer.changed()
        self._watcher.turned(self)

    def _turn_to(self, speaker: str | None) -> None:
        """A member of a team has a message of its own."""
        if not speaker or speaker == self._answer.speaker:
            return
        if self._answer.parts:
            self._end("done")
            self._begin(speaker)
        else:
            self._answer.speaker = speaker
            self._answer.changed()

    def _finish_message(self, event: MessageFinished) -> None:
        if not self._has_streamed:
            self._turn_to(event.agent)
            self._answer.say(event.content)
        self._has_streamed = False

    def _finish(self, event: RunFinished) -> None:
        said, answer = self._answer.text, event.answer.strip()
        if answer and (not said or (self.agent is not None and answer not in said)):
            self._answer.say(event.answer)
        for source in cited_sources(event.answer, self._given) if event.answer else ():
            self._answer.add_source(source)
        self._end(event.status)

    def _fail(self, message: str, hint: str) -> None:
        text = f"✗ {message}\n  try: {hint}" if hint else f"✗ {message}"
        self._answer.note(f"{text}\n  ctrl+r tries again", "error")

    def _begin(self, speaker: str) -> None:
        self._answer = Message("assistant", speaker, is_live=True)
        self._answer.is_of_agent = self.agent is not None
        self._answer.remark = "…"
        self._has_streamed = False
        self._watcher.added(self, self._answer)

    def _end(self, status: str) -> None:
        self._answer.end(status)
        self._watcher.changed(self, self._answer)
