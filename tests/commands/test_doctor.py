"""`agentctl doctor` as a command; what it looks at is in tests/core/test_doctor.py."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.cli import environment, run, with_ollama
from tests.support.ollama_server import ScriptedOllama


def test_every_check_is_a_line_and_what_is_amiss_has_its_mend_below(home: Path) -> None:
    done = run("doctor", env=environment(home))

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    marks = [line.split()[0] for line in lines]
    assert set(marks) == {"ok", "warning", "do:"}
    assert marks[0] == "ok"
    assert marks.count("warning") == marks.count("do:")
    embedded = next(number for number, line in enumerate(lines) if "embedded:" in line)
    assert lines[embedded + 1].strip() == "do: agentctl models pull smollm2-135m"


def test_json_lists_the_checks_of_the_contract(home: Path) -> None:
    with ScriptedOllama() as server:
        done = run("doctor", "--json", env=with_ollama(home, server))

    data = json.loads(done.stdout)["data"]
    assert data["ok"] is True
    assert all(list(check) == ["name", "status", "detail", "fix"] for check in data["checks"])
    ollama = next(check for check in data["checks"] if check["name"] == "ollama")
    assert (ollama["status"], ollama["fix"]) == ("ok", "")


def test_an_error_among_the_checks_is_exit_1(home: Path) -> None:
    (home / "agentctl").mkdir()
    (home / "agentctl" / "data").touch()
    done = run("doctor", "--json", env=environment(home))

    data = json.loads(done.stdout)["data"]
    assert (done.returncode, data["ok"], done.stderr) == (1, False, "")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_database_that_may_not_be_written(home: Path) -> None:
    env = environment(home)
    run("sessions", "list", env=env)
    database = home / "agentctl" / "data" / "agentctl.db"
    database.chmod(0o400)
    done = run("doctor", env=env, is_superuser=False)

    assert done.returncode == 1
    assert f"ERROR    database: {database} cannot be read and written" in done.stdout
    assert f"do: chmod u+rw {database}" in done.stdout


def test_it_works_with_a_broken_configuration(home: Path) -> None:
    config = home / "agentctl" / "config"
    config.mkdir(parents=True)
    (config / "config.toml").write_text("modle = 'x'")
    done = run("doctor", env=environment(home))

    assert done.returncode == 1
    assert f"ERROR    configuration: {config / 'config.toml'}:1: unknown key modle" in done.stdout
    assert "do: agentctl config edit" in done.stdout
