"""MCP servers of every kind, over their standard streams and over HTTP, and what a run sees."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from agentctl.core.agents.tools import mcp_process
from agentctl.core.agents.tools.base import Tool, Touches, Workplace
from agentctl.core.agents.tools.mcp import McpOffer, McpTool, McpTools
from agentctl.core.agents.tools.mcp_connection import McpConnection
from agentctl.core.agents.tools.mcp_schema import TakenTool
from agentctl.core.agents.tools.mcp_servers import McpServer
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.paths import Paths, find_paths
from tests.support.cli import OFFLINE
from tests.support.mcp_server import PROGRAM

ALL = ("mcp_*",)
CUT_OFF = "the MCP server x broke off the call: it sent more than 10,000,000 bytes at once"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})


@pytest.fixture(autouse=True)
def no_server_is_left() -> Iterator[None]:
    yield
    assert [line for line in command_lines() if str(PROGRAM) in line] == []


def command_lines() -> list[list[str]]:
    """Of the processes that this one has started, and that live."""
    lines = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            lines.append(child.cmdline())
    return lines


@pytest.fixture
def server(tmp_path: Path) -> Callable[..., McpServer]:
    def make(behaviour: str, **keys: Any) -> McpServer:
        command = (sys.executable, str(PROGRAM), behaviour)
        env = {"PYTHONPATH": str(OFFLINE), "STATE": str(tmp_path / "told"), **keys.pop("env", {})}
        usual = {"name": "x", "folder": tmp_path, "timeout_s": 60.0, "start_timeout_s": 60.0}
        return McpServer(**{**usual, "command": command, "env": env, **keys})

    return make


@contextmanager
def http_server(behaviour: str, folder: Path) -> Iterator[McpServer]:
    process = subprocess.Popen([sys.executable, PROGRAM, behaviour], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/mcp"
        yield McpServer(name="x", folder=folder, url=url, start_timeout_s=60.0)
    finally:
        process.kill()
        process.communicate()


@asynccontextmanager
async def opened(
    paths: Paths,
    *servers: McpServer,
    wanted: tuple[str, ...] = ALL,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[McpOffer]:
    async with McpTools(servers, paths, environ) as mcp:
        yield await mcp.open(wanted)


def offered(paths: Paths, *servers: McpServer, **keys: Any) -> McpOffer:
    async def look() -> McpOffer:
        async with opened(paths, *servers, **keys) as offer:
            return offer

    return asyncio.run(look())


def outcomes(paths: Paths, used: McpServer, *calls: JsonObject, **keys: Any) -> list[str]:
    """What calls of the tool `work`, or of the one under "tool", give, one after the other."""

    async def call_all() -> list[str]:
        async with opened(paths, used, **keys) as offer:
            assert offer.warnings == ()
            return [await outcome(offer, paths, call) for call in calls]

    return asyncio.run(call_all())


async def outcome(offer: McpOffer, paths: Paths, args: JsonObject) -> str:
    own = dict(args)
    tool = named(offer, f"mcp_x_{own.pop('tool', 'work')}")
    try:
        return (await tool.run(own, place(paths))).text
    except ToolFailed as error:
        return f"failed: {error.message}"


def named(offer: McpOffer, name: str) -> Tool:
    return next(tool for tool in offer.tools if tool.spec.name == name)


def names(offer: McpOffer) -> list[str]:
    return [tool.spec.name for tool in offer.tools]


def place(paths: Paths) -> Workplace:
    return Workplace(folder=paths.config, scratch=paths.config)


class Callers:
    """Takes the calls of servers that say where they are: their process, and when it has ended."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[tuple[int, asyncio.StreamReader]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        listener = await asyncio.start_server(self._take, "127.0.0.1", 0)
        yield listener.sockets[0].getsockname()[1]
        listener.close()
        for writer in self._writers:
            writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.calls.put_nowait((int(await reader.readline()), reader))


# Honest servers


@pytest.fixture(params=["stdio", "http"])
def honest(
    request: pytest.FixtureRequest, server: Callable[..., McpServer], tmp_path: Path
) -> Iterator[McpServer]:
    if request.param == "stdio":
        yield server("honest")
    else:
        with http_server("http", tmp_path) as made:
            yield made


def test_a_server_of_the_official_sdk_is_used(paths: Paths, honest: McpServer) -> None:
    *seen, broken_off, last = outcomes(
        paths,
        honest,
        {"tool": "add", "a": 1, "b": 2},
        {"tool": "fail", "reason": "it is late"},
        {"tool": "picture"},
        {"tool": "structure"},
        {"tool": "end"},
        {"tool": "add", "a": 3, "b": 4},
    )
    assert seen == [
        "3",
        "failed: Error executing tool fail: it is late",
        "[image image/png, 1,000 bytes, not shown]",
        '{"found": ["é", 1]}',
    ]
    assert broken_off.startswith("failed: the MCP server x broke off the call: ")
    # One with a url is started by whoever has started it.
    lost = "failed: the MCP server x did not start again: nothing answers at its url"
    assert last == (lost if honest.url else "7")


def test_servers_of_the_newest_protocol_alone_answer(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    assert outcomes(paths, server("newest"), {}) == ["done"]


def test_tools_are_shown_as_what_the_user_says_of_them(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    used = server("hinting", risk="network", tools=["look*"], timeout_s=50.0)

    offer = offered(paths, used)

    assert (names(offer), offer.warnings) == (["mcp_x_look_up"], ())
    (tool,) = offer.tools
    assert tool.spec.description == "(MCP server x) Looks something up."
    assert tool.spec.parameters == {
        "type": "object",
        "properties": {"port": {"type": "integer"}},
        "additionalProperties": False,
    }
    # Its hint that it only reads changes nothing.
    assert (tool.risk, tool.timeout_s) == ("network", 110.0)
    assert tool.touches({}, place(paths)) == Touches()
    assert tool.preview({}, place(paths)) == ""


def test_a_call_of_a_remote_server_touches_its_host(paths: Paths) -> None:
    far = McpServer(name="x", folder=paths.config, url="https://mcp.example.com/", remote=True)
    connection = McpConnection(far, paths.mcp_logs, {})
    tool = McpTool("mcp_x_look", TakenTool("look", "", {}), connection)
    assert tool.touches({}, place(paths)) == Touches(host="mcp.example.com")


def test_a_server_sees_the_usual_variables_and_those_named(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/", "OPENAI_API_KEY": "secret", "MINE": "x"}
    used = server("variables", env={"TOKEN": "$MINE"})

    (seen,) = outcomes(paths, used, {}, environ=environ)

    assert set(json.loads(seen)) - {"LC_CTYPE"} == {"PATH", "HOME", "PYTHONPATH", "STATE", "TOKEN"}


def test_only_servers_whose_tools_are_wanted_are_started(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    servers = [server("plain"), server("plain", name="y"), server("crash-at-start", name="z")]

    offer = offered(paths, *servers, wanted=("read_file", "mcp_x_w*", "mcp_y_work"))
    assert (names(offer), offer.warnings) == (["mcp_x_work", "mcp_y_work"], ())
    offer = offered(paths, *servers, wanted=("mcp_x_other", "mcp_q_*", "read_file"))
    assert names(offer) == []
    assert offer.warnings == (
        f"no MCP server offers mcp_x_other: see {paths.mcp_servers}",
        f"no MCP server offers mcp_q_*: see {paths.mcp_servers}",
    )
    assert offered(paths, wanted=ALL) == McpOffer()


def test_calls_may_be_made_at_the_same_time(paths: Paths, server: Callable[..., McpServer]) -> None:
    async def main() -> list[str]:
        async with opened(paths, server("crash")) as offer:
            return await asyncio.gather(*(outcome(offer, paths, {}) for _ in range(20)))

    assert len(set(asyncio.run(main()))) == 1


# Servers that do not start


@pytest.mark.parametrize(
    ("behaviour", "problem"),
    [
        ("crash-at-start", "it ended with code 3"),
        ("nonsense", "it answered with nonsense"),
        ("flood-at-start", "it sent more than 10,000,000 bytes at once"),
        ("unwilling", "we are closed"),
    ],
)
def test_a_server_that_does_not_start_costs_a_warning(
    paths: Paths, server: Callable[..., McpServer], behaviour: str, problem: str
) -> None:
    offer = offered(paths, server(behaviour), server("plain", name="y"))

    log = paths.mcp_logs / "x.log"
    assert offer.warnings == (f"the MCP server x is not used: {problem}; its log: {log}",)
    assert names(offer) == ["mcp_y_work"]


def test_a_server_that_does_not_answer_is_not_waited_for(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    (warning,) = offered(paths, server("silent", start_timeout_s=0.1)).warnings
    assert "it did not answer within 0.1 seconds" in warning


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"command": ("no-such-program",)}, "there is no program no-such-program"),
        ({"command": ("./none",)}, "there is no program ./none"),
        ({"env": {"TOKEN": "$NO_SUCH"}}, "the variable NO_SUCH is not set"),
        ({"command": (), "url": "http://127.0.0.1:1/mcp"}, "nothing answers at its url"),
    ],
)
def test_what_cannot_be_started_costs_a_warning(
    paths: Paths, server: Callable[..., McpServer], keys: dict[str, Any], problem: str
) -> None:
    (warning,) = offered(paths, server("plain", **keys)).warnings
    assert warning.startswith(f"the MCP server x is not used: {problem}")


def test_a_program_is_found_from_the_folder_of_the_file(
    paths: Paths, server: Callable[..., McpServer], tmp_path: Path
) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    used = server("plain", command=("./python", str(PROGRAM), "plain"))
    assert outcomes(paths, used, {}) == ["done"]


# Servers that misbehave


@pytest.mark.parametrize(
    ("behaviour", "seen"),
    [
        ("greet", "done"),
        ("nonsense-calls", "failed: the MCP server x answered with nonsense"),
        ("refuse", "failed: no such [31mtool"),
        ("want-input", "failed: the MCP server x asks for input, which it is not given"),
        ("flood", f"failed: {CUT_OFF}"),
        ("chatter", f"failed: {CUT_OFF}"),
        ("ask-without-end", f"failed: {CUT_OFF}"),
    ],
)
def test_a_server_that_misbehaves_costs_its_call(
    paths: Paths, server: Callable[..., McpServer], behaviour: str, seen: str
) -> None:
    assert outcomes(paths, server(behaviour), {}) == [seen]


def test_what_is_sent_to_a_server_that_does_not_read_is_not_kept(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    async def main() -> set[str]:
        async with opened(paths, server("deaf")) as offer:
            large: JsonObject = {"x": "x" * 6_000_000}
            return set(await asyncio.gather(*(outcome(offer, paths, large) for _ in range(4))))

    end = "it does not read what it is sent"
    assert asyncio.run(main()) == {f"failed: the MCP server x broke off the call: {end}"}


def test_a_body_without_end_is_cut_off(paths: Paths, tmp_path: Path) -> None:
    with http_server("http-flood", tmp_path) as used:
        (warning,) = offered(paths, used).warnings
    assert warning.endswith("it sent more than 10,000,000 bytes at once")


def test_a_call_without_an_answer_is_given_up(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    used = server("hang", timeout_s=0.1)
    assert outcomes(paths, used, {}) == ["failed: work did not answer within 0.1 seconds"]


def test_a_server_that_has_ended_is_started_anew_three_times(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    crash: JsonObject = {"port": 1}

    seen = outcomes(paths, server("crash"), *[{}, crash] * 4, {})

    assert len(set(seen[:8:2])) == 4
    assert set(seen[1::2]) == {
        "failed: the MCP server x broke off the call: it ended with code 7",
    }
    assert seen[8] == "failed: the MCP server x has ended 4 times and is not started again"


def test_a_server_is_offered_nothing_of_its_client(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    (told,) = outcomes(paths, server("ask"), {})
    assert json.loads(told) == [
        ["sampling/createMessage", -32601],
        ["elicitation/create", -32601],
        ["roots/list", -32601],
        ["ping", {}],
    ]


def test_what_was_offered_at_the_start_counts(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    async def main() -> None:
        async with opened(paths, server("change")) as offer:
            (tool,) = offer.tools
            before = json.dumps(tool.spec.parameters)
            assert (await outcome(offer, paths, {})).isdecimal()
            assert "broke off" in await outcome(offer, paths, {"port": 1})
            assert (await outcome(offer, paths, {})).isdecimal()
            assert json.dumps(tool.spec.parameters) == before

    asyncio.run(main())


def test_odd_schemas_cost_their_tools_only(paths: Paths, server: Callable[..., McpServer]) -> None:
    offer = offered(paths, server("schemas"))

    assert names(offer) == ["mcp_x_endless", "mcp_x_work"]
    of_x = "tools of the MCP server x: "
    assert offer.warnings == (
        f"{of_x}missing is left out, its schema is not of type object",
        f"{of_x}list is left out, its schema is not of type object",
        f"{of_x}text is left out, its schema is not of type object",
        f"{of_x}invalid is left out, its schema is no JSON Schema: 5 is not of type 'object' at "
        "$.properties",
        f"{of_x}4 more like it",
    )


def test_odd_names_become_plain_ones_and_keep_their_tools(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    async def main() -> None:
        servers = server("names"), server("plain", name="x_b")
        async with opened(paths, *servers) as offer:
            assert offer.warnings == (
                "tools of the MCP server x: mcp_x_b_work is left out, its name is that of another "
                "server's",
            )
            plain = names(offer)
            assert plain[:3] == ["mcp_x_do_it", "mcp_x_do_it_2", "mcp_x_do_it_3"]
            assert plain[5:] == ["mcp_x_" + 58 * "x", "mcp_x_" + 56 * "x" + "_2", "mcp_x_b_work"]
            assert len(set(plain)) == len(plain)
            called = [await outcome(offer, paths, {"tool": each[6:]}) for each in plain[:4]]
            assert [*map(json.loads, called)] == ["do it", "do-it", "Do_It", "\x1b[31mred\u202e"]
            for tool in offer.tools:
                text = tool.spec.description
                assert len(text) <= 1000
                assert text.isprintable()

    asyncio.run(main())


def test_a_server_has_at_most_a_hundred_tools(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    offer = offered(paths, server("pages"))
    assert len(offer.tools) == 100
    assert offer.warnings == (
        "tools of the MCP server x: there are more than 100: name those you want in `tools`",
    )
    offer = offered(paths, server("pages", tools=["work_199"]))
    assert (names(offer), offer.warnings) == (["mcp_x_work_199"], ())


def test_a_server_without_tools_costs_a_warning(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    for used in (server("no-tools"), server("plain", tools=["other"])):
        assert offered(paths, used).warnings == (
            "tools of the MCP server x: there are none, or none that `tools` names",
        )


# What comes back


def test_what_is_no_text_is_named(paths: Paths, server: Callable[..., McpServer]) -> None:
    assert outcomes(paths, server("all-content"), {}) == [
        "[audio audio/wav, 4 bytes, not shown]\n"
        "[file:///a.txt text/plain]\nwhat it says\n"
        "[file:///b.bin, 4 bytes, not shown]\n"
        "[a link: more http://127.0.0.1/more]"
    ]


def test_a_long_result_is_cut(paths: Paths, server: Callable[..., McpServer]) -> None:
    (text,) = outcomes(paths, server("much"), {})
    assert len(text) < 100_100
    assert text.startswith("ax")
    assert text.endswith("xz")


def test_stderr_goes_to_a_log_that_is_bounded(
    paths: Paths, server: Callable[..., McpServer], capfd: pytest.CaptureFixture[str]
) -> None:
    log = paths.mcp_logs / "x.log"

    offered(paths, server("crash-at-start"))
    assert log.read_text() == "there is no licence\n"
    for _ in range(4):
        assert outcomes(paths, server("stderr"), {}) == ["done"]
        assert log.stat().st_size <= 3_000_000

    assert log.stat().st_mode & 0o777 == 0o600
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_to_the_terminal(paths: Paths, tmp_path: Path) -> None:
    program = f"""
import asyncio, os, sys
from pathlib import Path
from agentctl.core.agents.tools.mcp import McpTools
from agentctl.core.agents.tools.mcp_servers import McpServer
from agentctl.core.paths import find_paths

async def main():
    servers = [
        McpServer(name=each, folder=Path("/"), command=(sys.executable, {str(PROGRAM)!r}, each))
        for each in ("greet", "nonsense", "flood-at-start", "crash-at-start", "schemas")
    ]
    async with McpTools(servers, find_paths(os.environ), os.environ) as mcp:
        await mcp.open()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


# The end


def test_a_cancelled_run_ends_its_server(paths: Paths, server: Callable[..., McpServer]) -> None:
    async def main() -> None:
        callers = Callers()

        async def run(port: int) -> None:
            async with opened(paths, server("hang")) as offer:
                await outcome(offer, paths, {"port": port})

        async with callers.listening() as port:
            task = asyncio.create_task(run(port))
            pid, connection = await callers.calls.get()
            assert psutil.pid_exists(pid)
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert not psutil.pid_exists(pid)
            assert await connection.read() == b""

    asyncio.run(main())


def test_a_cancelled_call_leaves_its_server(paths: Paths, server: Callable[..., McpServer]) -> None:
    async def main() -> None:
        callers = Callers()
        async with callers.listening() as port, opened(paths, server("hang")) as offer:
            task = asyncio.create_task(outcome(offer, paths, {"port": port}))
            pid, _ = await callers.calls.get()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            again = asyncio.create_task(outcome(offer, paths, {"port": port}))
            assert (await callers.calls.get())[0] == pid
            again.cancel()

    asyncio.run(main())


def test_a_run_that_is_cancelled_while_servers_start_leaves_none(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    async def main() -> None:
        callers = Callers()
        async with callers.listening() as port:
            used = server("silent", command=(sys.executable, str(PROGRAM), "late", str(port)))
            task = asyncio.create_task(opened(paths, used).__aenter__())
            pid, _ = await callers.calls.get()
            task.cancel()
            await asyncio.wait({task})
            assert task.cancelled()
            assert not psutil.pid_exists(pid)

    asyncio.run(main())


def test_what_does_not_leave_is_ended_with_all_it_has_started(
    paths: Paths, server: Callable[..., McpServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcp_process, "_GRACE_S", 0.05)

    async def main() -> None:
        callers = Callers()
        async with callers.listening() as port:
            async with opened(paths, server("stay")) as offer:
                task = asyncio.create_task(outcome(offer, paths, {"port": port}))
                calls = [await callers.calls.get() for _ in range(2)]
            assert "the MCP server x" in await task
            assert [await connection.read() for _, connection in calls] == [b"", b""]

    asyncio.run(main())


def test_a_closed_server_is_not_started_again(
    paths: Paths, server: Callable[..., McpServer]
) -> None:
    async def main() -> str:
        async with opened(paths, server("plain")) as offer:
            pass
        return await outcome(offer, paths, {})

    assert asyncio.run(main()).startswith("failed: the MCP server x has ended")
