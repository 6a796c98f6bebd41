"""The user's `mcp.toml`: what it may say, and where it says why not."""

import os
import re
from pathlib import Path

import pytest

from agentctl.core.agents.tools.mcp_servers import McpServer, read_mcp_servers
from agentctl.core.errors import ConfigError, ToolFailed
from agentctl.core.paths import Paths, find_paths, shipped

COMMAND = 'command = ["x"]\n'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = find_paths({"AGENTCTL_HOME": str(tmp_path)})
    found.config.mkdir()
    return found


def read(paths: Paths, text: str) -> tuple[McpServer, ...]:
    paths.mcp_servers.write_text(text, encoding="utf-8")
    return read_mcp_servers(paths)


def test_no_file_means_no_server(paths: Paths) -> None:
    assert read_mcp_servers(paths) == ()
    assert read(paths, "") == read(paths, "[servers]") == ()


def test_a_server_has_what_its_table_says(paths: Paths) -> None:
    first, second = read(
        paths,
        """
        [servers.Files-1]
        command = ["npx", "-y", "files"]
        env = { TOKEN = "$MINE", ROOT = "/srv" }
        tools = ["read_*"]
        risk = "read"
        timeout_s = 5
        start_timeout_s = 30.5

        [servers.web]
        url = "http://127.0.0.1:8000/mcp"
        """,
    )
    assert first == McpServer(
        name="Files-1",
        folder=paths.config,
        command=("npx", "-y", "files"),
        env={"TOKEN": "$MINE", "ROOT": "/srv"},
        tools=("read_*",),
        risk="read",
        timeout_s=5.0,
        start_timeout_s=30.5,
    )
    assert first.prefix == "mcp_files_1_"
    assert second == McpServer(name="web", folder=paths.config, url="http://127.0.0.1:8000/mcp")
    assert (second.tools, second.risk, second.timeout_s) == (("*",), "execute", 60.0)


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("\n[servers.x]\ncommand = [", 3, "Invalid value"),
        ("[server.x]\n" + COMMAND, 2, "unknown key server.x.command (did you mean servers."),
        ("servers = 5", 1, "servers: a server is a table [servers.NAME]"),
        ('[servers."a b"]\n' + COMMAND, 2, 'servers."a b".command: a server is a table'),
        (f"[servers.{'x' * 33}]\n" + COMMAND, 2, "up to 32 letters, digits, - and _"),
        ("servers.x = 5", 1, "servers.x must be a table, with the keys command, env, url"),
        ("[servers.x]", 1, "servers.x needs either a command or a url"),
        ("[servers.x]\n" + COMMAND + 'url = "http://[::1]/"', 1, "either a command or a url"),
        (
            "[servers.x]\n" + COMMAND + "timeout = 5",
            3,
            "unknown key servers.x.timeout (did you mean timeout_s?)",
        ),
        ("[servers.x]\n" + COMMAND + "timeout_s = 0", 3, "servers.x.timeout_s must be a number"),
        ('[servers.x]\ncommand = "x"', 2, "servers.x.command must be a list of texts"),
        ("[servers.x]\ncommand = []", 2, "servers.x.command must be a list of texts"),
        ('[servers.x]\ncommand = ["x", 5]', 2, "servers.x.command must be a list of texts"),
        ('[servers.x]\ncommand = { a = "x" }', 2, "servers.x.command.a is no table"),
        ("[servers.x]\n" + COMMAND + "env = { A = 5 }", 3, "servers.x.env.A must be variables"),
        ("[servers.x]\n" + COMMAND + "env = ['A']", 3, "servers.x.env must be variables"),
        ("[servers.x]\n" + COMMAND + 'risk = "harmless"', 3, "must be one of read, write, exec"),
        ("[servers.x]\n" + COMMAND + "remote = true", 3, "servers.x.remote is for a url"),
        ('[servers.x]\nurl = "ftp://localhost/"', 2, "must begin with http:// or https://"),
        ('[servers.x]\nurl = "http://[::1]/"\nenv = { A = "x" }', 3, "env is for a command"),
        (
            f"[servers.a-b]\n{COMMAND}\n[servers.A_b]\n{COMMAND}",
            4,
            "servers.A_b and servers.a-b would name their tools alike",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    paths: Paths, text: str, line: int, problem: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(paths, text)
    assert raised.value.message.startswith(f"{paths.mcp_servers}:{line}: ")
    assert problem in raised.value.message
    assert raised.value.hint == f"correct line {line} of {paths.mcp_servers}"


@pytest.mark.parametrize("url", ["https://mcp.example.com/mcp", "http://0.0.0.0:8000/mcp"])
def test_a_server_elsewhere_has_to_be_allowed(paths: Paths, url: str) -> None:
    text = f'[servers.x]\nurl = "{url}"\n'
    with pytest.raises(ConfigError) as raised:
        read(paths, text)
    assert raised.value.message.startswith(f"{paths.mcp_servers}:2: servers.x.url is another mach")
    assert raised.value.hint.startswith("if it may: add `remote = true` to [servers.x]")
    assert read(paths, text + "remote = true")[0].url == url


def test_only_the_users_file_counts(
    paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mcp.toml").write_text("[servers.x]\n" + COMMAND)
    monkeypatch.chdir(folder)
    assert read_mcp_servers(paths) == ()


def test_variables_are_handed_on_by_name(paths: Paths) -> None:
    (server,) = read(
        paths, "[servers.x]\n" + COMMAND + 'env = { TOKEN = "$MINE", LANG = "C", ROOT = "a$b" }'
    )
    environ = {"PATH": os.defpath, "LANG": "de", "MINE": "m", "OPENAI_API_KEY": "secret"}

    assert server.environment(environ) == {
        "PATH": os.defpath,
        "LANG": "C",
        "TOKEN": "m",
        "ROOT": "a$b",
    }
    with pytest.raises(ToolFailed, match="the variable MINE is not set"):
        server.environment({})


def test_the_shipped_file_names_no_server_and_its_examples_are_right(paths: Paths) -> None:
    text = shipped("mcp.toml").read_text(encoding="utf-8")
    assert read(paths, text) == ()

    # The examples are the lines that are comments and TOML.
    lines = re.findall(r"(?m)^# (\[servers\.[a-z]+\]|\w+ = .*)$", text)
    servers = read(paths, "\n".join(lines))

    assert [server.name for server in servers] == ["files", "github", "local", "elsewhere"]
