"""Where programs are looked for, and how children end with all that they started."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from agentctl.core.child_processes import (
    APART,
    command_words,
    find_program,
    kill_tree,
    system_program,
)

SOURCES = Path(__file__).parents[2] / "agentctl"
# These talk to the user in the terminal, or run where there is no Windows.
IN_THE_TERMINAL = {"commands/config.py", "render/approval.py"}
NOT_ON_WINDOWS = {"core/agents/sandbox/bubblewrap.py"}
# It starts a child that starts another, and tells its number.
PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print(child.pid, flush=True)\n"
    "child.wait()\n"
)


def test_a_child_is_killed_with_what_it_started() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        start_new_session=True,
        creationflags=APART,
    )
    assert parent.stdout is not None
    with parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))

        kill_tree(parent.pid)
        parent.wait()

    assert psutil.wait_procs([child], timeout=30)[1] == [] or (
        child.status() == psutil.STATUS_ZOMBIE
    )


def test_to_kill_one_that_is_gone_does_no_harm() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait()

    kill_tree(ended.pid)


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A folder on PATH, and the current one, which is a stranger's; each has a program."""
    made = {name: tmp_path / name for name in ("programs", "strangers")}
    for folder in made.values():
        folder.mkdir()
        (folder / "tool.EXE").touch()
    (made["strangers"] / "other.exe").touch()
    monkeypatch.chdir(made["strangers"])
    return made


def test_on_windows_a_program_in_the_current_folder_is_not_found(folders: dict[str, Path]) -> None:
    environ = {"PATH": str(folders["programs"]), "PATHEXT": ".COM;.EXE"}

    assert find_program("other", environ, "win32") is None
    assert find_program("other.exe", environ, "win32") is None
    assert find_program("tool", environ, "win32") == str(folders["programs"] / "tool.EXE")


@pytest.mark.parametrize("entry", ["", ".", "relative"])
def test_on_windows_only_full_paths_of_path_count(folders: dict[str, Path], entry: str) -> None:
    environ = {"PATH": entry, "PATHEXT": ".EXE"}

    assert find_program("tool", environ, "win32") is None


def test_on_windows_an_ending_that_is_given_is_kept(folders: dict[str, Path]) -> None:
    environ = {"PATH": os.pathsep.join(["", str(folders["programs"])]), "PATHEXT": ".COM;.EXE"}

    found = find_program("tool.EXE", environ, "win32")

    assert found == str(folders["programs"] / "tool.EXE")


def test_a_program_of_windows_is_named_in_full() -> None:
    environ = {"SYSTEMROOT": "D:\\Windows"}

    assert system_program("schtasks", environ, "win32") == "D:\\Windows\\System32\\schtasks.exe"
    assert system_program("powershell", {}, "win32") == (
        "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe"
    )
    assert system_program("systemctl", environ, "linux") == "systemctl"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notepad", ["notepad"]),
        ('"C:\\My Tools\\edit.exe" --wait', ["C:\\My Tools\\edit.exe", "--wait"]),
        ("C:\\bin\\code.cmd -w it's", ["C:\\bin\\code.cmd", "-w", "it's"]),
        ('edit "" # 1', ["edit", "", "#", "1"]),
    ],
)
def test_on_windows_a_backslash_is_part_of_a_path(text: str, words: list[str]) -> None:
    assert command_words(text, "win32") == words


def test_elsewhere_a_command_is_read_as_a_shell_reads_it() -> None:
    assert command_words("edit 'my file' a\\ b", "linux") == ["edit", "my file", "a b"]


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_quote_without_its_end_is_told(platform: str) -> None:
    with pytest.raises(ValueError, match="quotation"):
        command_words('edit "my file', platform)


def starts(path: Path) -> list[ast.Call]:
    names = {"subprocess.Popen", "subprocess.run", "asyncio.create_subprocess_exec"}
    calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    return [
        node for node in calls if isinstance(node, ast.Call) and ast.unparse(node.func) in names
    ]


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(SOURCES.rglob("*.py")) if starts(path)],
    ids=lambda path: path.relative_to(SOURCES).as_posix(),
)
def test_no_child_flashes_a_window(path: Path) -> None:
    if path.relative_to(SOURCES).as_posix() in IN_THE_TERMINAL | NOT_ON_WINDOWS:
        return
    for call in starts(path):
        given = {each.arg: ast.unparse(each.value) for each in call.keywords}
        assert given.get("creationflags") == "APART", f"line {call.lineno}"
