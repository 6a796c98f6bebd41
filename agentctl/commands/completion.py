"""`agentctl completion`: what a shell needs to complete commands, models and sessions."""

from typing import Annotated

import typer

from agentctl.commands.common import Command, new_app
from agentctl.core.errors import UsageProblem
from agentctl.render.output import Output

SHELLS = ("bash", "zsh", "fish", "powershell")
VARIABLE = "_AGENTCTL_COMPLETE"
# Typer's own script breaks at the colon of a model's name, since bash takes it for the end of a
# word. So the whole line is handed over, the word at the cursor as the last one, and what stands
# before the colon is taken off the answers again: bash keeps it.
_BASH = r"""
_agentctl_completion() {
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}"
    local word="${line##*[[:space:]=]}"
    COMPREPLY=( $( env COMP_WORDS="$line''" COMP_CWORD=-1 %s=complete_bash "$1" ) )
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=( "${COMPREPLY[@]#"${word%%"${word##*:}"}"}" )
    fi
}

complete -o default -F _agentctl_completion agentctl
"""

app = new_app()


@app.command(cls=Command)
def completion(
    ctx: typer.Context,
    shell: Annotated[
        str, typer.Argument(help=f"Name the shell: {', '.join(SHELLS)}.", metavar="SHELL")
    ],
) -> None:
    """Print the completion script of a shell.

    Example: agentctl completion fish > ~/.config/fish/completions/agentctl.fish
    """
    output: Output = ctx.obj
    if shell not in SHELLS:
        raise UsageProblem(f"no completion for {shell}", f"one of: {', '.join(SHELLS)}")
    script = _BASH.strip() % VARIABLE if shell == "bash" else _typers_script(shell)
    if output.form == "json":
        output.data({"shell": shell, "script": script})
        return
    output.line(script)


def _typers_script(shell: str) -> str:
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="agentctl", complete_var=VARIABLE, shell=shell)
