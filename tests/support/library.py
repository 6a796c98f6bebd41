"""A small library: two notes in a collection, a text in another."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database
from tests.support.cli import environment, run

NOTES = {
    "sextant.md": "# Sextant\n\nA sextant measures the angle of a star above the horizon.\n",
    "lighthouse.md": "# Lighthouse\n\nA lighthouse warns ships of rocks.\n",
}
OFFICE = "The harbour office opens at nine.\n"


def write_notes(folder: Path) -> Path:
    """The folder, with the notes in it."""
    folder.mkdir()
    for name, text in NOTES.items():
        (folder / name).write_text(text)
    return folder


def fill_library(home: Path, folder: Path) -> dict[str, str]:
    """Takes in `folder/notes` and `Opening hours`; the environment of that home."""
    env = environment(home)
    write_notes(folder / "notes")
    run("ingest", "notes", env=env, cwd=folder)
    office = ("ingest", "-", "--title", "Opening hours", "--collection", "harbour")
    run(*office, env=env, stdin=OFFICE, cwd=folder)
    return env


def data_of(*arguments: str, env: dict[str, str], cwd: Path | None = None) -> Any:  # Any: JSON
    """The data of a command that ends well."""
    done = run(*arguments, "--json", env=env, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["data"]


def stored(env: dict[str, str]) -> list[str]:
    """The names of the documents, without their folders, in the order of `docs list`."""
    with closing(open_database(find_paths(env).database)) as connection:
        rows = connection.execute("SELECT path FROM documents ORDER BY collection, path").fetchall()
    return [path.rpartition("/")[2] for (path,) in rows]
