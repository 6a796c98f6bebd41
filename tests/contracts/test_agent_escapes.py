"""The ways out of the sandbox, tried through every framework's path to code."""

import os
from pathlib import Path

import pytest

from agentctl.core.agents.run_request import LimitChanges
from agentctl.core.agents.sandbox.sandbox import probe
from agentctl.core.events import ToolFinished
from tests.core.agents.sandbox.escapes import laid_out
from tests.core.agents.sandbox.escapes_by_system import KERNEL, NETWORK
from tests.core.agents.sandbox.escapes_to_files import READING, WRITING
from tests.support.agents import KINDS, Bench, Kind, call, end_of, only

STATE = probe(os.environ)
pytestmark = pytest.mark.skipif(STATE.kind == "none", reason=STATE.detail)
# What is bounded by time alone is tried on the sandbox itself, with shorter limits.
ESCAPES = [*READING, *WRITING, *NETWORK, *KERNEL]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_no_framework_has_a_way_out(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    plenty = LimitChanges(rounds=1000, tool_calls=1000, tokens=10**9, seconds=3600.0)
    tried = 0
    with laid_out(tmp_path / "bait") as bait:
        monkeypatch.setenv("AGENTCTL_SECRET", bait.secret)
        # A speaker of a team has a dozen turns in a row, no more.
        for start in range(0, len(ESCAPES), 10):
            codes = [bait.code(escape.code) for escape in ESCAPES[start : start + 10]]
            steps = kind.steps([call("run_python", code=code) for code in codes], "done")

            events = bench.run(kind, steps, folder=bait.place.folder, limits=plenty)

            finished = [each for each in only(ToolFinished, events) if each.tool == "run_python"]
            text = "\n".join(f"{each.result}{each.error or ''}" for each in finished)
            tried += len(codes) if len(finished) >= len(codes) else 0
            assert bait.found(text) == []
            assert end_of(events).status == "done"
    assert tried == len(ESCAPES)
