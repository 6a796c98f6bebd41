"""The single file: what its launcher does with the program that it carries."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import build
import launcher
import pytest
from launcher import Damaged, Payload, cache_folder, explain, is_in_use, is_whole, unpack

from agentctl.__main__ import MARKER, hold_folder

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="by the shell, which Windows lacks")
PROGRAM = '#!/bin/sh\necho "$_AGENTCTL_LAUNCHER says $*"\nexit 7\n'


class Carrier:
    """A single file as far as the launcher sees it: something, the payload, something more."""

    def __init__(self, folder: Path, version: str = "1.0", program: str = PROGRAM) -> None:
        source = folder / f"built-{version}"
        (source / "_internal" / "data").mkdir(parents=True)
        (source / "agentctl").write_text(program)
        (source / "agentctl").chmod(0o755)
        (source / "_internal" / "library.so").write_bytes(os.urandom(300_000))
        (source / "_internal" / "data" / "words.txt").write_text("many words")
        if sys.platform != "win32":
            (source / "_internal" / "link.so").symlink_to("library.so")
        self.payload_file = folder / f"payload-{version}"
        sha256, size = build.make_payload(source, self.payload_file, preset=0)
        self.payload = Payload(version, sha256, size)
        self.path = folder / f"agentctl-{version}"
        self.path.write_bytes(b"before" * 999 + self.payload_file.read_bytes() + b"after" * 999)


@pytest.fixture
def carrier(tmp_path: Path) -> Carrier:
    return Carrier(tmp_path)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache"


def leavings(cache: Path) -> list[str]:
    return [each.name for each in (cache / "program").iterdir() if each.name.startswith(".")]


# What is unpacked


def test_the_first_start_unpacks_what_was_built(carrier: Carrier, cache: Path) -> None:
    folder = unpack(carrier.payload, carrier.path, cache)

    assert folder == cache / "program" / f"1.0-{carrier.payload.sha256[:12]}"
    assert (folder / "agentctl").read_text() == PROGRAM
    assert (folder / "_internal" / "data" / "words.txt").read_text() == "many words"
    assert is_whole(folder)
    assert leavings(cache) == []


@posix_only
def test_only_its_owner_may_enter(carrier: Carrier, cache: Path) -> None:
    folder = unpack(carrier.payload, carrier.path, cache)

    for each in (folder, folder.parent, cache, cache.parent):
        assert each.stat().st_mode & 0o777 == 0o700
    assert os.access(folder / "agentctl", os.X_OK)
    assert (folder / "_internal" / "link.so").is_symlink()


def test_the_second_start_leaves_it_as_it_is(carrier: Carrier, cache: Path) -> None:
    first = unpack(carrier.payload, carrier.path, cache).stat()

    second = unpack(carrier.payload, Path("not read"), cache).stat()

    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_another_version_stands_beside(tmp_path: Path, carrier: Carrier, cache: Path) -> None:
    newer = Carrier(tmp_path, "2.0")

    assert unpack(carrier.payload, carrier.path, cache) != unpack(newer.payload, newer.path, cache)


# What is damaged


@pytest.mark.parametrize("harm", ["removed", "shortened", "added", "emptied"])
def test_what_was_damaged_is_repaired(harm: str, carrier: Carrier, cache: Path) -> None:
    folder = unpack(carrier.payload, carrier.path, cache)
    words = folder / "_internal" / "data" / "words.txt"
    match harm:
        case "removed":
            words.unlink()
        case "shortened":
            words.write_text("few")
        case "added":
            (folder / "_internal" / "more.so").touch()
        case "emptied":
            (folder / MARKER).unlink()
    later = (folder / MARKER).stat().st_mtime_ns + 1_000_000_000 if harm != "emptied" else 0
    changed = {"removed": words.parent, "shortened": words, "added": words.parents[1]}
    if harm in changed:
        os.utime(changed[harm], ns=(later, later))
    assert not is_whole(folder)

    unpack(carrier.payload, carrier.path, cache)

    assert words.read_text() == "many words"
    assert not (folder / "_internal" / "more.so").exists()
    assert is_whole(folder)
    assert leavings(cache) == []


def test_a_damaged_single_file_is_not_unpacked(carrier: Carrier, cache: Path) -> None:
    data = bytearray(carrier.path.read_bytes())
    data[len(data) // 2] ^= 1
    carrier.path.write_bytes(data)

    with pytest.raises(Damaged):
        unpack(carrier.payload, carrier.path, cache)

    assert not (cache / "program" / carrier.payload.name).exists()
    assert not [each for each in leavings(cache) if each.startswith(".new-")]


def test_a_file_without_a_payload_is_damaged(carrier: Carrier, cache: Path) -> None:
    carrier.path.write_bytes(b"something else")

    with pytest.raises(Damaged):
        unpack(carrier.payload, carrier.path, cache)


# Several at once, and kills

UNPACK = """
import sys
from pathlib import Path
sys.path.append({packaging!r})
import launcher
if {waits}:
    print("ready", flush=True)
    sys.stdin.readline()
if {hangs}:
    def hang(path):
        print("unpacking", flush=True)
        sys.stdin.readline()
    launcher._sync = hang
payload = launcher.Payload(*{payload!r})
print(launcher.unpack(payload, Path({path!r}), Path({cache!r})))
"""


def unpacking(
    carrier: Carrier, cache: Path, *, waits: bool = False, hangs: bool = False
) -> "subprocess.Popen[str]":
    code = UNPACK.format(
        packaging=str(Path(launcher.__file__).parent),
        payload=tuple(carrier.payload),
        path=str(carrier.path),
        cache=str(cache),
        waits=waits,
        hangs=hangs,
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_two_that_start_at_once_share_what_one_unpacks(carrier: Carrier, cache: Path) -> None:
    both = [unpacking(carrier, cache, waits=True) for _ in range(2)]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()

    told = [each.communicate()[0].strip() for each in both]

    folder = cache / "program" / carrier.payload.name
    assert told == [str(folder)] * 2
    assert [each.returncode for each in both] == [0, 0]
    assert is_whole(folder)
    assert leavings(cache) == []


def test_one_that_is_killed_in_the_midst_leaves_nothing_that_counts(
    carrier: Carrier, cache: Path
) -> None:
    first = unpacking(carrier, cache, hangs=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "unpacking\n"
    first.kill()
    first.wait()
    assert [each[:5] for each in leavings(cache)] == [".new-"]

    folder = unpack(carrier.payload, carrier.path, cache)

    assert is_whole(folder)
    assert leavings(cache) == []


# Old versions


def test_an_old_version_goes_when_a_new_one_comes(
    tmp_path: Path, carrier: Carrier, cache: Path
) -> None:
    old = unpack(carrier.payload, carrier.path, cache)
    newer = Carrier(tmp_path, "2.0")

    new = unpack(newer.payload, newer.path, cache)

    assert not old.exists()
    assert is_whole(new)


def test_a_version_that_runs_stays(tmp_path: Path, carrier: Carrier, cache: Path) -> None:
    old = unpack(carrier.payload, carrier.path, cache)
    code = (
        "import sys; from agentctl.__main__ import hold_folder; hold_folder(sys.argv[1]); "
        "print('runs', flush=True); sys.stdin.readline()"
    )
    running = subprocess.Popen(
        [sys.executable, "-c", code, str(old)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "runs\n"
    newer, newest = Carrier(tmp_path, "2.0"), Carrier(tmp_path, "3.0")

    unpack(newer.payload, newer.path, cache)
    assert is_in_use(old)
    assert is_whole(old)

    running.communicate("\n")
    unpack(newest.payload, newest.path, cache)
    assert not old.exists()


def test_the_launcher_and_the_program_mean_the_same_marker() -> None:
    assert launcher.MARKER == MARKER


def test_a_folder_that_no_launcher_unpacked_needs_no_hold(tmp_path: Path) -> None:
    hold_folder(str(tmp_path))

    assert not is_in_use(tmp_path)


# Where


@pytest.mark.parametrize(
    ("environ", "platform", "place"),
    [
        ({}, "linux", "/home/me/.cache/agentctl"),
        ({"XDG_CACHE_HOME": "/fast"}, "linux", "/fast/agentctl"),
        ({"XDG_CACHE_HOME": " "}, "linux", "/home/me/.cache/agentctl"),
        ({}, "darwin", "/home/me/Library/Caches/agentctl"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/agentctl/Cache"),
        ({}, "win32", "/home/me/AppData/Local/agentctl/Cache"),
        ({"AGENTCTL_HOME": "/mine", "XDG_CACHE_HOME": "/fast"}, "linux", "/mine/cache"),
    ],
)
def test_the_cache_is_the_programs_own(environ: dict[str, str], platform: str, place: str) -> None:
    assert cache_folder(environ, platform, Path("/home/me")) == Path(place)


def test_a_cache_that_cannot_be_written_to_is_explained() -> None:
    full = explain(OSError(28, "No space left on device"), Path("/fast/agentctl"))
    locked = explain(PermissionError(13, "Permission denied"), Path("/fast/agentctl"))

    assert full.splitlines()[0] == (
        "error: agentctl cannot unpack itself in /fast/agentctl: No space left on device"
    )
    assert "free some disk space" in full
    assert "a folder that you may write to" in locked
    assert "AGENTCTL_HOME" in full
    assert "AGENTCTL_HOME" in locked


# The lines of shell in front of it

UNPACKER = """#!{python}
import os, sys
from pathlib import Path
sys.path.append({packaging!r})
import launcher
payload = launcher.Payload(*{payload!r})
print(launcher.unpack(payload, Path(sys.argv[1]), Path({cache!r})) / "agentctl")
"""


@pytest.fixture
def single_file(tmp_path: Path, carrier: Carrier) -> Path:
    """As it is built, with a script in the place of PyInstaller's program."""
    home = tmp_path / "my home"
    unpacker = UNPACKER.format(
        python=sys.executable,
        packaging=str(Path(launcher.__file__).parent),
        payload=tuple(carrier.payload),
        cache=str(home / "cache"),
    ).encode()
    script = Path(launcher.__file__).with_name("launcher.sh").read_text()
    cache = build.shell_part(script, "1.0", carrier.payload.name, '"/nowhere"', len(unpacker))
    path = tmp_path / "my agentctl"
    path.write_bytes(cache + unpacker + carrier.payload_file.read_bytes())
    path.chmod(0o755)
    return path


def start(path: Path, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "AGENTCTL_HOME": str(home)}
    return subprocess.run(
        [path, *arguments], env=environ, capture_output=True, text=True, check=False
    )


@posix_only
def test_the_single_file_unpacks_once_and_becomes_the_program(
    single_file: Path, tmp_path: Path
) -> None:
    home = tmp_path / "my home"

    done = [start(single_file, home, "one", "two words") for _ in range(2)]

    assert [each.returncode for each in done] == [7, 7]
    assert [each.stderr for each in done] == ["", ""]
    assert done[1].stdout == f"{single_file} says one two words\n"
    assert [each.name for each in (home / "cache").iterdir()] == ["program"]


@posix_only
def test_the_single_file_repairs_what_is_not_whole(single_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "my home"
    start(single_file, home)
    (folder,) = (each for each in (home / "cache" / "program").iterdir() if each.is_dir())
    (folder / "agentctl").unlink()
    later = time.time() + 1
    os.utime(folder, (later, later))

    assert start(single_file, home).returncode == 7


@posix_only
def test_a_cache_that_is_a_file_is_told_with_the_mend(single_file: Path, tmp_path: Path) -> None:
    home = tmp_path / "my home"
    home.write_text("no folder")

    done = start(single_file, home)

    assert done.returncode == 1
    assert "error: agentctl cannot unpack itself in" in done.stderr
    assert "  try: set AGENTCTL_HOME to a folder that you may write to" in done.stderr


@posix_only
def test_ctrl_c_while_it_unpacks_leaves_nothing_behind(tmp_path: Path, carrier: Carrier) -> None:
    home = tmp_path / "my home"
    unpacker = b"#!/bin/sh\necho unpacking >&2\nexec sleep 60\n"
    script = Path(launcher.__file__).with_name("launcher.sh").read_text()
    shell = build.shell_part(script, "1.0", carrier.payload.name, '"/nowhere"', len(unpacker))
    path = tmp_path / "agentctl"
    path.write_bytes(shell + unpacker)
    path.chmod(0o755)
    process = subprocess.Popen(
        [path],
        env={**os.environ, "AGENTCTL_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "unpacking\n"

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait() in {130, -signal.SIGINT}
    process.stderr.read()
    assert [*(home / "cache").iterdir()] == []


# The child of Windows, whose part that is the same everywhere


def test_a_child_gets_its_words_and_tells_its_exit_code(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.append({str(Path(launcher.__file__).parent)!r})
import launcher
sys.exit(launcher.run(sys.executable, ["-c", "import sys; sys.exit(int(sys.argv[1]))", "5"], {{}}))
"""

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 5


@posix_only
def test_ctrl_c_is_for_the_child(tmp_path: Path) -> None:
    child = (
        "import signal, sys, time\n"
        "def leave(*_): sys.exit(9)\n"
        "signal.signal(signal.SIGINT, leave)\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n"
    )
    code = f"""
import sys
sys.path.append({str(Path(launcher.__file__).parent)!r})
import launcher
sys.exit(launcher.run(sys.executable, ["-c", {child!r}], {{}}))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait() == 9
