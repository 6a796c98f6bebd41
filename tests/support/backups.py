"""Homes with something of everything in them, and archives as a stranger would make them."""

import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import msgspec

from agentctl import __version__
from agentctl.core.backup import BackupRequest, BackupStep, back_up, count, folders_of
from agentctl.core.backup_file import FORMAT, MANIFEST, Manifest, Member
from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database, schema_version

MOMENT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def silent(step: BackupStep) -> None:
    """For whoever wants to hear of no step."""


def empty_home(folder: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(folder)})


def make_home(folder: Path, word: str) -> Paths:
    """A home whose every part holds `word`."""
    return filled(empty_home(folder), word)


def filled(paths: Paths, word: str) -> Paths:
    for name in ("config.toml", "permissions.toml", "mcp.toml", "agents/mine.toml"):
        write(paths.config / name, f"# {word} {name}\n")
    write(paths.templates / f"{word}.toml", 'prompt = "$input"\n')
    write(paths.runs / word / "chart.csv", f"a,{word}\n")
    write(paths.last_report, word)
    write(paths.log, f"log of {word}")
    write(paths.daemon_address, '{"token": "secret"}')
    write(paths.vector_indexes / "old.faiss", "an index")
    with closing(open_database(paths.database)) as connection:
        add_sessions(connection, word)
    return paths


def add_sessions(connection: sqlite3.Connection, *ids: str) -> None:
    connection.executemany(
        "INSERT INTO sessions (id, title, created, updated) VALUES (?, ?, '', '')",
        [(each, each) for each in ids],
    )


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def backed_up(paths: Paths, target: Path, **options: bool) -> Path:
    back_up(BackupRequest(path=str(target), **options), paths, silent, now=lambda: MOMENT)
    return target


def contents(paths: Paths) -> dict[str, object]:
    """All of a home that a backup holds, without what a restore keeps of an older one."""
    files: dict[str, object] = {}
    for name, root in (("config", paths.config), ("runs", paths.runs), ("models", paths.models)):
        for path in sorted(root.rglob("*")):
            parts = path.relative_to(root).parts
            if path.is_file() and not parts[0].startswith(("replaced-", ".restore-")):
                files["/".join((name, *parts))] = path.read_bytes()
    if paths.last_report.exists():
        files["last-report"] = paths.last_report.read_bytes()
    if paths.database.exists():
        with closing(sqlite3.connect(paths.database)) as connection:
            files["database"] = [*connection.iterdump()]
    return files


def manifest_of(paths: Paths, members: dict[str, bytes], **changes: Any) -> Manifest:
    """What says the truth about the members, but for the changes."""
    listed = tuple(
        Member(name=name, size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in members.items()
    )
    honest = {
        "format": FORMAT,
        "agentctl": __version__,
        "schema": schema_version(),
        "created": "2026-03-01T12:00:00Z",
        "folders": folders_of(paths),
        "counts": count(paths.database),
        "members": listed,
    }
    return Manifest(**(honest | changes))


def write_archive(target: Path, manifest: Manifest, members: dict[str, bytes]) -> Path:
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        archive.writestr(MANIFEST, msgspec.json.encode(manifest))
    return target


def database_bytes(paths: Paths) -> bytes:
    """Of a database that nobody has open."""
    with closing(sqlite3.connect(paths.database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    return paths.database.read_bytes()


def add_task(connection: sqlite3.Connection, name: str, **action: str) -> None:
    body = json.dumps({"action": {"kind": "agent", "text": "x", **action}})
    connection.execute(
        "INSERT INTO tasks (name, body, is_enabled, created, handled) VALUES (?, ?, 0, '', '')",
        (name, body),
    )
