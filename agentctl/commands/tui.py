"""`agentctl tui`: the dashboard."""

import typer

from agentctl.commands.common import Command, load_config, new_app
from agentctl.connect import is_daemon_running, open_workspace

app = new_app()


@app.command(cls=Command)
def tui(ctx: typer.Context) -> None:
    """Open the dashboard: chat, agents, tasks, knowledge and the machine on one screen.

    Example: agentctl tui
    """
    from agentctl.tui.app import Dashboard
    from agentctl.tui.link import Link

    config = load_config()
    link = Link(lambda: open_workspace(config), is_daemon_running)
    Dashboard(config.settings, link).run()
