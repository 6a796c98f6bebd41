"""Builds what is released, into `dist/`: the folder, a zip of it, and the single file.

    python3 packaging/build.py

Standard library only. It makes an environment of its own in `dist/work/`, with agentctl, what it
needs and PyInstaller, and nothing that only tests want. `--here` takes the packages of the Python
that runs it instead; `--only` makes one of the two; `--try` does with each what users do, and
leaves the reports `folder.md` and `single-file.md` beside it.
"""

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from launcher import MARK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYINSTALLER = "pyinstaller>=6.22,<7"
NOTICES = "THIRD-PARTY-LICENSES.txt"
# Megabytes, of the folder and of the single file.
MOST_FOLDER, MOST_FILE = 300, 130
# 1980 began then: the first second that a zip archive knows.
_TIME = 315_532_800
_CACHES = {
    "darwin": '"${HOME-}/Library/Caches/agentctl"',
    "linux": '"${XDG_CACHE_HOME:-${HOME-}/.cache}/agentctl"',
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    work, dist = options.work.resolve(), options.dist.resolve()
    work.mkdir(parents=True, exist_ok=True)
    dist.mkdir(parents=True, exist_ok=True)
    python = Path(sys.executable) if options.here else make_environment(work / "environment")
    version = read_version(ROOT / "agentctl" / "__init__.py")
    name = f"agentctl-{version}-{platform_name()}"
    folder = dist / "agentctl"
    ending = ".exe" if sys.platform == "win32" else ""
    single = dist / f"{name}{ending}"
    if options.only != "file":
        make_folder(python, work, dist)
        zip_folder(folder, dist / f"{name}.zip")
    if options.only != "folder":
        make_file(python, folder, work, single, version)
    failed = check_sizes(dist, name)
    if options.tries and options.only != "file":
        failed |= try_program(folder / f"agentctl{ending}", dist / "folder.md", options.model)
    if options.tries and options.only != "folder":
        failed |= try_program(single, dist / "single-file.md", options.model)
    return failed


def make_environment(place: Path) -> Path:
    """A virtual environment with agentctl as a user would install it; its Python."""
    # Pythons that are only there to be embedded have no such module.
    import venv

    _say("environment")
    venv.create(place, clear=True, with_pip=True)
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    python = place / scripts / ("python.exe" if sys.platform == "win32" else "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _call([*install, str(ROOT), PYINSTALLER])
    return python


def make_folder(python: Path, work: Path, dist: Path) -> Path:
    """The program in its folder, with the notices of all that is in it."""
    _say("folder")
    _freeze(python, ROOT / "agentctl.spec", work, dist, {})
    folder = dist / "agentctl"
    # Elsewhere than in the checkout, whose agentctl is not the one that was installed.
    notices = subprocess.run(
        [python, str(HERE / "licenses.py")], cwd=work, check=True, capture_output=True
    )
    (folder / NOTICES).write_bytes(notices.stdout)
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE.txt")
    return folder


def zip_folder(folder: Path, archive: Path) -> None:
    """With the bits that make files executable, and symbolic links as such."""
    _say("zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for path in sorted(folder.rglob("*")):
            entry = zipfile.ZipInfo(
                path.relative_to(folder.parent).as_posix(), (1980, 1, 1, 0, 0, 0)
            )
            entry.create_system = 3  # Unix, which has such bits
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (path.lstat().st_mode & 0xFFFF) << 16
            if path.is_symlink():
                file.writestr(entry, str(path.readlink()))
            elif path.is_file():
                with path.open("rb") as source, file.open(entry, "w") as target:
                    shutil.copyfileobj(source, target)


def make_payload(folder: Path, payload: Path, preset: int = 6) -> tuple[str, int]:
    """What the launcher unpacks, behind its mark: SHA-256 and size of the rest."""
    with payload.open("wb") as file:
        file.write(MARK)
        with tarfile.open(fileobj=file, mode="w:xz", preset=preset) as archive:
            for path in sorted(folder.rglob("*")):
                archive.add(path, path.relative_to(folder), recursive=False, filter=_without_owner)
    with payload.open("rb") as file:
        file.seek(len(MARK))
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return digest, payload.stat().st_size - len(MARK)


def make_file(python: Path, folder: Path, work: Path, target: Path, version: str) -> None:
    """The single file: the launcher, and the folder within."""
    _say("payload")
    carried = work / "carried"
    carried.mkdir(exist_ok=True)
    sha256, size = make_payload(folder, carried / "payload")
    (carried / "carried.py").write_text(
        f'VERSION = "{version}"\nSHA256 = "{sha256}"\nSIZE = {size}\n', encoding="utf-8"
    )
    _say("single file")
    _freeze(python, HERE / "launcher.spec", work, work, {"CARRIED": str(carried)})
    if sys.platform == "win32":
        shutil.copyfile(work / "launcher.exe", target)
        return
    launcher = work / "launcher"
    with target.open("wb") as file:
        script = (HERE / "launcher.sh").read_text(encoding="utf-8")
        name = f"{version}-{sha256[:12]}"
        file.write(
            shell_part(script, version, name, _CACHES[sys.platform], launcher.stat().st_size)
        )
        for part in (launcher, carried / "payload"):
            _append(file, part)
    target.chmod(0o755)


def shell_part(script: str, version: str, name: str, cache: str, size: int) -> bytes:
    """The script with its places filled; what it says of its own length is padded."""
    told = {"@VERSION@": version, "@NAME@": name, "@CACHE@": cache, "@SIZE@": str(size)}
    for place, value in told.items():
        script = script.replace(place, value)
    # `tail` counts from 1.
    start = len(script.encode()) - len("@START@") + len("0000000") + 1
    return script.replace("@START@", f"{start:<7}").encode()


def read_version(module: Path) -> str:
    names: dict[str, str] = {}
    exec(module.read_text(encoding="utf-8"), names)  # noqa: S102 - our own line
    return names["__version__"]


def platform_name() -> str:
    """Such as `linux-x86_64`, `macos-arm64`, `windows-x86_64`."""
    system = {"win32": "windows", "darwin": "macos"}.get(sys.platform, sys.platform)
    machine = {"amd64": "x86_64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    # A 32-bit Python on a 64-bit machine makes a 32-bit program.
    return f"{system}-{machine if sys.maxsize > 2**32 else sysconfig.get_platform()}"


def check_sizes(dist: Path, name: str) -> int:
    """Tells what was made; 1 when something is larger than it may be."""
    limits = {"agentctl": MOST_FOLDER, f"{name}.zip": MOST_FOLDER, name: MOST_FILE}
    limits[f"{name}.exe"] = MOST_FILE
    is_over = False
    for path in (dist / each for each in limits):
        if path.exists():
            size = folder_size(path) / 1e6
            is_over |= size > limits[path.name]
            print(f"{path}: {size:.1f} MB (at most {limits[path.name]})")
    return int(is_over)


def try_program(program: Path, report: Path, model: Path | None) -> int:
    """The smoke test's exit code."""
    _say(f"trying {program}")
    command = [sys.executable, str(HERE / "smoke.py"), str(program), "--report", str(report)]
    if model is not None:
        command += ["--model", str(model)]
    return subprocess.run(command, check=False).returncode


def folder_size(path: Path) -> int:
    """Bytes, of a file too."""
    files = [path, *path.rglob("*")]
    return sum(each.lstat().st_size for each in files if each.is_symlink() or each.is_file())


def _freeze(python: Path, spec: Path, work: Path, dist: Path, more: dict[str, str]) -> None:
    # The order of what Python hashes is to be the same each time.
    environ = {**os.environ, "PYTHONHASHSEED": "1", "SOURCE_DATE_EPOCH": str(_TIME), **more}
    quiet = ["--noconfirm", "--log-level", "WARN"]
    places = ["--distpath", str(dist), "--workpath", str(work / "pyinstaller")]
    command = [str(python), "-m", "PyInstaller", *quiet, *places, str(spec)]
    subprocess.run(command, cwd=work, env=environ, check=True)


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = _TIME
    return entry


def _append(file: IO[bytes], part: Path) -> None:
    with part.open("rb") as source:
        shutil.copyfileobj(source, file)


def _call(command: Sequence[str | Path]) -> None:
    subprocess.run(command, check=True)


def _say(step: str) -> None:
    print(f"== {step}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--here", action="store_true", help="with this Python's own packages")
    parser.add_argument("--only", choices=("folder", "file"), help="only this one")
    parser.add_argument("--try", dest="tries", action="store_true", help="and try what was made")
    parser.add_argument("--model", type=Path, help="smollm2-135m's GGUF file to try it with")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where to put it")
    parser.add_argument("--work", type=Path, default=ROOT / "dist" / "work", help="where to work")
    return parser


if __name__ == "__main__":
    sys.exit(main())
