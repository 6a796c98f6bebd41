"""The types of decoded JSON."""

from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    # msgspec, which reads values by their annotations, knows no recursive aliases.
    Json: TypeAlias = Any

JsonObject: TypeAlias = dict[str, Json]
