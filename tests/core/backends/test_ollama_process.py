"""How `ollama serve` is started, and that nothing of it is left when that fails."""

import asyncio
import os
import shlex
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from agentctl.core.backends.ollama_process import end_started, find_started, start_server
from agentctl.core.backends.ollama_server import OllamaServer
from agentctl.core.backends.transport import Endpoint
from agentctl.core.errors import BackendUnreachable
from agentctl.core.paths import Paths, find_paths
from tests.support.ollama_program import OllamaProgram, free_port, is_alive

ROOT = Path(__file__).parents[3]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path)})


def server_at(url: str) -> OllamaServer:
    return OllamaServer(Endpoint(url, 10, 10, 10))


needs_a_shell = pytest.mark.skipif(sys.platform == "win32", reason="the fake is a shell script")


@contextmanager
def fake_ollama(folder: Path, script: str) -> Iterator[dict[str, str]]:
    """An environment in which `ollama` is a shell script, ended at the end with its children."""
    program = folder / "ollama"
    program.write_text(f"#!/bin/sh\necho $$ > {folder}/pid\n{script}\n")
    program.chmod(0o755)
    try:
        yield {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    finally:
        with suppress(FileNotFoundError, ProcessLookupError):
            os.killpg(int((folder / "pid").read_text()), signal.SIGKILL)


@needs_a_shell
def test_a_started_server_answers_where_it_was_looked_for(tmp_path: Path, paths: Paths) -> None:
    server = server_at(f"http://127.0.0.1:{free_port()}")
    serve = (
        f'echo "$@" on $OLLAMA_HOST\n'
        f"exec {shlex.quote(sys.executable)} -m tests.support.ollama_server"
        f" --port ${{OLLAMA_HOST##*:}}"
    )
    with fake_ollama(tmp_path, serve) as environ:
        asyncio.run(start_server(server, paths, environ))
        assert asyncio.run(server.version())
        assert paths.ollama_log.read_text().startswith(f"serve on {server.endpoint.address}\n")
        assert stat.S_IMODE(paths.ollama_log.stat().st_mode) == 0o600


@needs_a_shell
def test_a_server_that_ends_at_once_is_told_with_its_log(tmp_path: Path, paths: Paths) -> None:
    server = server_at(f"http://127.0.0.1:{free_port()}")
    with (
        fake_ollama(tmp_path, "echo no memory; exit 3") as environ,
        pytest.raises(BackendUnreachable, match="ended with code 3") as caught,
    ):
        asyncio.run(start_server(server, paths, environ))
    assert str(paths.ollama_log) in caught.value.hint
    assert paths.ollama_log.read_text() == "no memory\n"


@needs_a_shell
def test_a_program_that_does_not_run_is_told(tmp_path: Path, paths: Paths) -> None:
    program = tmp_path / "ollama"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    server = server_at("http://127.0.0.1:1")
    with pytest.raises(BackendUnreachable, match="does not start"):
        asyncio.run(start_server(server, paths, {"PATH": str(tmp_path)}))


@needs_a_shell
def test_a_server_that_never_answers_is_told(tmp_path: Path, paths: Paths) -> None:
    server = server_at(f"http://127.0.0.1:{free_port()}")
    with (
        fake_ollama(tmp_path, "sleep 1000") as environ,
        pytest.raises(BackendUnreachable, match=r"did not answer within 0\.2 s"),
    ):
        asyncio.run(start_server(server, paths, environ, deadline_s=0.2))


@needs_a_shell
def test_a_start_that_is_given_up_ends_the_server_with_its_children(
    tmp_path: Path, paths: Paths
) -> None:
    server = server_at(f"http://127.0.0.1:{free_port()}")
    alive = tmp_path / "alive"
    os.mkfifo(alive)

    async def start_and_cancel(environ: dict[str, str]) -> IO[bytes]:
        held: asyncio.Future[IO[bytes]] = asyncio.get_running_loop().create_future()

        async def pause(_: float) -> None:
            held.set_result(await asyncio.to_thread(alive.open, "rb"))
            await asyncio.Event().wait()

        start = asyncio.create_task(
            start_server(server, paths, environ, sleep=pause, deadline_s=100)
        )
        await held
        start.cancel()
        with suppress(asyncio.CancelledError):
            await start
        return held.result()

    with (
        fake_ollama(tmp_path, f"exec 3> {alive}; sleep 1000 & wait") as environ,
        asyncio.run(start_and_cancel(environ)) as held_open,
    ):
        # The end comes when both the shell and its child are gone.
        assert held_open.read() == b""


def test_without_ollama_on_the_path_nothing_is_started(tmp_path: Path, paths: Paths) -> None:
    server = server_at("http://127.0.0.1:1")
    with pytest.raises(BackendUnreachable, match="not installed"):
        asyncio.run(start_server(server, paths, {"PATH": str(tmp_path)}))
    assert not paths.ollama_log.exists()


def test_a_server_on_another_machine_is_not_started(paths: Paths) -> None:
    with pytest.raises(BackendUnreachable, match="http://gpu:11434"):
        asyncio.run(start_server(server_at("http://gpu:11434"), paths, {}))


# How it is known again


@needs_a_shell
def test_a_server_of_ours_is_known_again_and_ended_with_its_engine(
    tmp_path: Path, paths: Paths
) -> None:
    with OllamaProgram(tmp_path / "bin") as program:
        server = server_at(program.url)
        asyncio.run(start_server(server, paths, {"PATH": str(program.folder)}, starter="daemon"))

        started = find_started(paths, program.url)
        assert started is not None
        assert (started.pid, started.starter) == (program.starts[0], "daemon")
        assert find_started(paths, "http://127.0.0.1:1") is None

        end_started(paths, program.url)
        end_started(paths, program.url)

        assert not any(map(is_alive, [*program.starts, *program.runners]))
        assert find_started(paths, program.url) is None


@needs_a_shell
def test_a_server_that_did_not_start_is_not_remembered(tmp_path: Path, paths: Paths) -> None:
    with OllamaProgram(tmp_path / "bin", "die") as program:
        with pytest.raises(BackendUnreachable):
            asyncio.run(start_server(server_at(program.url), paths, {"PATH": str(program.folder)}))
    assert not (paths.state / "ollama.json").exists()


@needs_a_shell
def test_a_long_log_is_set_aside(tmp_path: Path, paths: Paths) -> None:
    paths.state.mkdir(parents=True)
    paths.ollama_log.write_bytes(b"x" * 5_000_001)
    with OllamaProgram(tmp_path / "bin") as program:
        asyncio.run(start_server(server_at(program.url), paths, {"PATH": str(program.folder)}))

    assert paths.ollama_log.read_text() == "start 0\n"
    assert (paths.state / "ollama.log.1").stat().st_size == 5_000_001


def test_a_damaged_record_is_no_server(paths: Paths) -> None:
    paths.state.mkdir(parents=True)
    (paths.state / "ollama.json").write_bytes(b"\xff{")

    assert find_started(paths, "http://127.0.0.1:1") is None
