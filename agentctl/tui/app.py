"""The dashboard as an application: its screens, its keys, its colours, and what they share."""

from collections.abc import Callable, Coroutine, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from textual import work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import WorkerFailed

from agentctl.core.config import Settings
from agentctl.core.errors import AgentctlError, BackendUnreachable, ConfigError
from agentctl.tui.desk import Desk
from agentctl.tui.frame import PLACES, Frame, HealthSign
from agentctl.tui.health import Health, read_health
from agentctl.tui.link import Link
from agentctl.tui.pastes import keep_pastes_whole
from agentctl.tui.themes import THEMES, theme_name

# Seconds between two looks at the health of the daemon and the model.
_HEARTBEAT_S = 3.0


def _screen(mode: str) -> Callable[[], Screen[Any]]:
    """A screen is imported when it is first shown."""

    def make() -> Screen[Any]:
        module = import_module(f"agentctl.tui.{mode}_screen")
        made: Screen[Any] = getattr(module, f"{mode.capitalize()}Screen")()
        return made

    return make


class Dashboard(Desk):
    """Sees the Workspace only, by way of `link`."""

    TITLE = "agentctl"
    # Whole, so that it is found from a subclass elsewhere, too.
    CSS_PATH = Path(__file__).with_name("app.tcss")
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: _screen(mode) for mode in PLACES
    }
    DEFAULT_MODE = "chat"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"go('{mode}')", name, id=f"app.{mode}", show=False, priority=True)
            for mode, (key, name) in PLACES.items()
        ),
        Binding("ctrl+p", "command_palette", "Palette", id="app.palette", priority=True),
        Binding("ctrl+q", "quit", "Quit", id="app.quit", priority=True),
        Binding("ctrl+z", "suspend_process", "Suspend", id="app.suspend", show=False),
    ]

    def __init__(
        self,
        settings: Settings,
        link: Link,
        *,
        session: str | None = None,
        model: str | None = None,
        shows_tour: bool = False,
    ) -> None:
        super().__init__(settings, link, session=session, model=model)
        self._shows_tour = shows_tour
        keep_pastes_whole()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = theme_name(settings.tui.theme)
        self.set_keymap(read_keys(settings.tui.keys))

    # Its life

    def on_mount(self) -> None:
        # The first picture does not wait for the workspace.
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        try:
            await self.link.open()
        except AgentctlError as error:
            self.tell(error)
            return
        self.run_worker(self._follow_changes(), group="changes")
        self.set_interval(_HEARTBEAT_S, self._look_at_health)
        self._look_at_health()
        self.refresh_place()
        if self._shows_tour:
            from agentctl.tui.tour import show_tour

            show_tour(self, self.link.workspace, self.settings.model)

    async def on_unmount(self) -> None:
        await self.link.close()

    @property
    def failure(self) -> Exception | None:
        """What nobody had foreseen, when it ended by that."""
        error = self._exception
        return error.error if isinstance(error, WorkerFailed) else error  # type: ignore[return-value]

    def _fatal_error(self) -> None:
        # Textual's own would print pages with the values of all variables: whoever ran the
        # application tells of `failure`.
        self._close_messages_no_wait()

    async def _follow_changes(self) -> None:
        async for is_new in self.link.changes():
            if is_new:
                found = "a daemon runs: its models are used"
                alone = "the daemon stopped: going on alone"
                self.notify(found if self.link.with_daemon else alone, markup=False)
            self.refresh_place()
            self.attempt(self._look(self._look_for_waiting()), group="waiting")

    async def _look_for_waiting(self) -> None:
        news = await self.waiting.news(self.link.workspace)
        if len(news) == 1:
            self.call_back(f"{news[0].run.agent} waits for you: F3 Agents")
        elif news:
            self.call_back(f"{len(news)} runs wait for you: F3 Agents")

    # What screens use

    def refresh_place(self) -> None:
        """Lets the screen that is shown read anew what it shows."""
        if not (self.is_running and self.link.is_open):
            return
        screen = self.screen
        if not (isinstance(screen, Frame) and screen.is_mounted):
            return
        screen.query_one(HealthSign).show(self.health.level, self.health.word)
        self._refresh(screen)

    @work(group="refresh", exclusive=True)
    async def _refresh(self, screen: Frame) -> None:
        await self.try_to(self._look(screen.refresh_data()))

    async def _look(self, looking: Coroutine[Any, Any, None]) -> None:
        """Nobody has asked for it: that a daemon is gone is told once, by `_follow_changes`."""
        try:
            await looking
        except BackendUnreachable:
            if not self.link.with_daemon:
                raise

    # Keys and commands

    async def action_go(self, mode: str) -> None:
        await self.switch_mode(mode)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for mode, (key, name) in PLACES.items():
            yield SystemCommand(
                f"Go to {name}", f"The screen, {key}", lambda mode=mode: self.switch_mode(mode)
            )
        yield SystemCommand("Health", "How the daemon and the model are", self.show_health)
        for theme in THEMES:
            shown = theme.name.removeprefix("agentctl-")
            yield SystemCommand(
                f"Theme: {shown}", "Other colours", lambda name=theme.name: self._use_theme(name)
            )
        yield SystemCommand("Quit", "Leave the dashboard", self.action_quit)
        if isinstance(screen, Frame):
            yield SystemCommand("Help", "The keys of this screen", screen.action_help)
            yield from screen.commands()

    def _use_theme(self, name: str) -> None:
        self.theme = name

    @work(group="health", exclusive=True)
    async def _look_at_health(self) -> None:
        try:
            stats = await self.link.workspace.measure()
            self.health = read_health(stats, is_unused=self.link.leaves_daemon)
        except AgentctlError as error:
            self.health = Health("red", error.message, error.hint)
        if not self.is_running:
            return
        # Also behind a dialog.
        for screen in self.screen_stack:
            if isinstance(screen, Frame) and screen.is_mounted:
                screen.query_one(HealthSign).show(self.health.level, self.health.word)


def read_keys(text: str) -> dict[str, str]:
    """`app.quit=f10, chat.stop=ctrl+x` as a keymap. Raises ConfigError."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    for name, equals, key in pairs:
        if not equals or not name.strip() or not key.strip():
            raise ConfigError(
                f"tui.keys: {name.strip()!r} is no name and key",
                'agentctl config set tui.keys "app.quit=f10"',
            )
    return {name.strip(): key.strip() for name, _, key in pairs}
