"""Sampling options as people write them: `-o temperature 0.2`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import get_args, get_type_hints

from agentctl.core.backends.base import ModelOptions
from agentctl.core.config import nearest
from agentctl.core.errors import UsageProblem
from agentctl.core.jsontypes import Json

# Ollama's own names, for those who know them.
_SYNONYMS = {"num_ctx": "context_window", "num_predict": "max_tokens"}

# Each kind in words, with an example.
_KINDS = {
    float: ("a number", "0.7"),
    int: ("a whole number", "1024"),
    bool: ("true or false", "true"),
}
# The least and the most of a number that any model can use. No comparison holds for `nan`.
_ANY = (-(2**63), 2**63 - 1)
_RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "top_k": (0, _ANY[1]),
    "repeat_penalty": (0, _ANY[1]),
    "max_tokens": (1, _ANY[1]),
    "context_window": (1, _ANY[1]),
}


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
        # It says where, as in `$.stop[0]`.
        name = re.split(r"\W", str(error).partition("`$.")[2])[0]
        raise _wrong(name, named.get(name)) from None
    for name in known:
        value, (least, most) = getattr(options, name), _RANGES.get(name, _ANY)
        if isinstance(value, int | float) and not least <= value <= most:
            raise _wrong(name, value)
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


def _wrong(name: str, value: Json) -> UsageProblem:
    kind = get_args(get_type_hints(ModelOptions)[name])[0]
    wanted, example = _KINDS.get(kind, ("text", "TEXT"))
    if name in _RANGES:
        least, most = _RANGES[name]
        wanted += f" from {least} to {most}" if most != _ANY[1] else f" of at least {least}"
    return UsageProblem(
        f"option {name}: must be {wanted}, not {value!r:.60}", f"-o {name} {example}"
    )
