"""What a call is made with, as text to edit: code and a command as they are, all else as JSON."""

import json
from collections.abc import Mapping

from agentctl.core.jsontypes import JsonObject

# The argument that is a text of its own when it is the only one, and how its files end.
_BARE: Mapping[str, str] = {"code": ".py", "command": ".sh"}


def write_arguments(args: JsonObject) -> str:
    name = _bare(args)
    return json.dumps(args, ensure_ascii=False, indent=2) if name is None else str(args[name])


def read_arguments(text: str, args: JsonObject) -> JsonObject:
    """The arguments that `text` stands for, edited from what `write_arguments(args)` gave.

    Raises:
        ValueError: it is none; the message says what is wrong.
    """
    name = _bare(args)
    if name is not None:
        return {name: text.rstrip("\n")}
    try:
        edited = json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"this is not JSON: {error}") from None
    if not isinstance(edited, dict):
        raise ValueError("arguments are a JSON object: {…}")  # noqa: TRY004 - told to the user
    return edited


def file_ending(args: JsonObject) -> str:
    """So that an editor knows what it edits."""
    name = _bare(args)
    return ".json" if name is None else _BARE[name]


def _bare(args: JsonObject) -> str | None:
    if len(args) != 1:
        return None
    [(name, value)] = args.items()
    return name if name in _BARE and isinstance(value, str) else None
