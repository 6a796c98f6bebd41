"""What every command shares: the output flags, the configuration, the event loop."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import typer
from typer._click import Context, HelpFormatter
from typer.core import TyperCommand, TyperGroup, TyperOption

from agentctl.connect import open_workspace, set_up_logging, user_config
from agentctl.core.config import Config
from agentctl.core.errors import UsageProblem
from agentctl.core.workspace import Workspace
from agentctl.render.help import help_markup
from agentctl.render.output import Form, Output

T = TypeVar("T")


class Group(TyperGroup):
    """The commands of one file."""

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        self.rich_markup_mode = help_markup()
        super().format_help(ctx, formatter)


def new_app() -> typer.Typer:
    """A command group, or a file's only command."""
    return typer.Typer(cls=Group, add_completion=False, pretty_exceptions_enable=False)


def _flag(name: str, text: str) -> TyperOption:
    return TyperOption(param_decls=[name], is_flag=True, default=False, help=text)


class Command(TyperCommand):
    """A command with the flags that all have; its function finds an `Output` in `ctx.obj`."""

    streams = False

    def __init__(self, *args: Any, **options: Any) -> None:  # Any: handed on as it came
        super().__init__(*args, **options)
        self.params.append(_flag("--json", "Print one JSON object."))
        if self.streams:
            self.params.append(_flag("--jsonl", "Print one JSON event a line."))
        self.params.append(_flag("--plain", "Print no boxes, colours or animation."))
        self.params.append(_flag("--debug", "Show the traceback of an error."))

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        self.rich_markup_mode = help_markup()
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Context) -> Any:  # Any: Typer's own signature
        flags = {name: ctx.params.pop(name, False) for name in ("json", "jsonl", "plain", "debug")}
        if flags["json"] and flags["jsonl"]:
            raise UsageProblem(
                "--json and --jsonl exclude each other", f"{ctx.command_path} --json"
            )
        form: Form = "json" if flags["json"] else "jsonl" if flags["jsonl"] else "text"
        names = ctx.command_path.split()[1:]
        ctx.obj = Output(" ".join(names), form, flags["plain"])
        return super().invoke(ctx)


class StreamingCommand(Command):
    """A command that also offers `--jsonl`."""

    streams = True


def load_config() -> Config:
    """The configuration in force; from here on the log file is written."""
    config = user_config()
    set_up_logging(config.settings.log)
    return config


def with_workspace(use: Callable[[Workspace], Awaitable[T]], config: Config | None = None) -> T:
    """Runs `use` with the user's workspace, in an event loop of its own."""
    import asyncio

    opened = config or load_config()

    async def run() -> T:
        async with open_workspace(opened) as workspace:
            return await use(workspace)

    return asyncio.run(run())
