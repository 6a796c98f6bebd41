"""Asking before something is gone."""

import typer

from agentctl.core.errors import UsageProblem
from agentctl.render.output import Output, is_terminal_in, printable


def confirm_removal(output: Output, things: str, question: str) -> None:
    """Raises UsageProblem when nobody can be asked, and Abort when the answer is no."""
    check_can_ask(f"removing {things}", "add --yes")
    if not typer.confirm(printable(question), err=True):
        output.note("nothing was removed")
        raise typer.Abort


def check_can_ask(doing: str, mend: str) -> None:
    """Raises UsageProblem when nobody can be asked."""
    if not is_terminal_in():
        raise UsageProblem(f"{doing} asks first, and there is no terminal to ask on", mend)
