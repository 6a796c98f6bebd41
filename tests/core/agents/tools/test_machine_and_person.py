"""`now`, `system_status`, `read_log` and `ask_user`."""

import asyncio
import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from agentctl.core.agents.tools.base import Tool, Touches, Workplace
from agentctl.core.agents.tools.machine import Now, ReadLog, SystemStatus
from agentctl.core.agents.tools.person import AskUser
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject

NOON = datetime(2027, 3, 14, 12, 0, 5, 999, timezone(timedelta(hours=1), "CET"))


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return Workplace(folder=tmp_path, scratch=tmp_path)


def run(tool: Tool, place: Workplace, args: JsonObject | None = None) -> str:
    return asyncio.run(tool.run(args or {}, place)).text


def test_now_is_a_day_a_time_and_a_zone(place: Workplace) -> None:
    assert run(Now(lambda: NOON), place) == "Sunday, 2027-03-14 12:00:05+01:00 (CET)"


def test_the_status_tells_what_the_machine_has(place: Workplace) -> None:
    lines = dict(line.split(": ", 1) for line in run(SystemStatus(), place).splitlines())

    assert "% busy; load of 1, 5, 15 min: " in lines["processors"]
    assert lines["memory"].endswith("GB used")
    assert lines["disk of the work folder"].endswith("GB free")
    assert 1 <= len(lines["most memory"].split("; ")) <= 5


def test_a_work_folder_that_is_gone_is_told_in_the_status(tmp_path: Path) -> None:
    place = Workplace(folder=tmp_path / "gone", scratch=tmp_path)
    assert "disk of the work folder: No such file" in run(SystemStatus(), place)


# The log


def line(level: str, message: str) -> str:
    return json.dumps({"time": "…", "level": level, "logger": "agentctl", "message": message})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "agentctl.log"
    levels = ("debug", "info", "warning", "error")
    path.write_text("".join(line(levels[n % 4], f"message {n}") + "\n" for n in range(200)))
    return path


def test_the_log_shows_its_last_lines(log: Path, place: Workplace) -> None:
    lines = run(ReadLog(log), place).splitlines()

    assert len(lines) == 50
    assert lines[-1] == line("error", "message 199")
    assert run(ReadLog(log), place, {"lines": 2}).splitlines() == lines[-2:]


def test_the_log_shows_a_level_and_what_is_worse(log: Path, place: Workplace) -> None:
    found = run(ReadLog(log), place, {"lines": 3, "level": "warning"}).splitlines()
    assert [json.loads(each)["message"] for each in found] == [
        *("message 195", "message 198", "message 199")
    ]


def test_of_a_long_log_only_the_end_is_read(log: Path, place: Workplace) -> None:
    log.write_text(f"{line('error', 'x' * 30_000)}\n" * 100)

    lines = run(ReadLog(log), place, {"lines": 500}).splitlines()

    assert len(lines) == 33
    assert {len(each) for each in lines} == {2_000}


def test_lines_that_are_none_of_a_log_are_passed_over(log: Path, place: Workplace) -> None:
    log.write_bytes(b'\xff\n[]\nnull\n{"level": []}\n' + line("info", "good").encode())
    assert run(ReadLog(log), place) == line("info", "good")


def test_without_a_log_there_is_nothing(tmp_path: Path, place: Workplace) -> None:
    assert run(ReadLog(tmp_path / "none"), place) == "there is nothing of that in the log"
    with pytest.raises(ToolFailed, match="the log cannot be read"):
        run(ReadLog(tmp_path), place)


def test_levels_that_nobody_knows_are_told(log: Path, place: Workplace) -> None:
    with pytest.raises(ToolFailed, match="no level loud; there are: debug, info"):
        run(ReadLog(log), place, {"level": "loud"})


# The user


def test_the_answer_that_comes_with_the_approval_is_the_result(place: Workplace) -> None:
    question: JsonObject = {"question": " Which? "}

    assert AskUser().preview(question, place) == "Which?"
    assert run(AskUser(), place, {**question, "answer": " the second\n"}) == "the second"
    assert "with nothing" in run(AskUser(), place, {**question, "answer": ""})


def test_without_anybody_there_a_question_has_no_answer(place: Workplace) -> None:
    with pytest.raises(ToolFailed, match="nobody is there to answer"):
        run(AskUser(), place, {"question": "Which?"})


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"question": " "}, "question is empty"),
        ({"question": "Which?", "answer": "the first"}, "only the user answers"),
    ],
)
def test_a_question_that_is_none_fails_before_the_user_is_asked(
    args: JsonObject, message: str, place: Workplace
) -> None:
    with pytest.raises(ToolFailed, match=message):
        AskUser().preview(args, place)


@pytest.mark.parametrize("tool", [Now(lambda: NOON), SystemStatus(), ReadLog(Path(os.devnull))])
def test_nothing_is_touched_and_nothing_is_to_be_seen_before(tool: Tool, place: Workplace) -> None:
    assert tool.touches({}, place) == Touches()
    assert tool.preview({}, place) == ""
