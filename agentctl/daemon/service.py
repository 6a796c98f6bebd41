"""The daemon as a service of the machine: systemd, launchd or the Task Scheduler starts it.

What such a manager is told is a text that pure functions make; a `Run` runs the manager's commands.
"""

import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from agentctl.core.child_processes import APART, system_program
from agentctl.core.config import key_types, variable_name
from agentctl.core.errors import BackendFailed, UsageProblem
from agentctl.core.paths import Paths, expand

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Run: TypeAlias = Callable[[Sequence[str]], tuple[int, str]]
"""Runs a command: its exit code, and all that it wrote. 127 when there is no such program."""

NAME = "agentctl"
LABEL = "io.agentctl.daemon"
_ABOUT = "agentctl: schedules, watched folders and recovery"
# Exit codes that starting again does not mend: wrong usage, wrong settings.
_HOPELESS = "2 78"
# Seconds between a failure and the next start, and those that an end may take.
_PAUSE_S, _ENDING_S = 5, 30
_SECRET = re.compile("KEY|TOKEN|SECRET|PASSW")
# Besides agentctl's own: where it finds programs and folders.
_KEPT = {"PATH", "OLLAMA_HOST", "OLLAMA_MODELS", "LANG"}
_KEPT |= {f"XDG_{each}_HOME" for each in ("CONFIG", "DATA", "CACHE", "STATE")}
_MISSING = 127
_TASK_SPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_TASK_SETTINGS = {
    "MultipleInstancesPolicy": "IgnoreNew",
    "DisallowStartIfOnBatteries": "false",
    "StopIfGoingOnBatteries": "false",
    "StartWhenAvailable": "true",
    "Hidden": "true",
    "ExecutionTimeLimit": "PT0S",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What is started, and with which variables; those `left_out` may be secrets."""

    command: tuple[str, ...]
    variables: Mapping[str, str]
    left_out: tuple[str, ...]
    home: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that can be installed: a file with a text, and the manager's commands.

    `enable` must succeed one by one, `disable` may fail: what it ends need not run. `probe` is a
    command that succeeds where the manager is at work; `advice` is what else the user may want.
    """

    manager: str
    path: Path
    text: str
    encoding: str
    probe: tuple[str, ...]
    enable: tuple[tuple[str, ...], ...]
    disable: tuple[tuple[str, ...], ...]
    forget: tuple[tuple[str, ...], ...]
    advice: str


def describe_program(
    command: Sequence[str], environ: Mapping[str, str], home: Path, *, secret: str
) -> Program:
    """The daemon of this program, with the variables of agentctl that are in force.

    `secret` names a variable that holds a key; its value never reaches a file.
    """
    settings = {variable_name(key) for key in key_types()}
    variables, left_out = {}, []
    for name, value in sorted(environ.items()):
        if not name.startswith("AGENTCTL_") and name not in {*_KEPT, secret}:
            continue
        # A setting is no secret, whatever its name: keys themselves are never settings.
        if name == secret or (_SECRET.search(name) and name not in settings):
            left_out.append(name)
        elif name == "AGENTCTL_HOME":
            variables[name] = str(expand(value).absolute())
        else:
            variables[name] = value
    return Program(
        command=(*command, "daemon", "run", "--plain"),
        variables=variables,
        left_out=tuple(left_out),
        home=home,
    )


def check_stays(folders: Iterable[Path], environ: Mapping[str, str]) -> None:
    """Raises UsageProblem when the program lies in a folder that will soon be gone."""
    passing = (tempfile.gettempdir(), environ.get("UV_CACHE_DIR"))
    for folder in map(Path.resolve, folders):
        is_below = any(folder.is_relative_to(Path(each).resolve()) for each in passing if each)
        # A launcher's own folder goes when it has unpacked a newer version.
        is_unpacked = (folder / ".unpacked").exists()
        if is_below or is_unpacked or _is_run_once(folder.parts):
            raise UsageProblem(
                f"agentctl runs from {folder}, which is emptied now and then",
                "install it first: pipx install agentctl, or uv tool install agentctl",
            )


def describe_service(
    program: Program, paths: Paths, platform: str, *, user: str, number: int
) -> Service:
    """`platform` is one of `sys.platform`, `user` the account's name, `number` its id."""
    if platform == "win32":
        return _task(program, paths, user)
    return _agent(program, paths, number) if platform == "darwin" else _unit(program, user)


def check_manager(service: Service, run: Run) -> None:
    """Raises UsageProblem when the manager is not at work here."""
    code, told = run(service.probe)
    if code:
        raise UsageProblem(
            f"{service.manager} does not answer here: {_last_line(told)}",
            "start the daemon when you log in: echo 'agentctl daemon start' >> ~/.profile",
        )


def install(service: Service, run: Run) -> None:
    """Writes the file and starts the service, now and whenever the user logs in.

    Raises BackendFailed when the manager refuses.
    """
    service.path.parent.mkdir(parents=True, exist_ok=True)
    service.path.write_text(service.text, encoding=service.encoding)
    service.path.chmod(0o600)
    for command in service.enable:
        code, told = run(command)
        if code:
            raise BackendFailed(
                f"{service.manager} refuses the service: {_last_line(told)}",
                "agentctl daemon uninstall; or do without: agentctl daemon start",
            )


def uninstall(service: Service, run: Run) -> bool:
    """Stops the service and removes it; False when there was none."""
    if not service.path.exists():
        return False
    for command in service.disable:
        run(command)
    service.path.unlink()
    for command in service.forget:
        run(command)
    return True


def run_command(command: Sequence[str]) -> tuple[int, str]:
    """A `Run` for real."""
    import subprocess

    try:
        done = subprocess.run(
            [system_program(command[0]), *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            creationflags=APART,
        )
    except FileNotFoundError:
        return _MISSING, f"there is no {command[0]}"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} does not answer"
    # The tools of Windows write in the old code page.
    encoding = "oem" if sys.platform == "win32" else "utf-8"
    return done.returncode, (done.stdout + done.stderr).decode(encoding, errors="replace")


def systemd_unit(program: Program) -> str:
    """A unit of the user's own manager.

    It has no sandbox around it: the daemon makes one (bubblewrap) for what models write, and that
    needs user namespaces and set-user-id programs, which most of systemd's options take away.
    """
    # The colon: systemd is not to look for variables in the words. It refuses programs with
    # quotes in their paths, which `env` starts.
    words = " ".join(map(_systemd_word, program.command))
    variables = [
        f"Environment={_systemd_word(f'{name}={value}')}"
        for name, value in program.variables.items()
    ]
    return "\n".join(
        [
            "[Unit]",
            f"Description={_ABOUT}",
            "StartLimitIntervalSec=300",
            "StartLimitBurst=10",
            "",
            "[Service]",
            f"ExecStart=:/usr/bin/env {words}",
            *variables,
            "WorkingDirectory=~",
            "Restart=on-failure",
            f"RestartSec={_PAUSE_S}",
            f"RestartPreventExitStatus={_HOPELESS}",
            "KillMode=mixed",
            f"TimeoutStopSec={_ENDING_S}",
            "UMask=0077",
            "# Memory holds what you asked: none of it goes into a core dump.",
            "LimitCORE=0",
            "# A model server that takes too much memory is started again, not the daemon.",
            "OOMPolicy=continue",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    )


def launchd_plist(program: Program, log: Path) -> str:
    """A launch agent, started at login and again when it fails."""
    import plistlib

    settings = {
        "Label": LABEL,
        "ProgramArguments": list(program.command),
        "EnvironmentVariables": dict(program.variables),
        "WorkingDirectory": str(program.home),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": _ENDING_S,
        "Umask": 0o077,
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    return plistlib.dumps(settings).decode()


def windows_task(program: Program, user: str) -> str:
    """A task of the Task Scheduler, started when `user` logs on, without a window or an end."""
    from xml.etree.ElementTree import Element, SubElement, indent, tostring

    task = Element("Task", version="1.2", xmlns=_TASK_SPACE)
    SubElement(SubElement(task, "RegistrationInfo"), "Description").text = _ABOUT
    trigger = SubElement(SubElement(task, "Triggers"), "LogonTrigger")
    principal = SubElement(SubElement(task, "Principals"), "Principal", id="Author")
    settings = SubElement(task, "Settings")
    action = SubElement(SubElement(task, "Actions", Context="Author"), "Exec")
    _fill(trigger, {"Enabled": "true", "UserId": user})
    _fill(
        principal,
        {"UserId": user, "LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"},
    )
    restart = {"Interval": "PT1M", "Count": "10"}
    _fill(settings, _TASK_SETTINGS)
    _fill(SubElement(settings, "RestartOnFailure"), restart)
    # Its child has no window, unlike any console program that the scheduler starts itself.
    _fill(
        action,
        {
            "Command": r"%SystemRoot%\System32\conhost.exe",
            "Arguments": f"--headless {_windows_line(program)}",
            "WorkingDirectory": str(program.home),
        },
    )
    indent(task)
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{tostring(task, encoding="unicode")}\n'


def _unit(program: Program, user: str) -> Service:
    control, unit = ("systemctl", "--user"), f"{NAME}.service"
    return Service(
        manager="systemd",
        path=program.home / ".config" / "systemd" / "user" / unit,
        text=systemd_unit(program),
        encoding="utf-8",
        probe=(*control, "show-environment"),
        enable=((*control, "daemon-reload"), (*control, "enable", "--now", unit)),
        disable=((*control, "disable", "--now", unit),),
        forget=((*control, "daemon-reload"), (*control, "reset-failed", unit)),
        advice=f"it ends when you log out, unless you let it stay: loginctl enable-linger {user}",
    )


def _agent(program: Program, paths: Paths, number: int) -> Service:
    path = program.home / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    stop = ("launchctl", "bootout", f"gui/{number}/{LABEL}")
    return Service(
        manager="launchd",
        path=path,
        text=launchd_plist(program, paths.daemon_log),
        encoding="utf-8",
        probe=("launchctl", "print", f"gui/{number}"),
        enable=(
            ("launchctl", "enable", f"gui/{number}/{LABEL}"),
            ("launchctl", "bootstrap", f"gui/{number}", str(path)),
        ),
        disable=(stop,),
        forget=(),
        advice="",
    )


def _task(program: Program, paths: Paths, user: str) -> Service:
    path = paths.state / "daemon-task.xml"
    control = "schtasks"
    return Service(
        manager="the Task Scheduler",
        path=path,
        text=windows_task(program, user),
        encoding="utf-16",
        probe=(control, "/Query"),
        enable=(
            (control, "/Create", "/TN", NAME, "/XML", str(path), "/F"),
            (control, "/Run", "/TN", NAME),
        ),
        disable=((control, "/End", "/TN", NAME), (control, "/Delete", "/TN", NAME, "/F")),
        forget=(),
        advice="",
    )


def _is_run_once(parts: Sequence[str]) -> bool:
    """Whether that is where `uvx` and `pipx run` put what they run."""
    of_uv = re.compile(r"(archive|builds|environments)-v\d+")
    if "uv" in parts and any(map(of_uv.fullmatch, parts)):
        return True
    return "pipx" in parts and not {".cache", "cache", "Cache"}.isdisjoint(parts)


def _systemd_word(text: str) -> str:
    """Quoted for a unit file: backslashes, quotes, percent signs, ends of lines."""
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("\n", "\\n"), ("\t", "\\t")):
        text = text.replace(sign, written)
    return f'"{text}"'


def _windows_line(program: Program) -> str:
    """The command line. The scheduler has no variables of its own: a shell sets them."""
    from subprocess import list2cmdline

    # What stands in the account has PATH in it already.
    own = {name: each for name, each in program.variables.items() if name != "PATH"}
    if not own and not any("%" in word for word in program.command):
        return list2cmdline(program.command)
    sets = [f"$env:{name} = {_powershell_word(value)}" for name, value in own.items()]
    call = " ".join(["&", *map(_powershell_word, program.command)])
    script = "; ".join([*sets, call, "exit $LASTEXITCODE"])
    return list2cmdline(["powershell.exe", "-NoProfile", "-NonInteractive", "-Command", script])


def _powershell_word(text: str) -> str:
    """A literal; the scheduler would put a variable's value for what stands between two %."""
    quoted = "'" + re.sub("(['\u2018-\u201b])", r"\1\1", text) + "'"
    return "(" + quoted.replace("%", "'+[char]37+'") + ")" if "%" in text else quoted


def _fill(element: "Element", values: Mapping[str, str]) -> None:
    from xml.etree.ElementTree import SubElement

    for name, value in values.items():
        SubElement(element, name).text = value


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it does not say why"])[-1].strip()
