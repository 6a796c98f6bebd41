"""The gate with tools that misbehave: none takes the run with it, none floods the model."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from agentctl.core.agents.base import ToolResult
from agentctl.core.agents.gate import BY_USER, Gate, Manners
from agentctl.core.agents.permissions.policy import Policy, Rule
from agentctl.core.agents.run_context import Limits, Record, RunContext
from agentctl.core.agents.run_store import RunStore
from agentctl.core.agents.tools.base import (
    Risk,
    ToolOutput,
    Touches,
    Workplace,
    object_schema,
)
from agentctl.core.backends.base import ToolCall, ToolSpec
from agentctl.core.errors import BackendBusy, ToolFailed
from agentctl.core.events import ToolFinished
from agentctl.core.jsontypes import JsonObject
from agentctl.core.storage import open_database

ALLOWED = Policy([Rule(decision="allow", origin="test")])


class Odd:
    """A tool that does what the test says."""

    risk: Risk = "harmless"
    timeout_s = 30.0

    def __init__(
        self, act: Callable[[], Awaitable[str]], timeout_s: float = 30.0, name: str = "odd"
    ) -> None:
        self.spec = ToolSpec(name, "Is odd.", object_schema({"n": {"type": "integer"}}))
        self.timeout_s = timeout_s
        self._act = act

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return "odd\x1b[2J"

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        return ToolOutput(await self._act())


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "test.db")) as connection:
        yield connection


def call(
    connection: sqlite3.Connection, tool: Odd, policy: Policy = ALLOWED, **arguments: object
) -> tuple[ToolResult, list[ToolFinished]]:
    """The result of one call, and what was told of it."""

    async def make() -> tuple[ToolResult, list[ToolFinished]]:
        store = RunStore(connection)
        run = store.create(agent="a", kind="graph", task="t", folder="work", spec={})
        place = Workplace(folder=Path("work"), scratch=Path("work"))
        context = RunContext(run, store, place, Limits())
        manners = Manners(answers_no=True, result_chars=1000)
        gate = Gate(context, {"odd": tool}, policy, manners, lambda rule: rule.origin)
        asked = ToolCall("c1", "odd", dict(arguments) or {"n": 1})  # type: ignore[arg-type]
        result = await gate.call("a", asked, ["odd"])
        told = [each for each in store.events(run) if isinstance(each, ToolFinished)]
        return result, told

    return asyncio.run(make())


async def hang() -> str:
    await asyncio.Event().wait()
    return "never"


async def explode() -> str:
    raise ZeroDivisionError("by nothing")


async def refuse() -> str:
    raise ToolFailed("not like this: like that")


async def be_busy() -> str:
    raise BackendBusy("somebody else is at it", "wait")


@pytest.mark.parametrize(
    ("act", "seconds", "error"),
    [
        (hang, 0.05, "odd was stopped: it took longer than 0.05 seconds"),
        (explode, 30, "odd failed: ZeroDivisionError: by nothing"),
        (refuse, 30, "not like this: like that"),
        (be_busy, 30, "somebody else is at it (mend: wait)"),
    ],
)
def test_what_goes_wrong_in_a_tool_goes_to_the_model(
    connection: sqlite3.Connection, act: Callable[[], Awaitable[str]], seconds: float, error: str
) -> None:
    result, told = call(connection, Odd(act, seconds))

    assert (result.is_error, result.text) == (True, error)
    assert [each.error for each in told] == [error]


def test_a_hundred_megabytes_are_cut_to_what_a_model_can_read(
    connection: sqlite3.Connection,
) -> None:
    async def flood() -> str:
        return "x" * 100_000_000

    result, told = call(connection, Odd(flood))

    assert len(result.text) < 1100
    assert "characters left out" in result.text
    assert told[0].result == result.text


def test_bytes_that_are_no_text_are_told_as_text(connection: sqlite3.Connection) -> None:
    async def binary() -> str:
        return bytes(range(256)).decode("utf-8", "surrogateescape")

    result, told = call(connection, Odd(binary))

    assert not result.is_error
    assert told[0].result.encode()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"n": "one"}, "n: 'one' is not of type 'integer'"),
        ({"n": 1, "more": 2}, "Additional properties are not allowed"),
        ({"m": 1}, "'n' is a required property"),
    ],
)
def test_arguments_are_checked_before_anything_else(
    connection: sqlite3.Connection, arguments: dict[str, object], problem: str
) -> None:
    result, _ = call(connection, Odd(explode), **arguments)

    assert result.is_error
    assert problem in result.text


def test_what_must_be_asked_for_is_denied_where_nobody_is_asked(
    connection: sqlite3.Connection,
) -> None:
    result, _ = call(connection, Odd(explode), Policy([]))

    assert result.is_error
    assert result.text.startswith("this call was denied")
    decision = connection.execute("SELECT decision, reason FROM decisions").fetchone()
    assert decision[0] == "deny"


class Lives:
    """One run that is worked on again and again, with two tools that differ in name alone."""

    def __init__(self, connection: sqlite3.Connection, policy: Policy) -> None:
        self.store = RunStore(connection)
        self.run = self.store.create(agent="a", kind="graph", task="t", folder="work", spec={})
        self.made: list[str] = []
        self._policy = policy

    def call(self, name: str, n: int) -> ToolResult | None:
        """What one more life of the run gets for call `c1.1`; None when it has to wait."""

        async def make() -> ToolResult | None:
            place = Workplace(folder=Path("work"), scratch=Path("work"))
            record = Record.read(self.store, self.run)
            context = RunContext(self.run, self.store, place, Limits(), record=record)
            tools = {each: Odd(partial(self._act, each), name=each) for each in ("get", "delete")}
            gate = Gate(context, tools, self._policy, Manners(), lambda rule: rule.origin)
            asked = gate.call("a", ToolCall("c1.1", name, {"n": n}), list(tools))
            making, waits = asyncio.ensure_future(asked), asyncio.ensure_future(halt(context))
            await asyncio.wait((making, waits), return_when=asyncio.FIRST_COMPLETED)
            for each in (making, waits):
                each.cancel()
            return making.result() if making.done() else None

        return asyncio.run(make())

    def allow(self) -> None:
        """As the user does, who is asked for one call."""
        (asked,) = self.store.pending(self.run)
        self.store.answer(asked.id, "allow", decided_by=BY_USER)

    async def _act(self, name: str) -> str:
        self.made.append(name)
        return f"{name} was done"


async def halt(context: RunContext) -> None:
    await context.stopped.wait()


@pytest.mark.parametrize(("name", "n"), [("delete", 5), ("get", 6)])
def test_what_was_allowed_for_one_call_is_not_for_another_in_its_place(
    connection: sqlite3.Connection, name: str, n: int
) -> None:
    lives = Lives(connection, Policy([]))
    assert lives.call("get", 5) is None
    lives.allow()

    assert lives.call(name, n) is None
    waiting = [(each.tool, each.args) for each in lives.store.pending(lives.run)]
    lives.allow()
    result = lives.call(name, n)

    assert waiting == [(name, {"n": n})]
    assert (result and result.text, lives.made) == (f"{name} was done", [name])


def test_a_call_that_code_comes_back_to_is_still_allowed(connection: sqlite3.Connection) -> None:
    lives = Lives(connection, Policy([]))
    lives.call("get", 5)
    lives.allow()
    lives.call("delete", 5)

    result = lives.call("get", 5)

    assert (result and result.text, lives.made) == ("get was done", ["get"])


def test_a_result_is_not_that_of_another_call_in_its_place(connection: sqlite3.Connection) -> None:
    lives = Lives(connection, ALLOWED)

    results = [lives.call(name, 5) for name in ("get", "delete", "get", "delete")]

    assert [each and each.text for each in results] == ["get was done", "delete was done"] * 2
    assert lives.made == ["get", "delete"]
