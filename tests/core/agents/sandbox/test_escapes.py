"""Every way out that we know of is tried, through every door to the sandbox; none leads out."""

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.agents.sandbox.sandbox import Sandbox, SandboxLimits
from agentctl.core.backends.base import ToolSpec
from agentctl.core.jsontypes import JsonObject
from tests.core.agents.sandbox.escapes import ESCAPES, Bait, Escape, laid_out

LIMITS = SandboxLimits(
    memory_bytes=300_000_000,
    output_bytes=100_000,
    file_bytes=20_000_000,
    files=300,
    processes=30,
)
SANDBOX = Sandbox(os.environ, LIMITS)
STATE = SANDBOX.state()
pytestmark = pytest.mark.skipif(STATE.kind == "none", reason=STATE.detail)
LOOK_UP = ToolSpec("look_up", "Finds nothing.", {"type": "object", "properties": {"x": {}}})


@pytest.fixture
def bait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bait]:
    with laid_out(tmp_path / "bait") as bait:
        monkeypatch.setenv("AGENTCTL_SECRET", bait.secret)
        yield bait


def named(escapes: list[Escape]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("escape", escapes, ids=lambda escape: escape.name)


@named(ESCAPES)
def test_from_a_session(escape: Escape, bait: Bait) -> None:
    async def look_up(name: str, args: JsonObject) -> str:
        assert name == "look_up"
        return "nothing"

    async def attempt() -> str:
        limits = replace(LIMITS, cpu_s=escape.cpu_s)
        session = SANDBOX.python(bait.place, [LOOK_UP], limits=limits)
        result = await session.run(bait.code(escape.code), look_up, escape.wall_s)
        # What was left running had the time of one more block.
        later = await session.run("print('later')", look_up, escape.wall_s)
        await session.close()
        assert later.output.endswith("later\n")
        return f"{result.output}{result.error}{result.value}{later.output}{later.error}"

    text = asyncio.run(attempt())

    assert re.search(escape.expects, text), text
    assert bait.found(text) == []


@named([each for each in ESCAPES if each.path == "any"])
def test_from_a_command(escape: Escape, bait: Bait) -> None:
    program = bait.place.scratch / "escape.py"
    program.write_text(bait.code(escape.code))
    limits = replace(LIMITS, wall_s=escape.wall_s, cpu_s=escape.cpu_s)
    command = ["python3", str(program)]
    finished = asyncio.run(SANDBOX.run(command, bait.place, may_write=False, limits=limits))
    text = f"{finished.output}\nexit {finished.exit_code}"

    assert re.search(escape.expects, text), text
    assert bait.found(text) == []


HARMLESS = {
    "a file beside the work folder",
    "link in the work folder",
    "write through a link",
    "work folder",
    "a server of the host",
    "abstract socket",
    "socket in the work folder",
}


@named([each for each in ESCAPES if each.name in HARMLESS])
def test_the_bait_is_taken_where_there_is_no_sandbox(escape: Escape, bait: Bait) -> None:
    """Else the tests above would prove nothing."""
    sandbox = Sandbox({"PATH": str(bait.outside)}, LIMITS, consent=True)
    command = [sys.executable, "-c", bait.code(escape.code, in_sandbox=False)]
    finished = asyncio.run(sandbox.run(command, bait.place, may_write=False))

    assert bait.found(finished.output) != []


def test_every_way_out_has_a_name_of_its_own() -> None:
    assert len({each.name for each in ESCAPES}) == len(ESCAPES)


def test_the_security_page_names_every_escape() -> None:
    page = (Path(__file__).parents[4] / "docs" / "security.md").read_text(encoding="utf-8")

    assert [each.name for each in ESCAPES if f"| {each.name} |" not in page] == []
