"""A home that has come from somewhere else: its own paths, wherever they stand in it."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path

from agentctl.core.backup_file import Folders
from agentctl.core.files import path_on_disk
from agentctl.core.jsontypes import Json
from agentctl.core.storage import transaction

# Columns in which a path of the home may stand: models by their files, and folders to work in.
_COLUMNS = (
    ("embedding_profiles", "spec"),
    ("tasks", "body"),
    ("runs", "spec"),
    ("runs", "folder"),
)
_CONFIG_LIMIT = 10_000_000


class Relocation:
    """Replaces the folders of one home by those of another, in text of any kind."""

    def __init__(self, old: Folders, new: Folders) -> None:
        pairs: dict[str, str] = {}
        for field in fields(Folders):
            before, after = getattr(old, field.name), getattr(new, field.name)
            # A root alone is no home of agentctl.
            if before != after and re.search(r"[^/\\][/\\]+[^/\\]", before):
                # As it is, and as JSON and TOML write it.
                for ascii_only in (True, False):
                    written = json.dumps(before, ensure_ascii=ascii_only)[1:-1]
                    pairs[written] = json.dumps(after, ensure_ascii=ascii_only)[1:-1]
                pairs[before] = after
        self._pairs = pairs
        longest_first = sorted(pairs, key=len, reverse=True)
        folders = "|".join(map(re.escape, longest_first)) or "(?!)"
        # Whole paths only: /home/data is no part of /home/database.
        self._pattern = re.compile(rf"(?<![\w.~/\\-])(?:{folders})(?=[/\\\"'\s,;]|$)")

    def moved(self, text: str) -> str:
        return self._pattern.sub(lambda found: self._pairs[found[0]], text)

    def move_config(self, folder: Path) -> None:
        """Rewrites the TOML files in which the old home is named."""
        for path in sorted(folder.rglob("*.toml")):
            if path.stat().st_size > _CONFIG_LIMIT:
                continue
            before = path.read_bytes()
            # Bytes that are no text stay what they are.
            text = self.moved(before.decode("utf-8", "surrogateescape"))
            after = text.encode("utf-8", "surrogateescape")
            if after != before:
                path.write_bytes(after)

    def move_database(self, connection: sqlite3.Connection) -> None:
        """Raises sqlite3.Error."""
        connection.create_function("moved", 1, self.moved, deterministic=True)
        with transaction(connection):
            for table, column in _COLUMNS:
                connection.execute(
                    f"UPDATE {table} SET {column} = moved({column})"  # noqa: S608 - names of ours
                    f" WHERE {column} IS NOT NULL AND moved({column}) <> {column}"
                )


def find_missing(
    connection: sqlite3.Connection, values: Mapping[str, Json], is_here: Callable[[Path], bool]
) -> Iterator[str]:
    """What a home speaks of and this machine has not, each as a line. Raises sqlite3.Error.

    `values` are its settings by their dotted keys, `is_here` says whether a path leads anywhere.
    """
    for (path,) in connection.execute("SELECT path FROM watched_folders ORDER BY path"):
        if not is_here(Path(path_on_disk(path))):
            yield f"watched folder {path}: its documents stay; it is followed when it is back"
    for key in ("model", "embedded.model", "knowledge.embedder", "knowledge.reranker"):
        value = values.get(key)
        if isinstance(value, str) and value.endswith(".gguf"):
            file = Path(value.removeprefix("embedded:"))
            if file.is_absolute() and not is_here(file):
                yield f"{key} = {value}: there is no such file"
    for name, body in connection.execute("SELECT name, body FROM tasks ORDER BY name"):
        folder = json.loads(body).get("action", {}).get("folder", "")
        if folder and not is_here(Path(folder)):
            yield f"task {name} works in {folder}: there is no such folder"
