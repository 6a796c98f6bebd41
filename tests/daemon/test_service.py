"""The daemon as a service: what each manager is told, and in which order."""

import os
import plistlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agentctl.core.errors import BackendFailed, UsageProblem
from agentctl.core.paths import find_paths
from agentctl.daemon.process import lasting_command, own_command
from agentctl.daemon.service import (
    Program,
    Service,
    check_manager,
    check_stays,
    describe_program,
    describe_service,
    install,
    launchd_plist,
    run_command,
    systemd_unit,
    uninstall,
    windows_task,
)

AWKWARD = '/opt/my tools/100% "mine"/it\'s $HOME\\bin/python'
SPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"

UNIT = """\
[Unit]
Description=agentctl: schedules, watched folders and recovery
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
ExecStart=:/usr/bin/env "/opt/venv/bin/python" "-m" "agentctl" "daemon" "run" "--plain"
Environment="AGENTCTL_HOME=/home/a b/100%%"
WorkingDirectory=~
Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2 78
KillMode=mixed
TimeoutStopSec=30
UMask=0077
# Memory holds what you asked: none of it goes into a core dump.
LimitCORE=0
# A model server that takes too much memory is started again, not the daemon.
OOMPolicy=continue

[Install]
WantedBy=default.target
"""


def program(
    python: str = "/opt/venv/bin/python",
    environ: Mapping[str, str] | None = None,
    home: Path = Path("/home/me"),
) -> Program:
    command = [python, "-m", "agentctl"]
    return describe_program(command, environ or {}, home, secret="OPENAI_API_KEY")


class Manager:
    """Remembers what it is told; commands that hold one of the `broken` words fail."""

    def __init__(self, *broken: str) -> None:
        self.told: list[str] = []
        self._broken = broken

    def __call__(self, command: Sequence[str]) -> tuple[int, str]:
        line = " ".join(command)
        self.told.append(line)
        if any(word in line for word in self._broken):
            return 1, "first line\nno medium found\n"
        return 0, ""


def service(home: Path, platform: str = "linux") -> Service:
    paths = find_paths({"AGENTCTL_HOME": str(home / "agentctl")})
    return describe_service(program(home=home), paths, platform, user="me", number=501)


# What is written


def test_a_unit_is_what_it_was() -> None:
    told = program(environ={"AGENTCTL_HOME": "/home/a b/100%"})

    assert systemd_unit(told) == UNIT


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
def test_systemd_accepts_a_unit_with_awkward_paths(tmp_path: Path) -> None:
    python = tmp_path / "my tools" / '100% "mine" \\ it\'s $HOME' / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    unit = tmp_path / "agentctl.service"
    unit.write_text(systemd_unit(program(str(python), {"AGENTCTL_MODEL": 'a "b" \\ %h $X'})))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_plist_says_the_same_when_it_is_read_back() -> None:
    told = program(AWKWARD, {"AGENTCTL_MODEL": "<&>"})

    settings = plistlib.loads(launchd_plist(told, Path("/logs/daemon.log")).encode())

    assert settings["ProgramArguments"] == [AWKWARD, "-m", "agentctl", "daemon", "run", "--plain"]
    assert settings["EnvironmentVariables"] == {"AGENTCTL_MODEL": "<&>"}
    assert settings["KeepAlive"] == {"SuccessfulExit": False}
    assert settings["RunAtLoad"] is True
    assert settings["Umask"] == 0o077
    assert settings["StandardErrorPath"] == "/logs/daemon.log"


def read_task(told: Program) -> dict[str, str]:
    """Each element of a task by the end of its name."""
    text = windows_task(told, "PC\\me")
    assert text.startswith('<?xml version="1.0" encoding="UTF-16"?>')
    root = ElementTree.fromstring(text.partition("\n")[2])  # noqa: S314 - our own
    return {each.tag.removeprefix(SPACE): (each.text or "").strip() for each in root.iter()}


def test_a_task_of_windows_has_no_end_and_runs_on_a_battery() -> None:
    task = read_task(program("C:\\my tools\\python.exe"))

    assert task["ExecutionTimeLimit"] == "PT0S"
    assert task["DisallowStartIfOnBatteries"] == task["StopIfGoingOnBatteries"] == "false"
    assert task["Hidden"] == "true"
    assert task["UserId"] == "PC\\me"
    assert task["Arguments"] == (
        '--headless "C:\\my tools\\python.exe" -m agentctl daemon run --plain'
    )


def test_on_windows_a_shell_sets_the_variables() -> None:
    task = read_task(program("C:\\py.exe", {"AGENTCTL_HOME": "/it's 100%", "PATH": "C:\\bin"}))

    assert "$env:AGENTCTL_HOME = ('/it''s 100'+[char]37+'')" in task["Arguments"]
    assert "& 'C:\\py.exe' '-m' 'agentctl' 'daemon' 'run' '--plain'" in task["Arguments"]
    assert "PATH" not in task["Arguments"]


# What is known of the program


def test_variables_of_agentctl_go_along_and_secrets_stay_behind() -> None:
    told = program(
        environ={
            "AGENTCTL_MODEL": "small",
            "AGENTCTL_TIMEOUTS_FIRST_TOKEN": "60",
            "AGENTCTL_SECRET_THING": "hush",
            "OPENAI_API_KEY": "sk-1",
            "OLLAMA_HOST": "127.0.0.1:9",
            "HOME": "/home/me",
            "GITHUB_TOKEN": "ghp",
        }
    )

    assert told.variables == {
        "AGENTCTL_MODEL": "small",
        "AGENTCTL_TIMEOUTS_FIRST_TOKEN": "60",
        "OLLAMA_HOST": "127.0.0.1:9",
    }
    assert told.left_out == ("AGENTCTL_SECRET_THING", "OPENAI_API_KEY")


def test_a_home_is_written_as_the_whole_path() -> None:
    told = program(environ={"AGENTCTL_HOME": "here"})

    assert told.variables == {"AGENTCTL_HOME": str(Path.cwd() / "here")}


@pytest.mark.parametrize(
    "python",
    [
        f"{tempfile.gettempdir()}/x/bin/python",
        "/home/me/.cache/uv/archive-v0/Ab3/bin/python",
        "/home/me/.cache/pipx/1f/bin/python",
        "/home/me/.local/pipx/.cache/1f/bin/python",
        "/fast/uvs/env/bin/python",
    ],
)
def test_a_program_that_will_soon_be_gone_is_refused(python: str) -> None:
    with pytest.raises(UsageProblem, match="emptied") as caught:
        check_stays([Path(python).parent], {"UV_CACHE_DIR": "/fast/uvs"})

    assert "uv tool install" in caught.value.hint


def test_a_program_that_a_launcher_has_unpacked_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/elsewhere")
    (tmp_path / ".unpacked").touch()

    with pytest.raises(UsageProblem, match=re.escape(str(tmp_path))):
        check_stays([tmp_path], {})


def test_the_service_of_a_single_file_starts_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"_AGENTCTL_LAUNCHER": "/home/me/bin/agentctl", "AGENTCTL_HOME": "/home/me/agentctl"}
    assert lasting_command(environ) == own_command(), "one that was installed is no single file"

    monkeypatch.setattr(sys, "frozen", True, raising=False)
    program = describe_program(lasting_command(environ), environ, Path("/home/me"), secret="KEY")

    assert program.command == ("/home/me/bin/agentctl", "daemon", "run", "--plain")
    assert set(program.variables) == {"AGENTCTL_HOME"}


@pytest.mark.parametrize(
    "python",
    [
        "/usr/bin/python3",
        "/home/me/.local/share/pipx/venvs/agentctl/bin/python",
        "/home/me/.local/share/uv/tools/agentctl/bin/python",
    ],
)
def test_an_installed_program_is_not_refused(python: str) -> None:
    check_stays([Path(python).parent], {})


# What the managers are told


def test_systemd_reads_the_unit_and_starts_it(tmp_path: Path) -> None:
    manager, made = Manager(), service(tmp_path)

    install(made, manager)

    path = tmp_path / ".config/systemd/user/agentctl.service"
    assert path.read_text() == made.text
    assert path.stat().st_mode & 0o777 == 0o600
    assert manager.told == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now agentctl.service",
    ]
    assert "loginctl enable-linger me" in made.advice


def test_launchd_is_given_the_plist(tmp_path: Path) -> None:
    manager = Manager()

    install(service(tmp_path, "darwin"), manager)

    path = tmp_path / "Library/LaunchAgents/io.agentctl.daemon.plist"
    assert plistlib.loads(path.read_bytes())["Label"] == "io.agentctl.daemon"
    assert manager.told[-1] == f"launchctl bootstrap gui/501 {path}"


def test_the_task_scheduler_is_given_utf_16(tmp_path: Path) -> None:
    manager = Manager()

    install(service(tmp_path, "win32"), manager)

    path = tmp_path / "agentctl/state/daemon-task.xml"
    root = ElementTree.parse(path).getroot()  # noqa: S314 - our own
    assert root.tag == f"{SPACE}Task"
    assert manager.told == [
        f"schtasks /Create /TN agentctl /XML {path} /F",
        "schtasks /Run /TN agentctl",
    ]


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_removing_it_twice_is_harmless(tmp_path: Path, platform: str) -> None:
    made = service(tmp_path, platform)
    install(made, Manager())
    manager = Manager("disable", "bootout", "/End")

    assert uninstall(made, manager) is True
    assert not made.path.exists()
    said = len(manager.told)
    assert said > 0

    assert uninstall(made, manager) is False
    assert len(manager.told) == said


def test_where_no_manager_is_at_work_there_is_another_way(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="no medium found") as caught:
        check_manager(service(tmp_path), Manager("show-environment"))

    assert "agentctl daemon start" in caught.value.hint


def test_a_manager_that_refuses_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(BackendFailed, match="systemd refuses the service: no medium found"):
        install(service(tmp_path), Manager("enable"))


def test_a_missing_program_is_an_exit_code() -> None:
    assert run_command(["no-such-program-here"]) == (127, "there is no no-such-program-here")


def test_the_command_shows_what_it_would_write(tmp_path: Path) -> None:
    from tests.support.cli import environment, run

    env = environment(tmp_path)

    shown = run("daemon", "install", "--dry-run", env=env)
    removed = run("daemon", "uninstall", env=env)

    assert shown.returncode == 0, shown.stderr
    assert "daemon" in shown.stdout
    assert "run" in shown.stdout
    assert removed.stdout == "it is not installed\n"
    assert not (tmp_path / ".config").exists()
