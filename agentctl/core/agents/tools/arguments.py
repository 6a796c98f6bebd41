"""A tool's arguments as Python values; the gate has checked them, a type checker has not."""

from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject


def text(args: JsonObject, name: str, default: str = "") -> str:
    """Raises ToolFailed for text that no file and no network can carry."""
    value = args.get(name, default)
    if not isinstance(value, str):
        raise ToolFailed(f"{name} must be a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ToolFailed(f"{name} holds half of a character (\\ud800 to \\udfff)") from None
    return value


def whole(args: JsonObject, name: str, default: int) -> int:
    """JSON Schema counts 3.0 as an integer, too."""
    value = args.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise ToolFailed(f"{name} must be a whole number")
    return int(value)


def flag(args: JsonObject, name: str) -> bool:
    """False when it is not given."""
    return args.get(name) is True
