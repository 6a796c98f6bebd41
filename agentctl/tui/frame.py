"""What all screens have: the names of the others, the sign of health, and the keys at the foot."""

from collections.abc import Iterable
from typing import ClassVar, cast

from textual.app import ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Footer, Static

from agentctl.core.workspace import Workspace
from agentctl.tui.desk import Desk

_NARROW = 72
# Seconds between two looks at how old things are.
_CLOCK_S = 30.0

PLACES: dict[str, tuple[str, str]] = {
    "chat": ("f2", "Chat"),
    "agents": ("f3", "Agents"),
    "tasks": ("f4", "Tasks"),
    "knowledge": ("f5", "Knowledge"),
    "monitor": ("f6", "Monitor"),
}
"""Each screen's key and name, by its mode."""


class Frame(Screen[None]):
    """A screen of the dashboard. Its `body` is what it is there for; `place` is its mode.

    `refresh_data` is called when it is shown, and whenever something was stored while it is.
    """

    place: ClassVar[str] = ""
    help_text: ClassVar[str] = ""
    """What the keys of this screen do, for F1, in lines of `key: what`."""
    has_ages: ClassVar[bool] = False
    """Whether it tells how long ago something was: then it is shown anew when nothing happens."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1,question_mark", "help", "Help", id="app.help"),
    ]

    def compose(self) -> ComposeResult:
        with Horizontal(id="top"):
            for mode, (key, name) in PLACES.items():
                yield PlaceName(mode, key, name, is_here=mode == self.place)
            yield HealthSign(id="health")
        yield from self.body()
        yield Footer(compact=True, show_command_palette=False)

    def body(self) -> ComposeResult:
        yield from ()

    @property
    def dashboard(self) -> Desk:
        return cast(Desk, self.app)

    @property
    def workspace(self) -> Workspace:
        """Raises BackendUnreachable while there is none."""
        return self.dashboard.link.workspace

    async def refresh_data(self) -> None:
        """Reads anew what is shown. May raise any AgentctlError, which is then told."""

    def commands(self) -> Iterable[SystemCommand]:
        """What the palette offers on this screen."""
        yield from ()

    def on_mount(self) -> None:
        if self.has_ages:
            self.set_interval(_CLOCK_S, self._look_at_clock)

    def _look_at_clock(self) -> None:
        if self.is_current:
            self.dashboard.refresh_place()

    def on_resize(self) -> None:
        for name in self.query(PlaceName):
            name.shorten(self.size.width < _NARROW)

    def on_screen_resume(self) -> None:
        self.dashboard.refresh_place()

    def action_help(self) -> None:
        places = "\n".join(f"{key}: {name}" for key, name in PLACES.values())
        self.dashboard.show_help(f"{self.help_text.strip()}\n\n{places}")


class PlaceName(Static):
    """A screen's name at the top: a click goes there."""

    def __init__(self, mode: str, key: str, name: str, *, is_here: bool) -> None:
        super().__init__(f"{key.upper()} {name}", markup=False, classes="here" if is_here else "")
        self._mode = mode
        self._place_key, self._place_name = key.upper(), name
        self._is_here = is_here

    def shorten(self, is_narrow: bool) -> None:
        """Without room for all names, only the one of this place stays whole."""
        whole = self._is_here or not is_narrow
        self.update(f"{self._place_key} {self._place_name}" if whole else self._place_key)

    async def on_click(self) -> None:
        await self.app.switch_mode(self._mode)


class HealthSign(Static):
    """Green, yellow or red, in words too; a click tells what to do."""

    def show(self, level: str, text: str) -> None:
        self.set_classes(level)
        self.update(text)

    def on_click(self) -> None:
        cast(Desk, self.app).show_health()
