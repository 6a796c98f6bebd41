"""Telling somebody, without ever running what is told."""

import asyncio
import json
import shlex
import stat
import sys
from pathlib import Path

import pytest

from agentctl.core.automation.notifications import check_target, desktop_command, notify
from agentctl.core.errors import UsageProblem

HOSTILE = "$(touch x) `id` '; rm -rf ~; \" <b>&\n--help 日本"
SAVE = (
    "import json, os, sys; json.dump([sys.argv[2:], json.load(sys.stdin), "
    "os.environ['AGENTCTL_TITLE'], os.environ['AGENTCTL_TEXT']], open(sys.argv[1], 'w'))"
)


def command(*words: str | Path) -> str:
    return "command:" + shlex.join([sys.executable, *map(str, words)])


def test_a_file_gets_a_line_each_time_and_is_private(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"

    for text in ("one", HOSTILE):
        assert asyncio.run(notify(f"file:{log}", "t", text, {"status": "done"})) is None
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines == [{"title": "t", "text": text, "status": "done"} for text in ("one", HOSTILE)]
    if sys.platform != "win32":
        assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_command_gets_the_outcome_as_data_and_never_as_code(tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    target = command("-c", SAVE, out, "$HOME; id")
    assert asyncio.run(notify(target, "title\0", HOSTILE, {"error": HOSTILE})) is None
    assert json.loads(out.read_text()) == [["$HOME; id"], {"error": HOSTILE}, "title", HOSTILE]


def test_a_command_that_fails_is_a_warning() -> None:
    warning = asyncio.run(notify(command("-c", "raise SystemExit(3)"), "t", "x", {}))

    assert warning is not None
    assert "exit code 3" in warning


def test_a_command_that_reads_nothing_is_no_failure() -> None:
    long = {"result": "x" * 1_000_000}

    assert asyncio.run(notify(command("-c", "pass"), "t", "x", long)) is None


def test_a_command_that_does_not_end_is_ended() -> None:
    hangs = command("-c", "import threading; threading.Event().wait()")
    warning = asyncio.run(notify(hangs, "t", "x", {}, timeout_s=0.1))

    assert warning is not None
    assert "more than 0.1 seconds" in warning


@pytest.mark.parametrize("target", ["command:/no/such/program", "file:/no/such/folder/x"])
def test_whoever_is_gone_is_a_warning(target: str) -> None:
    assert asyncio.run(notify(target, "t", "x", {})) is not None


def test_no_desktop_is_no_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert asyncio.run(notify("desktop", "t", "x", {}, platform="linux")) is None


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_a_desktop_shows_text_and_runs_none_of_it(platform: str) -> None:
    words = desktop_command("--title", HOSTILE, platform, which=lambda name: f"/bin/{name}")

    assert words is not None
    script = [word for word in words if word not in ("--title", HOSTILE)]
    calm = desktop_command("a", "b", platform, which=lambda name: f"/bin/{name}")
    assert calm is not None
    assert [word for word in script if "touch" not in word] == [
        word for word in calm if word not in ("a", "b")
    ]
    if platform == "linux":
        assert words[-3:-1] == ["--", "--title"]
        assert "&lt;b&gt;&amp;" in words[-1]


def test_good_targets_pass(tmp_path: Path) -> None:
    for target in ("desktop", f"file:{tmp_path / 'new'}", command("-c", "pass")):
        check_target(target)


@pytest.mark.parametrize(
    "target",
    [
        "",
        "pigeon",
        "file:",
        "file:relative.log",
        "file:/no/such/folder/x",
        "file:/",
        "command:",
        "command: ",
        "command:'unclosed",
        "command:no-such-program-at-all x",
    ],
)
def test_a_target_that_could_never_be_told_is_refused(target: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        check_target(target)
    assert refused.value.hint
