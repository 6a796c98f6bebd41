"""Where an answer is from, below it."""

from collections.abc import Sequence
from pathlib import Path

from agentctl.core.knowledge.citations import source_line
from agentctl.core.sources import Source
from agentctl.render.links import link_style, short_path
from agentctl.render.output import Output, printable


def show_sources(output: Output, sources: Sequence[Source], folder: Path) -> None:
    """One line each on stderr, as called from `folder`; on a terminal a link to the file."""
    lines = [
        (printable(source_line(source, short_path(source.path, folder))), source)
        for source in sources
    ]
    if not output.is_rich_error:
        for line, _ in lines:
            output.note(line)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    for line, source in lines:
        number, _, place = line.partition(" ")
        text = Text.assemble(
            f"{number} ", (place, link_style(source.path, line=source.line_start)), style="dim"
        )
        console.print(text, soft_wrap=True)
