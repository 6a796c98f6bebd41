"""The Python that runs what a model wrote: the one that runs this program, and what it needs."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_WORKER = Path(__file__).with_name("python_worker.py")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """How the worker is started (its arguments follow `command`).

    `parts` are the files and folders without which it cannot run, `packages` the folders of
    installed packages, `python` the interpreter alone, None in a frozen program.
    """

    command: tuple[str, ...]
    parts: tuple[Path, ...]
    packages: tuple[str, ...] = ()
    python: Path | None = None


def find_interpreter() -> Interpreter:
    """In a frozen program, `--python-worker` starts the worker, as `__main__` knows."""
    if getattr(sys, "frozen", False):
        program = Path(sys.executable).resolve()
        parts = program, Path(getattr(sys, "_MEIPASS", program)).resolve()
        return Interpreter((str(program), "--python-worker"), parts)
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    packages = _package_folders()
    libraries = [Path(sys.base_prefix).resolve() / name for name in ("lib", "lib64")]
    command = (str(python), "-I", "-S", "-B", "-X", "utf8", str(_WORKER))
    return Interpreter(
        command, (python, _WORKER, *libraries, *map(Path, packages)), packages, python
    )


def _package_folders() -> tuple[str, ...]:
    """Without what their .pth files add: a project that is installed as editable is data."""
    names = ("site-packages", "dist-packages")
    folders = [each for each in sys.path if Path(each).name in names and Path(each).is_dir()]
    return tuple(dict.fromkeys(map(os.path.realpath, folders)))
