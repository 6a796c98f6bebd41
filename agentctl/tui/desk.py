"""What screens use of the application around them."""

from collections.abc import Coroutine
from typing import Any

from textual.app import App
from textual.css.query import NoMatches

from agentctl.core.config import Settings
from agentctl.core.errors import AgentctlError, RetryError
from agentctl.tui.dialogs import TextDialog
from agentctl.tui.health import Health
from agentctl.tui.link import Link
from agentctl.tui.waiting import WaitingRuns

_GENERAL_HELP = "ctrl+p: every command\nctrl+q: quit\nctrl+z: to the shell, fg comes back"


class Desk(App[None]):
    """The application without its screens, which know it by this name.

    `first_session` and `first_model` are those that the chat begins with, when they were named.
    """

    def __init__(
        self,
        settings: Settings,
        link: Link,
        *,
        session: str | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.link = link
        self.first_session = session
        self.first_model = model
        self.health = Health("unknown", "…", "")
        self.waiting = WaitingRuns()

    def refresh_place(self) -> None:
        """Lets the screen that is shown read anew what it shows."""
        raise NotImplementedError

    def attempt(self, doing: Coroutine[Any, Any, None], group: str = "work") -> None:
        """Does it in the background; what goes wrong with it is told."""
        self.run_worker(self.try_to(doing), group=group)

    async def try_to(self, doing: Coroutine[Any, Any, None]) -> None:
        """Does it; what goes wrong with it is told."""
        try:
            await doing
        except AgentctlError as error:
            self.tell(error)
        except NoMatches:
            # At the end the parts of a screen go one by one.
            if self.is_running:
                raise

    def tell(self, error: AgentctlError) -> None:
        """An error where it does not hide anything: what is wrong, and what mends it."""
        self.notify(
            f"{error.message}\n{error.hint}",
            severity="warning" if isinstance(error, RetryError) else "error",
            markup=False,
            timeout=10,
        )

    def call_back(self, text: str) -> None:
        """Something that the user wants to know of, wherever they look."""
        self.notify(text, markup=False)
        if not self.app_focus and self.settings.daemon.notify:
            from agentctl.core.automation.notifications import notify

            target = self.settings.daemon.notify

            async def tell_outside() -> None:
                await notify(target, "agentctl", text, {})

            self.attempt(tell_outside())

    def asked_in_sight(self, run: str, who: str) -> None:
        """A dialog asks for an answer: only who looks elsewhere need be called."""
        is_told = run in self.waiting.told
        self.waiting.note(run)
        if not self.app_focus and not is_told:
            self.call_back(f"{who or 'an agent'} waits for you")

    def show_help(self, text: str) -> None:
        self.push_screen(TextDialog("Keys", f"{text.strip()}\n\n{_GENERAL_HELP}"))

    def show_health(self) -> None:
        self.push_screen(TextDialog(self.health.word, self.health.advice or "no news yet"))
