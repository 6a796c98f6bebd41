"""Every command there is, by its words: read from the program itself."""

from collections.abc import Iterator
from importlib import import_module

from typer._click import Command
from typer.core import TyperGroup
from typer.main import get_command

from agentctl.cli import COMMANDS


def _walk(path: str, command: Command) -> Iterator[tuple[str, Command]]:
    yield path, command
    if isinstance(command, TyperGroup):
        for name, child in command.commands.items():
            yield from _walk(f"{path} {name}", child)


TREE = {
    path: command
    for name in COMMANDS
    for path, command in _walk(name, get_command(import_module(f"agentctl.commands.{name}").app))
}
"""`models`, `models pull` and so on to what runs then."""

LEAVES = {path: each for path, each in TREE.items() if not isinstance(each, TyperGroup)}
"""Those that do something; nothing that only groups others."""
