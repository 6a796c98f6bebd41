"""The chat as plain lines, for screen readers and simple terminals: nothing moves, all is words."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

from agentctl.core.agents.run_request import ROUTER, AgentRequest
from agentctl.core.backends.registry import SMALLEST_MODEL
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import (
    AgentctlError,
    BackendBusy,
    BackendUnreachable,
    NotFound,
    UsageProblem,
)
from agentctl.core.events import (
    ApprovalRequired,
    ErrorRaised,
    Event,
    RunFinished,
    RunStarted,
    SourcesFound,
    TextArrived,
    ThinkingArrived,
)
from agentctl.core.knowledge.citations import source_line
from agentctl.core.knowledge.library import SearchRequest
from agentctl.core.sources import Source
from agentctl.core.workspace import Workspace
from agentctl.render.agents import AgentRunPrinter
from agentctl.render.output import Output
from agentctl.render.run import RunPrinter, RunSummary
from agentctl.tui.link import Link
from agentctl.tui.mentions import mentioned_files

# Messages of an older session that are read out.
_SHOWN_AGAIN = 2

HELP = """\
/help            these lines
/new             a new session
/sessions        the latest sessions; /sessions NAME goes on with one
/model NAME      another model; /model lists them
/agent NAME      an agent answers, with tools; /agent lists them, /agent none ends that
/sources         what the last answer is from; /sources 1 reads the first
/search WORDS    passages of your documents
/quit            leaves, as Ctrl+D does
@ and a path takes a file along. A line that ends in \\ goes on in the next one.
Ctrl+C stops an answer; what has arrived is kept."""


@dataclass(slots=True)
class PlainChat:
    """A conversation by lines. `session`, `model` and `agent` are what the next prompt uses."""

    link: Link
    output: Output
    folder: Path
    session: str | None = None
    model: str | None = None
    agent: str | None = None
    is_over: bool = False
    _sources: tuple[Source, ...] = field(default=(), init=False)
    _label_stands_alone: bool = field(default=False, init=False)

    @property
    def workspace(self) -> Workspace:
        return self.link.workspace

    async def take(self, text: str) -> None:
        """Does what was typed: a command, or a prompt. Raises AgentctlError."""
        text = text.strip()
        if not text.startswith("/"):
            if text:
                await (self._answer(text) if self.agent is None else self._work(text))
            return
        name, _, rest = text[1:].partition(" ")
        commands = self._commands()
        if name not in commands:
            raise UsageProblem(f"no command /{name}", "/help")
        await commands[name](rest.strip())

    def _commands(self) -> dict[str, Callable[[str], Awaitable[None]]]:
        return {
            "help": self._help,
            "new": self._new,
            "sessions": self._sessions,
            "model": self._choose_model,
            "agent": self._choose_agent,
            "sources": self._read_sources,
            "search": self._search,
            "quit": self._quit,
        }

    # Answers

    async def _answer(self, prompt: str) -> None:
        request = AskRequest(
            prompt=prompt,
            files=mentioned_files(prompt, self.folder),
            model=self.model,
            session=self.session,
            create_session=self.session is not None,
        )
        summary, printer = RunSummary(), RunPrinter(self.output, self.folder)
        try:
            async with aclosing(self.workspace.ask(request)) as events:
                async for event in events:
                    summary.add(event)
                    self._show(event, printer)
        finally:
            printer.close()
        self._sources = summary.sources

    async def _work(self, task: str) -> None:
        request = AgentRequest(
            agent=self.agent or "",
            task=task,
            folder=self.folder,
            model=self.model,
            is_attended=True,
        )
        printer = AgentRunPrinter(self.output)
        try:
            async with aclosing(self.workspace.run_agent(request)) as events:
                async for event in events:
                    self._show(event, printer)
                    if isinstance(event, ApprovalRequired):
                        printer.pause()
                        await self._ask_approval(event)
        finally:
            printer.close()

    def _show(self, event: Event, printer: RunPrinter | AgentRunPrinter) -> None:
        if isinstance(event, ThinkingArrived):
            return
        if self._label_stands_alone and not isinstance(event, SourcesFound):
            self._label_stands_alone = False
            if not (isinstance(event, TextArrived) and isinstance(printer, RunPrinter)):
                self.output.line("")
        printer.show(event)
        match event:
            case RunStarted(model=model, agent=agent, session=session):
                self.session = session or self.session
                self.output.text(f"{agent or 'agentctl'} ({model}): ")
                self._label_stands_alone = True
            case ErrorRaised():
                self.output.problem(event.code, event.message, event.hint)
            case RunFinished(status=status) if status not in ("done", "failed"):
                self.output.line(f"(the answer ended: {status})")

    async def _ask_approval(self, asked: ApprovalRequired) -> None:
        from agentctl.render.approval import ask_approval

        answer = await ask_approval(self.output, asked)
        if answer is None:
            await self.workspace.cancel_run(asked.run_id)
            return
        try:
            await self.workspace.answer_run(answer)
        except (NotFound, BackendBusy) as error:
            # Somebody else was faster.
            self.output.note(error.message)

    # Commands

    async def _help(self, _: str) -> None:
        self.output.line(HELP)

    async def _quit(self, _: str) -> None:
        self.is_over = True

    async def _new(self, _: str) -> None:
        self.session = None
        self.output.line("A new session begins with your next prompt.")

    async def _sessions(self, name: str) -> None:
        if name:
            session, messages = await self.workspace.show_session(name)
            self.session = session.id
            self.output.line(f"Session: {session.name or session.title}")
            for message in messages[-_SHOWN_AGAIN:]:
                speaker = "You" if message.role == "user" else "agentctl"
                self.output.line(f"{speaker}: {message.content}")
            return
        for session in await self.workspace.list_sessions(20):
            mark = " (this one)" if session.id == self.session else ""
            self.output.line(f"{session.name or session.id}: {session.title}{mark}")

    async def _choose_model(self, name: str) -> None:
        if name:
            self.output.line(f"Model: {(await self.workspace.show_model(name)).name}")
            self.model = name
            return
        found = [each for each in (await self.workspace.list_models()).models if each.installed]
        for model in found:
            self.output.line(f"{model.name}{' (usual)' if model.is_default else ''}")
        if not found:
            self.output.line(f"No model is here: agentctl models pull {SMALLEST_MODEL}")

    async def _choose_agent(self, name: str) -> None:
        if name == "none":
            self.agent = None
            self.output.line("No agent: the model answers itself.")
        elif name:
            agent = ROUTER if name == ROUTER else (await self.workspace.show_agent(name)).definition
            self.agent = agent if isinstance(agent, str) else agent.name
            self.output.line(f"Agent: {self.agent}")
        else:
            for entry in await self.workspace.list_agents():
                self.output.line(f"{entry.definition.name}: {entry.definition.description}")

    async def _read_sources(self, number: str) -> None:
        chosen = [each for each in self._sources if number in ("", str(each.n))]
        if not chosen:
            self.output.line(f"No source {number}." if number else "No sources.")
        for source in chosen:
            self.output.line(source_line(source))
            if number:
                self.output.line(source.text)

    async def _search(self, words: str) -> None:
        if not words:
            raise UsageProblem("no words to search for", "/search your words")
        result = await self.workspace.search(SearchRequest(query=words))
        self._sources = result.hits
        if not self._sources:
            self.output.line("Nothing was found.")
        await self._read_sources("")


def run_plain(chat: PlainChat, read: Callable[[str], str] = input) -> int:
    """Reads and answers until the end of the input; the exit code. Raises what opening raises."""
    with asyncio.Runner() as runner:
        runner.run(chat.link.open())
        try:
            chat.output.line("agentctl, plain. /help tells what there is; Ctrl+D leaves.")
            while not chat.is_over:
                _take_one(chat, runner, read)
        except EOFError:
            chat.output.line("")
        finally:
            runner.run(chat.link.close())
    return 0


def _take_one(chat: PlainChat, runner: asyncio.Runner, read: Callable[[str], str]) -> None:
    try:
        runner.run(chat.take(_read_prompt(read)))
    except KeyboardInterrupt:
        # It ended what was going on, and nothing else.
        chat.output.line("")
    except AgentctlError as error:
        chat.output.error(error)
        if isinstance(error, BackendUnreachable) and chat.link.with_daemon:
            runner.run(chat.link.close())
            runner.run(chat.link.open())
            chat.output.line("The daemon does not answer: going on without it.")


def _read_prompt(read: Callable[[str], str]) -> str:
    lines = [read("You: ")]
    while lines[-1].endswith("\\"):
        lines[-1] = lines[-1][:-1]
        lines.append(read("and: "))
    return "\n".join(lines)
