"""What a new user needs to know, shown once: which model answers, how to add documents, keys."""

from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from agentctl.core.backends.registry import SMALLEST_MODEL
from agentctl.core.errors import AgentctlError
from agentctl.core.workspace import Workspace
from agentctl.render.output import printable

_LOOKING = "Looking for a model on this machine …"
_REST = """\
Your documents
  F5, then a, adds a file or a folder: answers cite them.
  @ and a file's name in a prompt takes that file along.

Three keys
  F1      the keys of a screen
  ctrl+p  everything there is to do, by name
  ctrl+q  leaves; what was said is kept"""


def is_first_start(state: Path) -> bool:
    """True once; a folder that cannot be written to has seen it all before."""
    from agentctl.core.paths import make_private, owner_only

    try:
        open(make_private(state) / "tour-seen", "x", opener=owner_only).close()
    except OSError:
        return False
    return True


def show_tour(app: App[None], workspace: Workspace, model: str) -> None:
    """`model` is the one of the settings."""
    app.push_screen(Tour(workspace, model))


async def model_words(workspace: Workspace, wanted: str) -> str:
    """Which model answers, or how to get one."""
    if wanted != "auto":
        return f"  {printable(wanted)}, as your settings say."
    try:
        models = (await workspace.list_models()).models
    except AgentctlError as error:
        return f"  {error.message}\n  {error.hint}"
    installed = [each for each in models if each.installed]
    usual = next((each for each in installed if each.is_default), None)
    if usual is not None:
        return f"  {printable(usual.name)} ({usual.backend}), on this machine."
    if installed:
        return (
            "  The best of your models for this machine.\n  Another one: agentctl models use NAME"
        )
    return f"  No model is here yet. A small one: agentctl models pull {SMALLEST_MODEL}"


class Tour(ModalScreen[None]):
    """A few lines; any of the usual keys goes on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,escape,space,q", "close", "Begin", id="tour.close")
    ]
    DEFAULT_CSS = """
    Tour .dialog { max-width: 76; }
    """

    def __init__(self, workspace: Workspace, model: str) -> None:
        super().__init__()
        self._workspace = workspace
        self._model = model

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static("Welcome to agentctl", classes="title", markup=False)
            with VerticalScroll(can_focus=False):
                yield Static("Who answers", markup=False)
                yield Static(f"  {_LOOKING}\n", id="model", markup=False)
                yield Static(_REST, markup=False)
            yield Static(
                "\nenter begins · for screen readers: agentctl tui --plain", classes="hint"
            )

    def on_mount(self) -> None:
        self.run_worker(self._tell_model())

    async def _tell_model(self) -> None:
        words = await model_words(self._workspace, self._model)
        self.query_one("#model", Static).update(f"{words}\n")

    def on_click(self) -> None:
        self.action_close()

    def action_close(self) -> None:
        self.dismiss(None)
