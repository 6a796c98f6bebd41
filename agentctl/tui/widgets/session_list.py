"""Past sessions beside the chat: find one, go on with it, rename, copy, export or remove it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from agentctl.core.backends.threads import run_in_thread
from agentctl.core.chat.conversations import Session
from agentctl.core.errors import InputMissing
from agentctl.core.moments import utc_now
from agentctl.core.paths import expand
from agentctl.core.windows_paths import file_name
from agentctl.core.workspace import Workspace
from agentctl.render.charts import ago
from agentctl.render.output import printable
from agentctl.tui.dialogs import Ask, Confirm

if TYPE_CHECKING:
    from agentctl.tui.desk import Desk

MOST_SHOWN = 200
"""Sessions in the list; the search finds all others."""

_NEW = "new"
# Seconds without a key after which the search begins.
_PAUSE_S = 0.15
_EMPTY = "No sessions yet.\nAsk something: it is kept here."
_NOTHING = "Nothing is like that.\nesc shows all."


@dataclass(frozen=True, slots=True)
class Row:
    """A session as it is shown: two lines, each of one line."""

    session: Session
    title: str
    detail: str


class SessionList(Widget):
    """`current` is the id of the session in the chat, None for a new one."""

    DEFAULT_CSS = """
    SessionList { width: 28; background: $surface; }
    SessionList Input { border: none; height: 1; margin: 0 0 1 0; background: $panel; }
    SessionList Input:focus { border: none; }
    SessionList OptionList {
        height: 1fr; border: none; padding: 0; background: $surface; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    SessionList OptionList:focus { border: none; }
    SessionList Static { height: auto; padding: 0 1; color: $foreground 60%; display: none; }
    SessionList.empty Static { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search", id="sessions.search", show=False),
        Binding("escape", "show_all", "Show all", id="sessions.show_all", show=False),
    ]

    class Chosen(Message):
        """None for a new session."""

        def __init__(self, session_id: str | None) -> None:
            super().__init__()
            self.session_id = session_id

    class Removed(Message):
        def __init__(self, session_id: str) -> None:
            super().__init__()
            self.session_id = session_id

    current: reactive[str | None] = reactive(None)

    def __init__(self, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__()
        self._now = now
        self._workspace: Workspace | None = None
        self._sessions: dict[str, Session] = {}
        self._prompts: dict[str, tuple[str, str]] = {}

    def compose(self) -> ComposeResult:
        yield Input(placeholder="/ search", select_on_focus=False)
        yield Static(_EMPTY, markup=False)
        yield SessionOptions(markup=False)

    def focus(self, scroll_visible: bool = True) -> "SessionList":
        """Keys go to the list from here on, beginning at the session that is open."""
        self._highlight_current()
        self.query_one(SessionOptions).focus(scroll_visible)
        return self

    async def refresh_sessions(self, workspace: Workspace) -> None:
        """Shows what is stored now; what has not changed is left alone."""
        self._workspace = workspace
        query = self.query_one(Input).value.strip()
        rows = await self._rows(workspace, query)
        if self.query_one(Input).value.strip() != query:
            # Something else is wanted by now, and its own search is on.
            return
        self._sessions = {row.session.id: row.session for row in rows}
        prompts = {row.session.id: (row.title, row.detail) for row in rows}
        self.query_one(Static).update(_NOTHING if query else _EMPTY)
        self.set_class(not prompts, "empty")
        self._show(prompts)

    def watch_current(self) -> None:
        options = self.query_one(SessionOptions)
        for session in self._prompts:
            options.replace_option_prompt(session, self._prompt(session))
        if not options.has_focus:
            self._highlight_current()

    # What keys and clicks do

    def action_search(self) -> None:
        self.query_one(Input).focus()

    def action_show_all(self) -> None:
        """Where all are shown already, the key is the screen's."""
        search = self.query_one(Input)
        if not search.value and not search.has_focus:
            raise SkipAction
        search.value = ""
        self.focus()

    def with_highlighted(self, name: str) -> None:
        """Does what has that name, with the session where the keys are."""
        option = self.query_one(SessionOptions).highlighted_option
        session = self._sessions.get(option.id or "") if option is not None else None
        if session is not None:
            getattr(self, name)(session)

    def begin_new(self) -> None:
        self.post_message(self.Chosen(None))

    def rename(self, session: Session) -> None:
        def answered(name: str | None) -> None:
            if name and name.strip():
                self._do(lambda workspace: workspace.rename_session(session.id, name.strip()))

        self.app.push_screen(Ask("A name for this session", session.name or ""), answered)

    def fork(self, session: Session) -> None:
        async def copy(workspace: Workspace) -> None:
            made = await workspace.fork_session(session.id)
            self.post_message(self.Chosen(made.id))

        self._do(copy)

    def remove_session(self, session: Session) -> None:
        async def remove(workspace: Workspace) -> None:
            await workspace.remove_session(session.id)
            self.post_message(self.Removed(session.id))

        title = one_line(session.name or session.title)
        question = f"Remove “{title}” ({session.messages} messages) for good?"
        self.app.push_screen(
            Confirm(question, "Remove"), lambda yes: self._do(remove) if yes else None
        )

    def export(self, session: Session) -> None:
        def answered(name: str | None) -> None:
            if name and name.strip():
                path = expand(name.strip()).absolute()
                path = path if path.suffix else path.with_name(f"{path.name}.md")
                self._do(lambda workspace: self._export(workspace, session, path))

        question = "Export to which file (.md, or .json)?"
        self.app.push_screen(Ask(question, f"{file_name(session.name or session.id)}.md"), answered)

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(None if event.option_id == _NEW else event.option_id))

    @on(Input.Changed)
    def _search_soon(self, event: Input.Changed) -> None:
        event.stop()
        if self._workspace is not None:
            self.run_worker(self._search(self._workspace), exclusive=True, group="search")

    @on(Input.Submitted)
    def _go_to_first(self, event: Input.Submitted) -> None:
        event.stop()
        options = self.query_one(SessionOptions)
        options.focus()
        if self._prompts:
            options.highlighted = 1

    # How it is done

    async def _search(self, workspace: Workspace) -> None:
        await asyncio.sleep(_PAUSE_S)
        self._dashboard.attempt(self.refresh_sessions(workspace), group="sessions")

    async def _rows(self, workspace: Workspace, query: str) -> list[Row]:
        if not query:
            found = await workspace.list_sessions(MOST_SHOWN)
            return [self._row(session) for session in found]
        everything = await workspace.list_sessions()
        wanted = query.casefold()
        rows = {
            session.id: self._row(session)
            for session in everything
            if wanted in f"{session.name or ''} {session.title}".casefold()
        }
        by_id = {session.id: session for session in everything}
        for match in await workspace.search_sessions(query, MOST_SHOWN):
            if match.session in by_id and match.session not in rows:
                excerpt = one_line(match.excerpt.replace("**", ""))
                rows[match.session] = self._row(by_id[match.session], excerpt)
        return [*rows.values()][:MOST_SHOWN]

    def _row(self, session: Session, excerpt: str | None = None) -> Row:
        title = one_line(session.name or session.title) or session.id
        model = one_line(session.model or "").rpartition("/")[2]
        age = ago((self._now() - datetime.fromisoformat(session.updated)).total_seconds())
        detail = " · ".join(filter(None, ("branch" if session.parent else "", age, model)))
        return Row(session, title, excerpt or detail)

    def _show(self, prompts: dict[str, tuple[str, str]]) -> None:
        """Changes the options that have changed; all of them when there are others now."""
        options = self.query_one(SessionOptions)
        before, self._prompts = self._prompts, prompts
        if [*before] == [*prompts] and options.option_count:
            for session, prompt in prompts.items():
                if before[session] != prompt:
                    options.replace_option_prompt(session, self._prompt(session))
            return
        highlighted, top = options.highlighted_option, options.scroll_y
        if not options.has_focus:
            highlighted = None
        options.clear_options()
        options.add_option(Option("+ New session", id=_NEW))
        options.add_options([Option(self._prompt(each), id=each) for each in prompts])
        kept = highlighted.id if highlighted is not None else self.current or _NEW
        if kept in prompts or kept == _NEW:
            options.highlighted = options.get_option_index(kept)
            options.scroll_to(y=top, animate=False)

    def _prompt(self, session: str) -> Content:
        title, detail = self._prompts[session]
        is_current = session == self.current
        mark = "▸ " if is_current else "  "
        return Content.assemble(
            (mark + title, "bold" if is_current else ""), "\n  ", (detail, "dim")
        )

    def _highlight_current(self) -> None:
        options, place = self.query_one(SessionOptions), self.current or _NEW
        if place in self._prompts or (place == _NEW and options.option_count):
            options.highlighted = options.get_option_index(place)

    async def _export(self, workspace: Workspace, session: Session, path: Path) -> None:
        form = "json" if path.suffix == ".json" else "md"
        text = await workspace.export_session(session.id, "json" if form == "json" else "md")
        try:
            # "x": what is there is never written over.
            await run_in_thread(lambda: _write(path, text))
        except OSError as error:
            raise InputMissing(f"{path}: {error.strerror}", "give another path") from None
        self.notify(f"exported to {path}", markup=False)

    def _do(self, verb: Callable[[Workspace], Coroutine[Any, Any, object]]) -> None:
        workspace = self._workspace
        if workspace is None:
            return

        async def done() -> None:
            await verb(workspace)
            await self.refresh_sessions(workspace)

        self._dashboard.attempt(done(), group="sessions")

    @property
    def _dashboard(self) -> "Desk":
        return cast("Desk", self.app)


class SessionOptions(OptionList):
    """The list itself: its keys are single letters, which the search above must not have."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "New", id="sessions.new"),
        Binding("r", "of_list('rename')", "Rename", id="sessions.rename"),
        Binding("f", "of_list('fork')", "Fork", id="sessions.fork"),
        Binding("d,delete", "of_list('remove_session')", "Remove", id="sessions.remove"),
        Binding("x", "of_list('export')", "Export", id="sessions.export"),
    ]

    def action_new(self) -> None:
        self._list.begin_new()

    def action_of_list(self, name: str) -> None:
        self._list.with_highlighted(name)

    @property
    def _list(self) -> SessionList:
        return cast(SessionList, self.parent)


def one_line(text: str) -> str:
    return " ".join(printable(text).split())


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
