"""What an agent is to do, and where."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Select, Static, TextArea

from agentctl.core.paths import expand
from agentctl.render.output import printable

_MAY_WRITE = [("code may only read it", False), ("code may change it, too", True)]


@dataclass(frozen=True, slots=True)
class GivenTask:
    text: str
    folder: Path
    code_may_write: bool


class TaskDialog(ModalScreen[GivenTask | None]):
    """Gives the task, or None when it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", id="agents.start"),
        Binding("escape", "leave", "Close"),
    ]
    DEFAULT_CSS = """
    TaskDialog {
        TextArea { height: 6; background: $panel; }
        Input { margin: 1 0; background: $panel; }
        Select { margin-bottom: 1; }
        #problem { color: $error; display: none; }
    }
    """

    def __init__(self, agent: str, folder: Path) -> None:
        super().__init__()
        self._agent = agent
        self._folder = folder

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(f"A task for {printable(self._agent)}", classes="title", markup=False)
            yield TextArea(placeholder="What is it to do?", compact=True)
            yield Input(str(self._folder), placeholder="the folder where it works", compact=True)
            yield Select(_MAY_WRITE, allow_blank=False, compact=True)
            yield Static("", id="problem", markup=False)
            yield Static("ctrl+s starts · tab goes on · esc leaves", classes="hint")

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.action_start()

    def action_start(self) -> None:
        text = self.query_one(TextArea).text.strip()
        folder = expand(self.query_one(Input).value.strip() or ".").absolute()
        if not text:
            self._show_problem("say what it is to do")
        elif not folder.is_dir():
            self._show_problem(f"there is no folder {folder}")
        else:
            self.dismiss(GivenTask(text, folder, self.query_one(Select).value is True))

    def action_leave(self) -> None:
        self.dismiss(None)

    def _show_problem(self, text: str) -> None:
        problem = self.query_one("#problem", Static)
        problem.update(printable(text))
        problem.display = True
