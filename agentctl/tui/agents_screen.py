"""The agents, what they do now and did before, and what of it waits for the user."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar, get_args

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import DataTable, OptionList, Static
from textual.widgets.option_list import Option

from agentctl.connect import working_directory
from agentctl.core.agents.definitions import AgentEntry, AgentKind
from agentctl.core.agents.run_request import AgentRequest, ApprovalAnswer, ResumeRequest
from agentctl.core.agents.run_store import RunDetails
from agentctl.core.events import (
    ApprovalRequired,
    Event,
    MessageFinished,
    RunFinished,
    RunStarted,
    TextArrived,
    ThinkingArrived,
)
from agentctl.render.tool_calls import clipped
from agentctl.tui.agent_words import agent_lines, agent_text, run_head, work_of
from agentctl.tui.dialogs import Ask, Choose, TextDialog
from agentctl.tui.frame import Frame
from agentctl.tui.run_export import export_run
from agentctl.tui.task_dialog import TaskDialog
from agentctl.tui.waiting import SeenRun, age, list_seen, pending
from agentctl.tui.widgets.approval import ApprovalDialog
from agentctl.tui.widgets.keyed_table import KeyedTable, cell
from agentctl.tui.widgets.run_view import RunView

# Runs that are listed; seconds between two looks at the clock.
_MOST_RUNS = 100
_STATUS_COLOURS = {
    "waiting for you": "warning",
    "working": "primary",
    "failed": "error",
    "interrupted": "error",
    "timeout": "error",
}
_VERBS = (
    ("task", "Give a task", "The selected agent works on something"),
    ("answer", "Answer a call", "Allow or deny what the selected run waits for"),
    ("cancel", "Cancel the run", "Wherever it runs; what it has done is kept"),
    ("resume", "Go on with the run", "Where it was, or with a further task"),
    ("export", "Export the run", "To a Markdown or JSON file"),
    ("copy", "Copy the answer", "To the clipboard"),
    ("show_agent", "Show the agent", "Its tools and instructions"),
    ("new", "New agent", "Writes a file for you to edit"),
)


class AgentsScreen(Frame):
    """Runs that are begun here stream; all others are read anew when they change."""

    place = "agents"
    has_ages = True
    help_text = """
tab: agents, runs, transcript
enter on an agent: its tools and instructions
t: give the selected agent a task
enter on a run: its transcript, or what waits for you
a: answer what the selected run waits for
c: cancel the run
r: go on with the run
x: export the run to a file
y: copy the answer
n, p in the transcript: next, previous call
enter in the transcript: unfold the call
o in the transcript: unfold all calls
+: a new agent
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "task", "Task", id="agents.task"),
        Binding("a", "answer", "Answer", id="agents.answer"),
        Binding("c", "cancel", "Cancel", id="agents.cancel"),
        Binding("r", "resume", "Go on", id="agents.resume"),
        Binding("x", "export", "Export", id="agents.export"),
        Binding("y", "copy", "Copy", id="agents.copy"),
        Binding("plus", "new", "New", id="agents.new", key_display="+"),
    ]
    DEFAULT_CSS = """
    AgentsScreen {
        #desk { layout: horizontal; height: 1fr; }
        #agents {
            width: 26; height: 1fr; border: none; padding: 0 1;
            background: $surface; scrollbar-size-vertical: 1;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        #agents > .option-list--option-highlighted { background: $panel; color: $foreground; }
        #agents:focus > .option-list--option-highlighted {
            background: $primary 30%; color: $foreground;
        }
        #work { width: 1fr; layout: vertical; }
        #runs { height: 35%; min-height: 3; }
        #head {
            height: auto; max-height: 2; padding: 0 1; background: $surface;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        #run { height: 1fr; }
        #run:focus { background: $surface; }
        #current { width: 1fr; }
        &.-narrow #desk { layout: vertical; }
        &.-narrow #agents { width: 1fr; height: 4; }
        &.-narrow #work { height: 1fr; width: 1fr; }
        &.-wide #work { layout: horizontal; }
        &.-wide #runs { width: 56; height: 1fr; }
        &.-low #agents, &.-low #head { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (72, "-normal"), (130, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-high")]
        self._agents: list[tuple[str, Content]] = []
        self._seen: dict[str, SeenRun] = {}
        self._details: RunDetails | None = None
        self._spoken: dict[str, list[str]] = {}

    def body(self) -> ComposeResult:
        with Container(id="desk"):
            yield OptionList(id="agents", markup=False)
            with Container(id="work"):
                yield KeyedTable(("agent", "status", "age", "task"), id="runs")
                with Vertical(id="current"):
                    yield Static("", id="head", markup=False)
                    yield RunView(id="run")

    def on_mount(self) -> None:
        self.query_one("#agents").focus()

    # What is shown

    async def refresh_data(self) -> None:
        agents = await self.workspace.list_agents()
        seen = await list_seen(self.workspace, _MOST_RUNS)
        self._seen = {each.run.id: each for each in seen}
        self._show_agents(agents, seen)
        self._show_runs(seen)
        await self._show_run()

    async def select_run(self, run: str) -> None:
        """Shows a run by its id, and its transcript has the focus."""
        await self.refresh_data()
        self.query_one("#runs", KeyedTable).select(run)
        await self._show_run()
        self.query_one("#run").focus()

    def _show_agents(self, agents: list[AgentEntry], seen: list[SeenRun]) -> None:
        rows = [
            (agent.definition.name, agent_lines(agent, work_of(agent.definition.name, seen)))
            for agent in agents
        ]
        options = self.query_one("#agents", OptionList)
        if [name for name, _ in rows] != [name for name, _ in self._agents]:
            at = options.highlighted or 0
            options.clear_options()
            options.add_options(Option(lines) for _, lines in rows)
            options.highlighted = min(at, len(rows) - 1) if rows else None
        else:
            for number, ((_, new), (_, old)) in enumerate(zip(rows, self._agents, strict=True)):
                if new.plain != old.plain:
                    options.replace_option_prompt_at_index(number, new)
        self._agents = rows

    def _show_runs(self, seen: list[SeenRun]) -> None:
        now = datetime.now(UTC)
        colours = self.app.theme_variables
        self.query_one("#runs", KeyedTable).show(
            (
                each.run.id,
                (
                    cell(clipped(each.run.agent, 12)),
                    cell(each.status, colours.get(_STATUS_COLOURS.get(each.status, ""), "")),
                    cell(age(each.run.updated, now)),
                    cell(clipped(each.run.task, 80)),
                ),
            )
            for each in seen
        )

    async def _show_run(self) -> None:
        selected = self.query_one("#runs", KeyedTable).selected
        view, head = self.query_one(RunView), self.query_one("#head", Static)
        if selected is None:
            self._details = None
            view.show(None)
            head.update("No runs yet. t gives the selected agent a task.")
            return
        seen, shown = self._seen.get(selected), self._details
        is_other = shown is None or shown.run.id != selected
        if is_other or shown is None or shown.is_live or seen is None or shown.run != seen.run:
            shown = self._details = await self.workspace.show_run(selected)
        if self.query_one("#runs", KeyedTable).selected != selected:
            return
        view.show(shown)
        if is_other and (spoken := self._spoken.get(selected)):
            view.say("".join(spoken))
        head.update(run_head(shown, seen))

    async def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        if self.dashboard.link.is_open:
            self.dashboard.attempt(self._show_run())

    # Verbs

    def commands(self) -> Iterable[SystemCommand]:
        for action, title, words in _VERBS:
            yield SystemCommand(title, words, getattr(self, f"action_{action}"))

    def on_option_list_option_selected(self) -> None:
        self.action_show_agent()

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        seen = self._seen.get(event.row_key.value or "")
        if seen is not None and seen.is_waiting:
            self.action_answer()
        else:
            self.query_one("#run").focus()

    def action_show_agent(self) -> None:
        self.dashboard.attempt(self._tell_of_agent())

    def action_task(self) -> None:
        self.dashboard.attempt(self._give_task())

    def action_new(self) -> None:
        self.dashboard.attempt(self._new_agent())

    def action_answer(self) -> None:
        if run := self._selected():
            self.dashboard.attempt(self._answer(run))

    def action_cancel(self) -> None:
        if run := self._selected():
            self.dashboard.attempt(self._cancel(run))

    def action_resume(self) -> None:
        if run := self._selected():
            self.dashboard.attempt(self._go_on(run))

    def action_export(self) -> None:
        if run := self._selected():
            self.dashboard.attempt(export_run(self.dashboard, run))

    def action_copy(self) -> None:
        if self._details is None or not self._details.run.answer:
            self.notify("there is no answer yet")
            return
        self.app.copy_to_clipboard(self._details.run.answer)
        self.notify("the answer is in the clipboard")

    def _selected(self) -> str | None:
        selected = self.query_one("#runs", KeyedTable).selected
        if selected is None:
            self.notify("no run is selected: t gives an agent a task")
        return selected

    def _agent(self) -> str | None:
        at = self.query_one("#agents", OptionList).highlighted
        return self._agents[at][0] if at is not None and at < len(self._agents) else None

    async def _tell_of_agent(self) -> None:
        if (name := self._agent()) is not None:
            entry = await self.workspace.show_agent(name)
            self.app.push_screen(TextDialog(name, agent_text(entry)))

    async def _new_agent(self) -> None:
        name = await self.app.push_screen_wait(Ask("Its name", placeholder="my-agent"))
        if not name:
            return
        kinds = [(kind, kind) for kind in get_args(AgentKind)]
        chosen = await self.app.push_screen_wait(Choose("Which kind?", kinds))
        for kind in get_args(AgentKind):
            if kind == chosen:
                path = await self.workspace.new_agent(name.strip(), kind)
                await self.refresh_data()
                self.app.push_screen(TextDialog(f"{name} is there", f"Edit it: {path}"))

    async def _give_task(self) -> None:
        name = self._agent()
        if name is None:
            return
        given = await self.app.push_screen_wait(TaskDialog(name, working_directory()))
        if given is not None:
            request = AgentRequest(
                agent=name,
                task=given.text,
                folder=given.folder,
                code_may_write=given.code_may_write,
                is_attended=True,
            )
            await self._follow(self.workspace.run_agent(request))

    async def _cancel(self, run: str) -> None:
        row = await self.workspace.cancel_run(run)
        self.notify("cancelled" if row.status == "cancelled" else "it was told to stop")
        await self.refresh_data()

    async def _go_on(self, run: str) -> None:
        if await pending(self.workspace, run):
            await self._answer(run)
            return
        status, task = (await self.workspace.show_run(run)).run.status, None
        if status == "done":
            task = await self.app.push_screen_wait(Ask("What is it to do further?"))
            if not task:
                return
        await self._follow(
            self.workspace.resume_run(ResumeRequest(run=run, task=task, is_attended=True))
        )

    async def _answer(self, run: str) -> None:
        """Asks for each call of a run that waits; it goes on here when no process holds it."""
        waiting = await pending(self.workspace, run)
        if not waiting:
            self.notify("nothing of this run waits for you")
            return
        for asked in waiting:
            answer = await self.app.push_screen_wait(ApprovalDialog(asked))
            if answer is None:
                return
            await self._send(answer)
        if not (await self.workspace.show_run(run)).is_live:
            request = ResumeRequest(run=run, is_attended=True)
            await self._follow(self.workspace.resume_run(request))

    async def _send(self, answer: ApprovalAnswer) -> None:
        await self.workspace.answer_run(answer)
        await self.refresh_data()

    # Runs that were begun here

    async def _follow(self, events: AsyncGenerator[Event, None]) -> None:
        run = ""
        try:
            async with aclosing(events):
                async for event in events:
                    run = event.run_id
                    await self._take(event)
        finally:
            self._spoken.pop(run, None)

    async def _take(self, event: Event) -> None:
        if not self.app.is_running:
            return
        runs, view = self.query_one("#runs", KeyedTable), self.query_one(RunView)
        match event:
            case TextArrived(run_id=run, text=text):
                self._spoken.setdefault(run, []).append(text)
                if runs.selected == run:
                    view.say(text)
                return
            case ThinkingArrived():
                return
        self._details = None
        await self.refresh_data()
        if isinstance(event, RunStarted):
            runs.select(event.run_id)
        elif isinstance(event, MessageFinished | RunFinished):
            self._spoken.pop(event.run_id, None)
            if runs.selected == event.run_id:
                view.end_saying()
            if isinstance(event, RunFinished) and not self.app.app_focus:
                self.dashboard.call_back(f"the agent's run ended: {event.status}")
        elif isinstance(event, ApprovalRequired) and runs.selected == event.run_id:
            self._ask_at_once(event)

    def _ask_at_once(self, event: ApprovalRequired) -> None:
        if not self.is_current:
            return
        asker = self._seen[event.run_id].run.agent if event.run_id in self._seen else ""
        self.dashboard.asked_in_sight(event.run_id, asker)

        async def ask() -> None:
            dialog = ApprovalDialog(event, asker, is_sudden=True)
            answer = await self.app.push_screen_wait(dialog)
            if answer is not None:
                await self._send(answer)

        self.dashboard.attempt(ask())
