"""`agentctl mcp` as other programs meet it: the program for real, by the official client."""

import asyncio
import json
import tomllib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentctl.core.paths import Paths, find_paths
from tests.support.cli import command, environment, run
from tests.support.file_server import FileServer

if TYPE_CHECKING:
    from mcp import ClientSession
    from mcp_types import CallToolResult

PATIENCE_S = 60.0
NOTE = "# Passport\n\nThe passport office opens at nine on Tuesdays.\n"
NAMES = [
    "search",
    "ask",
    "ingest",
    "list_documents",
    "list_tasks",
    "add_task",
    "run_task",
    "status",
]


class Client:
    """The user's folders, and a session with the server in them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.notes = home / "notes"
        self.notes.mkdir()
        (self.notes / "passport.md").write_text(NOTE)
        script = home / "script.jsonl"
        replies = [{"text": "It opens at nine [1]."}] * 3
        script.write_text("\n".join(map(json.dumps, replies)))
        self.env = environment(home, AGENTCTL_MODEL=f"scripted:{script}")
        self.paths: Paths = find_paths(self.env)

    def allow(self, **rule: str) -> None:
        self.paths.config.mkdir(parents=True, exist_ok=True)
        values = {"decision": "allow", **rule}
        table = "\n".join(f"{name} = {json.dumps(value)}" for name, value in values.items())
        self.paths.permissions.write_text(f"[[permissions]]\n{table}\n")

    def ingested(self) -> None:
        done = run("ingest", str(self.notes), "--no-stdin", env=self.env)
        assert done.returncode == 0, done.stderr

    def use(self, work: "Callable[[ClientSession], Awaitable[None]]") -> None:
        async def use() -> None:
            async with asyncio.timeout(PATIENCE_S), session(self.env) as opened:
                await work(opened)

        asyncio.run(use())

    def call(self, name: str, /, **arguments: object) -> "CallToolResult":
        results: list[CallToolResult] = []

        async def call(session: "ClientSession") -> None:
            results.append(await session.call_tool(name, arguments))

        self.use(call)
        return results[0]


@asynccontextmanager
async def session(env: Mapping[str, str]) -> "AsyncGenerator[ClientSession, None]":
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client

    program, *arguments = command("mcp")
    server = StdioServerParameters(command=program, args=arguments, env=dict(env))
    async with AsyncExitStack() as stack:
        incoming, outgoing = await stack.enter_async_context(stdio_client(server))
        opened = await stack.enter_async_context(ClientSession(incoming, outgoing))
        await opened.initialize()
        yield opened


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(tmp_path)


def text_of(result: "CallToolResult") -> str:
    block = result.content[0]
    assert block.type == "text"
    return block.text


def data_of(result: "CallToolResult") -> dict[str, Any]:  # Any: JSON
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def rule_in(text: str) -> dict[str, str]:
    """The rule that a refusal says to add."""
    [rule] = tomllib.loads(text[text.index("[[permissions]]") :])["permissions"]
    return dict(rule)


def test_it_offers_its_tools_with_schemas_and_hints(client: Client) -> None:
    async def look(session: "ClientSession") -> None:
        tools = {tool.name: tool for tool in (await session.list_tools()).tools}

        assert list(tools) == NAMES
        for tool in tools.values():
            assert tool.description
            assert tool.input_schema["additionalProperties"] is False
            assert tool.annotations is not None
        hints = {name: tool.annotations for name, tool in tools.items() if tool.annotations}
        readers = [name for name, hint in hints.items() if hint.read_only_hint]
        assert readers == ["search", "ask", "list_documents", "list_tasks", "status"]
        assert hints["run_task"].destructive_hint is True
        assert hints["ingest"].destructive_hint is False

    client.use(look)


def test_documents_are_found_and_listed(client: Client) -> None:
    client.ingested()

    async def look(session: "ClientSession") -> None:
        found = await session.call_tool("search", {"query": "When does the office open?"})
        assert "opens at nine" in text_of(found)
        assert data_of(found)["sources"][0]["path"] == str(client.notes / "passport.md")
        again = await session.call_tool("search", {"query": "passport"})
        assert data_of(again)["sources"][0]["n"] == 1

        listed = await session.call_tool("list_documents", {})
        assert data_of(listed)["total"] == 1
        assert text_of(listed).endswith("1 of 1 documents")

    client.use(look)


def test_an_answer_comes_with_progress_and_is_not_kept(client: Client) -> None:
    client.ingested()
    heard: list[str] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async def ask(session: "ClientSession") -> None:
        arguments = {"prompt": "When does the passport office open?", "knowledge": "always"}
        result = await session.call_tool("ask", arguments, progress_callback=hear)
        assert text_of(result) == "It opens at nine [1]."
        assert data_of(result)["sources"][0]["n"] == 1

    client.use(ask)

    assert "".join(heard) == "It opens at nine [1]."
    assert json.loads(run("sessions", "list", "--json", env=client.env).stdout)["data"] == []


def test_an_answer_that_nobody_waits_for_is_stopped(client: Client) -> None:
    slow = {"chunks": ["word "] * 1_000, "delay_s": 0.1}
    (client.home / "script.jsonl").write_text(json.dumps(slow))
    heard: list[str | None] = []
    speaks = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)
        speaks.set()

    async def work(session: "ClientSession") -> None:
        asked = asyncio.ensure_future(
            session.call_tool("ask", {"prompt": "Go on."}, progress_callback=hear)
        )
        await speaks.wait()
        asked.cancel()
        listed = await session.call_tool("list_tasks", {})
        assert text_of(listed) == "there are no tasks"

    client.use(work)

    assert len(heard) < 100


def test_what_needs_the_user_is_refused_with_the_rule_that_allows_it(client: Client) -> None:
    refused = client.call("ingest", source=str(client.notes))

    assert refused.is_error
    assert data_of(refused)["code"] == "tool-failed"
    assert str(client.paths.permissions) in text_of(refused)
    rule = rule_in(text_of(refused))
    assert rule == {
        "decision": "allow",
        "agent": "mcp",
        "tool": "ingest",
        "path": str(client.notes),
    }

    client.allow(**rule)
    allowed = client.call("ingest", source=str(client.notes))

    assert not allowed.is_error, text_of(allowed)
    assert text_of(allowed) == "1 added"
    assert data_of(allowed)["report"]["added"] == 1


def test_a_rule_counts_from_the_next_call_on_and_for_its_place_only(client: Client) -> None:
    async def work(session: "ClientSession") -> None:
        first = await session.call_tool("ingest", {"source": str(client.notes)})
        assert first.is_error
        client.allow(tool="ingest", path=f"{client.notes}/**")
        second = await session.call_tool("ingest", {"source": str(client.notes / "passport.md")})
        assert not second.is_error, text_of(second)
        other = await session.call_tool("ingest", {"source": str(client.home / "script.jsonl")})
        assert other.is_error

    client.use(work)


def test_a_rule_that_forbids_is_named(client: Client) -> None:
    client.allow(decision="deny", tool="search")

    refused = client.call("search", query="passport")

    assert refused.is_error
    assert f"{client.paths.permissions}:1" in text_of(refused)


def test_decisions_are_logged_without_what_was_asked(client: Client) -> None:
    client.call("search", query="hush hush")
    client.call("ingest", source="https://example.org/secret")

    lines = [json.loads(line) for line in client.paths.log.read_text().splitlines()]
    judged = [line for line in lines if line["message"] == "a call by MCP was judged"]
    assert [(each["tool"], each["decision"]) for each in judged] == [
        ("search", "allow"),
        ("ingest", "ask"),
    ]
    assert "hush" not in client.paths.log.read_text()
    assert "secret" not in client.paths.log.read_text()


def test_a_page_is_allowed_by_its_host(client: Client) -> None:
    rule = rule_in(text_of(client.call("ingest", source="https://example.org/a")))

    assert rule["host"] == "example.org"
    assert "path" not in rule


def test_what_is_judged_is_what_is_taken_in_whatever_links_are_on_the_way(client: Client) -> None:
    desktop = client.home / "desktop"
    (desktop / "private").mkdir(parents=True)
    (desktop / "private" / "salary.md").write_text("12,345 euros")
    (client.notes / "now").mkdir()
    (desktop / "now").symlink_to(client.notes / "now")
    client.allow(tool="ingest", path=f"{client.notes}/**")

    refused = client.call("ingest", source=f"{desktop}/now/../private/salary.md")

    assert refused.is_error
    assert rule_in(text_of(refused))["path"] == str(desktop / "private" / "salary.md")


def test_a_page_of_an_allowed_host_leads_to_no_other(client: Client) -> None:
    client.allow(tool="ingest", host="localhost")
    with FileServer().running() as web:
        web.serve("/secret", b"internal")
        web.serve("/page", b"").status = 302
        web.files["/page"].headers = {"Location": f"{web.url}/secret"}

        refused = client.call("ingest", source=f"{web.url}/page".replace("127.0.0.1", "localhost"))

    assert refused.is_error
    assert f"leads to {web.url}/secret" in text_of(refused)
    assert [each.path for each in web.requests] == ["/page"]


def test_a_task_is_added_listed_and_run(client: Client) -> None:
    task = {"name": "weekly", "cron": "0 9 * * 1", "ask": "What is due?"}
    refused = client.call("add_task", **task)
    assert rule_in(text_of(refused)) == {"decision": "allow", "agent": "mcp", "tool": "add_task"}
    client.allow(agent="mcp", tool="*_task")

    async def work(session: "ClientSession") -> None:
        added = await session.call_tool("add_task", task)
        assert not added.is_error, text_of(added)
        assert "every Monday at 09:00" in text_of(added)
        twice = await session.call_tool("add_task", task)
        assert "try: take another name" in text_of(twice)
        listed = await session.call_tool("list_tasks", {})
        assert data_of(listed)["tasks"][0]["name"] == "weekly"
        done = await session.call_tool("run_task", {"name": "weekly"})
        assert text_of(done) == "It opens at nine [1]."
        missing = await session.call_tool("run_task", {"name": "dayly"})
        assert data_of(missing)["code"] == "not-found"

    client.use(work)


WRONG: list[tuple[str, dict[str, object], str]] = [
    ("search", {}, "'query' is a required property"),
    ("search", {"query": "x" * 2_001}, "search was called wrongly: query: "),
    ("search", {"query": "x", "sql": "y"}, "Additional properties"),
    ("search", {"query": "x", "collection": "nope"}, "nope"),
    ("ingest", {"source": "notes"}, "does not match"),
    ("ingest", {"source": "https://"}, "names no host"),
    ("add_task", {"name": "a", "every": "1h", "agent": "assistant"}, "'folder'"),
    ("shell", {"command": "ls"}, "there is no tool shell"),
]


def test_a_wrong_call_is_an_error_that_says_so(client: Client) -> None:
    async def work(session: "ClientSession") -> None:
        for name, arguments, told in WRONG:
            result = await session.call_tool(name, arguments)
            assert result.is_error
            assert told in text_of(result)

    client.use(work)


def test_the_status_tells_of_the_machine(client: Client) -> None:
    result = client.call("status")

    assert not result.is_error, text_of(result)
    assert "0 documents in the knowledge base" in text_of(result)
    assert data_of(result)["stats"]["knowledge"]["documents"] == 0


def test_nothing_but_the_protocol_is_on_stdout_and_the_end_of_stdin_ends_it(
    client: Client,
) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }

    done = run("mcp", env=client.env, stdin=json.dumps(hello) + "\nno json\n")

    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert answers[0]["result"]["serverInfo"]["name"] == "agentctl"
    assert all(answer["jsonrpc"] == "2.0" for answer in answers)
    assert "Traceback" not in done.stderr
