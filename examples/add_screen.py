"""A screen of your own in the dashboard, at F8: `python examples/add_screen.py`."""

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from agentctl.connect import has_daemon, open_workspace, user_config
from agentctl.tui.app import Dashboard
from agentctl.tui.frame import Frame
from agentctl.tui.link import Link


class CollectionsScreen(Frame):
    """How much is in the knowledge base. It sees the Workspace, and nothing else."""

    place = "collections"
    help_text = "f8: this screen"

    def body(self) -> ComposeResult:
        yield Static("…", id="collections", markup=False)

    async def refresh_data(self) -> None:
        found = await self.workspace.list_collections()
        lines = [f"{each.name}: {each.documents} documents" for each in found]
        self.query_one("#collections", Static).update("\n".join(lines) or "no collections yet")


class MyDashboard(Dashboard):
    """In agentctl itself: `collections_screen.py`, and a line of `PLACES` in frame.py."""

    MODES: ClassVar[dict[str, Any]] = {**Dashboard.MODES, "collections": CollectionsScreen}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f8", "go('collections')", priority=True)]


if __name__ == "__main__":
    config = user_config()
    MyDashboard(
        config.settings, Link(lambda: open_workspace(config), lambda: has_daemon(config))
    ).run()
