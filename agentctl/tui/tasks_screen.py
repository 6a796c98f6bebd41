"""The scheduled tasks, and what became of them."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import DataTable, Static

from agentctl.core.automation.schedule import explain
from agentctl.core.automation.tasks import TaskEntry, TaskRun
from agentctl.core.events import (
    ErrorRaised,
    Event,
    MessageFinished,
    RunStarted,
    TextArrived,
    ToolCallRequested,
)
from agentctl.render.output import printable
from agentctl.render.tasks import action_words, ahead, history_row, task_fields
from agentctl.render.tool_calls import call_line, clipped
from agentctl.tui.dialogs import Confirm, TextDialog
from agentctl.tui.frame import Frame
from agentctl.tui.widgets.keyed_table import KeyedTable, cell
from agentctl.tui.widgets.task_form import TaskForm

if TYPE_CHECKING:
    from agentctl.tui.agents_screen import AgentsScreen

_MOST_ATTEMPTS = 100
_NO_DAEMON = "No daemon runs: nothing starts by itself. agentctl daemon start"
_OTHER_DAEMON = "A daemon with other settings starts the tasks: it is not used here."
_NO_TASKS = "No tasks yet. a adds one."
_STATUS_COLOURS = {
    "running": "primary",
    "failed": "error",
    "timeout": "error",
    "interrupted": "error",
    "denied": "warning",
}
_VERBS = (
    ("add", "Add a task", "A form that says when it will be due"),
    ("run", "Run the task now", "In its place in the history"),
    ("stop", "Stop the task", "One that was begun here"),
    ("pause", "Pause or resume the task", "What passes meanwhile is not run later"),
    ("remove", "Remove the task", "With its history"),
    ("details", "Show the task", "All its options, and what it does"),
)


class TasksScreen(Frame):
    """Tasks above; below, the attempts at the selected one."""

    place = "tasks"
    has_ages = True
    help_text = """
tab: tasks, history
a: add a task
r: run the selected task now
s: stop it, where it was begun here
p: pause it, or resume it
d: remove it
i: all that is known of it
enter: the result, or the agent's run
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", id="tasks.add"),
        Binding("r", "run", "Run now", id="tasks.run"),
        Binding("s", "stop", "Stop", id="tasks.stop"),
        Binding("p", "pause", "Pause", id="tasks.pause"),
        Binding("p", "resume", "Resume", id="tasks.pause"),
        Binding("d", "remove", "Remove", id="tasks.remove"),
        Binding("i", "details", "Details", id="tasks.details"),
    ]
    DEFAULT_CSS = """
    TasksScreen {
        #tasks { height: 1fr; min-height: 2; }
        #past { height: 1fr; }
        #history { height: 1fr; }
        #about { height: 1; padding: 0 1; background: $surface; }
        #about, #state { text-wrap: nowrap; text-overflow: ellipsis; }
        #state { height: 1; padding: 0 1; }
        #no-daemon { height: auto; padding: 0 1; color: $warning; }
        &.-low #past, &.-low #no-daemon { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.VERTICAL_BREAKPOINTS = [(0, "-low"), (12, "-high")]
        self._tasks: dict[str, TaskEntry] = {}
        self._history: dict[str, TaskRun] = {}
        self._doing: dict[str, str] = {}

    def body(self) -> ComposeResult:
        yield Static(_NO_DAEMON, id="no-daemon", markup=False)
        yield KeyedTable(("task", "next run", "last run", "when", "what"), id="tasks")
        with Vertical(id="past"):
            yield Static("", id="about", markup=False)
            yield KeyedTable(("due", "started", "took", "status", "result"), id="history")
        yield Static("", id="state", markup=False)

    def on_mount(self) -> None:
        self.query_one("#tasks").focus()

    # What is shown

    async def refresh_data(self) -> None:
        tasks = await self.workspace.list_tasks()
        self._tasks = {task.name: task for task in tasks}
        link, note = self.dashboard.link, self.query_one("#no-daemon", Static)
        note.display = not link.with_daemon
        note.update(_OTHER_DAEMON if link.leaves_daemon else _NO_DAEMON)
        now, colours = datetime.now(UTC), self.app.theme_variables
        self._table.show((task.name, _task_cells(task, now, colours)) for task in tasks)
        await self._show_history()

    @property
    def _table(self) -> KeyedTable:
        return self.query_one("#tasks", KeyedTable)

    async def _show_history(self) -> None:
        name = self._table.selected
        runs = await self.workspace.task_history(name, _MOST_ATTEMPTS) if name else []
        if self._table.selected != name:
            return
        self._history = {str(run.id): run for run in runs}
        colours = self.app.theme_variables
        self.query_one("#history", KeyedTable).show(
            (str(run.id), _attempt_cells(run, colours)) for run in runs
        )
        self.query_one("#about", Static).update(
            f"{printable(name)}: {'history' if runs else 'it has not run yet. r runs it now.'}"
            if name
            else ""
        )
        self._show_state()
        self.refresh_bindings()

    def _show_state(self) -> None:
        if not self.app.is_running:
            return
        name = self._table.selected
        state = self._doing.get(name, "") if name else _NO_TASKS
        self.query_one("#state", Static).update(printable(" ".join(state.split())))

    async def on_data_table_row_highlighted(self, event: DataTable.RowHighlighted) -> None:
        event.stop()
        if event.data_table is self._table and self.dashboard.link.is_open:
            self.dashboard.attempt(self._show_history())

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        history = self._history
        if event.data_table is self._table:
            newest = next(iter(history.values()), None)
        else:
            newest = history.get(event.row_key.value or "")
        if newest is None:
            self.action_details()
        else:
            self.dashboard.attempt(self._show_result(newest))

    async def _show_result(self, run: TaskRun) -> None:
        """An agent's run in full, any other as the text that came of it."""
        task = self._tasks.get(run.task)
        if run.run_id is not None and task is not None and task.action.kind == "agent":
            await self.app.switch_mode("agents")
            screen: AgentsScreen = self.app.screen  # type: ignore[assignment]  # that mode's
            await screen.select_run(run.run_id)
            return
        due, started, took, status, _ = history_row(run)
        head = f"due {due}, started {started}, took {took}: {status}"
        blocks = [head, run.error and f"error: {run.error}", run.result]
        text = "\n\n".join(block for block in blocks if block)
        self.app.push_screen(TextDialog(printable(run.task), printable(text)))

    # Verbs

    def commands(self) -> Iterable[SystemCommand]:
        for action, title, words in _VERBS:
            yield SystemCommand(title, words, getattr(self, f"action_{action}"))

    def action_add(self) -> None:
        self.dashboard.attempt(self._add())

    def action_run(self) -> None:
        if task := self._selected():
            if task.name in self._doing:
                self.notify("it runs already")
                return
            events = self.workspace.run_task(task.name)
            self.dashboard.attempt(self._follow(task.name, events), group=_group(task.name))

    def action_stop(self) -> None:
        task = self._selected()
        if task is None:
            return
        if task.name not in self._doing:
            self.notify("it was not begun here")
            return
        for worker in self.app.workers:
            if worker.group == _group(task.name):
                worker.cancel()

    def action_pause(self) -> None:
        if task := self._selected():
            self.dashboard.attempt(self._pause(task))

    def action_resume(self) -> None:
        self.action_pause()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Of pausing and resuming only the one that there is to do has the key."""
        if action not in ("pause", "resume") or not self.query("#tasks"):
            return True
        task = self._tasks.get(self._table.selected or "")
        return (task is not None and not task.enabled) == (action == "resume")

    def action_remove(self) -> None:
        if task := self._selected():
            self.dashboard.attempt(self._remove(task))

    def action_details(self) -> None:
        task = self._selected()
        if task is None:
            return
        fields = task_fields(task, datetime.now(UTC))
        lines = [f"{name:<12}  {value}" for name, value in fields.items()]
        text = "\n".join([*lines, "", action_words(task.action).partition(":")[0] + ":"])
        text += f"\n{task.action.text}"
        self.app.push_screen(TextDialog(printable(task.name), printable(text)))

    def _selected(self) -> TaskEntry | None:
        task = self._tasks.get(self._table.selected or "")
        if task is None:
            self.notify(_NO_TASKS)
        return task

    async def _add(self) -> None:
        agents = [agent.definition.name for agent in await self.workspace.list_agents()]
        entry = await self.app.push_screen_wait(TaskForm(self.workspace, agents))
        if entry is not None:
            await self.refresh_data()
            self._table.select(entry.name)

    async def _pause(self, task: TaskEntry) -> None:
        await self.workspace.enable_task(task.name, is_enabled=not task.enabled)
        await self.refresh_data()

    async def _remove(self, task: TaskEntry) -> None:
        question = Confirm(f"Remove the task {printable(task.name)} and its history?", "Remove")
        if await self.app.push_screen_wait(question):
            await self.workspace.remove_task(task.name)
            await self.refresh_data()

    async def _follow(self, name: str, events: AsyncGenerator[Event, None]) -> None:
        """A task that was begun here; its worker goes on whatever screen is shown."""
        self._doing[name] = "begins …"
        characters = 0
        try:
            async with aclosing(events):
                async for event in events:
                    characters += len(event.text) if isinstance(event, TextArrived) else 0
                    self._doing[name] = _progress(event, characters) or self._doing[name]
                    self._show_state()
        finally:
            del self._doing[name]
            self._show_state()
        self.dashboard.call_back(f"the task {printable(name)} has run")


def _task_cells(task: TaskEntry, now: datetime, colours: dict[str, str]) -> tuple[Text, ...]:
    if not task.enabled:
        due = "paused"
    else:
        due = ahead(task.next_run, now) if task.next_run else "never again"
    last = task.last_run.status if task.last_run else "-"
    return (
        cell(clipped(task.name, 20)),
        cell(due),
        cell(last, colours.get(_STATUS_COLOURS.get(last, ""), "")),
        cell(clipped(explain(task.trigger), 40)),
        cell(action_words(task.action)),
    )


def _attempt_cells(run: TaskRun, colours: dict[str, str]) -> tuple[Text, ...]:
    due, started, took, status, result = history_row(run)
    colour = colours.get(_STATUS_COLOURS.get(run.status, ""), "")
    return cell(due), cell(started), cell(took), cell(status, colour), cell(result)


def _group(name: str) -> str:
    return f"task {name}"


def _progress(event: Event, characters: int) -> str:
    match event:
        case RunStarted(model=model):
            return f"running, {model}"
        case TextArrived():
            return f"answering: {characters:,} characters"
        case ToolCallRequested(tool=tool, args=args):
            return call_line(tool, args)
        case MessageFinished(content=content):
            return f"said: {clipped(content, 200)}"
        case ErrorRaised(message=message):
            return f"error: {message}"
    return ""
