"""What can be done with the messages of a chat, and with whom it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textual import on

from agentctl.core.agents.run_request import ApprovalAnswer
from agentctl.core.chat.conversations import Session, StoredMessage
from agentctl.core.errors import AgentctlError
from agentctl.core.events import ApprovalRequired
from agentctl.core.sources import Source
from agentctl.core.web_page import URL_SCHEMES
from agentctl.tui.conversation import Conversation
from agentctl.tui.dialogs import Choose
from agentctl.tui.frame import Frame
from agentctl.tui.widgets.composer import Composer
from agentctl.tui.widgets.find_bar import FindBar
from agentctl.tui.widgets.message import Message, code_blocks
from agentctl.tui.widgets.session_list import SessionList
from agentctl.tui.widgets.source_pane import SourcePane
from agentctl.tui.widgets.transcript import Transcript

_NO_AGENT = "-"
# Letters of a code block by which it is chosen.
_SHOWN_CODE = 60


@dataclass(frozen=True, slots=True)
class Branch:
    """Where a prompt goes: to a copy of the session up to `last`, a new one when that is None."""

    session: str | None
    last: int | None


class MessageActions(Frame):
    """The keys that act on the message that is selected, or the last."""

    conversation: Conversation
    branch: Branch | None
    found: list[int]
    calls: dict[str, ApprovalRequired]

    @property
    def transcript(self) -> Transcript:
        return self.query_one(Transcript)

    @property
    def composer(self) -> Composer:
        return self.query_one(Composer)

    async def open_session(self, reference: str | None) -> None:
        raise NotImplementedError

    def ask(self, text: str, files: tuple[str, ...] = ()) -> None:
        raise NotImplementedError

    def show_state(self) -> None:
        raise NotImplementedError

    # Copying

    def action_copy_message(self) -> None:
        message = self.transcript.selected_message
        if message is not None:
            self._copy(message.text, "the message")

    def action_copy_code(self) -> None:
        message = self.transcript.selected_message
        blocks = [*code_blocks(message.text)] if message is not None else []
        if not blocks:
            self.notify("there is no code in this message", markup=False)
        elif len(blocks) == 1:
            self._copy(blocks[0], "the code")
        else:
            shown = [" ".join(block.split())[:_SHOWN_CODE] for block in blocks]

            def chosen(number: str | None) -> None:
                if number is not None:
                    self._copy(blocks[int(number)], "the code")

            options = [(str(number), line) for number, line in enumerate(shown)]
            self.app.push_screen(Choose("Copy which code?", options), chosen)

    def _copy(self, text: str, what: str) -> None:
        self.app.copy_to_clipboard(text)
        self.notify(f"{what} was copied", markup=False, timeout=2)

    # Asking again

    def action_edit(self) -> None:
        number = self._question()
        if number is None:
            return
        self.branch = self._branch_before(number)
        self.composer.set_text(self.transcript.message(number).text)
        self.composer.focus()
        self.show_state()

    def action_again(self) -> None:
        number = self._question()
        if number is None or self.conversation.is_busy:
            return
        message = self.transcript.message(number)
        files = _still_there(message.files)
        if message.stored_id is None:
            # It was not kept, so that nothing is lost by asking it in the same place.
            self.transcript.cut(number)
            self.ask(message.text, files)
        else:
            branch = self._branch_before(number)
            self.dashboard.attempt(self.ask_in_branch(branch, message.text, files))

    async def ask_in_branch(self, branch: Branch, text: str, files: tuple[str, ...]) -> None:
        model, agent = self.conversation.model, self.conversation.agent
        session = None
        if branch.session is not None and branch.last is not None:
            copy = await self.workspace.fork_session(branch.session, last_message=branch.last)
            session = copy.id
        await self.open_session(session)
        self.conversation.model, self.conversation.agent = model, agent
        self.ask(text, files)

    def _question(self) -> int | None:
        """The number of the user's message that is selected, or the last before it."""
        message = self.transcript.selected_message
        number = self.transcript.number_of(message) if message is not None else -1
        while number >= 0 and self.transcript.entries[number].role != "user":
            number -= 1
        return number if number >= 0 else None

    def _branch_before(self, number: int) -> Branch:
        for entry in reversed(self.transcript.entries[:number]):
            kept = entry.stored_id if isinstance(entry, Message) else entry.id
            if kept is not None:
                return Branch(self.conversation.session, kept)
        return Branch(self.conversation.session, None)

    # Finding

    def action_find(self) -> None:
        self.query_one(FindBar).open()

    @on(FindBar.Changed)
    def _find(self, event: FindBar.Changed) -> None:
        event.stop()
        self.found = self.transcript.find(event.term)
        bar = self.query_one(FindBar)
        if not event.term:
            bar.tell("")
            if not bar.has_class("open"):
                self.transcript.focus()
        elif not self.found:
            bar.tell("nothing")
        else:
            self._go_to_found(len(self.found) - 1)

    @on(FindBar.Stepped)
    def _step(self, event: FindBar.Stepped) -> None:
        event.stop()
        self.action_find_step(event.step)

    @on(FindBar.Left)
    def _leave_find(self, event: FindBar.Left) -> None:
        event.stop()
        self.transcript.focus()

    def action_find_step(self, step: int) -> None:
        if not self.found:
            return
        here = self.transcript.selected.entry if self.transcript.selected is not None else 0
        later = [n for n, entry in enumerate(self.found) if entry > here]
        before = [n for n, entry in enumerate(self.found) if entry < here]
        if step > 0:
            self._go_to_found(later[0] if later else 0)
        else:
            self._go_to_found(before[-1] if before else len(self.found) - 1)

    def _go_to_found(self, place: int) -> None:
        self.query_one(FindBar).tell(f"{place + 1} of {len(self.found)}")
        self.transcript.go_to(self.found[place])

    # Sources and calls

    def action_open_source(self, number: int) -> None:
        message = self.transcript.selected_message
        sources = message.sources if message is not None else []
        source = next((each for each in sources if each.n == number), None)
        if source is not None:
            self.dashboard.attempt(self.show_source(source))

    async def show_source(self, source: Source) -> None:
        try:
            passage = await self.workspace.show_document(str(source.document_id), source.chunk_id)
        except AgentctlError:
            # Gone, or cut anew since: what was cited is still known.
            passage = None
        self.query_one(SourcePane).show(source, passage)

    def answer_call(self, answer: ApprovalAnswer | None) -> None:
        if answer is None:
            return

        async def give() -> None:
            await self.workspace.answer_run(answer)

        self.dashboard.attempt(give())

    # With whom

    def action_model(self) -> None:
        self.dashboard.attempt(self._choose_model())

    async def _choose_model(self) -> None:
        models = await self.workspace.list_models()
        options = [
            (
                f"{model.backend}:{model.name}",
                f"{model.name}  {model.backend}{'  loaded' if model.loaded else ''}",
            )
            for model in models.models
            if model.installed
        ]
        default = self.dashboard.settings.model
        options.insert(0, (default, f"{default}  as configured"))

        def chosen(name: str | None) -> None:
            if name is not None:
                self.conversation.model = None if name == default else name
                self.conversation.started = self.conversation.usage = None
                self.show_state()
                self.composer.focus()

        current = self.conversation.model or default
        self.app.push_screen(Choose("Which model answers?", options, current), chosen)

    def action_agent(self) -> None:
        self.dashboard.attempt(self._choose_agent())

    async def _choose_agent(self) -> None:
        agents = [entry.definition for entry in await self.workspace.list_agents()]
        options = [(_NO_AGENT, "no agent: the model answers")]
        options += [
            (agent.name, f"{agent.name}  {agent.kind}  {agent.description}") for agent in agents
        ]

        def chosen(name: str | None) -> None:
            if name is not None:
                self.conversation.agent = None if name == _NO_AGENT else name
                self.show_state()
                self.composer.focus()

        current = self.conversation.agent or _NO_AGENT
        self.app.push_screen(Choose("Who answers?", options, current), chosen)

    # The session as a whole

    def action_rename(self) -> None:
        self._with_session(self.query_one(SessionList).rename)

    def action_fork(self) -> None:
        self._with_session(self.query_one(SessionList).fork)

    def action_remove(self) -> None:
        self._with_session(self.query_one(SessionList).remove_session)

    def action_export(self) -> None:
        self._with_session(self.query_one(SessionList).export)

    def _with_session(self, verb: Callable[[Session], None]) -> None:
        """Does it with the session that is open, wherever the list is."""
        session = self.conversation.session
        if session is None:
            self.notify("nothing was said yet in this session", markup=False)
            return

        async def find() -> None:
            verb((await self.workspace.show_session(session, 1))[0])

        self.dashboard.attempt(find())


def adopt(transcript: Transcript, stored: Sequence[StoredMessage]) -> None:
    """Shows what was stored: our own messages learn their ids, others are added or replaced."""
    known: dict[int, int] = {}
    unknown: list[Message] = []
    for number, entry in enumerate(transcript.entries):
        kept = entry.id if isinstance(entry, StoredMessage) else entry.stored_id
        if kept is not None:
            known[kept] = number
        elif isinstance(entry, Message) and not entry.is_of_agent:
            unknown.append(entry)
    new: list[StoredMessage] = []
    for message in stored:
        number = known.get(message.id, -1)
        if number >= 0:
            if _was_unfinished(transcript, number):
                transcript.replace(number, message)
            continue
        ours = next((each for each in unknown if _is_same(each, message)), None)
        if ours is None:
            new.append(message)
        else:
            ours.stored_id = message.id
            unknown.remove(ours)
    transcript.add(new)


def _was_unfinished(transcript: Transcript, number: int) -> bool:
    entry = transcript.entries[number]
    if isinstance(entry, StoredMessage):
        return entry.status == "partial"
    return entry.is_unfinished


def _is_same(ours: Message, stored: StoredMessage) -> bool:
    if ours.role != stored.role:
        return False
    return ours.text == stored.content or (stored.role == "assistant" and not stored.content)


def _still_there(files: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name in files if name.startswith(URL_SCHEMES) or Path(name).is_absolute())
