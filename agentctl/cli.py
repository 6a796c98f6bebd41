"""The command line: a table of commands, each imported only when it is the one that runs.

Errors become a message and an exit code here, and nowhere else.
"""

import shlex
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import takewhile

import typer
from typer._click import Command as ClickCommand
from typer._click import Context, HelpFormatter
from typer._click.exceptions import ClickException, NoSuchOption, UsageError
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from agentctl.core.errors import AgentctlError, UsageProblem
from agentctl.render.console import is_terminal
from agentctl.render.help import help_markup
from agentctl.render.output import Form, Output, discard_stdout, prepare_streams, refusal_of_stdout

PROGRAM = "agentctl"
COMPLETE_VARIABLE = "_AGENTCTL_COMPLETE"
COMMANDS = {
    "ask": "Ask a question; the answer streams.",
    "ingest": "Add files, folders, pages or stdin to the knowledge base.",
    "search": "Find passages of the knowledge base.",
    "docs": "What is in the knowledge base: list, show, remove, export, …",
    "eval": "Measure how well your questions find the right documents.",
    "agents": "Give an agent a task: list, show, new, run.",
    "runs": "What agents did and wait for: list, show, approve, deny, resume, …",
    "tasks": "Do things on a schedule: list, add, show, run, pause, resume, remove, history.",
    "daemon": "Schedules, watched folders and recovery in the background: start, stop, …",
    "serve": "Serve the HTTP API at a fixed address, for other programs.",
    "mcp": "Offer search, ask, ingest, tasks and status to other programs by MCP.",
    "monitor": "What the machine and the models do: live charts, or --once.",
    "tui": "The dashboard: chat, agents, tasks, knowledge and the machine on one screen.",
    "models": "The models that answer: list, pull, remove, show, use.",
    "sessions": "Past conversations: list, show, search, export, remove, fork.",
    "templates": "Saved questions: list, show.",
    "config": "Settings and where they come from: show, get, set, path, edit.",
    "backup": "Save everything of yours in one file, while all goes on.",
    "restore": "Replace everything that is here by a backup, or check one.",
    "doctor": "Check the machine, the models and the data, and say what to do.",
    "completion": "Print the completion script of a shell.",
}
GROUPS = {"daemon", "docs", "agents", "runs", "tasks", "models", "sessions", "templates", "config"}

# What each command has, and the program alone has not.
FLAGS = {"--json", "--jsonl", "--plain", "--debug"}


class LazyGroup(TyperGroup):
    """Knows its commands by the table: help and completion import none of them."""

    _is_listing = False

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> ClickCommand | None:
        if cmd_name not in COMMANDS:
            return None
        if self._is_listing:
            return TyperCommand(cmd_name, help=COMMANDS[cmd_name])
        return get_command(import_module(f"agentctl.commands.{cmd_name}").app)

    def format_help(self, ctx: Context, formatter: HelpFormatter) -> None:
        self.rich_markup_mode = help_markup()
        self._is_listing = True
        super().format_help(ctx, formatter)
        self._is_listing = False

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        self._is_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._is_listing = False

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, ClickCommand | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise _unknown_command(args)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", "-V", help="Show the version and exit."),
) -> None:
    """A private AI workbench for the terminal.

    Answers come from a model on this machine, and nothing leaves it.
    """
    if version:
        from agentctl import __version__

        Output(PROGRAM).line(f"{PROGRAM} {__version__}")
    elif ctx.invoked_subcommand is None:
        if is_terminal(sys.stdin) and is_terminal(sys.stdout):
            _open_dashboard(ctx)
        else:
            Output(PROGRAM).line(ctx.get_help())


def _open_dashboard(ctx: typer.Context) -> None:
    command = get_command(import_module("agentctl.commands.tui").app)
    with command.make_context("tui", [], parent=ctx) as inner:
        command.invoke(inner)


def run(arguments: Sequence[str]) -> int:
    """Runs one command; its exit code. Never raises."""
    import os

    if sys.platform == "win32":
        # What stands in the current folder may be a stranger's: it is no program to be found.
        os.environ.setdefault("NoDefaultCurrentDirectoryInExePath", "1")
    if COMPLETE_VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    output = Output(_command_of(arguments), _form_of(arguments), "--plain" in arguments)
    try:
        prepare_streams()
        return int(app(list(arguments), prog_name=PROGRAM, standalone_mode=False) or 0)
    except AgentctlError as error:
        if "--debug" in arguments:
            output.traceback(error)
        output.error(error)
        return error.exit_code
    except ClickException as error:
        problem = _usage_problem(error, arguments, output.command)
        output.error(problem)
        return problem.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        # The reader has left.
        discard_stdout()
        return 1
    except Exception as error:  # noqa: BLE001 - the last edge: no user sees a traceback
        return _unexpected(error, output, is_debug="--debug" in arguments)


def _unexpected(error: Exception, output: Output, *, is_debug: bool) -> int:
    refusal = refusal_of_stdout()
    if refusal is not None:
        output.error(refusal)
        return refusal.exit_code
    import logging

    from agentctl.connect import set_up_logging

    logger = logging.getLogger("agentctl")
    if not logger.handlers:
        set_up_logging()
    logger.exception("unexpected error", exc_info=error)
    if is_debug:
        output.traceback(error)
    kind = type(error).__name__
    output.problem("unexpected", f"{kind}: {error}", "agentctl doctor; --debug shows more")
    return 1


def _usage_problem(error: ClickException, arguments: Sequence[str], command: str) -> UsageProblem:
    hint = f"{PROGRAM} {command} --help" if command != PROGRAM else f"{PROGRAM} --help"
    if isinstance(error, NoSuchOption) and error.option_name in FLAGS and _is_of_root(error):
        flag = error.option_name
        others = [each for each in arguments if each != flag] or ["COMMAND"]
        return UsageProblem(f"{flag} goes after the command", shlex.join([PROGRAM, *others, flag]))
    if isinstance(error, NoSuchOption) and error.possibilities:
        hint = f"{error.possibilities[0]}, or {hint}"
    elif isinstance(error, UsageError) and error.ctx is not None:
        hint = f"{error.ctx.command_path} --help"
    return UsageProblem(error.format_message().replace("\n", " "), hint)


def _is_of_root(error: UsageError) -> bool:
    return error.ctx is not None and error.ctx.parent is None


def _unknown_command(arguments: Sequence[str]) -> UsageProblem:
    """It may be a question without its command, or the name of one misspelt."""
    from agentctl.core.config import nearest

    name = arguments[0]
    text = " ".join(takewhile(lambda each: not each.startswith("-"), arguments))
    quoted = shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'
    message, hint = f"no command {name!r}", f"{PROGRAM} ask {quoted}"
    if close := nearest(name, COMMANDS):
        message += f" (did you mean {close}?)"
        hint = f"{shlex.join([PROGRAM, close, *arguments[1:]])}, or {hint}"
    return UsageProblem(message, hint)


def _command_of(arguments: Sequence[str]) -> str:
    """The command's name before anything is parsed: errors carry it."""
    words = [argument for argument in arguments if not argument.startswith("-")]
    if not words or words[0] not in COMMANDS:
        return PROGRAM
    return " ".join(words[: 2 if words[0] in GROUPS else 1])


def _form_of(arguments: Sequence[str]) -> Form:
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if "--json" in flags:
        return "json"
    return "jsonl" if "--jsonl" in flags else "text"
