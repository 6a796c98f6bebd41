"""Blocks of code one after the other: what they share, what they call, what is left of them."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import pytest

from agentctl.core.agents.sandbox.python_session import CodeResult, PythonSession
from agentctl.core.agents.sandbox.sandbox import Sandbox, SandboxLimits
from agentctl.core.agents.tools.base import Workplace
from agentctl.core.backends.base import ToolSpec
from agentctl.core.errors import SandboxMissing, ToolFailed
from agentctl.core.jsontypes import JsonObject
from tests.core.agents.sandbox.bait import left_behind

CallTool: TypeAlias = Callable[[str, JsonObject], Awaitable[str]]

LIMITS = SandboxLimits(output_bytes=100_000, memory_bytes=400_000_000)
SANDBOX = Sandbox(os.environ, LIMITS)
STATE = SANDBOX.state()
pytestmark = pytest.mark.skipif(STATE.kind == "none", reason=STATE.detail)
TOOLS = [
    ToolSpec("search", "Finds.", {"type": "object", "properties": {"query": {}, "limit": {}}}),
    ToolSpec("now", "The time.", {"type": "object", "properties": {}}),
]
PATIENCE_S = 60.0
NEW = "[Python was started anew: variables, functions and imports of before are gone]\n"


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    for name in ("work", "scratch"):
        (tmp_path / name).mkdir()
    return Workplace(folder=tmp_path / "work", scratch=tmp_path / "scratch")


@pytest.fixture
def session(place: Workplace) -> Iterator[PythonSession]:
    session = SANDBOX.python(place, TOOLS)
    yield session
    asyncio.run(session.close())
    assert left_behind(place.folder) == []


async def no_tool(name: str, args: JsonObject) -> str:
    raise AssertionError(f"{name} was called")


def run(
    session: PythonSession,
    code: str,
    call_tool: CallTool = no_tool,
    timeout_s: float = PATIENCE_S,
) -> CodeResult:
    return asyncio.run(session.run(code, call_tool, timeout_s))


def told(result: CodeResult) -> tuple[str, str, str]:
    return result.output, result.value, result.error


class Clock:
    """The clock of the running loop, which can be moved on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._time = self._loop.time

    def advance(self, seconds: float) -> None:
        time = self._time
        self._loop.time = lambda: time() + seconds  # type: ignore[method-assign]


# One block.


def test_what_is_printed_and_the_last_value(session: PythonSession) -> None:
    result = run(session, "print('one')\nprint('two')\n[1, 'a']")

    assert result == CodeResult(
        "one\ntwo\n", "[1, 'a']", state={"definitions": [], "variables": {}, "lost": []}
    )


@pytest.mark.parametrize("code", ["", "# nothing", "x = 1", "print", "None"])
def test_a_value_is_of_an_expression(code: str, session: PythonSession) -> None:
    assert run(session, code).value == ("<built-in function print>" if code == "print" else "")


def test_all_output_in_its_order(session: PythonSession) -> None:
    code = """
import os, subprocess, sys
print("one")
sys.stderr.write("two\\n")
os.write(1, b"three\\n")
subprocess.run(["echo", "four"])
print("five", end="")
"""
    assert run(session, code).output == "one\ntwo\nthree\nfour\nfive"


def test_bytes_that_are_no_text(session: PythonSession) -> None:
    code = "import os; os.write(1, bytes(range(256))); print('\\ud800 \\0')"
    expected = bytes(range(256)).decode("utf-8", "replace") + "\\ud800 \0\n"

    assert run(session, code).output == expected


def test_an_error_shows_the_lines_of_the_code(session: PythonSession) -> None:
    run(session, "def half(x):\n    return x / 0")
    result = run(session, "x = 1\nhalf(x)")

    assert result.error.splitlines() == [
        "Traceback (most recent call last):",
        '  File "<block 2>", line 2, in <module>',
        "    half(x)",
        '  File "<block 1>", line 2, in half',
        "    return x / 0",
        "            ~~^~~",
        "ZeroDivisionError: division by zero",
    ]
    assert run(session, "x").value == "1"


def test_errors_that_follow_from_others(session: PythonSession) -> None:
    error = run(
        session, "try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError(1) from e"
    ).error

    assert "The above exception was the direct cause" in error
    assert "agentctl" not in error


def test_nothing_is_run_of_what_is_no_python(session: PythonSession) -> None:
    result = run(session, "print('begun')\nif:\n")

    assert result.output == ""
    assert result.error.splitlines()[0] == '  File "<block 1>", line 2'
    assert result.error.splitlines()[-1] == "SyntaxError: invalid syntax"


def test_an_error_that_cannot_be_shown(session: PythonSession) -> None:
    code = """
class Odd(Exception):
    def __str__(self): raise ValueError
    def __repr__(self): raise ValueError
raise Odd
"""
    assert "Odd" in run(session, code).error
    assert "ValueError" in run(session, "Odd()").error


def test_long_texts_are_cut(session: PythonSession) -> None:
    result = run(session, "print('x' * 150_000)\n'y' * 150_000")

    assert "bytes left out" in result.output
    assert len(result.value) < 25_000
    assert "characters left out" in result.value


def test_there_is_nothing_to_be_read_from_stdin(session: PythonSession) -> None:
    assert run(session, "input()").error.endswith("EOFError: EOF when reading a line")


@pytest.mark.parametrize("code", ["exit()", "import sys; sys.exit()", "raise SystemExit"])
def test_leaving_ends_the_block_alone(code: str, session: PythonSession) -> None:
    run(session, "x = 1")

    assert told(run(session, code)) == ("", "", "")
    assert told(run(session, "x")) == ("", "1", "")


def test_packages_are_there_and_the_project_is_not(session: PythonSession) -> None:
    assert run(session, "import msgspec; msgspec.json.decode(b'[1]')").value == "[1]"
    assert "ModuleNotFoundError" in run(session, "import agentctl.core.agents").error


# From block to block.


def test_names_stay(session: PythonSession) -> None:
    run(session, "import math\nx = [1]\ndef double(y): return 2 * y")

    assert run(session, "x.append(double(math.floor(2.5)))\nx").value == "[1, 4]"


def test_future_imports_stay(session: PythonSession) -> None:
    run(session, "from __future__ import annotations")

    assert run(session, "def f(x: Missing): pass\nf.__annotations__").value == "{'x': 'Missing'}"


def test_streams_that_were_closed_are_open_again(session: PythonSession) -> None:
    run(session, "import os, sys; sys.stdout.close(); sys.stderr = None; os.close(2)")

    assert told(run(session, "print('still')")) == ("still\n", "", "")


def test_classes_of_the_code_can_be_pickled_for_its_processes(session: PythonSession) -> None:
    code = """
import multiprocessing
def double(x): return 2 * x
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map(double, [1, 2])
found
"""
    assert told(run(session, code)) == ("", "[2, 4]", "")


def test_a_session_outlives_the_event_loop(session: PythonSession) -> None:
    run(session, "import os; first = os.getpid()")

    assert run(session, "os.getpid() == first").value == "True"


def test_files_are_named(place: Workplace, session: PythonSession) -> None:
    (place.folder / "given.txt").write_text("given")
    code = f"open({str(place.scratch / 'new.txt')!r}, 'w').write(open('given.txt').read())"

    assert run(session, code).files == (str(place.scratch / "new.txt"),)
    assert run(session, "1").files == ()
    assert "Read-only file system" in run(session, "open('new.txt', 'w')").error


def test_a_work_folder_that_may_be_written_to(place: Workplace) -> None:
    session = SANDBOX.python(replace(place, code_may_write=True))
    result = run(session, "open('new.txt', 'w').write('new')")
    asyncio.run(session.close())

    assert result.files == ("new.txt",)
    assert (place.folder / "new.txt").read_text() == "new"


# The answer.


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        ("'text'", "text"),
        ("{'a': [1, None]}", '{"a": [1, null]}'),
        ("42", "42"),
        ("'ä'", "ä"),
        ("{1, }", "{1}"),
        ("None", "null"),
    ],
)
def test_a_final_answer(value: str, answer: str, session: PythonSession) -> None:
    code = (
        f"print('before')\ntry:\n    final_answer({value})\nexcept Exception: pass\nprint('after')"
    )
    result = run(session, code)

    assert (result.answer, *told(result)) == (answer, "before\n", "", "")
    assert run(session, "1").answer is None


# Tools.


def test_tools_are_functions(session: PythonSession) -> None:
    calls: list[tuple[str, JsonObject]] = []

    async def tool(name: str, args: JsonObject) -> str:
        calls.append((name, args))
        return f"answer {len(calls)}"

    code = "[search('lamp', limit=3), search(query={'a': [1.5]}), now()]"

    assert run(session, code, tool).value == "['answer 1', 'answer 2', 'answer 3']"
    assert calls == [
        ("search", {"query": "lamp", "limit": 3}),
        ("search", {"query": {"a": [1.5]}}),
        ("now", {}),
    ]


def test_what_the_model_may_mend_is_raised_in_the_code(session: PythonSession) -> None:
    async def tool(name: str, args: JsonObject) -> str:
        raise ToolFailed("there is no such file")

    code = "try:\n    search('x')\nexcept RuntimeError as error:\n    print(error)\nnow()"
    result = run(session, code, tool)

    assert result.output == "there is no such file\n"
    assert result.error.splitlines()[1:] == [
        '  File "<block 1>", line 5, in <module>',
        "    now()",
        "RuntimeError: there is no such file",
    ]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("search(1, 2, 3)", "search() takes 2 arguments: query, limit"),
        ("search(1, query=2)", "search() got query twice"),
        ("search(object())", "Object of type object is not JSON serializable"),
        ("search(float('nan'))", "Out of range float values are not JSON compliant"),
        ("search('x' * 9_000_000)", "bytes are too many for one call"),
    ],
)
def test_calls_that_cannot_be_made(call: str, problem: str, session: PythonSession) -> None:
    assert problem in run(session, call).error


def test_all_else_that_a_tool_raises_ends_the_run(place: Workplace, session: PythonSession) -> None:
    async def tool(name: str, args: JsonObject) -> str:
        raise SandboxMissing("no")

    with pytest.raises(SandboxMissing):
        run(session, "try:\n    now()\nexcept BaseException: pass", tool)
    assert left_behind(place.folder) == []


def test_threads_call_tools_one_after_the_other(session: PythonSession) -> None:
    async def tool(name: str, args: JsonObject) -> str:
        return str(args["query"])

    code = """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    found = list(pool.map(search, map(str, range(20))))
found == [str(n) for n in range(20)]
"""
    assert run(session, code, tool).value == "True"


def test_no_tools_between_blocks(session: PythonSession) -> None:
    code = """
import threading
go, done, told = threading.Event(), threading.Event(), []
def late():
    go.wait()
    try:
        now()
    except RuntimeError as error:
        told.append(str(error))
    done.set()
class Last:
    def __repr__(self):
        return "last"
threading.Thread(target=late, daemon=True).start()
import sys
original = sys.modules["gc"] if "gc" in sys.modules else __import__("gc")
channel = next(e for e in original.get_objects() if type(e).__name__ == "_Channel")
finish = channel.finish
def and_then(*arguments):
    finish(*arguments)
    go.set()
    done.wait()
channel.finish = and_then
"""
    run(session, code)

    assert run(session, "told").value == "['tools can be called while a block runs only']"


def test_the_time_of_tools_is_not_counted(session: PythonSession) -> None:
    async def slow(name: str, args: JsonObject) -> str:
        clock = Clock()
        clock.advance(2 * PATIENCE_S)
        await asyncio.sleep(0)
        return "at last"

    result = run(session, "now()", slow)

    assert (result.value, result.timed_out) == ("'at last'", False)


# The end of the process.


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os; os._exit(3)", "with exit code 3"),
        ("import os; os.kill(os.getpid(), 9)", "it was ended by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "it was ended by SIGSEGV"),
    ],
)
def test_a_process_that_dies_is_replaced(code: str, reason: str, session: PythonSession) -> None:
    run(session, "x = 1")
    died = run(session, f"print('begun')\n{code}")
    after = run(session, "'x' in globals()")

    assert told(died) == ("begun\n", "", f"the Python process ended: {reason}")
    assert died.state == {"definitions": [], "variables": {}, "lost": ["x"]}
    assert told(after) == (NEW, "False", "")
    assert told(run(session, "1")) == ("", "1", "")


def test_a_process_that_dies_between_blocks(session: PythonSession) -> None:
    run(
        session, "import os, threading; threading.Timer(0, lambda: os.kill(os.getpid(), 9)).start()"
    )
    results = [run(session, "1") for _ in range(3)]

    # It may still have lived when the next block came.
    assert NEW in [each.output for each in results]
    assert results[-1].value == "1"


def test_a_block_that_takes_too_long(place: Workplace, session: PythonSession) -> None:
    async def tool(name: str, args: JsonObject) -> str:
        clock = Clock()
        asyncio.get_running_loop().call_later(0.01, clock.advance, 2 * PATIENCE_S)
        return "it is late"

    result = run(session, "print('begun')\nnow()\nwhile True: pass", tool)

    assert told(result) == ("begun\n", "", "the Python process ended: it took more than 60 seconds")
    assert result.timed_out
    assert left_behind(place.folder) == []


def test_cancelling_ends_the_process_at_once(place: Workplace, session: PythonSession) -> None:
    async def cancel() -> None:
        is_called = asyncio.Event()

        async def tool(name: str, args: JsonObject) -> str:
            is_called.set()
            await asyncio.Event().wait()
            raise AssertionError

        task = asyncio.create_task(session.run("now()", tool, PATIENCE_S))
        await is_called.wait()
        task.cancel()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(asyncio.CancelledError):
                await task
        assert left_behind(place.folder) == []

    asyncio.run(cancel())
    assert told(run(session, "1")) == (NEW, "1", "")


def test_a_session_can_be_used_after_it_was_closed(session: PythonSession) -> None:
    run(session, "x = 1")
    asyncio.run(session.close())

    assert run(session, "'x' in globals()").value == "False"


def test_memory_that_is_not_there_is_an_error_of_the_code(session: PythonSession) -> None:
    assert run(session, "b'x' * 600_000_000").error.endswith("MemoryError")
    assert told(run(session, "1")) == ("", "1", "")


def test_what_it_started_ends_with_the_session(place: Workplace, session: PythonSession) -> None:
    run(session, "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True)")
    asyncio.run(session.close())

    assert left_behind(place.folder) == []


def test_a_forged_result_is_what_the_code_could_have_said(session: PythonSession) -> None:
    code = """
import gc
channel = next(each for each in gc.get_objects() if type(each).__name__ == "_Channel")
channel._send({"kind": "result", "value": "forged", "answer": "forged"})
"""
    forged = run(session, code)
    after = run(session, "1")

    assert (forged.value, forged.answer) == ("forged", "forged")
    assert after.error == "the Python process ended: it did not keep to the protocol"
    assert told(run(session, "1")) == (NEW, "1", "")


# What outlives the process.


def saved(session: PythonSession, *blocks: str) -> JsonObject:
    for block in blocks:
        result = run(session, block)
        assert result.error == "", result.error
    state = asyncio.run(session.snapshot())
    assert state == result.state
    # As it comes back from a database.
    again: JsonObject = json.loads(json.dumps(state))
    return again


def test_a_snapshot_is_taken_up_in_another_process(session: PythonSession) -> None:
    state = saved(
        session,
        "import math, os.path as path\nfrom json import dumps as to_json, loads",
        "def area(r):\n    return math.pi * r ** 2",
        "def area(r):\n    return 3 * r",
        "class Lamp:\n    colour = 'green'",
        "numbers = [1, 2.5, None, {'a': True}]; text = 'ä'; lamp = Lamp(); pair = (1, 2)",
        "import functools\n@functools.cache\ndef cached(x): return x",
        "print('only once')",
    )
    asyncio.run(session.close())
    session.restore(state)
    first = run(session, "print(area(2), Lamp.colour, to_json(numbers), text, cached(path.sep))")
    second = run(session, "print(loads('1'))")

    assert state["lost"] == ["lamp", "pair"]
    assert first.output == (
        "[Python was started anew; these could not be kept: lamp, pair]\n"
        '6 green [1, 2.5, null, {"a": true}] ä /\n'
    )
    assert second.output == "1\n"
    assert {**second.state, "lost": []} == {**state, "lost": []}


@pytest.mark.parametrize(
    "value",
    [
        "(1,)",
        "{1: 2}",
        "float('nan')",
        "2 ** 70",
        "'\\ud800'",
        "type('S', (str,), {})('x')",
        "'x' * 200_000",
        "[[]] * 3 + [object()]",
        "open('/dev/null')",
    ],
)
def test_what_json_does_not_give_back_is_lost(value: str, session: PythonSession) -> None:
    state = saved(session, f"kept = [1]\nvalue = {value}")

    assert (state["variables"], state["lost"]) == ({"kept": [1]}, ["value"])


def test_values_without_end_are_lost(session: PythonSession) -> None:
    state = saved(session, "a = []\na.append(a)\nb = [0]\nfor _ in range(60): b = [b, b]")

    assert (state["variables"], state["lost"]) == ({"_": 59}, ["a", "b"])


def test_definitions_that_were_replaced_are_not_kept(session: PythonSession) -> None:
    state = saved(session, "def f(): pass\nimport os\nclass C: pass", "f = 3\ndel C\nos = object()")

    assert state == {"definitions": [], "variables": {"f": 3}, "lost": ["os"]}


def test_only_what_was_run_is_kept(session: PythonSession) -> None:
    result = run(session, "import math\n1 / 0\nimport json\nx = 1")

    assert result.state == {"definitions": ["import math"], "variables": {}, "lost": []}


def test_all_names_of_a_module(session: PythonSession) -> None:
    state = saved(session, "from math import *", "x = floor(2.5)")
    session.restore(state)

    assert run(session, "floor(3.5) + x").value == "5"
    assert state["lost"] == []


def test_what_cannot_be_run_again_is_named(session: PythonSession) -> None:
    session.restore(
        {"definitions": ["import no_such_module", "def f(x=missing):\n    pass"], "variables": {}}
    )

    assert run(session, "1").output == (
        "[Python was started anew; these could not be kept: import no_such_module, "
        "def f(x=missing):]\n"
    )


def test_a_snapshot_in_the_middle_of_a_session_takes_its_place(session: PythonSession) -> None:
    state = saved(session, "x = 1")
    run(session, "x = 2; y = 3")
    session.restore(state)

    assert asyncio.run(session.snapshot()) == state
    assert told(run(session, "x, 'y' in globals()")) == ("", "(1, False)", "")


def test_a_snapshot_that_is_none(session: PythonSession) -> None:
    session.restore({"definitions": 5})

    assert run(session, "1").output == (
        "[Python was started anew; these could not be kept: everything]\n"
    )


# Without a sandbox.


def test_nothing_runs_without_a_sandbox_or_consent(place: Workplace, tmp_path: Path) -> None:
    session = Sandbox({"PATH": str(tmp_path)}, LIMITS).python(place)
    with pytest.raises(SandboxMissing):
        run(session, "1")


@pytest.mark.skipif(sys.platform == "win32", reason="the end is told in signals")
def test_by_consent_it_runs_with_what_there_is(place: Workplace, tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), "AGENTCTL_SECRET": "s3cret"}
    session = Sandbox(environ, LIMITS, consent=True).python(place, TOOLS)

    async def tool(name: str, args: JsonObject) -> str:
        return name

    first = run(session, "import os; os.environ.get('AGENTCTL_SECRET'), os.getcwd(), now()", tool)
    died = run(session, "import os\nos.fork() or __import__('time').sleep(600)\nos.abort()")
    asyncio.run(session.close())

    assert told(first) == ("", str((None, str(place.folder), "now")), "")
    assert died.error == "the Python process ended: it was ended by SIGABRT"
    assert left_behind(tmp_path) == []
