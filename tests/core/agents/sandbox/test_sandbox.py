"""Commands in the sandbox, and without one: what they see, what they leave, how they end."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentctl.core.agents.sandbox.bubblewrap import find_bubblewrap
from agentctl.core.agents.sandbox.confinement import Output
from agentctl.core.agents.sandbox.sandbox import Finished, Sandbox, SandboxLimits, probe
from agentctl.core.agents.sandbox.seccomp import seccomp_filter
from agentctl.core.agents.tools.base import Workplace
from agentctl.core.backends.threads import run_to_end
from agentctl.core.errors import SandboxMissing, ToolFailed
from tests.core.agents.sandbox.bait import left_behind
from tests.support.cli import command

LIMITS = SandboxLimits(output_bytes=100_000, memory_bytes=400_000_000)
SANDBOX = Sandbox(os.environ, LIMITS)
STATE = SANDBOX.state()
in_sandbox = pytest.mark.skipif(STATE.kind == "none", reason=STATE.detail)
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a shell")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return place_in(tmp_path)


def place_in(folder: Path) -> Workplace:
    for name in ("work", "scratch"):
        (folder / name).mkdir()
    return Workplace(folder=folder / "work", scratch=folder / "scratch")


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Sandbox]:
    """On a machine without a sandbox, whose user has consented."""
    yield Sandbox({"PATH": str(tmp_path), "AGENTCTL_SECRET": "s3cret"}, LIMITS, consent=True)
    assert left_behind(tmp_path) == []


def shell(
    script: str,
    place: Workplace,
    sandbox: Sandbox = SANDBOX,
    *,
    may_write: bool = False,
    stdin: bytes = b"",
    **limits: float,
) -> Finished:
    own = replace(LIMITS, **limits)  # type: ignore[arg-type]  # sizes are whole numbers
    program = ["/bin/sh", "-c", script]
    return asyncio.run(sandbox.run(program, place, may_write=may_write, stdin=stdin, limits=own))


# Whether there is one.


def test_a_machine_without_bubblewrap(tmp_path: Path) -> None:
    (tmp_path / "apk").write_text("#!/bin/sh\n")
    (tmp_path / "apk").chmod(0o755)
    state = probe({"PATH": str(tmp_path)})

    assert (state.kind, bool(state.detail)) == ("none", True)
    if sys.platform == "linux":
        assert state.fix == "sudo apk add bubblewrap"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has bubblewrap")
def test_a_bubblewrap_that_does_not_work(tmp_path: Path) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: no permissions' >&2; exit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    state = probe({"PATH": str(tmp_path)})

    assert (state.kind, state.detail) == ("none", "bubblewrap does not work: bwrap: no permissions")
    assert state.fix


@in_sandbox
def test_a_bubblewrap_that_works() -> None:
    state, found = find_bubblewrap(os.environ)

    assert (state.kind, state.fix) == ("bubblewrap", "")
    assert found is not None
    assert state.detail == f"{found.program} works"


def test_nothing_runs_without_a_sandbox_or_consent(place: Workplace, tmp_path: Path) -> None:
    sandbox = Sandbox({"PATH": str(tmp_path)}, LIMITS)
    with pytest.raises(SandboxMissing) as caught:
        shell("touch $HOME/x", place, sandbox)

    assert (caught.value.slug, caught.value.exit_code) == ("sandbox-missing", 77)
    assert caught.value.hint == sandbox.state().fix
    assert list(place.scratch.iterdir()) == []


# What a command sees.


@in_sandbox
def test_the_outcome_of_a_command(place: Workplace) -> None:
    finished = shell("echo one; echo two >&2; echo three; cat; exit 3", place, stdin=b"four\n")

    assert finished == Finished(3, "one\ntwo\nthree\nfour\n")


@in_sandbox
def test_a_command_works_in_the_work_folder(place: Workplace) -> None:
    (place.folder / "note.txt").write_text("a note")

    assert shell("pwd; cat note.txt", place).output == f"{place.folder}\na note"


@in_sandbox
def test_its_environment_is_a_new_one(place: Workplace) -> None:
    lines = shell("env", place).output.splitlines()

    assert {line.partition("=")[0] for line in lines} == {
        *("PATH", "HOME", "USER", "LANG", "TERM", "PAGER", "NO_COLOR", "PWD"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONNOUSERSITE"),
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MALLOC_ARENA_MAX"),
    }


@in_sandbox
def test_programs_and_packages_are_there(place: Workplace) -> None:
    script = "import msgspec, sqlite3, sys; print(sys.version_info[:3])"
    finished = shell(f"python3 -c '{script}' && id -un && cat /etc/hosts | wc -l", place)

    assert finished.output == f"{sys.version_info[:3]}\nsandbox\n2\n"


@in_sandbox
def test_the_project_behind_an_editable_install_is_not_there(place: Workplace) -> None:
    finished = shell("python3 -c 'import agentctl.core.agents.sandbox.sandbox'", place)

    assert "ModuleNotFoundError" in finished.output


@in_sandbox
def test_a_command_that_does_not_exist(place: Workplace) -> None:
    finished = asyncio.run(SANDBOX.run(["no-such-program"], place, may_write=False))

    assert finished == Finished(127, "no-such-program: No such file or directory\n")


@in_sandbox
@pytest.mark.parametrize("argument", ["a\0b", "x" * 200_000], ids=["a zero", "too long"])
def test_a_command_that_cannot_be_started(argument: str, place: Workplace) -> None:
    with pytest.raises(ToolFailed, match="cannot be started"):
        asyncio.run(SANDBOX.run(["echo", argument], place, may_write=False))


@in_sandbox
def test_input_that_nobody_reads(place: Workplace) -> None:
    assert shell("exit 0", place, stdin=b"x" * 1_000_000).exit_code == 0


@in_sandbox
def test_commands_beside_each_other(place: Workplace) -> None:
    async def both() -> list[Finished]:
        runs = (SANDBOX.run(["echo", each], place, may_write=False) for each in "abc")
        return await asyncio.gather(*runs)

    assert [each.output for each in asyncio.run(both())] == ["a\n", "b\n", "c\n"]


@in_sandbox
def test_a_command_from_a_loop_in_another_thread(place: Workplace) -> None:
    finished = run_to_end(lambda: SANDBOX.run(["echo", "here"], place, may_write=False))

    assert finished.output == "here\n"


# What it may change.


@in_sandbox
def test_the_work_folder_is_read_only_unless_it_may_write(place: Workplace) -> None:
    assert "Read-only file system" in shell("echo x > new.txt", place).output

    finished = shell(
        "echo x > new.txt && mkdir -p a/b && echo y > a/b/c.txt", place, may_write=True
    )

    assert finished == Finished(0, "", files=("a/b/c.txt", "new.txt"))
    assert (place.folder / "a" / "b" / "c.txt").read_text() == "y\n"
    (place.folder / "new.txt").unlink()


@in_sandbox
def test_only_files_that_were_changed_are_named(place: Workplace) -> None:
    for name in ("same.txt", "changed.txt", "gone.txt"):
        (place.folder / name).write_text(name)
    script = "echo more >> changed.txt; rm gone.txt; cat same.txt > /dev/null; ln -s same.txt link"

    assert shell(script, place, may_write=True).files == ("changed.txt",)


@in_sandbox
def test_the_scratch_folder_can_be_written_to(place: Workplace) -> None:
    finished = shell(f"echo x > {place.scratch}/out.txt; echo y > /tmp/gone.txt", place)

    assert finished.files == (f"{place.scratch}/out.txt",)
    assert (place.scratch / "out.txt").read_text() == "x\n"


@in_sandbox
def test_many_files_are_not_all_named(place: Workplace) -> None:
    finished = shell(f"cd {place.scratch}; for i in $(seq 150); do : > $i; done", place)

    assert len(finished.files) == 100


@in_sandbox
def test_names_that_are_no_text(place: Workplace) -> None:
    script = f"cd {place.scratch} && touch \"$(printf 'a\\377b')\""

    assert shell(script, place).files == (f"{place.scratch}/a\ufffdb",)


@in_sandbox
def test_a_scratch_folder_within_the_work_folder(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    place = Workplace(folder=tmp_path, scratch=tmp_path / "inner")
    finished = shell("echo x > inner/out.txt; echo y > out.txt", place)

    assert finished.files == ("inner/out.txt",)
    assert "Read-only file system" in finished.output


@in_sandbox
def test_a_system_folder_stays_as_it_is(tmp_path: Path) -> None:
    place = Workplace(folder=Path("/usr"), scratch=tmp_path)
    finished = shell("touch /usr/agentctl-new /usr/bin/agentctl-new", place, may_write=True)

    assert finished.output.count("Read-only file system") == 2


@in_sandbox
@pytest.mark.parametrize("folder", ["/", "/proc", "/proc/self", "/dev/shm", "/sys"])  # noqa: S108 - is read
def test_folders_that_cannot_be_shut_in(folder: str, place: Workplace) -> None:
    for there in (replace(place, folder=Path(folder)), replace(place, scratch=Path(folder))):
        with pytest.raises(ToolFailed, match="cannot be shut in"):
            shell("true", there)


@in_sandbox
def test_one_folder_for_both(place: Workplace) -> None:
    with pytest.raises(ToolFailed, match="cannot be both"):
        shell("true", replace(place, scratch=place.folder))


@in_sandbox
@pytest.mark.parametrize("name", ["folder", "scratch"])
def test_a_link_that_code_put_there_is_not_followed(name: str, tmp_path: Path) -> None:
    """Code that may write could replace a folder by a link, for the next time."""
    place = place_in(tmp_path)
    (tmp_path / "outside").mkdir()
    getattr(place, name).rmdir()
    getattr(place, name).symlink_to(tmp_path / "outside")

    with pytest.raises(ToolFailed, match="is no folder, or a link to one"):
        shell("true", place)


# How it ends.


@in_sandbox
def test_a_command_that_takes_too_long(place: Workplace) -> None:
    finished = shell("sleep 600", place, wall_s=0.5)

    assert finished == Finished(None, "\n[stopped: it took more than 0.5 seconds]\n", True)
    assert left_behind(place.folder) == []


@in_sandbox
def test_a_command_that_is_cancelled(place: Workplace) -> None:
    async def cancel() -> None:
        script = f"touch {place.scratch}/started; trap '' TERM INT; sleep 600"
        task = asyncio.create_task(SANDBOX.run(["sh", "-c", script], place, may_write=False))
        while not (place.scratch / "started").exists():  # noqa: ASYNC110 - another process's event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert left_behind(place.folder) == []


@in_sandbox
def test_what_it_leaves_running_ends_with_it(place: Workplace) -> None:
    finished = shell("setsid sleep 600 & nohup sleep 600 > /dev/null 2>&1 & echo done", place)

    assert finished == Finished(0, "done\n")
    assert left_behind(place.folder) == []


@in_sandbox
def test_long_output_keeps_both_ends(place: Workplace) -> None:
    finished = shell("echo first; head -c 150000 /dev/zero | tr '\\0' x; echo; echo last", place)

    assert finished.exit_code == 0
    assert finished.output.startswith("first\nxxx")
    assert finished.output.endswith("xxx\nlast\n")
    assert "\n[… 50,012 bytes left out …]\n" in finished.output


@in_sandbox
def test_a_flood_of_output_ends_it(place: Workplace) -> None:
    finished = shell("cat /dev/zero", place)

    assert finished.exit_code is None
    assert finished.output.endswith("[stopped: it printed more than 200,000 bytes]\n")
    assert len(finished.output) < 110_000


@in_sandbox
@given(st.binary(max_size=2_000))
@settings(max_examples=15)
def test_any_bytes_can_be_printed(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        finished = shell("cat", place_in(Path(folder).resolve()), stdin=data)

    assert finished == Finished(0, data.decode("utf-8", "replace"))


@given(st.lists(st.binary(max_size=300)), st.integers(2, 600))
def test_output_stays_within_its_limit(chunks: list[bytes], limit: int) -> None:
    reader, writer = os.pipe()
    floods: list[bool] = []
    with os.fdopen(writer, "wb", buffering=0) as stream:
        output = Output(os.fdopen(reader, "rb"), limit, lambda: floods.append(True))
        for chunk in chunks:
            stream.write(chunk)
    text = output.rest(30.0)
    data = b"".join(chunks)

    assert output.is_flood == bool(floods) == (len(data) > 2 * limit)
    if len(data) <= limit:
        assert text == data.decode("utf-8", "replace")
    else:
        assert "bytes left out" in text


# Without a sandbox, by consent.


@on_posix
def test_by_consent_it_runs_with_what_there_is(place: Workplace, bare: Sandbox) -> None:
    script = "pwd; echo $AGENTCTL_SECRET; echo x > $HOME/out.txt; ulimit -c; exit 4"
    finished = shell(script, place, bare)

    assert finished == Finished(4, f"{place.folder}\n\n0\n", files=(f"{place.scratch}/out.txt",))


@on_posix
def test_by_consent_time_is_limited(place: Workplace, bare: Sandbox) -> None:
    finished = shell("/usr/bin/setsid /bin/sleep 600 & wait; wait", place, bare, wall_s=0.5)

    assert finished.timed_out


@on_posix
def test_by_consent_what_it_leaves_running_ends_with_it(place: Workplace, bare: Sandbox) -> None:
    assert shell("/bin/sleep 600 & echo done", place, bare).output == "done\n"


@on_posix
@pytest.mark.skipif(sys.platform == "darwin", reason="the system does not limit it")
def test_by_consent_memory_is_limited(place: Workplace, bare: Sandbox) -> None:
    run = bare.run([sys.executable, "-c", "b'x' * 800_000_000"], place, may_write=False)

    assert "MemoryError" in asyncio.run(run).output


# The parts.


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_whole_instructions(machine: str) -> None:
    rules = seccomp_filter(machine)

    assert rules is not None
    assert len(rules) % 8 == 0
    assert len(rules) < 8 * 4_096


def test_a_processor_without_a_filter() -> None:
    assert seccomp_filter("riscv64") is None


@on_posix
def test_the_worker_of_a_frozen_program() -> None:
    arguments = ["--python-worker", "CPU=10,CORE=0", "--", "/bin/sh", "-c", "ulimit -t; exit 5"]
    done = subprocess.run(command(*arguments), capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (5, b"10\n")
