"""Sampling options as people write them: `-o temperature 0.2`."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import isfinite

from agentctl.core.backends.base import ModelOptions
from agentctl.core.config import nearest
from agentctl.core.errors import UsageProblem
from agentctl.core.jsontypes import Json

# Ollama's own names, for those who know them.
_SYNONYMS = {"num_ctx": "context_window", "num_predict": "max_tokens"}


def parse_options(values: Mapping[str, Json]) -> ModelOptions:
    """Text values are read as the option's type.

    Raises:
        UsageProblem: an unknown option, or a value of another type.
    """
    import msgspec

    known = [field.name for field in fields(ModelOptions)]
    named = {_SYNONYMS.get(name, name): value for name, value in values.items()}
    for name in named:
        if name not in known:
            close = nearest(name, known)
            raise UsageProblem(
                f"no option {name}" + (f" (did you mean {close}?)" if close else ""),
                f"-o with one of: {', '.join(known)}",
            )
    if isinstance(stop := named.get("stop"), str):
        named["stop"] = [stop]
    try:
        options = msgspec.convert(named, ModelOptions, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        name = path.strip("`")
        raise UsageProblem(
            f"option {name}: {message.lower()}, got {named.get(name)!r}", f"-o {name} VALUE"
        ) from None
    _check_ranges(options)
    return options


def merge_options(first: Mapping[str, Json], pairs: Iterable[tuple[str, str]]) -> dict[str, Json]:
    """`pairs` win over `first`; `stop` may be given several times."""
    merged = dict(first)
    stops: list[Json] = []
    for name, value in pairs:
        if name == "stop":
            stops.append(value)
        else:
            merged[name] = value
    return merged | ({"stop": stops} if stops else {})


def _check_ranges(options: ModelOptions) -> None:
    for name in ("context_window", "max_tokens"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise UsageProblem(f"option {name}: must be 1 or more", f"-o {name} 1024")
    for field in fields(options):
        value = getattr(options, field.name)
        if isinstance(value, float) and not isfinite(value):
            raise UsageProblem(f"option {field.name}: must be a number", f"-o {field.name} 0.7")
