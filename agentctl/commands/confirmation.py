"""Asking before something is gone."""

import typer

from agentctl.core.errors import UsageProblem
from agentctl.render.output import Output, is_terminal_in, printable


def confirm_removal(output: Output, things: str, question: str) -> None:
    """Ends the command when the answer is no. Raises UsageProblem when nobody can be asked."""
    check_can_ask(f"removing {things}", "add --yes")
    confirm(output, question, "nothing was removed")


def confirm(output: Output, question: str, otherwise: str) -> None:
    """Ends the command when the answer is no, and says what that means."""
    if not typer.confirm(printable(question), err=True):
        output.note(otherwise)
        # Not what Ctrl+C ends with: there was an answer.
        raise typer.Exit(1)


def check_can_ask(doing: str, mend: str) -> None:
    """Raises UsageProblem when nobody can be asked."""
    if not is_terminal_in():
        raise UsageProblem(f"{doing} asks first, and there is no terminal to ask on", mend)
