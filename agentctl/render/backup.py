"""Backups: how far one is, what is in it, and what a restore would replace."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shutil import copyfileobj
from typing import TYPE_CHECKING

from agentctl.core.backends.progress import PullProgress
from agentctl.core.backup import BackupReport, BackupStep
from agentctl.core.backup_file import Counts, Manifest
from agentctl.core.jsontypes import JsonObject
from agentctl.render.output import Output, human_size
from agentctl.render.progress import PullPrinter

if TYPE_CHECKING:
    from agentctl.core.restore import RestoreReport

_STAGES = {
    "database": "copying the database",
    "packing": "packing",
    "checking": "checking what was written",
    "unpacking": "checking and unpacking",
}


class BackupPrinter:
    """A bar a stage on a terminal, a line a stage elsewhere; always on stderr."""

    def __init__(self, output: Output) -> None:
        self._printer = PullPrinter(output)

    def show(self, step: BackupStep) -> None:
        told = PullProgress(_STAGES[step.stage], completed=step.done, total=step.total)
        self._printer.show(told)

    def close(self) -> None:
        """Gives the terminal back."""
        self._printer.close()


def show_backup(output: Output, report: BackupReport) -> None:
    for path in report.left_out:
        output.warning(f"left out, for it cannot be read or its name is not portable: {path}")
    if output.form == "json":
        output.data(report)
        return
    output.line(report.path)
    models = f", {len(report.models)} models" if report.models else ""
    output.note(f"{counts_text(report.counts)}{models}; {human_size(report.size)}, checked")


def send_backup(path: Path) -> None:
    """The file itself to stdout."""
    with path.open("rb") as file:
        copyfileobj(file, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def is_terminal_out() -> bool:
    return sys.stdout.isatty()


def counts_text(counts: Counts) -> str:
    names = ("document", "session", "run", "task")
    numbers = (counts.documents, counts.sessions, counts.runs, counts.tasks)
    told = [f"{n:,} {name}{'' if n == 1 else 's'}" for n, name in zip(numbers, names, strict=True)]
    return ", ".join(told)


def show_both(output: Output, manifest: Manifest, present: Counts | None) -> None:
    """What is here, and what would come in its place."""
    here = counts_text(present) if present is not None else "no database that can be read"
    output.note(f"here now:       {here}")
    output.note(f"in the backup:  {counts_text(manifest.counts)} ({_origin(manifest)})")


def show_check(output: Output, path: str, manifest: Manifest, present: Counts | None) -> None:
    if output.form == "json":
        output.data(_data(path, manifest, present) | {"is_restored": False})
        return
    show_both(output, manifest, present)
    output.line(f"{path} is whole")


def show_restored(
    output: Output, path: str, report: "RestoreReport", present: Counts | None
) -> None:
    if output.form == "json":
        told: JsonObject = {
            "is_restored": True,
            "kept": [*report.kept],
            "missing": [*report.missing],
        }
        output.data(_data(path, report.manifest, present) | told)
        return
    output.line(f"restored {counts_text(report.manifest.counts)}")
    _show_left(output, report.kept, report.missing)


def _show_left(output: Output, kept: Sequence[str], missing: Sequence[str]) -> None:
    for each in missing:
        output.warning(f"not on this machine: {each}")
    for folder in kept:
        output.note(f"what was here is kept in {folder}")


def _data(path: str, manifest: Manifest, present: Counts | None) -> JsonObject:
    return {
        "path": path,
        "agentctl": manifest.agentctl,
        "schema": manifest.schema,
        "created": manifest.created,
        "size": manifest.size,
        "members": len(manifest.members),
        "counts": _numbers(manifest.counts),
        "present": _numbers(present) if present is not None else None,
    }


def _numbers(counts: Counts) -> JsonObject:
    return {
        "documents": counts.documents,
        "sessions": counts.sessions,
        "runs": counts.runs,
        "tasks": counts.tasks,
    }


def _origin(manifest: Manifest) -> str:
    return f"{manifest.created[:16].replace('T', ' ')} UTC, agentctl {manifest.agentctl}"
