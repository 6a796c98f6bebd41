"""A folder that becomes a link between a decision and its call leads no call out of the folder."""

import asyncio
import os
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agentctl.core.agents.base import ToolResult
from agentctl.core.agents.gate import BY_USER, BY_USER_ALWAYS, BY_USER_FOR_RUN, Gate, Manners
from agentctl.core.agents.permissions.policy import Policy, Rule, load_rules
from agentctl.core.agents.run_context import Limits, RunContext
from agentctl.core.agents.run_store import RunStore
from agentctl.core.agents.tools.base import Tool, Touches, Workplace
from agentctl.core.agents.tools.edit import WriteFile
from agentctl.core.agents.tools.files import ReadFile
from agentctl.core.backends.base import ToolCall
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import find_paths
from agentctl.core.storage import open_database

if os.name != "posix":
    pytest.skip("links need rights there", allow_module_level=True)


class Slow(ReadFile):
    """Between the gate's look and the decision's use, what the test says happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__()
        self._meanwhile: Callable[[], None] | None = meanwhile

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        found = super().touches(args, place)
        if self._meanwhile is not None:
            self._meanwhile()
        self._meanwhile = None
        return found


def turn_into_link(folder: Path, outside: Path) -> None:
    with suppress(FileNotFoundError):
        folder.rename(folder.with_name("moved"))
    folder.symlink_to(outside)


def make_call(
    tmp_path: Path, tool: Tool, args: JsonObject, answer: Callable[[], str]
) -> tuple[ToolResult, list[Rule]]:
    """The result of a call that waits for `answer`, which says who has allowed it; rules kept."""
    kept: list[Rule] = []

    def keep(rule: Rule) -> str:
        kept.append(rule)
        return rule.origin

    async def make(store: RunStore) -> ToolResult:
        run = store.create(agent="a", kind="graph", task="t", folder=str(tmp_path), spec={})
        place = Workplace(folder=(tmp_path / "work").resolve(), scratch=tmp_path / "scratch")
        rules = load_rules(find_paths({"AGENTCTL_HOME": str(tmp_path / "home")}))
        context = RunContext(run, store, place, Limits())
        gate = Gate(context, {tool.spec.name: tool}, Policy(rules), Manners(asks=True), keep)
        call = asyncio.ensure_future(
            gate.call("a", ToolCall("c1", tool.spec.name, args), [tool.spec.name])
        )
        while not call.done():
            for each in store.pending(run):
                store.answer(each.id, "allow", decided_by=answer())
            await asyncio.sleep(0)
        return await call

    with closing(open_database(tmp_path / "test.db")) as connection:
        return asyncio.run(make(RunStore(connection))), kept


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "work" / "notes").mkdir(parents=True)
    (tmp_path / "work" / "notes" / "a.txt").write_text("harmless")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.txt").write_text("a secret")
    return tmp_path / "outside"


@pytest.mark.parametrize("by", [BY_USER, BY_USER_FOR_RUN, BY_USER_ALWAYS])
def test_what_was_allowed_inside_is_not_written_outside(
    by: str, outside: Path, tmp_path: Path
) -> None:
    def answer() -> str:
        turn_into_link(tmp_path / "work" / "notes", outside)
        return by

    args: JsonObject = {"path": "notes/a.txt", "content": "owned"}
    result, kept = make_call(tmp_path, WriteFile(), args, answer)

    assert result.is_error
    assert "has changed" in result.text
    assert (outside / "a.txt").read_text() == "a secret"
    assert kept == []


def test_what_may_be_read_inside_is_not_read_outside(outside: Path, tmp_path: Path) -> None:
    tool = Slow(lambda: turn_into_link(tmp_path / "work" / "notes", outside))

    result, _ = make_call(tmp_path, tool, {"path": "notes/a.txt"}, lambda: BY_USER)

    assert result.is_error
    assert "has changed" in result.text


def test_what_stays_where_it_was_is_written(outside: Path, tmp_path: Path) -> None:
    args: JsonObject = {"path": "notes/a.txt", "content": "new"}

    result, _ = make_call(tmp_path, WriteFile(), args, lambda: BY_USER)

    assert not result.is_error
    assert (tmp_path / "work" / "notes" / "a.txt").read_text() == "new"
