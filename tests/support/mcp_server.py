"""MCP servers, honest and dishonest ones: `python tests/support/mcp_server.py BEHAVIOUR`.

The honest ones are made with the official SDK. The others are written by hand, line by line, for
the SDK would not let them. Those over HTTP print their port first.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

PROGRAM = Path(__file__).resolve()
MEGABYTE = 1_000_000

Message: TypeAlias = dict[str, Any]  # Any: JSON

WORK: Message = {
    "name": "work",
    "description": "Does what its server is for.",
    "inputSchema": {"type": "object", "properties": {"port": {"type": "integer"}}},
}


# What results have to have since 2026-07-28.
NEWEST: Message = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


# Honest ones


def honest() -> "MCPServer":
    from mcp.server.mcpserver import Image, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import CallToolResult

    server = MCPServer("honest", log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    @server.tool()
    def fail(reason: str) -> str:
        """Fails."""
        raise ToolError(reason)

    @server.tool()
    def picture() -> Image:
        """A picture of 1,000 bytes."""
        return Image(data=b"x" * 1000, format="png")

    @server.tool()
    def structure() -> CallToolResult:
        """A value without any text."""
        return CallToolResult(content=[], structured_content={"found": ["é", 1]})

    @server.tool()
    def end() -> str:
        """Ends its process."""
        os._exit(7)

    return server


def serve_http() -> None:
    import uvicorn

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(honest().streamable_http_app(), log_level="critical")
        uvicorn.Server(config).run(sockets=[listener])


def flood_http() -> None:
    """Answers with a body of 100 MB."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b'{"jsonrpc": "2.0", "id": 1, "result": {"x": "')
            with suppress(ConnectionError):
                for _ in range(100):
                    self.wfile.write(b"x" * MEGABYTE)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


# The others


def say(message: Message) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def hear() -> Iterator[Message]:
    for line in sys.stdin:
        yield json.loads(line)


def answer(request: Message, text: str, **more: object) -> None:
    say({"id": request["id"], "result": {"content": [{"type": "text", "text": text}], **more}})


def serve(
    work: Callable[[Message], None] = lambda request: answer(request, "done"),
    tools: Callable[[], list[Message]] = lambda: [WORK],
    more: Message | None = None,
) -> None:
    """Speaks the protocol as it should be, but for what it is given.

    `more` goes with each answer but those to calls.
    """
    for message in hear():
        method, number = message.get("method"), message.get("id")
        if number is None:
            continue
        if method == "server/discover" and more is NEWEST:
            about = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
            say({"id": number, "result": {**about, **NEWEST}})
        elif method == "initialize" and more is NEWEST:
            say({"id": number, "error": {"code": -32022, "message": "no such version"}})
        elif method == "initialize":
            about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
            say({"id": number, "result": {"protocolVersion": "2025-06-18", **about}})
        elif method == "tools/list":
            say({"id": number, "result": {"tools": tools(), **(more or {})}})
        elif method == "tools/call":
            work(message)
        else:
            say({"id": number, "error": {"code": -32601, "message": "Method not found"}})


def hint() -> list[Message]:
    look = {**WORK, "name": "look up", "description": "Looks something up."}
    return [WORK, {**look, "annotations": {"readOnlyHint": True}, "title": "Look"}]


def show_variables(request: Message) -> None:
    answer(request, json.dumps(sorted(os.environ)))


def crash_at_start() -> None:
    print("there is no licence", file=sys.stderr)
    sys.exit(3)


def crash(request: Message) -> None:
    """Ends in the middle of a call of it with a port, else says which process it is."""
    if "port" in request["params"]["arguments"]:
        os._exit(7)
    answer(request, str(os.getpid()))


def hang(request: Message) -> None:
    """Tells a port that it was called, if there is one, and never answers."""
    if port := request["params"]["arguments"].get("port"):
        call_home(port)


def call_home(port: int) -> None:
    """Says which process this is, on a connection that lasts as long as the process."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"%d\n" % os.getpid())
    connection.detach()


def stay(request: Message) -> None:
    """Never leaves by itself, nor does the process that it starts, which leaves its group."""
    port = str(request["params"]["arguments"]["port"])
    subprocess.Popen([sys.executable, PROGRAM, "stay-alone", port], start_new_session=True)
    stay_alone(int(port))


def stay_alone(port: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    call_home(port)
    while True:
        signal.pause()


def greet_on_stdout() -> None:
    print("Welcome to the server!\n\n{not json", flush=True)
    sys.stdout.buffer.write(b'\xff\xfe\n[1, 2]\n{"id": 1}\n')
    serve()


def answer_nonsense() -> None:
    for message in hear():
        if "id" in message:
            say({"id": message["id"], "result": {"nonsense": True}})


def refuse_to_start() -> None:
    for message in hear():
        if "id" in message:
            say({"id": message["id"], "error": {"code": -32001, "message": "we are\nclosed"}})


def answer_nonsense_to_calls(request: Message) -> None:
    say({"id": request["id"], "result": {"content": "no list"}})


def refuse(request: Message) -> None:
    say({"id": request["id"], "error": {"code": -32602, "message": "no such\n\x1b[31mtool"}})


def want_input(request: Message) -> None:
    """As servers of the newest protocol may do."""
    say({"id": request["id"], "result": {"resultType": "input_required", "requestState": "x"}})


def flood(request: Message) -> None:
    for _ in range(100):
        sys.stdout.write("x" * MEGABYTE)


def chatter(request: Message) -> None:
    """Sends whole lines that nobody has asked for, more than a call may have."""
    line = {"method": "notifications/message", "params": {"level": "info", "data": "x" * 100_000}}
    while True:
        say(line)


def ask(request: Message) -> None:
    """Asks its client for all that one may offer, and answers with what it was told."""
    messages = [{"role": "user", "content": {"type": "text", "text": "hello"}}]
    asked = {
        "sampling/createMessage": {"messages": messages, "maxTokens": 5},
        "elicitation/create": {"message": "who?", "requestedSchema": {"type": "object"}},
        "roots/list": {},
        "ping": {},
    }
    told = []
    for method, params in asked.items():
        say({"id": method, "method": method, "params": params})
        reply = next(hear())
        told.append([reply["id"], reply.get("result", reply.get("error", {}).get("code"))])
    answer(request, json.dumps(told))


def ask_without_end(request: Message) -> None:
    """Asks and asks, and reads no answer."""
    while True:
        say({"id": 1, "method": "ping", "params": {"x": "x" * 100_000}})


def stop_reading(request: Message) -> None:
    while True:
        signal.pause()


def change_tools() -> list[Message]:
    """Other tools each time, told to whoever wants to know."""
    say({"method": "notifications/tools/list_changed"})
    times = Path(os.environ["STATE"])
    times.write_text(times.read_text() + "x" if times.exists() else "x")
    if len(times.read_text()) == 1:
        return [WORK]
    return [{**WORK, "inputSchema": {"type": "object", "required": ["other"]}}]


def odd_schemas() -> list[Message]:
    endless = {"$defs": {"x": {"$ref": "#/$defs/x"}}, "properties": {"x": {"$ref": "#/$defs/x"}}}
    schemas: Message = {
        "missing": None,
        "list": [],
        "text": {"type": "string"},
        "invalid": {"type": "object", "properties": 5},
        "elsewhere": {"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:1/x"}}},
        "large": {"type": "object", "description": "x" * 30_000},
        "endless": {"type": "object", **endless},
    }
    tools = [{"name": name, "inputSchema": schema} for name, schema in schemas.items()]
    return [*tools, {"name": 5}, {"inputSchema": {"type": "object"}}, WORK]


def odd_names() -> list[Message]:
    names = ["do it", "do-it", "Do_It", "\x1b[31mred\u202e", "日本", "x" * 200, "x" * 201, "b_work"]
    return [{**WORK, "name": name, "description": name + "\x1b[0m" * 600} for name in names]


def say_the_name(request: Message) -> None:
    answer(request, json.dumps(request["params"]["name"]))


def many_tools() -> list[Message]:
    return [{**WORK, "name": f"work_{number}"} for number in range(200)]


def start_late() -> None:
    """Says where it is before it has answered anything, and answers nothing."""
    call_home(int(sys.argv[2]))
    list(hear())


def talk_on_stderr(request: Message) -> None:
    sys.stderr.write("x" * 5 * MEGABYTE)
    sys.stderr.flush()
    answer(request, "done")


def show_all(request: Message) -> None:
    """One of each kind of content."""
    data = {"data": "eHh4eA==", "mimeType": "audio/wav"}
    text = {"uri": "file:///a.txt", "mimeType": "text/plain", "text": "what it says"}
    blob = {"uri": "file:///b.bin", "blob": "eHh4eA=="}
    link = {"type": "resource_link", "name": "more", "uri": "http://127.0.0.1/more"}
    content = [
        {"type": "audio", **data},
        {"type": "resource", "resource": text},
        {"type": "resource", "resource": blob},
        link,
    ]
    say({"id": request["id"], "result": {"content": content}})


def say_much(request: Message) -> None:
    answer(request, "a" + "x" * 2 * MEGABYTE + "z")


BEHAVIOURS: dict[str, Callable[[], object]] = {
    "honest": lambda: honest().run("stdio"),
    "http": serve_http,
    "http-flood": flood_http,
    "plain": serve,
    "newest": lambda: serve(lambda request: answer(request, "done", **NEWEST), more=NEWEST),
    "hinting": lambda: serve(tools=hint),
    "variables": lambda: serve(show_variables),
    "crash-at-start": crash_at_start,
    "crash": lambda: serve(crash),
    "silent": lambda: list(hear()),
    "late": start_late,
    "hang": lambda: serve(hang),
    "stay": lambda: serve(stay),
    "stay-alone": lambda: stay_alone(int(sys.argv[2])),
    "greet": greet_on_stdout,
    "nonsense": answer_nonsense,
    "unwilling": refuse_to_start,
    "nonsense-calls": lambda: serve(answer_nonsense_to_calls),
    "refuse": lambda: serve(refuse),
    "want-input": lambda: serve(want_input, more=NEWEST),
    "flood": lambda: serve(flood),
    "flood-at-start": lambda: flood({}),
    "chatter": lambda: serve(chatter),
    "ask": lambda: serve(ask),
    "deaf": lambda: serve(stop_reading),
    "ask-without-end": lambda: serve(ask_without_end),
    "change": lambda: serve(crash, tools=change_tools),
    "schemas": lambda: serve(tools=odd_schemas),
    "names": lambda: serve(say_the_name, tools=odd_names),
    "no-tools": lambda: serve(tools=list),
    "pages": lambda: serve(tools=many_tools, more={"nextCursor": "again"}),
    "stderr": lambda: serve(talk_on_stderr),
    "all-content": lambda: serve(show_all),
    "much": lambda: serve(say_much),
}

if __name__ == "__main__":
    BEHAVIOURS[sys.argv[1]]()
