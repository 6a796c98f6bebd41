"""Options that several commands have, and what is refused of their values at once."""

import math
from typing import Annotated

import typer

from agentctl.commands import complete


def model_name(name: str | None) -> str | None:
    """A model as it is called here, so that it is the same one for a daemon and later on."""
    from agentctl.core.backends.registry import anchored

    return name and anchored(name)


def a_number(value: float | None) -> float | None:
    """Refuses `nan`, which no bound does, as it is neither more nor less than any number."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number.")
    return value


Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        help="Use this model.",
        autocompletion=complete.models,
        callback=model_name,
    ),
]
