"""Each kind of agent on the embedded model, for real: 135 million parameters are no genius, but
what they ask for can be read."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.agents.run_request import LimitChanges
from agentctl.core.events import ErrorRaised, ToolCallRequested, UsageMeasured
from tests.support.agents import KINDS, Bench, Kind, end_of, only
from tests.support.embedded_model import embedded_model_path


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    for kind in KINDS:
        path = bench.paths.agents / f"{kind.name}.toml"
        text = re.sub(r'tools = \["now".*', 'tools = ["now", "run_python"]', kind.file)
        path.write_text(f"{text}\n[options]\nmax_tokens = 80\nrepeat_penalty = 1.1\n")
    return bench


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_each_kind_works_on_the_embedded_model(bench: Bench, kind: Kind) -> None:
    request = bench.request(
        kind, [], task="What time is it now?", limits=LimitChanges(rounds=3), approve="none"
    )

    events = bench.run_request(replace(request, model=str(embedded_model_path())))

    assert end_of(events).status in ("done", "max_rounds")
    assert only(UsageMeasured, events)
    assert not only(ErrorRaised, events)
    assert {each.tool for each in only(ToolCallRequested, events)} <= {"now", "run_python"}
