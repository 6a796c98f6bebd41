"""What the doctor looks at: one function a check, each with the finding and its mend."""

import os
import shlex
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from agentctl.core.addresses import stays_here
from agentctl.core.agents.sandbox.sandbox import probe
from agentctl.core.backends.engine import import_engine
from agentctl.core.child_processes import find_program
from agentctl.core.config import Settings, nearest
from agentctl.core.config_syntax import is_file
from agentctl.core.errors import (
    BackendBusy,
    BackendUnreachable,
    ConfigError,
    EngineMissing,
    RetryError,
    StorageError,
)
from agentctl.core.paths import Paths, expand, nearest_place

if TYPE_CHECKING:
    import sqlite3

Status: TypeAlias = Literal["ok", "warning", "error"]

AGAIN = "agentctl doctor"
_LOW_DISK, _NO_DISK = 5_000_000_000, 200_000_000
_LOW_MEMORY = 1_000_000_000
# Above this many bytes a full check of the database takes longer than anyone waits.
_LARGE_DATABASE = 100_000_000
_UNFINISHED = "too large to be checked to its end"
_GET_OLLAMA = {"darwin": "brew install ollama", "win32": "winget install Ollama.Ollama"}


@dataclass(frozen=True, slots=True)
class Check:
    """One finding. `fix` is the command or action that mends what is not ok, else empty."""

    name: str
    status: Status
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined, and the seconds that one check may take."""

    paths: Paths
    environ: Mapping[str, str]
    directory: Path
    settings: Settings
    deadline_s: float


def check_python() -> Check:
    bits = 64 if sys.maxsize > 2**32 else 32
    version = ".".join(map(str, sys.version_info[:3]))
    home = f"virtual environment {sys.prefix}"
    if sys.prefix == sys.base_prefix:
        home = "packaged program" if getattr(sys, "frozen", False) else "no virtual environment"
    detail = f"Python {version}, {bits} bit, {home}"
    if bits == 32:
        fix = "install a 64-bit Python: https://www.python.org/downloads/"
        return Check("python", "error", f"{detail}: models need 64 bit", fix)
    return Check("python", "ok", detail)


def check_folders(patient: Patient) -> Check:
    paths = patient.paths
    folders = [paths.config, paths.data, paths.cache, paths.state]
    # One above them may be in the way of all.
    found = dict.fromkeys(map(_folder_problem, folders))
    problems = [problem for problem in found if problem]
    if not problems:
        return Check("folders", "ok", ", ".join(map(str, folders)))
    status: Status = "error" if any(each.status == "error" for each in problems) else "warning"
    detail = "; ".join(each.detail for each in problems)
    return Check("folders", status, detail, " && ".join(each.fix for each in problems))


def _folder_problem(folder: Path) -> Check | None:
    import tempfile

    place = nearest_place(folder)
    quoted = shlex.quote(str(place))
    if not place.is_dir():
        fix = f"mv {quoted} {quoted}.old"
        return Check("folders", "error", f"{place} is a file, not a folder", fix)
    try:
        if place == folder:
            tempfile.TemporaryFile(dir=folder).close()
        is_writable = os.access(place, os.W_OK | os.X_OK)
    except OSError:
        is_writable = False
    if not is_writable:
        return Check("folders", "error", f"{place} cannot be written to", f"chmod u+rwx {quoted}")
    if place == folder and os.name == "posix" and folder.stat().st_mode & 0o077:
        return Check("folders", "warning", f"others may enter {folder}", f"chmod 700 {quoted}")
    return None


def check_disk(patient: Patient) -> Check:
    from agentctl.core.hardware import free_disk

    free = {path: free_disk(path) for path in (patient.paths.data, patient.paths.models)}
    detail = ", ".join(f"{_gigabytes(size)} free for {path}" for path, size in free.items())
    if min(free.values()) >= _LOW_DISK:
        return Check("disk", "ok", detail)
    status: Status = "warning" if min(free.values()) >= _NO_DISK else "error"
    return Check(
        "disk", status, detail, "free some disk space, or set AGENTCTL_HOME to a larger disk"
    )


def check_memory(_: Patient) -> Check:
    from agentctl.core.hardware import memory

    now = memory()
    detail = f"{_gigabytes(now.available)} of {_gigabytes(now.total)} available"
    if now.available >= _LOW_MEMORY:
        return Check("memory", "ok", detail)
    fix = "close other programs, or take a small model: agentctl models use smollm2-135m"
    return Check("memory", "warning", detail, fix)


def check_gpu(_: Patient) -> Check:
    from agentctl.core.hardware import gpus

    cards = [f"{gpu.name}, {_gigabytes(gpu.memory_total)}" for gpu in gpus()]
    return Check("gpu", "ok", "; ".join(cards) or "no NVIDIA GPU: models run on the processor")


async def check_ollama(patient: Patient) -> Check:
    from agentctl.core.backends.ollama_server import OllamaServer, default_host
    from agentctl.core.backends.transport import Endpoint

    host = default_host(patient.settings.ollama.host, patient.environ)
    limit_s = patient.deadline_s / 3
    server = OllamaServer(Endpoint(host, limit_s, limit_s, limit_s))
    try:
        version, models = await server.version(), await server.models()
    except RetryError as error:
        return _without_ollama(patient, server.endpoint.address, error)
    window = f"context window {patient.settings.ollama.context_window:,} tokens"
    detail = f"Ollama {version} at {server.endpoint.address}, {window}"
    if not models:
        return Check("ollama", "warning", f"{detail}, no models", "agentctl models pull qwen3:4b")
    names = ", ".join(model.name for model in models[:5]) + (", ..." if len(models) > 5 else "")
    return Check("ollama", "ok", f"{detail}, {len(models)} models: {names}")


def _without_ollama(patient: Patient, address: str, error: RetryError) -> Check:
    name = "ollama"
    if not isinstance(error, BackendUnreachable):
        fix = "restart Ollama, or set its address: agentctl config set ollama.host URL"
        return Check(name, "warning", error.message, fix)
    if not stays_here(address):
        fix = (
            f"start Ollama at {address}, or use this machine's: agentctl config set ollama.host ''"
        )
        return Check(name, "warning", error.message, fix)
    if find_program("ollama", patient.environ):
        if patient.settings.ollama.start:
            return Check(name, "ok", "not running; it starts when one of its models is asked for")
        return Check(name, "warning", "installed, but not running", "ollama serve")
    if _has_embedded_model(patient):
        return Check(name, "ok", "not installed; the embedded engine answers")
    default = "curl -fsSL https://ollama.com/install.sh | sh"
    return Check(name, "warning", "not installed", _GET_OLLAMA.get(sys.platform, default))


def check_embedded(patient: Patient) -> Check:
    try:
        xllamacpp = import_engine()
    except EngineMissing as error:
        return Check("embedded", "error", error.message, error.hint)
    build = xllamacpp.BUILD_INFO
    engine = f"xllamacpp {xllamacpp.__version__} ({build['build_target']}, {build['compiler']})"
    model = patient.settings.embedded.model
    path, size, fix = _find_model(patient, model)
    if not is_file(path):
        return Check("embedded", "warning", f"{engine}; {model} is not installed", fix)
    if size and path.stat().st_size != size:
        detail = f"{engine}; {path} has {path.stat().st_size:,} bytes, not {size:,}"
        return Check("embedded", "warning", detail, fix)
    return Check("embedded", "ok", f"{engine}; {model} is installed")


def _has_embedded_model(patient: Patient) -> bool:
    try:
        path, *_ = _find_model(patient, patient.settings.embedded.model)
    except ConfigError:
        return False
    return is_file(path)


def _find_model(patient: Patient, model: str) -> tuple[Path, int | None, str]:
    """The file of an embedded model, its size in bytes if known, and how to get it.

    Raises:
        ConfigError: the catalogue has no such model, or is malformed.
    """
    from agentctl.core.backends.catalog import read_catalog

    choose = "agentctl config set embedded.model smollm2-135m"
    if model.lower().endswith(".gguf"):
        return patient.directory / expand(model), None, choose
    catalog = read_catalog(patient.paths)
    if model not in catalog:
        close = nearest(model, catalog)
        meant = f" (did you mean {close}?)" if close else ""
        raise ConfigError(f"embedded.model: the catalogue has no {model}{meant}", choose)
    entry = catalog[model]
    return patient.paths.models / entry.file, entry.size, f"agentctl models pull {model}"


def check_database(patient: Patient) -> Check:
    path = patient.paths.database
    if not path.exists():
        return Check("database", "ok", "made at first use")
    if not os.access(path, os.R_OK | os.W_OK):
        fix = f"chmod u+rw {shlex.quote(str(path))}"
        return Check("database", "error", f"{path} cannot be read and written", fix)
    return _examine_database(path, patient.deadline_s / 2)


def _examine_database(path: Path, limit_s: float) -> Check:
    import sqlite3

    from agentctl.core.storage import read_only, schema_version, translated_errors

    folder = shlex.quote(f"{path.parent / 'damaged'}")
    aside = f"mkdir -p {folder} && mv {shlex.quote(str(path))}* {folder}"
    fix = f"set it aside, and a new one is made: {aside}"
    try:
        with (
            translated_errors(path),
            closing(sqlite3.connect(read_only(path.absolute()), uri=True, timeout=1)) as connection,
        ):
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            answer = _check_integrity(connection, path.stat().st_size, limit_s)
    except BackendBusy as error:
        return Check("database", "warning", error.message, f"try again: {AGAIN}")
    except StorageError as error:
        return Check("database", "error", error.message, fix)
    if answer not in ("ok", _UNFINISHED):
        return Check("database", "error", f"{path} is damaged: {answer}", fix)
    size = path.stat().st_size
    detail = f"{path}, {size / 1e6:.1f} MB, schema {version}"
    if answer == _UNFINISHED:
        detail += f", {_UNFINISHED}"
    if version > schema_version():
        detail += f": written by a newer agentctl; this one knows {schema_version()}"
        return Check("database", "error", detail, "pip install --upgrade agentctl")
    return Check("database", "ok", detail)


def _check_integrity(connection: "sqlite3.Connection", size: int, limit_s: float) -> str:
    """SQLite's verdict in one line: `ok`, the first problem, or `_UNFINISHED`."""
    import sqlite3

    check = "quick_check" if size > _LARGE_DATABASE else "integrity_check"
    timer = threading.Timer(limit_s, connection.interrupt)
    timer.start()
    try:
        return " ".join(str(connection.execute(f"PRAGMA {check}(1)").fetchone()[0]).split())
    except sqlite3.OperationalError as error:
        if str(error) != "interrupted":
            raise
        return _UNFINISHED
    finally:
        timer.cancel()


def check_agents(patient: Patient) -> Check:
    """What the user has written down for agents: each file as a run would read it."""
    from agentctl.core.agents.definitions import AgentFiles
    from agentctl.core.agents.permissions.policy import load_rules
    from agentctl.core.agents.tools.mcp_servers import read_mcp_servers

    files = AgentFiles(patient.paths)
    names = files.names()
    looks: list[Callable[[], object]] = [partial(files.load, name) for name in names]
    looks += [partial(load_rules, patient.paths), partial(read_mcp_servers, patient.paths)]
    problems = []
    for look in looks:
        try:
            look()
        except ConfigError as error:
            problems.append(error)
    if not problems:
        return Check("agents", "ok", ", ".join(names))
    detail = "; ".join(each.message for each in problems)
    return Check("agents", "error", detail, "; ".join(each.hint for each in problems))


def check_sandbox(patient: Patient) -> Check:
    found = probe(patient.environ, patient.deadline_s)
    return Check("sandbox", "warning" if found.fix else "ok", found.detail, found.fix)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
