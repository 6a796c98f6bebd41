"""The smoke test itself: how checks are run and told."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import smoke
from smoke_checks import CHECKS, check_help, check_version
from smoke_files import docx, pdf
from smoke_program import Failed, Program, Skipped, expect

from agentctl.core.knowledge.loaders.registry import loader_for

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")


def program(tmp_path: Path, script: str) -> Program:
    path = tmp_path / "agentctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    place = tmp_path / "place"
    place.mkdir()
    return Program(path, place)


def fail(_: Program) -> None:
    expect(1 + 1 == 3, "the sum is | wrong")


def skip(_: Program) -> None:
    raise Skipped("there is no terminal")


@posix_only
def test_each_check_is_told_with_how_it_went(tmp_path: Path) -> None:
    tried = program(tmp_path, "echo agentctl 1.2.3")

    results = [*smoke.run_checks(tried, [("first", check_version), ("no", fail), ("not", skip)])]

    assert [(each.name, each.verdict) for each in results] == [
        ("first", "ok"),
        ("no", "FAILED"),
        ("not", "skipped"),
    ]
    assert results[0].detail == "agentctl 1.2.3"
    assert results[2].detail == "there is no terminal"


@posix_only
def test_a_traceback_is_a_failure_whatever_the_exit_code(tmp_path: Path) -> None:
    tried = program(tmp_path, "echo Traceback >&2")

    with pytest.raises(Failed, match="Traceback"):
        check_help(tried)


def test_the_report_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "agentctl").write_bytes(bytes(2_500_000))
    results = [
        smoke.Result("first", "ok", 0.123, ""),
        smoke.Result("no", "FAILED", 1.0, "the sum\nis | wrong"),
    ]

    report = smoke.write_report(
        tmp_path / "agentctl", "agentctl 1.2.3", results, datetime(2031, 2, 3, 4, 5, tzinfo=UTC)
    )

    assert "# agentctl 1.2.3: smoke test" in report
    assert "2.5 MB" in report
    assert "2031-02-03 04:05 UTC" in report
    assert "| first | ok | 0.12 |  |" in report
    assert "| no | FAILED | 1.00 | the sum is \\| wrong |" in report


@posix_only
@pytest.mark.parametrize(("script", "code"), [("echo agentctl 1.0", 0), ("exit 1", 1)])
def test_a_failed_check_is_the_exit_code(
    script: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = program(tmp_path, script)
    monkeypatch.setattr(smoke, "CHECKS", [("first", check_version)])
    monkeypatch.setattr(smoke, "left_running", lambda _: None)
    monkeypatch.setattr(Program, "version", lambda self: self.run("--version").strip() or "none")
    report = tmp_path / "report.md"

    if code == 0:
        assert smoke.main([str(tried.path), "--report", str(report)]) == 0
        assert "first" in report.read_text()
    else:
        assert [each.verdict for each in smoke.run_checks(tried, smoke.CHECKS)] == ["FAILED"]


def test_a_program_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    assert smoke.main([str(tmp_path / "nothing")]) == 2


@pytest.mark.parametrize(
    ("name", "data"), [("a.pdf", pdf("Pears ripen.")), ("a.docx", docx("Pears ripen."))]
)
def test_the_small_documents_can_be_read(name: str, data: bytes) -> None:
    loaded = loader_for(name, data).load(data, name)

    assert "Pears ripen." in loaded.text


def test_checks_have_names_of_their_own() -> None:
    names = [name for name, _ in CHECKS]

    assert len(set(names)) == len(names)
