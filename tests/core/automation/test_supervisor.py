"""What becomes of an Ollama that is silent, hangs, dies, or is none at all."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.automation.journal import Journal, JournalEntry
from agentctl.core.automation.measurements import BackendState
from agentctl.core.automation.supervisor import ModelSupervisor
from agentctl.core.backends.ollama_process import find_started, start_server
from agentctl.core.backends.ollama_server import OllamaServer
from agentctl.core.backends.transport import Endpoint
from agentctl.core.config import load_config
from agentctl.core.errors import AgentctlError, BackendFailed
from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database
from tests.support.file_server import FileServer
from tests.support.ollama_program import OllamaProgram, free_port, is_alive
from tests.support.ollama_server import ScriptedModel, ScriptedOllama

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the stand-in for Ollama is a script with a shebang"
)

PATIENCE_S = 1.0
NO_MEMORY = BackendFailed("model requires more system memory (5.6 GiB) than is available")


class Bench:
    """A supervisor whose clock only its own pauses and the test move."""

    def __init__(self, paths: Paths, url: str, connection: sqlite3.Connection) -> None:
        self.paths = paths
        self.url = url
        self.clock = 0.0
        self.pauses: list[float] = []
        self.paused = asyncio.Event()
        self.told: list[str] = []
        self.seen_while_pausing: list[BackendState] = []
        self._journal = Journal(connection)

    def supervisor(
        self, program: OllamaProgram | None = None, start_s: float = 30.0, **variables: str
    ) -> ModelSupervisor:
        environ = {
            "AGENTCTL_MODEL": "ollama:qwen3:4b",
            "AGENTCTL_OLLAMA_HOST": self.url,
            **{f"AGENTCTL_{name}": value for name, value in variables.items()},
        }
        self.settings = load_config(self.paths, environ, self.paths.config).settings
        self.made = ModelSupervisor(
            self.settings,
            self.paths,
            {"PATH": str(program.folder) if program else ""},
            self._journal,
            notify=self._notify,
            monotonic=lambda: self.clock,
            sleep=self._sleep,
            random=lambda: 0.5,
            patience_s=PATIENCE_S,
            start_s=start_s,
        )
        return self.made

    def entries(self) -> list[JournalEntry]:
        return self._journal.since("")

    def messages(self) -> list[tuple[str, str]]:
        return [(each.level, each.message) for each in self.entries()]

    async def _notify(self, title: str, text: str) -> None:
        self.told.append(f"{title}: {text}")

    async def _sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.pauses.append(seconds)
        self.seen_while_pausing.append(self.made.state)
        self.paused.set()
        await asyncio.sleep(0)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "agentctl")})


@pytest.fixture
def connection(paths: Paths) -> Iterator[sqlite3.Connection]:
    with closing(open_database(paths.database)) as connection:
        yield connection


@pytest.fixture
def program(tmp_path: Path) -> Iterator[OllamaProgram]:
    with OllamaProgram(tmp_path / "bin") as program:
        yield program


@pytest.fixture
def bench(paths: Paths, program: OllamaProgram, connection: sqlite3.Connection) -> Bench:
    return Bench(paths, program.url, connection)


def check(supervisor: ModelSupervisor) -> BackendState:
    return asyncio.run(supervisor.check())


def start_by_command(bench: Bench, program: OllamaProgram) -> None:
    """As `ask` does it."""
    server = OllamaServer(Endpoint(program.url, 5, 5, 5))
    asyncio.run(start_server(server, bench.paths, {"PATH": str(program.folder)}))


def start_by_hand(program: OllamaProgram) -> subprocess.Popen[bytes]:
    """As the user does it."""
    process = subprocess.Popen(
        [program.folder / "ollama", "serve"],
        env={"OLLAMA_HOST": program.url},
        stdout=subprocess.DEVNULL,
    )
    while True:
        try:
            socket.create_connection(("127.0.0.1", program.port)).close()
        except ConnectionRefusedError:
            continue
        return process


# Health


def test_a_healthy_server_is_told_with_the_share_of_its_models_on_the_gpu(
    bench: Bench,
) -> None:
    models = [ScriptedModel(loaded_vram=0.5), ScriptedModel("other")]
    with ScriptedOllama(models=models) as ollama:
        bench.url = ollama.url
        state = check(bench.supervisor())

    assert state.status == "healthy"
    (model,) = state.loaded_models
    assert (model.name, model.gpu_percent, model.context_window) == ("scripted:1b", 50.0, 8192)
    assert bench.messages() == []


@pytest.mark.parametrize("model", ["auto", "embedded:smollm2-135m", "smollm2-135m", "a/b.gguf"])
def test_where_nobody_wants_a_server_none_is_started_and_nothing_said(
    bench: Bench, program: OllamaProgram, model: str
) -> None:
    state = check(bench.supervisor(program, MODEL=model))

    assert (state.status, program.starts, bench.messages(), bench.told) == ("off", [], [], [])


# Mending


def test_a_server_that_is_wanted_and_not_there_is_started(
    bench: Bench, program: OllamaProgram
) -> None:
    state = check(bench.supervisor(program))

    assert state.status == "healthy"
    assert len(program.starts) == 1
    ((level, message),) = bench.messages()
    assert level == "warning"
    assert message.startswith("Ollama was silent; restarted, answering after ")
    assert bench.seen_while_pausing[0].status == "retrying"
    assert bench.pauses[:2] == [1.0, 3.0]
    assert bench.told == []


def test_a_server_that_comes_back_by_itself_is_not_restarted(
    bench: Bench, program: OllamaProgram
) -> None:
    start_by_command(bench, program)
    supervisor = bench.supervisor(program)
    program.hang()

    async def check_and_go_on() -> BackendState:
        checking = asyncio.create_task(supervisor.check())
        await bench.paused.wait()
        program.go_on()
        return await checking

    assert asyncio.run(check_and_go_on()).status == "healthy"
    assert len(program.starts) == 1
    assert bench.messages() == []


def test_a_server_of_ours_that_hangs_is_ended_with_its_engine_and_started_anew(
    bench: Bench, program: OllamaProgram
) -> None:
    start_by_command(bench, program)
    program.hang()

    state = check(bench.supervisor(program))

    assert state.status == "healthy"
    first, second = program.starts
    assert (is_alive(first), is_alive(second)) == (False, True)
    assert [is_alive(pid) for pid in program.runners] == [False, True]
    assert "Ollama was hanging; restarted" in bench.messages()[0][1]


def test_the_engine_that_a_dead_server_left_behind_is_ended_too(
    bench: Bench, program: OllamaProgram
) -> None:
    start_by_command(bench, program)
    os.kill(program.starts[0], signal.SIGKILL)

    assert check(bench.supervisor(program)).status == "healthy"

    assert [is_alive(pid) for pid in program.runners] == [False, True]


def test_a_new_daemon_takes_over_what_the_last_one_started(
    bench: Bench, program: OllamaProgram
) -> None:
    check(bench.supervisor(program))
    program.hang()

    assert check(bench.supervisor(program)).status == "healthy"
    assert len(program.starts) == 2


def test_a_server_that_dies_at_its_first_start_is_started_again(
    bench: Bench, program: OllamaProgram
) -> None:
    program.act("die", "serve")

    assert check(bench.supervisor(program)).status == "healthy"
    assert len(program.starts) == 2
    assert 5.0 in bench.pauses


def test_a_server_that_never_starts_is_given_up_after_three_attempts_and_told_once(
    bench: Bench, program: OllamaProgram
) -> None:
    program.act("die")
    supervisor = bench.supervisor(program)

    first, second = check(supervisor), check(supervisor)

    assert first == second
    assert (first.status, len(program.starts)) == ("degraded", 3)
    assert first.detail == "ollama serve ended with code 3 (restarted 3 times)"
    assert first.fix == f"its log says why: {bench.paths.ollama_log}"
    assert bench.messages() == [("error", first.detail)]
    assert bench.told == [f"Ollama does not answer: {first.detail}\n{first.fix}"]
    assert bench.paths.ollama_log.read_text() == "start 0\nstart 1\nstart 2\n"


def test_a_server_that_takes_too_long_to_start_is_ended(
    bench: Bench, program: OllamaProgram
) -> None:
    program.act("never")

    state = check(bench.supervisor(program, start_s=0.3))

    assert "did not answer within 0.3 s" in state.detail
    assert not any(map(is_alive, program.starts))


def test_a_degraded_server_that_answers_again_is_healthy_by_itself(
    bench: Bench, program: OllamaProgram
) -> None:
    program.act("die")
    supervisor = bench.supervisor(program)
    check(supervisor)
    program.act("serve")
    by_hand = start_by_hand(program)

    state = check(supervisor)

    by_hand.kill()
    by_hand.wait()
    assert state == BackendState(name="ollama", status="healthy")
    assert bench.messages()[-1] == ("info", "Ollama answers again")


def test_ten_minutes_of_health_allow_three_restarts_anew(
    bench: Bench, program: OllamaProgram
) -> None:
    supervisor = bench.supervisor(program)

    def die_and_check() -> int:
        os.kill(program.starts[-1], signal.SIGKILL)
        check(supervisor)
        return len(program.starts)

    check(supervisor)
    assert [die_and_check(), die_and_check(), die_and_check()] == [2, 3, 3]
    assert supervisor.state.status == "degraded"
    start_by_command(bench, program)
    check(supervisor)
    bench.clock += 600
    check(supervisor)
    assert die_and_check() == 5


def test_loads_that_run_out_of_memory_again_and_again_restart_the_server(
    bench: Bench, program: OllamaProgram
) -> None:
    supervisor = bench.supervisor(program)
    check(supervisor)

    for _ in range(2):
        supervisor.report_failure(NO_MEMORY)
    assert (check(supervisor).status, len(program.starts)) == ("healthy", 1)
    supervisor.report_failure(NO_MEMORY)
    assert (check(supervisor).status, len(program.starts)) == ("healthy", 2)
    assert "Ollama was out of memory; restarted" in bench.messages()[-1][1]


def test_failures_of_other_kinds_are_no_reason_to_restart(
    bench: Bench, program: OllamaProgram
) -> None:
    supervisor = bench.supervisor(program)
    check(supervisor)

    for _ in range(5):
        supervisor.report_failure(AgentctlError("the model does not support tools"))

    assert (check(supervisor).status, len(program.starts)) == ("healthy", 1)


# What is not ours


def test_a_server_that_the_user_started_is_left_alone(bench: Bench, program: OllamaProgram) -> None:
    by_hand = start_by_hand(program)
    program.hang()

    state = check(bench.supervisor(program))

    assert (state.status, by_hand.poll()) == ("degraded", None)
    assert "agentctl config set ollama.restart any" in state.fix
    by_hand.kill()
    by_hand.wait()


def test_any_server_may_be_restarted_where_the_user_says_so(
    bench: Bench, program: OllamaProgram
) -> None:
    by_hand = start_by_hand(program)
    program.hang()

    state = check(bench.supervisor(program, OLLAMA_RESTART="any"))

    assert state.status == "healthy"
    assert not is_alive(by_hand.pid)
    assert [is_alive(pid) for pid in program.runners] == [False, True]


def test_a_foreign_program_that_hangs_on_the_port_is_never_ended(
    bench: Bench, program: OllamaProgram
) -> None:
    with socket.create_server(("127.0.0.1", program.port)):
        state = check(bench.supervisor(program, OLLAMA_RESTART="any"))

    assert (state.status, program.starts) == ("degraded", [])
    assert f"another program has port {program.port}" in state.fix


def test_a_foreign_program_that_answers_on_the_port_is_told_at_once(
    bench: Bench, program: OllamaProgram
) -> None:
    server = FileServer()
    server.serve("/api/version", b"<html>a web site</html>")
    with server.running():
        bench.url = server.url
        state = check(bench.supervisor(program, OLLAMA_RESTART="any"))

    assert (state.status, program.starts, bench.pauses) == ("degraded", [], [])
    assert "is no Ollama" in state.detail
    assert state.fix.startswith("set its address: agentctl config set ollama.host")


def test_a_missing_program_is_told_at_once(bench: Bench) -> None:
    state = check(bench.supervisor())

    assert (state.status, bench.pauses) == ("degraded", [])
    assert "no `ollama` on PATH" in state.detail
    assert state.fix == "get it at https://ollama.com/download"


@pytest.mark.parametrize("name", ["OLLAMA_RESTART", "OLLAMA_START"])
def test_nothing_is_started_against_the_settings(
    bench: Bench, program: OllamaProgram, name: str
) -> None:
    off = {"OLLAMA_RESTART": "off", "OLLAMA_START": "false"}[name]

    state = check(bench.supervisor(program, **{name: off}))

    assert (state.status, program.starts) == ("degraded", [])
    assert state.fix.endswith("ollama serve")


def test_a_server_on_another_machine_is_only_looked_at(
    bench: Bench, program: OllamaProgram
) -> None:
    # No address of the loopback, and yet none that a packet would leave for.
    bench.url = f"http://[0::0]:{free_port()}"

    state = check(bench.supervisor(program))

    assert (state.status, program.starts) == ("degraded", [])
    assert state.fix == f"see to Ollama on its machine: {bench.url}"


# Other settings


def test_settings_of_other_things_give_no_further_attempts(
    bench: Bench, program: OllamaProgram
) -> None:
    program.act("die")
    supervisor = bench.supervisor(program)
    given_up = check(supervisor)

    asyncio.run(
        supervisor.use(replace(bench.settings, log=replace(bench.settings.log, level="debug")))
    )

    assert (check(supervisor), len(program.starts)) == (given_up, 3)


def test_another_model_is_a_fresh_start(bench: Bench, program: OllamaProgram) -> None:
    program.act("die")
    supervisor = bench.supervisor(program)
    check(supervisor)

    asyncio.run(supervisor.use(replace(bench.settings, model="ollama:qwen3:1.7b")))

    assert (check(supervisor).status, len(program.starts)) == ("degraded", 6)


def test_the_server_at_an_address_that_is_left_ends(bench: Bench, program: OllamaProgram) -> None:
    supervisor = bench.supervisor(program)
    check(supervisor)
    elsewhere = replace(bench.settings.ollama, host=f"http://127.0.0.1:{free_port()}")

    asyncio.run(supervisor.use(replace(bench.settings, ollama=elsewhere)))

    assert not any(map(is_alive, [*program.starts, *program.runners]))


# The end of the daemon


def test_what_the_daemon_started_ends_with_it(bench: Bench, program: OllamaProgram) -> None:
    supervisor = bench.supervisor(program)
    check(supervisor)

    asyncio.run(supervisor.stop())

    assert not any(map(is_alive, [*program.starts, *program.runners]))
    assert find_started(bench.paths, program.url) is None


def test_what_a_command_started_stays(bench: Bench, program: OllamaProgram) -> None:
    start_by_command(bench, program)
    supervisor = bench.supervisor(program)
    check(supervisor)

    asyncio.run(supervisor.stop())

    assert is_alive(program.starts[0])


def test_a_number_that_another_process_has_by_now_is_not_ours(
    bench: Bench, program: OllamaProgram
) -> None:
    start_by_command(bench, program)
    record = bench.paths.state / "ollama.json"
    record.write_text(record.read_text().replace(str(program.starts[0]), str(os.getpid())))

    assert find_started(bench.paths, program.url) is None
