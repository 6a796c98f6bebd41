"""The doctor: finds what is wrong, says what mends it, and is ill of nothing itself."""

import asyncio
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentctl.core.doctor import run_checks
from agentctl.core.doctor_checks import Check
from agentctl.core.paths import Paths, find_paths, make_private
from agentctl.core.storage import open_database, schema_version
from tests.support.ollama_server import ScriptedOllama

NAMES = [
    "python",
    "configuration",
    "folders",
    "disk",
    "memory",
    "gpu",
    "ollama",
    "embedded",
    "database",
    "agents",
    "sandbox",
]
MODEL_BYTES = 98_362_432
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has bubblewrap")


class Patient:
    """A user with an empty home, an empty PATH, and no Ollama."""

    def __init__(self, folder: Path, ollama_url: str) -> None:
        self.programs = folder / "bin"
        self.programs.mkdir()
        self.environ = {
            "AGENTCTL_HOME": str(folder / "home"),
            "PATH": str(self.programs),
            "AGENTCTL_OLLAMA_HOST": ollama_url,
        }
        self.folder = folder

    @property
    def paths(self) -> Paths:
        return find_paths(self.environ)

    def install(self, program: str, script: str = "exit 0") -> None:
        path = self.programs / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def checks(self, deadline_s: float = 30.0) -> dict[str, Check]:
        """Every check by its name; all of them keep to the form."""
        found = asyncio.run(
            run_checks(self.paths, self.environ, self.folder, deadline_s=deadline_s)
        )
        assert [each.name for each in found] == NAMES
        assert all(each.detail and "\n" not in each.detail for each in found)
        assert all((each.status == "ok") == (not each.fix) for each in found)
        return {each.name: each for each in found}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that stays free, so that nothing answers there."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture
def patient(tmp_path: Path, closed_port: int) -> Patient:
    return Patient(tmp_path, f"http://127.0.0.1:{closed_port}")


# On the whole


def test_a_fresh_home_has_no_errors_and_stays_empty(patient: Patient) -> None:
    checks = patient.checks()
    assert [each for each in checks.values() if each.status == "error"] == []
    assert checks["configuration"].detail == "set in environment"
    assert checks["database"].detail == "made at first use"
    assert not (patient.folder / "home").exists()


def test_a_broken_configuration_is_one_finding_among_the_others(patient: Patient) -> None:
    make_private(patient.paths.config)
    patient.paths.settings.write_text("[ollama]\nhots = 1\n")
    checks = patient.checks()
    assert checks["configuration"] == Check(
        "configuration",
        "error",
        f"{patient.paths.settings}:2: unknown key ollama.hots (did you mean ollama.host?)",
        "agentctl config edit",
    )
    others = [each.status for each in checks.values() if each.name != "configuration"]
    assert "error" not in others


def test_the_sources_of_the_configuration_are_named(patient: Patient) -> None:
    make_private(patient.paths.config)
    patient.paths.settings.write_text("model = 'a'\n")
    detail = patient.checks()["configuration"].detail
    assert detail == f"set in {patient.paths.settings}, environment"


@on_linux
def test_what_hangs_is_given_up(patient: Patient) -> None:
    patient.install("bwrap", "exec /usr/bin/tail -f /dev/null")
    sandbox = patient.checks(deadline_s=1.0)["sandbox"]
    assert sandbox.status == "warning"


def test_this_python_will_do(patient: Patient) -> None:
    python = patient.checks()["python"]
    assert python.status == "ok"
    assert python.detail.startswith(f"Python {sys.version.split()[0]}, 64 bit, ")


# Folders


def test_a_file_in_the_place_of_a_folder(patient: Patient) -> None:
    (patient.folder / "home").write_text("in the way")
    folders = patient.checks()["folders"]
    home = patient.folder / "home"
    assert folders.status == "error"
    assert folders.detail == f"{home} is a file, not a folder"
    assert folders.fix == f"mv {home} {home}.old"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_a_folder_that_others_may_enter(patient: Patient) -> None:
    make_private(patient.paths.data).chmod(0o755)
    assert patient.checks()["folders"] == Check(
        "folders",
        "warning",
        f"others may enter {patient.paths.data}",
        f"chmod 700 {patient.paths.data}",
    )


# Ollama


def test_ollama_that_answers(patient: Patient) -> None:
    with ScriptedOllama(version="0.24.0") as server:
        patient.environ["AGENTCTL_OLLAMA_HOST"] = server.url
        ollama = patient.checks()["ollama"]
    assert ollama.status == "ok"
    assert ollama.detail.startswith(
        f"Ollama 0.24.0 at {server.url}, context window 8,192 tokens, 1 models: "
    )


def test_ollama_without_a_model(patient: Patient) -> None:
    with ScriptedOllama(models=[]) as server:
        patient.environ["AGENTCTL_OLLAMA_HOST"] = server.url
        ollama = patient.checks()["ollama"]
    assert (ollama.status, ollama.fix) == ("warning", "agentctl models pull qwen3:4b")


def test_a_port_that_never_answers(patient: Patient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        patient.environ["AGENTCTL_OLLAMA_HOST"] = f"127.0.0.1:{server.getsockname()[1]}"
        ollama = patient.checks(deadline_s=1.0)["ollama"]
    assert ollama.status == "warning"
    assert ollama.detail.startswith(("no first byte from http://127.0.0.1", "no result within"))


def test_no_ollama_and_no_embedded_model(patient: Patient) -> None:
    ollama = patient.checks()["ollama"]
    assert (ollama.status, ollama.detail) == ("warning", "not installed")
    assert "install" in ollama.fix


def test_ollama_that_starts_when_it_is_needed(patient: Patient) -> None:
    patient.install("ollama")
    assert patient.checks()["ollama"].detail == (
        "not running; it starts when one of its models is asked for"
    )


def test_ollama_that_the_user_starts(patient: Patient) -> None:
    patient.install("ollama")
    patient.environ["AGENTCTL_OLLAMA_START"] = "no"
    ollama = patient.checks()["ollama"]
    assert (ollama.status, ollama.fix) == ("warning", "ollama serve")


def test_an_address_that_is_none(patient: Patient) -> None:
    patient.environ["AGENTCTL_OLLAMA_HOST"] = "ftp://127.0.0.1"
    ollama = patient.checks()["ollama"]
    assert (ollama.status, "is no http or https address" in ollama.detail) == ("error", True)


# The embedded engine


def put_model(patient: Patient, size: int) -> Path:
    path = make_private(patient.paths.models) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    with path.open("wb") as file:
        file.truncate(size)
    return path


def test_the_default_model_is_installed(patient: Patient) -> None:
    put_model(patient, MODEL_BYTES)
    checks = patient.checks()
    assert checks["embedded"].status == "ok"
    assert checks["embedded"].detail.endswith("smollm2-135m is installed")
    assert checks["ollama"].detail == "not installed; the embedded engine answers"


def test_a_model_of_the_wrong_size(patient: Patient) -> None:
    path = put_model(patient, 7)
    embedded = patient.checks()["embedded"]
    assert embedded.status == "warning"
    assert f"{path} has 7 bytes, not 98,362,432" in embedded.detail
    assert embedded.fix == "agentctl models pull smollm2-135m"


def test_a_missing_model(patient: Patient) -> None:
    embedded = patient.checks()["embedded"]
    assert embedded.status == "warning"
    assert embedded.fix == "agentctl models pull smollm2-135m"


def test_a_missing_model_file(patient: Patient) -> None:
    patient.environ["AGENTCTL_EMBEDDED_MODEL"] = "mine.gguf"
    embedded = patient.checks()["embedded"]
    assert embedded.detail.endswith("mine.gguf is not installed")
    assert embedded.fix == "agentctl config set embedded.model smollm2-135m"


def test_a_model_file_is_found_from_the_working_directory(patient: Patient) -> None:
    patient.environ["AGENTCTL_EMBEDDED_MODEL"] = "mine.gguf"
    (patient.folder / "mine.gguf").write_bytes(b"GGUF")
    assert patient.checks()["embedded"].status == "ok"


def test_a_model_that_no_catalogue_knows(patient: Patient) -> None:
    patient.environ["AGENTCTL_EMBEDDED_MODEL"] = "smolm2-135m"
    embedded = patient.checks()["embedded"]
    assert embedded.status == "error"
    assert "did you mean smollm2-135m?" in embedded.detail


# The database


def test_a_sound_database(patient: Patient) -> None:
    open_database(patient.paths.database).close()
    database = patient.checks()["database"]
    assert database.status == "ok"
    assert database.detail.endswith(f"schema {schema_version()}")


def test_a_database_in_use(patient: Patient) -> None:
    with closing(open_database(patient.paths.database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert patient.checks()["database"].status == "ok"


def test_a_newer_database(patient: Patient) -> None:
    with closing(open_database(patient.paths.database)) as connection:
        connection.execute(f"PRAGMA user_version = {schema_version() + 1}")
    database = patient.checks()["database"]
    assert (database.status, database.fix) == ("error", "pip install --upgrade agentctl")
    assert "written by a newer agentctl" in database.detail


def test_a_file_that_is_no_database(patient: Patient) -> None:
    make_private(patient.paths.data)
    patient.paths.database.write_bytes(b"not a database " * 100)
    database = patient.checks()["database"]
    assert (database.status, "file is not a database" in database.detail) == ("error", True)


def test_a_damaged_page(patient: Patient) -> None:
    make_private(patient.paths.data)
    with closing(sqlite3.connect(patient.paths.database)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("INSERT INTO t VALUES (1)")
        connection.commit()
    data = bytearray(patient.paths.database.read_bytes())
    data[4096:4196] = b"\xff" * 100
    patient.paths.database.write_bytes(data)
    database = patient.checks()["database"]
    assert database.status == "error"
    assert f"{patient.paths.database} is damaged: " in database.detail


# What the user has written for agents


def test_rules_and_agents_that_a_run_would_refuse(patient: Patient) -> None:
    make_private(patient.paths.agents)
    patient.paths.permissions.write_text("[[rule]]\nx = 1\n")
    own = patient.paths.agents / "mine.toml"
    own.write_text("nmae = 'mine'\n")
    agents = patient.checks()["agents"]
    assert agents.status == "error"
    assert f"{own}:1: unknown key nmae (did you mean name?)" in agents.detail
    assert f"{patient.paths.permissions}:1: " in agents.detail
    assert f"correct line 1 of {own}" in agents.fix


@pytest.mark.skipif(sys.platform == "win32", reason="the command is for a POSIX shell")
def test_the_mend_of_a_damaged_database_sets_it_aside(patient: Patient) -> None:
    import subprocess

    make_private(patient.paths.data)
    patient.paths.database.write_bytes(b"not a database " * 100)
    command = patient.checks()["database"].fix.partition(": ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    assert (patient.paths.data / "damaged" / "agentctl.db").exists()
    assert patient.checks()["database"].detail == "made at first use"


# The sandbox


@on_linux
def test_a_missing_sandbox_names_the_package(patient: Patient) -> None:
    patient.install("dnf")
    sandbox = patient.checks()["sandbox"]
    assert (sandbox.status, sandbox.fix) == ("warning", "sudo dnf install bubblewrap")


@on_linux
def test_a_sandbox_that_works(patient: Patient) -> None:
    patient.install("bwrap")
    assert patient.checks()["sandbox"].detail == f"{patient.programs / 'bwrap'} works"


@on_linux
def test_a_sandbox_that_the_system_forbids(patient: Patient) -> None:
    patient.install("bwrap", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1")
    sandbox = patient.checks()["sandbox"]
    assert sandbox.status == "warning"
    assert sandbox.detail == (
        "bubblewrap does not work: bwrap: setting up uid map: Permission denied"
    )
