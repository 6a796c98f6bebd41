"""Every place on disk that agentctl uses, and the files it is shipped with."""

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Paths:
    """The folders of one user, none of them made before it is needed."""

    config: Path
    data: Path
    cache: Path
    state: Path

    @property
    def settings(self) -> Path:
        return self.config / "config.toml"

    @property
    def permissions(self) -> Path:
        return self.config / "permissions.toml"

    @property
    def mcp_servers(self) -> Path:
        return self.config / "mcp.toml"

    @property
    def templates(self) -> Path:
        return self.config / "templates"

    @property
    def agents(self) -> Path:
        return self.config / "agents"

    @property
    def database(self) -> Path:
        return self.data / "agentctl.db"

    @property
    def models(self) -> Path:
        return self.data / "models"

    @property
    def ingest_lock(self) -> Path:
        return self.data / "ingest.lock"

    @property
    def runs(self) -> Path:
        return self.data / "runs"

    @property
    def task_locks(self) -> Path:
        return self.data / "tasks"

    @property
    def vector_indexes(self) -> Path:
        return self.cache / "vectors"

    @property
    def log(self) -> Path:
        return self.state / "agentctl.log"

    @property
    def ollama_log(self) -> Path:
        return self.state / "ollama.log"

    @property
    def daemon_lock(self) -> Path:
        return self.state / "daemon.lock"

    @property
    def daemon_address(self) -> Path:
        return self.state / "daemon.json"

    @property
    def daemon_socket(self) -> Path:
        return self.state / "daemon.sock"

    @property
    def daemon_log(self) -> Path:
        return self.state / "daemon.log"

    @property
    def last_report(self) -> Path:
        return self.state / "last-report"

    @property
    def mcp_logs(self) -> Path:
        return self.state / "mcp"


def find_paths(environ: Mapping[str, str]) -> Paths:
    """The platform's usual folders, or those in the one that `AGENTCTL_HOME` names.

    No two are one, so that each holds nothing of another's.
    """
    home = environ.get("AGENTCTL_HOME")
    if home:
        root = expand(home).absolute()
        return Paths(root / "config", root / "data", root / "cache", root / "state")
    from platformdirs import PlatformDirs

    places = PlatformDirs("agentctl", appauthor=False)
    roots = {
        "config": places.user_config_path,
        "data": places.user_data_path,
        "cache": places.user_cache_path,
        "state": places.user_state_path,
    }
    # Windows and macOS have one place for most of them.
    shared = Counter(roots.values())
    return Paths(
        **{name: root / name if shared[root] > 1 else root for name, root in roots.items()}
    )


def shipped(name: str) -> Path:
    """A file or folder of `config/`: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "config"
    return (installed if installed.is_dir() else package.parent / "config") / name


def expand(name: str) -> Path:
    """`name` with its `~` replaced; one that names nobody stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 - Path's own raises


def owner_only(name: str, flags: int) -> int:
    """An `opener` for `open`: only its owner may read and write a file that it makes."""
    return os.open(name, flags, 0o600)


def nearest_place(path: Path) -> Path:
    """The path itself, or what is there of the folders above it, as far as one may look."""
    places = (path, *path.absolute().parents)
    return next(each for each in places if os.path.exists(each))  # noqa: PTH110 - never raises


def when_unwritable(path: Path, command: str) -> str:
    """The next command where no file can be written: its folder is made, or it goes home.

    `command` is what wrote it, up to the file's name.
    """
    folder = path.parent
    if nearest_place(folder) != folder:
        return f"mkdir -p {shlex.quote(str(folder))}"
    return f"{command} ~/{shlex.quote(path.name)}"


def make_private(folder: Path) -> Path:
    """Makes a folder that only its owner may enter, and so each one above it that is missing."""
    if not folder.parent.exists():
        make_private(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder
