"""How a document's place is written, and what a terminal opens when it is clicked."""

from pathlib import Path
from urllib.parse import quote

from agentctl.core.web_page import URL_LETTERS, URL_SCHEMES


def short_path(path: str, folder: Path) -> str:
    """`path` as it is called in `folder`, when it is below."""
    place = Path(path)
    return str(place.relative_to(folder)) if place.is_relative_to(folder) else path


def link_style(path: str, style: str = "", line: int | None = None) -> str:
    """rich's style for a link to a file or page; some programs go to the `line` behind the #."""
    if path.startswith(URL_SCHEMES):
        return f"{style} link {quote(path, safe=URL_LETTERS, errors='replace')}".strip()
    if not Path(path).is_absolute():
        return style
    anchor = f"#{line}" if line is not None else ""
    return f"{style} link {Path(path).as_uri()}{anchor}".strip()
