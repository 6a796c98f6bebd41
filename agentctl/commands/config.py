"""`agentctl config`: settings and where they come from."""

import os
import re
from contextlib import suppress
from typing import Annotated

import typer
from typer._click import Context

from agentctl.commands.common import Command, new_app
from agentctl.connect import user_config, user_paths
from agentctl.core.automation.notifications import check_target
from agentctl.core.child_processes import command_words
from agentctl.core.config import Config, check_value, key_types, nearest
from agentctl.core.config_file import set_value, unset_value
from agentctl.core.embedding.registry import check_name
from agentctl.core.errors import ConfigError, UsageProblem
from agentctl.core.jsontypes import Json
from agentctl.core.paths import make_private, owner_only, shipped
from agentctl.render.output import Output, is_terminal_in

app = new_app()


def _keys(incomplete: str) -> list[str]:
    return [key for key in key_types() if key.startswith(incomplete)]


Key = Annotated[
    str,
    typer.Argument(help="Name the key, such as ollama.host.", metavar="KEY", autocompletion=_keys),
]


@app.callback()
def config() -> None:
    """Look at settings, and change them.

    Flags win over AGENTCTL_* variables, these over .env, agentctl.toml, and your own file.

    Example: agentctl config show
    """


@app.command(cls=Command)
def show(ctx: typer.Context) -> None:
    """Show every setting and where its value comes from.

    Example: agentctl config show
    """
    output: Output = ctx.obj
    loaded = user_config()
    if output.form == "json":
        output.data({key: _described(loaded, key) for key in loaded.values})
        return
    rows = [(key, _text(value), loaded.origins[key]) for key, value in loaded.values.items()]
    output.table(("key", "value", "from"), rows)


@app.command(cls=Command)
def get(ctx: typer.Context, key: Key) -> None:
    """Print the value of one setting.

    Example: agentctl config get ollama.host
    """
    output: Output = ctx.obj
    loaded = user_config()
    if key not in loaded.values:
        close = nearest(key, loaded.values)
        raise ConfigError(
            f"unknown key {key}" + (f" (did you mean {close}?)" if close else ""),
            "agentctl config show",
        )
    if output.form == "json":
        output.data(_described(loaded, key))
        return
    output.line(_text(loaded.values[key]))


class SetCommand(Command):
    """Takes a value such as -1 for what it is, not for an option."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        numbers = [argument for argument in args if re.fullmatch(r"-\d+", argument)]
        if numbers and "--" not in args:
            args = [*(argument for argument in args if argument not in numbers), "--", *numbers]
        return super().parse_args(ctx, args)


@app.command("set", cls=SetCommand)
def set_(
    ctx: typer.Context,
    key: Key,
    value: Annotated[str | None, typer.Argument(help="Set this value.")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Go back to the default.")] = False,
) -> None:
    """Change a setting in your own file.

    Example: agentctl config set ollama.context_window 16384
    """
    output: Output = ctx.obj
    paths = user_paths()
    if unset == (value is not None):
        raise UsageProblem("give a value, or --unset", f"agentctl config set {key} VALUE")
    if value is not None:
        check_value(key, value, is_text=True)
        _check_reach(key, value)
        set_value(paths, key, value)
    elif not unset_value(paths, key):
        output.note(f"{key} was not set in {paths.settings}")
    if output.form == "json":
        output.data(_described(user_config(), key))
    else:
        _tell_of_stronger(output, key)


def _tell_of_stronger(output: Output, key: str) -> None:
    """A value that a project's file or a variable overrules changes nothing here."""
    # What else is wrong is told by whoever needs it.
    with suppress(ConfigError):
        origin = user_config().origins.get(key)
        if origin not in (None, "default", str(user_paths().settings)):
            output.warning(f"{origin} sets {key}, too, and wins here")


def _check_reach(key: str, value: str) -> None:
    """Refuses what names nothing on this machine, which only another look may find."""
    if key == "knowledge.embedder":
        check_name(value)
    elif key == "daemon.notify" and value:
        check_target(value)


@app.command(cls=Command)
def path(ctx: typer.Context) -> None:
    """Print where your own file and the other places on disk are.

    Example: agentctl config path
    """
    output: Output = ctx.obj
    paths = user_paths()
    places = {
        "settings": paths.settings,
        "templates": paths.templates,
        "database": paths.database,
        "models": paths.models,
        "cache": paths.cache,
        "log": paths.log,
    }
    if output.form == "json":
        output.data({name: str(place) for name, place in places.items()})
        return
    output.fields({name: str(place) for name, place in places.items()})


@app.command(cls=Command)
def edit(ctx: typer.Context) -> None:
    """Open your own file in $VISUAL or $EDITOR.

    Example: EDITOR=nano agentctl config edit
    """
    import subprocess

    output: Output = ctx.obj
    file = user_paths().settings
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    editor = editor or ("notepad" if os.name == "nt" else "vi")
    if not is_terminal_in():
        raise UsageProblem(
            "an editor needs a terminal",
            f"agentctl config set KEY VALUE, agentctl config set KEY --unset, or {file}",
        )
    if not file.exists():
        make_private(file.parent)
        commented = (
            line if not line or line.startswith(("#", "[")) else f"# {line}"
            for line in shipped("default.toml").read_text(encoding="utf-8").splitlines()
        )
        with open(file, "x", encoding="utf-8", opener=owner_only) as new:
            new.write("\n".join(commented) + "\n")
    try:
        subprocess.run([*command_words(editor), str(file)], check=True)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        raise UsageProblem(f"{editor} failed: {error}", "set EDITOR to your editor") from None
    user_config()
    output.note(f"{file} is fine")


def _described(loaded: Config, key: str) -> dict[str, Json]:
    return {"value": loaded.values[key], "from": loaded.origins[key]}


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
