"""The process that parses: it is used again, replaced when a file is too much, and never left."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from agentctl.core.errors import InputEncrypted, InputHostile, InputUnreadable
from agentctl.core.knowledge.loaders.base import ReadLimits
from agentctl.core.knowledge.loaders.isolated import IsolatedLoader, Watch
from tests.support.cli import environment
from tests.support.sample_files import ENCRYPTED_PDF, docx, packed, pdf

LIMITS = ReadLimits(file_bytes=10_000_000, seconds=60.0, memory_bytes=1_500_000_000)
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="only there memory is limited exactly"
)


def child(loader: IsolatedLoader) -> int | None:
    """Its process; other tests of this process may have children of their own."""
    return loader._worker.pid if loader._worker is not None else None


@pytest.fixture(scope="module")
def loader() -> Iterator[IsolatedLoader]:
    with IsolatedLoader(LIMITS) as loader:
        yield loader


def test_one_process_reads_many_files(loader: IsolatedLoader) -> None:
    first = loader.load(pdf("one"), "a.pdf")
    process = child(loader)
    second = loader.load(docx("<w:p><w:r><w:t>two</w:t></w:r></w:p>"), "b.docx")

    assert (first.text, second.text) == ("one\n", "two\n")
    assert child(loader) == process


def test_errors_come_back_with_their_type_and_hint(loader: IsolatedLoader) -> None:
    with pytest.raises(InputEncrypted, match=r"a\.pdf is protected by a password") as caught:
        loader.load(ENCRYPTED_PDF, "a.pdf")
    assert caught.value.hint == "save a copy of it without the password"
    with pytest.raises(InputUnreadable, match=r"b\.docx could not be read") as damaged:
        loader.load(packed({"word/document.xml": "<a><b></a>"}), "b.docx")
    assert type(damaged.value) is InputUnreadable


def test_names_need_not_be_text(loader: IsolatedLoader) -> None:
    assert loader.load(pdf("one"), "\udcff\0.pdf").text == "one\n"


def test_a_process_that_died_in_between_is_replaced(loader: IsolatedLoader) -> None:
    loader.load(pdf("one"), "a.pdf")
    process = child(loader)
    assert process is not None
    psutil.Process(process).kill()
    psutil.Process(process).wait()

    assert loader.load(pdf("two"), "a.pdf").text == "two\n"


@pytest.mark.skipif(os.name != "posix", reason="sessions as on POSIX")
def test_the_process_has_a_session_of_its_own_and_so_no_terminal(loader: IsolatedLoader) -> None:
    loader.load(pdf("one"), "a.pdf")
    process = child(loader)
    assert process is not None

    assert os.getsid(process) == process


def test_too_long_is_hostile_and_ends_the_process() -> None:
    with IsolatedLoader(ReadLimits(10_000_000, 0.0, 1_500_000_000)) as loader:
        with pytest.raises(InputHostile, match=r"a\.pdf takes longer than 0 seconds") as caught:
            loader.load(pdf("one"), "a.pdf")

        assert "knowledge.file_seconds" in caught.value.hint
        assert child(loader) is None


@on_linux
def test_too_much_memory_is_hostile() -> None:
    title = f"<coreProperties><title>{' ' * 60_000_000}</title></coreProperties>"
    data = packed({"docProps/core.xml": title, "word/document.xml": "<a/>"})

    with IsolatedLoader(ReadLimits(10_000_000, 60.0, 150_000_000)) as loader:
        with pytest.raises(
            InputHostile, match=r"takes more than 150,000,000 bytes of memory"
        ) as caught:
            loader.load(data, "a.docx")
        assert "knowledge.file_memory" in caught.value.hint
        assert loader.load(pdf("next"), "b.pdf").text == "next\n"


@pytest.mark.skipif(os.name != "posix", reason="a program that does nothing, as on POSIX")
def test_a_process_that_ends_without_an_answer_is_hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("true"))

    with IsolatedLoader(LIMITS) as loader:
        with pytest.raises(InputHostile, match="crashed its parser"):
            loader.load(pdf("one"), "a.pdf")


@pytest.mark.skipif(os.name != "posix", reason="a shell script in the place of Python")
def test_a_process_that_something_else_has_ended_is_not_held_against_the_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    ended = f"'{tmp_path}/ended'"
    python.write_text(f"#!/bin/sh\n[ -e {ended} ] && exec '{sys.executable}' \"$@\"\n: > {ended}\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))

    with IsolatedLoader(LIMITS) as loader:
        assert loader.load(pdf("one"), "a.pdf").text == "one\n"


def test_a_process_that_grows_is_ended_where_the_system_sets_no_limit() -> None:
    sleeper = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(sleeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with Watch(process, ReadLimits(0, 60.0, memory_bytes=1)) as watch:
            process.wait()

    assert watch.verdict == "memory"


def test_the_process_ends_when_its_parent_is_killed(home: Path) -> None:
    program = (
        "import os, sys, psutil\n"
        "from agentctl.core.knowledge.loaders.isolated import IsolatedLoader\n"
        "from agentctl.core.knowledge.loaders.base import ReadLimits\n"
        "IsolatedLoader(ReadLimits(10**6, 60.0, 10**9)).load(b'<p>x', 'a.html')\n"
        "print(psutil.Process().children()[0].pid, flush=True)\n"
        "os.kill(os.getpid(), 9) if os.name == 'posix' else os._exit(1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(home), capture_output=True, check=False
    )

    psutil.wait_procs([each for each in psutil.process_iter() if each.pid == int(done.stdout)])
    assert not psutil.pid_exists(int(done.stdout))
