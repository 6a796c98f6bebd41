"""The hosted workflows, which do not run here: what they call is there, and they may do little."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    workflow: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def steps_of(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job["steps"]


def may_write(permissions: dict[str, str]) -> set[str]:
    return {name for name, right in permissions.items() if right != "read"}


def test_there_are_two() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_script_that_is_called_exists(path: Path) -> None:
    commands = "\n".join(step.get("run", "") for step in steps_of(path))

    called = [
        word
        for word in shlex.split(commands, comments=True)
        if re.fullmatch(r"(\.ci|packaging|tests|benchmarks)/\S+", word)
    ]

    assert [script for script in called if not (ROOT / script).is_file()] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_job_that_publishes_may_write(path: Path) -> None:
    workflow = read(path)

    writers = {
        name: may_write(job["permissions"])
        for name, job in workflow["jobs"].items()
        if may_write(job.get("permissions", {}))
    }

    assert workflow["permissions"] == {"contents": "read"}
    assert writers == ({"publish": {"contents"}} if path.name == "release.yml" else {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_keep_no_credentials(path: Path) -> None:
    actions = [step for step in steps_of(path) if "uses" in step]

    for step in actions:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"])
        if step["uses"].startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_commands_take_nothing_that_a_stranger_can_name(path: Path) -> None:
    for step in steps_of(path):
        assert "${{" not in step.get("run", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_a_time_limit(path: Path) -> None:
    assert all("timeout-minutes" in job for job in read(path)["jobs"].values())


def test_both_builds_are_tried_on_every_system_before_they_are_published() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "release.yml")["jobs"]

    commands = [step.get("run", "") for step in jobs["build"]["steps"]]

    systems = {name.partition("-")[0] for name in jobs["build"]["strategy"]["matrix"]["system"]}
    assert systems == {"ubuntu", "windows", "macos"}
    assert "python packaging/build.py --try" in commands
    assert jobs["publish"]["needs"] == "build"
