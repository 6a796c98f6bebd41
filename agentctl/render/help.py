"""How help texts look."""

import sys
from typing import Literal

from agentctl.render.output import Output


def help_markup() -> Literal["rich"] | None:
    """Boxes on a terminal; plain text where nothing may be drawn."""
    return "rich" if Output("help", plain="--plain" in sys.argv).is_rich else None
