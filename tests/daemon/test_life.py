"""A daemon as a user meets it: processes that start, stop, are killed, and come back."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database
from agentctl.daemon.client import daemon_endpoint, is_answering
from agentctl.daemon.listening import Place
from tests.support.cli import command, environment, run
from tests.support.daemon import running_daemon

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


@pytest.fixture
def env(home: Path) -> Iterator[dict[str, str]]:
    """Whatever daemon a test leaves is ended, with all that it started."""
    variables = environment(home, AGENTCTL_DAEMON_NOTIFY="")
    yield variables
    if (address := address_of(paths_of(variables))) is not None:
        with suppress(psutil.NoSuchProcess):
            psutil.Process(int(str(address["pid"]))).kill()


def paths_of(env: Mapping[str, str]) -> Paths:
    return find_paths(env)


def address_of(paths: Paths) -> dict[str, object] | None:
    try:
        told: dict[str, object] = json.loads(paths.daemon_address.read_text())
    except FileNotFoundError:
        return None
    return told


def pid_of(env: Mapping[str, str]) -> int:
    address = address_of(paths_of(env))
    assert address is not None
    return int(str(address["pid"]))


def ok(*arguments: str, env: Mapping[str, str]) -> str:
    done = run(*arguments, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def data(*arguments: str, env: Mapping[str, str]) -> dict[str, object]:
    told: dict[str, object] = json.loads(ok(*arguments, "--json", env=env))["data"]
    return told


def kill(env: Mapping[str, str]) -> None:
    process = psutil.Process(pid_of(env))
    process.kill()
    process.wait(60)


def script(folder: Path, text: str, delay_s: float = 0.0) -> str:
    path = folder / "script.jsonl"
    path.write_text(json.dumps({"text": text, "delay_s": delay_s}))
    return f"scripted:{path}"


def journal(env: Mapping[str, str]) -> list[str]:
    connection = open_database(paths_of(env).database)
    try:
        return [row[0] for row in connection.execute("SELECT message FROM journal ORDER BY id")]
    finally:
        connection.close()


def test_it_starts_once_says_so_and_stops(env: dict[str, str]) -> None:
    started = data("daemon", "start", env=env)
    process = psutil.Process(int(str(started["pid"])))
    again = run("daemon", "start", env=env)
    served = run("serve", env=env)
    unsafe = run("serve", "--host", "0.0.0.0", env=env)  # noqa: S104 - refused
    status = data("daemon", "status", env=env)
    stopped = ok("daemon", "stop", env=env)

    assert status["pid"] == started["pid"] and status["status"] == "healthy"
    assert again.returncode == 75
    assert "agentctl daemon status" in again.stderr
    assert (served.returncode, unsafe.returncode) == (75, 2)
    assert "agentctl daemon stop" in served.stderr
    assert stopped == "the daemon was stopped\n"
    assert data("daemon", "status", env=env) == {"status": "stopped"}
    process.wait(60)
    assert journal(env)[-1] == "the daemon was stopped"


def test_only_its_owner_may_read_where_it_listens(env: dict[str, str]) -> None:
    ok("daemon", "start", env=env)
    paths = paths_of(env)

    if os.name == "posix":
        assert paths.daemon_address.stat().st_mode & 0o777 == 0o600
        assert paths.state.stat().st_mode & 0o777 == 0o700
    token = str((address_of(paths) or {})["token"])
    assert token not in " ".join(psutil.Process(pid_of(env)).cmdline())
    assert token not in paths.log.read_text() if paths.log.exists() else True
    ok("daemon", "stop", env=env)


def test_what_a_kill_leaves_behind_is_no_trouble_and_is_told(env: dict[str, str]) -> None:
    ok("daemon", "start", env=env)
    kill(env)
    assert paths_of(env).daemon_address.exists()

    without = run("sessions", "list", env=env)
    status = data("daemon", "status", env=env)
    ok("daemon", "start", env=env)
    report = ok("daemon", "report", env=env)

    assert without.returncode == 0
    assert status == {"status": "stopped"}
    assert "had ended without being stopped" in report
    assert "started 2 times" in report


@posix_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(env: dict[str, str], number: int) -> None:
    ok("daemon", "start", env=env)
    process = psutil.Process(pid_of(env))
    process.send_signal(number)
    process.wait(60)

    assert journal(env)[-1] == "the daemon was stopped"
    assert address_of(paths_of(env)) is None


def test_a_port_that_is_taken_is_named_with_the_mend(env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("daemon", "run", "--port", str(port), env=env)

    assert done.returncode == 75
    assert str(port) in done.stderr
    assert "--port 0" in done.stderr


def test_another_address_needs_tls(env: dict[str, str]) -> None:
    done = run("serve", "--host", "0.0.0.0", env=env)  # noqa: S104 - that is refused

    assert done.returncode == 2
    assert "--tls-cert" in done.stderr


def test_a_damaged_database_is_kept_and_told(env: dict[str, str]) -> None:
    ok("sessions", "list", env=env)
    paths = paths_of(env)
    damaged = b"SQLite format 3\0" + b"\xff" * 8192
    paths.database.write_bytes(damaged)
    for ending in ("-wal", "-shm"):
        Path(f"{paths.database}{ending}").unlink(missing_ok=True)

    ok("daemon", "start", env=env)
    status = run("daemon", "status", env=env)
    doctor = run("doctor", env=env)

    (kept,) = paths.data.glob("agentctl.db.damaged-*")
    assert kept.read_bytes() == damaged
    assert status.returncode == 1
    assert str(kept) in status.stderr
    assert str(kept) in doctor.stdout
    assert ok("sessions", "list", env=env) is not None


def wait_until(is_so: Callable[[], bool], env: Mapping[str, str]) -> None:
    """Looks again and again, by a command each time, which takes long enough."""
    for _ in range(200):
        if is_so():
            return
        run("--version", env=env)
    raise AssertionError("it did not come to that")


def test_settings_that_change_are_used_and_broken_ones_are_not(env: dict[str, str]) -> None:
    ok("daemon", "start", env=env)
    before = str((address_of(paths_of(env)) or {})["settings"])
    settings = paths_of(env).settings

    ok("config", "set", "knowledge.passages", "3", env=env)
    wait_until(lambda: str((address_of(paths_of(env)) or {})["settings"]) != before, env)
    changed = str((address_of(paths_of(env)) or {})["settings"])
    settings.write_text("[knowledge]\npassages = 'many'\n")
    wait_until(lambda: any("stay in force" in line for line in journal(env)), env)

    assert str((address_of(paths_of(env)) or {})["settings"]) == changed
    assert "the settings were changed, and are in force" in journal(env)
    settings.unlink()


def test_a_stop_keeps_what_was_answered_until_then(env: dict[str, str], home: Path) -> None:
    model = script(home, "word " * 2000, delay_s=0.05)
    ok("daemon", "start", env=env)
    asking = subprocess.Popen(
        command("ask", "-m", model, "count", "--jsonl"), env=env, stdout=subprocess.PIPE
    )
    assert asking.stdout is not None
    lines = iter(asking.stdout.readline, b"")
    assert any(b'"text"' in line for line in lines)
    ok("daemon", "stop", env=env)
    *_, last = lines
    asking.wait(60)

    told = json.loads(last)
    session = data("sessions", "show", "latest", env=env)
    assert (told["type"], told["status"]) == ("run_finished", "cancelled")
    assert told["answer"].startswith("word word")
    assert told["answer"] in json.dumps(session)


def test_a_command_whose_settings_differ_does_its_work_itself(
    env: dict[str, str], home: Path
) -> None:
    ok("daemon", "start", env=env)
    os.kill(pid_of(env), signal.SIGSTOP if sys.platform != "win32" else signal.SIGTERM)
    try:
        done = run("sessions", "list", env=env | {"AGENTCTL_KNOWLEDGE_PASSAGES": "2"})
    finally:
        if sys.platform != "win32":
            os.kill(pid_of(env), signal.SIGCONT)

    assert done.returncode == 0
    ok("daemon", "stop", env=env)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="nothing here makes a certificate")
def test_with_tls_other_machines_come_in_and_commands_still_do(home: Path) -> None:
    names = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    key, certificate = home / "key.pem", home / "certificate.pem"
    subprocess.run(
        [*names, "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=localhost"],
        check=True,
        capture_output=True,
    )
    place = Place(host="127.0.0.1", certificate=str(certificate), key=str(key))
    listening: list[str] = []

    with running_daemon(home / "agentctl", place=place, told=listening.append) as address:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        with urllib.request.urlopen(f"{listening[0]}/health", context=context) as answer:
            outside = json.load(answer)
        inside = asyncio.run(is_answering(daemon_endpoint(address)))

    assert listening[0].startswith("https://")
    assert outside == {"status": "healthy"}
    assert inside
