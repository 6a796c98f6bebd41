"""A run as a file of the user's."""

from typing import TYPE_CHECKING

from agentctl.core.errors import InputMissing
from agentctl.core.paths import expand
from agentctl.render.runs import to_json, to_markdown
from agentctl.tui.dialogs import Ask

if TYPE_CHECKING:
    from agentctl.tui.desk import Desk


async def export_run(dashboard: "Desk", run: str) -> None:
    """Asks where to; a name that ends in .json gets JSON, any other Markdown.

    Raises InputMissing when the file cannot be written.
    """
    name = await dashboard.push_screen_wait(Ask("Write the run to", f"run-{run}.md"))
    if not name:
        return
    path = expand(name.strip()).absolute()
    details = await dashboard.link.workspace.show_run(run)
    text = to_json(details) if path.suffix == ".json" else to_markdown(details)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputMissing(
            f"{path} cannot be written: {error.strerror}", "x, and another name"
        ) from None
    dashboard.notify(f"wrote {path}", markup=False)
