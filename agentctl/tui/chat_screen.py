"""Chat: what was said, what is being said, and what to say next."""

from collections.abc import Iterable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from agentctl.connect import working_directory
from agentctl.core.chat.conversations import Session, StoredMessage
from agentctl.core.errors import NotFound
from agentctl.core.events import ApprovalRequired
from agentctl.tui.conversation import Conversation
from agentctl.tui.message_actions import MessageActions, adopt
from agentctl.tui.widgets.composer import Composer
from agentctl.tui.widgets.find_bar import FindBar
from agentctl.tui.widgets.message import Message
from agentctl.tui.widgets.message_parts import Call, SourceLine
from agentctl.tui.widgets.session_list import SessionList
from agentctl.tui.widgets.source_pane import SourcePane
from agentctl.tui.widgets.status_line import StatusLine
from agentctl.tui.widgets.transcript import Transcript

# Columns below which the sessions are folded away, and below which a source is all there is.
_ROOM_FOR_SESSIONS = 90
_ROOM_FOR_SOURCE = 70
# Sessions among which one that has changed is found.
_LOOKED_AT = 20
# Messages of a session that are read before it is shown.
_RECENT = 100
_EMPTY = "Ask below. f2 to f6: other screens · f1: help"


class ChatScreen(MessageActions):
    """Shows one `Conversation`; others go on while they are out of sight."""

    place = "chat"
    has_ages = True
    help_text = """
enter: send · shift+enter, ctrl+j: new line · esc: stop the answer
tab: to the transcript, and back
up, down: from part to part · enter: unfold, open a source · 1-9: open that source
y: copy the message · c: copy a code block · e: edit and send as a branch
r, ctrl+r: answer again, as a branch
ctrl+f: find, n and N: next and before · ctrl+e: export
ctrl+o: model · ctrl+g: agent · ctrl+n: new session · f7, ctrl+b: sessions
"""
    DEFAULT_CSS = """
    ChatScreen {
        #chat { height: 1fr; }
        #talk { width: 1fr; }
        SessionList { display: none; }
        &.sessions SessionList { display: block; }
        &.small SourcePane.open { width: 100%; border-left: none; }
        &.small.source #talk { display: none; }
        &.small.sessions SessionList { width: 100%; }
        &.small.sessions #talk { display: none; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Stop", id="chat.stop"),
        Binding("ctrl+o", "model", "Model", id="chat.model", priority=True),
        Binding("ctrl+g", "agent", "Agent", id="chat.agent", priority=True),
        Binding("ctrl+n", "new", "New", id="chat.new", priority=True),
        Binding("f7,ctrl+b", "sessions", "Sessions", id="chat.sessions", priority=True),
        Binding("ctrl+f", "find", "Find", id="chat.find", priority=True),
        Binding("ctrl+r", "again", "Again", id="chat.again", priority=True, show=False),
        Binding("ctrl+e", "export", "Export", id="chat.export", priority=True, show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.conversation = Conversation(self, working_directory())
        self.branch = None
        self.found = []
        self.calls = {}
        self._kept: dict[str, Conversation] = {}
        self._session: Session | None = None
        self._wants_sessions: bool | None = None
        self._is_first = True

    def body(self) -> ComposeResult:
        with Horizontal(id="chat"):
            yield SessionList()
            with Vertical(id="talk"):
                yield FindBar()
                yield Transcript(empty=_EMPTY)
                yield Composer()
                yield StatusLine()
            yield SourcePane()

    def on_mount(self) -> None:
        self.composer.focus()
        self.show_state()

    # What is stored

    @property
    def _is_whole(self) -> bool:
        """False when the application ends: then there is nothing to show things in."""
        return bool(self.query(StatusLine))

    async def refresh_data(self) -> None:
        if not self._is_whole:
            return
        await self.query_one(SessionList).refresh_sessions(self.workspace)
        if self._is_first:
            self._is_first = False
            await self._begin()
        await self._read_changes()
        self.show_state()

    async def _begin(self) -> None:
        """With the session and the model that the command named."""
        if self.dashboard.first_session is not None:
            await self.open_session(self.dashboard.first_session)
        if self.dashboard.first_model is not None:
            self.conversation.model = self.dashboard.first_model

    async def _read_changes(self) -> None:
        """Shows what others, or an answer that has ended, have stored in this session."""
        conversation, before = self.conversation, self._session
        if conversation.session is None or conversation.is_busy:
            return
        recent = await self.workspace.list_sessions(_LOOKED_AT)
        now = next((each for each in recent if each.id == conversation.session), before)
        if now == before and before is not None:
            return
        try:
            session, stored = await self.workspace.show_session(conversation.session, _RECENT)
        except NotFound:
            self._show(Conversation(self, working_directory()))
            return
        if conversation is self.conversation and not conversation.is_busy:
            self._session = session
            adopt(self.transcript, stored)

    async def open_session(self, reference: str | None) -> None:
        """None for a new one."""
        kept = self._kept.get(reference or "")
        if kept is not None and kept.is_busy:
            self._show(kept)
            return
        conversation = Conversation(self, working_directory(), reference)
        conversation.model = self.conversation.model
        stored: list[StoredMessage] = []
        session = None
        if reference is not None:
            session, stored = await self.workspace.show_session(reference, _RECENT)
            conversation.session = session.id
            asked = [message.content for message in stored if message.role == "user"]
            self.composer.remember(session.id, asked)
        conversation.entries = [*stored]
        self._show(conversation)
        self._session = session
        if session is not None and session.messages > len(stored):
            self.dashboard.attempt(self._read_older(conversation, session.id, stored[0].id))

    async def _read_older(self, conversation: Conversation, session: str, first: int) -> None:
        """Puts what was said before above what is shown already: the end is there at once."""
        _, stored = await self.workspace.show_session(session)
        older = [message for message in stored if message.id < first]
        if conversation is self.conversation:
            self.transcript.show([*older, *self.transcript.entries])

    def _show(self, conversation: Conversation) -> None:
        self.conversation.entries = [*self.transcript.entries]
        self.conversation, self._session, self.branch = conversation, None, None
        if conversation.session is not None:
            self._kept[conversation.session] = conversation
        self._kept = {key: kept for key, kept in self._kept.items() if kept.is_busy}
        self.found = []
        self.transcript.show(conversation.entries)
        conversation.entries = []
        self.turned(conversation)

    # What a conversation tells

    def added(self, conversation: Conversation, message: Message) -> None:
        if conversation is not self.conversation:
            conversation.entries.append(message)
        elif self._is_whole:
            self.transcript.add([message])

    def changed(self, conversation: Conversation, message: Message) -> None:
        if conversation is self.conversation and self._is_whole:
            self.transcript.changed(message)

    def turned(self, conversation: Conversation) -> None:
        if conversation.session is not None and conversation.is_busy:
            self._kept[conversation.session] = conversation
        if conversation is not self.conversation or not self._is_whole:
            return
        sessions = self.query_one(SessionList)
        sessions.current = self.composer.session = conversation.session
        self.composer.is_busy = conversation.is_busy
        self.show_state()
        if not conversation.is_busy:
            self.dashboard.refresh_place()
            if conversation.started is not None and not self.app.app_focus:
                self.dashboard.call_back("the answer is there")

    def needs_answer(self, conversation: Conversation, call: ApprovalRequired) -> None:
        from agentctl.tui.widgets.approval import ApprovalDialog

        self.calls[call.call_id] = call
        self.dashboard.asked_in_sight(call.run_id, conversation.agent or "")
        self.app.push_screen(
            ApprovalDialog(call, agent=conversation.agent or "", is_sudden=True), self.answer_call
        )

    def show_state(self) -> None:
        conversation = self.conversation
        waiting = len(conversation.queue)
        state = "answering…" if conversation.is_busy else ""
        if self.branch is not None:
            state = "sends as a branch"
        if waiting:
            state = f"{state} {waiting} queued".strip()
        model = conversation.model or self.dashboard.settings.model
        if conversation.started is not None and conversation.model is None:
            model = conversation.started.model
        session = self._session
        self.query_one(StatusLine).show(
            state=state,
            who=f"{conversation.agent} ({model})" if conversation.agent else model,
            session=(session.name or session.title[:40]) if session is not None else "",
            started=conversation.started,
            usage=conversation.usage,
        )

    # Asking

    @on(Composer.Sent)
    def _send(self, event: Composer.Sent) -> None:
        event.stop()
        if self.branch is not None:
            branch, self.branch = self.branch, None
            self.dashboard.attempt(self.ask_in_branch(branch, event.text, event.files))
        else:
            self.ask(event.text, event.files)

    def ask(self, text: str, files: tuple[str, ...] = ()) -> None:
        conversation = self.conversation
        conversation.ask(text, files)
        self.transcript.action_last()
        self.show_state()
        self.dashboard.attempt(
            conversation.answer_all(lambda: self.workspace), group=f"answer {id(conversation)}"
        )

    # Sessions, panes

    @on(SessionList.Chosen)
    def _choose_session(self, event: SessionList.Chosen) -> None:
        event.stop()
        self.dashboard.attempt(self.open_session(event.session_id))
        self.composer.focus()

    @on(SessionList.Removed)
    def _leave_removed(self, event: SessionList.Removed) -> None:
        event.stop()
        if event.session_id == self.conversation.session:
            self.conversation.stop()
            self._show(Conversation(self, working_directory()))

    @on(Transcript.Opened)
    def _open_part(self, event: Transcript.Opened) -> None:
        event.stop()
        if isinstance(event.part, SourceLine):
            self.dashboard.attempt(self.show_source(event.part.source))
        elif isinstance(event.part, Call) and event.part.record.is_waiting:
            call = self.calls.get(event.part.record.call_id)
            if call is not None:
                self.needs_answer(self.conversation, call)

    @on(SourcePane.Closed)
    def _close_source(self) -> None:
        self.remove_class("source")
        self._fold()
        self.transcript.focus()

    def on_resize(self) -> None:
        self._fold()

    def watch_focused(self, focused: Widget | None) -> None:
        # None while the terminal itself has lost the keys.
        if focused is not None:
            self._fold()

    def _fold(self) -> None:
        """Shows what there is room for, and where the keys go in any case."""
        if not self._is_whole:
            return
        sessions, source = self.query_one(SessionList), self.query_one(SourcePane)
        width, has_keys = self.size.width, sessions.has_focus_within
        is_small = width < _ROOM_FOR_SOURCE
        room = width >= _ROOM_FOR_SESSIONS + (_ROOM_FOR_SOURCE // 2 if source.is_open else 0)
        wanted = room if self._wants_sessions is None else self._wants_sessions
        self.set_class(is_small, "small")
        self.set_class(source.is_open, "source")
        self.set_class(has_keys or (wanted and not is_small), "sessions")
        if is_small and source.is_open and not has_keys:
            source.focus()

    def action_sessions(self) -> None:
        """To the list, wherever the keys go now; from the list, hides it."""
        sessions = self.query_one(SessionList)
        self._wants_sessions = not sessions.has_focus_within
        if self._wants_sessions:
            sessions.focus()
        else:
            self.composer.focus()

    def action_new(self) -> None:
        self.dashboard.attempt(self.open_session(None))
        self.composer.focus()

    def action_back(self) -> None:
        source, find = self.query_one(SourcePane), self.query_one(FindBar)
        if self.query_one(SessionList).has_focus_within:
            self.composer.focus()
        elif self.conversation.stop():
            return
        elif source.is_open:
            source.action_close()
        elif find.has_class("open"):
            find.action_close()
        elif self.branch is not None:
            self.branch = None
            self.composer.clear()
            self.show_state()
        else:
            self.composer.focus()

    def commands(self) -> Iterable[SystemCommand]:
        for name, what, action in (
            ("New session", "Begin anew, ctrl+n", self.action_new),
            ("Sessions", "To the list, or hide it, f7", self.action_sessions),
            ("Model", "Another model answers, ctrl+o", self.action_model),
            ("Agent", "An agent answers, ctrl+g", self.action_agent),
            ("Stop", "Stop the answer, esc", self.conversation.stop),
            ("Answer again", "As a branch, ctrl+r", self.action_again),
            ("Edit and resend", "As a branch, e", self.action_edit),
            ("Copy message", "The one that is selected, or the last, y", self.action_copy_message),
            ("Copy code", "A block of it, c", self.action_copy_code),
            ("Rename session", "The one that is open", self.action_rename),
            ("Fork session", "The one that is open", self.action_fork),
            ("Remove session", "The one that is open", self.action_remove),
            ("Search sessions", "Titles and texts, /", self.query_one(SessionList).action_search),
            ("Find", "In this session, ctrl+f", self.action_find),
            ("Export", "This session to a file, ctrl+e", self.action_export),
        ):
            yield SystemCommand(name, what, action)
