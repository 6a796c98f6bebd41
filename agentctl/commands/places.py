"""Paths and URLs of the command line, as the knowledge base knows them."""

import os

from agentctl.core.errors import UsageProblem
from agentctl.core.paths import expand
from agentctl.core.web_page import is_address


def absolute(name: str) -> str:
    """A path or URL of the command line as the knowledge base knows it."""
    if not name:
        raise UsageProblem("a path without a name", "name a file or a folder")
    if is_address(name):
        return name
    return os.path.abspath(expand(name))  # noqa: PTH100 - absolute() keeps the `..`


def located(name: str) -> str:
    """What is meant from here (`../notes`, `~/notes`) by its whole path, all else as it is."""
    return absolute(name) if not name or name.startswith((".", "~")) else name
