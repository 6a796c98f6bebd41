"""The form for a new task: it says in words when that will be, while it is typed."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar, cast

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, ScrollableContainer, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input, Select, Static, TextArea

from agentctl.core.automation.schedule import explain
from agentctl.core.automation.tasks import Action, ActionKind, Missed, TaskEntry, TaskRequest
from agentctl.core.errors import AgentctlError
from agentctl.core.workspace import Workspace
from agentctl.render.output import printable
from agentctl.render.tasks import local
from agentctl.tui.task_input import TIME_EXAMPLES, TaskInput, When

_TIMES_SHOWN = 3
_WHENS = [("by clock: cron", "cron"), ("again and again: every", "every"), ("once: at", "at")]
_WHATS = [
    ("ask a model", "ask"),
    ("give an agent a task", "agent"),
    ("take in a file, folder or page", "ingest"),
]
_TEXT_NAMES = {"ask": "question", "agent": "task", "ingest": "path"}
_MISSED = [("run once when it was missed", "run"), ("skip what was missed", "skip")]


class TaskForm(ModalScreen[TaskEntry | None]):
    """Adds the task itself, so that nothing typed is lost when it cannot be added.

    Args:
        agents: whom a task can be given.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "add", "Add", id="tasks.save"),
        Binding("escape", "leave", "Close"),
    ]
    DEFAULT_CSS = """
    TaskForm {
        #fields { height: auto; max-height: 60vh; overflow-x: hidden; }
        .field { height: auto; }
        .field > .name { width: 10; color: $foreground 70%; }
        .field > Input, .field > Select { width: 1fr; background: $panel; }
        .field > TextArea { width: 1fr; height: 3; background: $panel; }
        #words { padding-left: 10; height: auto; min-height: 2; color: $success; }
        #words.-wrong, #problem { color: $error; }
        #problem { height: auto; }
    }
    """

    def __init__(self, workspace: Workspace, agents: Sequence[str]) -> None:
        super().__init__()
        self._workspace = workspace
        self._agents = ["auto", *agents]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("A new task", classes="title")
            with ScrollableContainer(id="fields", can_focus=False):
                yield _field("name", Input(placeholder="nightly", id="name", compact=True))
                yield _field("when", _select("when", _WHENS))
                yield _field("time", Input(id="time", compact=True))
                yield Static("", id="words", markup=False)
                yield _field("what", _select("what", _WHATS))
                yield _field("agent", _select("agent", [(name, name) for name in self._agents]))
                yield _field("question", TextArea(id="text", compact=True))
                yield _field(
                    "folder",
                    Input(
                        placeholder="empty: here, and code may only read it",
                        id="folder",
                        compact=True,
                    ),
                )
                yield _field("missed", _select("missed", _MISSED))
                yield _field("retries", Input("0", id="retries", compact=True))
                yield _field(
                    "notify",
                    Input(
                        placeholder="empty: nobody; desktop, file:PATH, command:WORDS",
                        id="notify",
                        compact=True,
                    ),
                )
            yield Static("", id="problem", markup=False)
            yield Static("ctrl+s adds it · tab goes on · esc leaves", classes="hint")

    def on_mount(self) -> None:
        self._show_fields()
        self.query_one("#name").focus()

    def action_leave(self) -> None:
        self.dismiss(None)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_add()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show_problem("")
        if event.input.id == "time":
            self._explain()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._show_problem("")

    def on_select_changed(self, event: Select.Changed) -> None:
        event.stop()
        self._show_problem("")
        self._show_fields()
        self._explain()

    @property
    def typed(self) -> TaskInput:
        """What stands in the fields."""
        return TaskInput(
            name=self._text("name"),
            when=cast(When, self._chosen("when")),
            time=self._text("time"),
            what=cast(ActionKind, self._chosen("what")),
            agent=self._chosen("agent"),
            text=self.query_one("#text", TextArea).text,
            folder=self._text("folder"),
            missed=cast(Missed, self._chosen("missed")),
            retries=self._text("retries"),
            notify=self._text("notify"),
        )

    def _text(self, name: str) -> str:
        return self.query_one(f"#{name}", Input).value

    def _chosen(self, name: str) -> str:
        return str(self.query_one(f"#{name}", Select).value)

    def _show_fields(self) -> None:
        """Those that go with what is chosen."""
        typed = self.typed
        self.query_one("#time", Input).placeholder = TIME_EXAMPLES[typed.when]
        self.query_one("#field-question .name", Static).update(_TEXT_NAMES[typed.what])
        for name in ("agent", "folder"):
            self.query_one(f"#field-{name}").display = typed.what == "agent"

    @work(group="words", exclusive=True)
    async def _explain(self) -> None:
        typed, now = self.typed, datetime.now(UTC)
        if not typed.time.strip():
            self._say("")
            return
        try:
            trigger = typed.trigger(now)
            # Only its trigger counts: the rest may not be there yet.
            action = Action(kind="ask", text="")
            request = TaskRequest(name="", trigger=trigger, action=action)
            times = await self._workspace.preview_task(request, _TIMES_SHOWN)
        except AgentctlError as error:
            self._say(f"{error.message}\n{error.hint}", is_wrong=True)
            return
        self._say("\n".join([explain(trigger), *map(local, times)]))

    def _say(self, text: str, *, is_wrong: bool = False) -> None:
        words = self.query_one("#words", Static)
        words.update(printable(text))
        words.set_class(is_wrong, "-wrong")

    @work(group="add", exclusive=True)
    async def action_add(self) -> None:
        try:
            entry = await self._workspace.add_task(self.typed.request(datetime.now(UTC)))
        except AgentctlError as error:
            self._show_problem(f"{error.message} ({error.hint})")
            return
        self.dismiss(entry)

    def _show_problem(self, text: str) -> None:
        """That what was typed cannot be added; it may, as soon as something else is typed."""
        self.query_one("#problem", Static).update(printable(text))


def _field(name: str, widget: Widget) -> Horizontal:
    label = Static(name, classes="name", markup=False)
    return Horizontal(label, widget, classes="field", id=f"field-{name}")


def _select(name: str, options: Sequence[tuple[str, str]]) -> Select[str]:
    shown = [(Content(printable(text)), value) for text, value in options]
    return Select(shown, allow_blank=False, id=name, compact=True)
