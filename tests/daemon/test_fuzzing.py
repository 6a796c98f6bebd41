"""Whatever is sent to the documented routes, the daemon does not stumble.

Nothing that a fuzzer thinks of may reach this machine: folders are those of the test, no command
is run, and no page is fetched.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from tests.support.daemon import running_daemon
from tests.support.daemon_client import Client

EXAMPLES = 12

Json = Any  # any JSON


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("fuzzing")
    (folder / "work").mkdir()
    (folder / "work" / "page.md").write_text("# A page\n\nwith a line.")
    with running_daemon(folder / "home") as address:
        yield Client(address)


def test_nothing_that_is_sent_makes_the_daemon_stumble(client: Client) -> None:
    api = schemathesis.openapi.from_dict(client.get("/openapi.json").json)
    api.config.update(base_url=client.address.url)
    folder = Path(client.address.socket).parents[2] / "work"

    for found in api.get_all_operations():

        @given(case=found.ok().as_strategy())
        @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None)
        def send(case: schemathesis.Case) -> None:
            case.body = harmless(case.body, folder)
            response = case.call(headers={"Authorization": f"Bearer {client.address.token}"})
            assert response.status_code != 500, response.text
            if response.status_code >= 400:
                assert set(response.json()["error"]) == {"code", "message", "hint"}

        send()


def harmless(body: Json, folder: Path) -> Json:
    """The same without places, commands and addresses outside of the test."""
    if isinstance(body, dict):
        return {
            key: [] if key == "notify" else harmless(value, folder) for key, value in body.items()
        }
    if isinstance(body, list):
        return [harmless(each, folder) for each in body]
    if isinstance(body, str) and body.lstrip().startswith(("/", "~", "http", "file", "scripted")):
        return str(folder)
    return body


# What fuzzers seldom think of, and attackers do

WHEN, WHAT = {"kind": "interval", "expression": "60"}, {"kind": "ask", "text": "x"}
TASK = {"name": "x", "trigger": WHEN, "action": WHAT}
SAID = [{"role": "user", "content": "x"}]
DEEP: Json = {}
for _ in range(500):
    DEEP = {"x": DEEP}


def at(kind: str, expression: str, timezone: str = "UTC") -> Json:
    return {**TASK, "trigger": {"kind": kind, "expression": expression, "timezone": timezone}}


BODIES = [
    ("/tasks", at("interval", "0")),
    ("/tasks", at("interval", "-5")),
    ("/tasks", at("interval", "1" * 5000)),
    ("/tasks", at("interval", "9" * 300 + " days")),
    ("/tasks", at("once", "tomorrow")),
    ("/tasks", at("once", "2999-01-01")),
    ("/tasks", at("once", "9999-12-31T23:59:59-23:59")),
    ("/tasks", at("once", "2999-01-01T00:00", "../../etc/passwd")),
    ("/tasks", at("cron", "* * * * *", "\0")),
    ("/tasks", at("cron", "*/0 * * * *")),
    ("/tasks", at("cron", "0-99999999999 * * * *")),
    ("/tasks", at("cron", "0 0 31 2 *")),
    ("/tasks", {**TASK, "name": "\0"}),
    ("/tasks", {**TASK, "name": "\ud800"}),
    ("/tasks", {**TASK, "action": {**WHAT, "text": "\ud800"}}),
    ("/tasks", {**TASK, "action": {"kind": "ingest", "text": "relative"}}),
    ("/tasks", {**TASK, "action": {"kind": "agent", "text": "x", "folder": "relative"}}),
    ("/tasks", {**TASK, "action": {"kind": "agent", "text": "x", "folder": "/" + "a" * 5000}}),
    ("/tasks", {**TASK, "options": {"timeout_s": 1e308}}),
    ("/tasks", {**TASK, "options": {"retries": 10**30}}),
    ("/tasks", {**TASK, "options": {"notify": ["\0"]}}),
    ("/documents", {"text": "\ud800", "title": "x"}),
    ("/documents", {"text": "x", "title": "\0"}),
    ("/documents", {"text": "x", "title": "\ud800"}),
    ("/documents", {"text": "x", "title": "../../x", "collection": "../../x"}),
    ("/documents", {"paths": ["/" + "a" * 3000]}),
    ("/documents", {"paths": ["/\ud800"]}),
    ("/documents", {"paths": ["http://"]}),
    ("/documents", {"paths": ["http://[::"]}),
    ("/agents/x/runs", {"task": "x", "folder": "/" + "a" * 3000}),
    ("/agents/x/runs", {"task": "x", "folder": "/\ud800"}),
    ("/agents/..%2f..%2fx/runs", {"task": "x"}),
    ("/agents/%00/runs", {"task": "x"}),
    ("/agent/query", {"prompt": "x", "model": "\0"}),
    ("/agent/query", {"prompt": "x", "model": "scripted:/\0"}),
    ("/agent/query", {"prompt": "x", "model": "scripted:/" + "a" * 150}),
    ("/agent/query", {"prompt": "x", "session": "\0", "model": "scripted:/x"}),
    ("/agent/query", {"prompt": "\0", "agent": "assistant", "model": "scripted:/x"}),
    ("/runs/latest/approve", {"args": DEEP}),
    ("/v1/chat/completions", {"messages": SAID, "seed": 10**30}),
    ("/v1/chat/completions", {"messages": SAID, "tools": [DEEP]}),
    ("/v1/chat/completions", {"messages": SAID, "stop": ["\ud800"], "model": "scripted:/x"}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "text"}]}]}),
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}),
    (
        "/v1/chat/completions",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "\ud800"}]}]},
    ),
    ("/v1/embeddings", {"input": "\ud800"}),
    ("/v1/embeddings", {"input": ""}),
    ("/v1/embeddings", {"input": "x", "model": "\0"}),
    ("/v1/embeddings", {"input": "x", "model": "../../x"}),
    ("/workspace/list_runs", {"limit": 10**30}),
    ("/workspace/show_session", {"reference": "\0"}),
    ("/calls/%00/cancel", {}),
]
PATHS = [
    "/search?q=%00",
    "/search?q=%22",
    "/search?q=a%20NEAR(",
    "/search?q=%ed%a0%80",
    "/search?q=x&n=99999999999999999999",
    "/search?q=x&collection=%00",
    "/documents?collection=%ff",
    "/runs/%00",
    "/runs/%2e%2e",
    "/runs/" + "a" * 5000,
    "/runs?limit=1e3",
    "/tasks/99999999999999999999999999",
    "/tasks/%00/history",
    "/tasks/" + "%5B" * 500,
    "/journal?since=%00",
    "/journal?since=" + "9" * 200,
    "/system/history?seconds=inf",
    "/system/history?seconds=1e-320",
]


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_bodies_that_were_made_to_hurt_do_not(client: Client, path: str, body: Json) -> None:
    answer = client.post(path, body)

    assert answer.status != 500, answer.body


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_paths_that_were_made_to_hurt_do_not(client: Client, method: str, path: str) -> None:
    answer = client.send(method, path)

    assert answer.status != 500, answer.body


@pytest.mark.parametrize("reference", ["%00", "%5B", "*" * 1000, "%ed%a0%80", "/" + "a" * 3000])
def test_references_that_were_made_to_hurt_do_not(client: Client, reference: str) -> None:
    assert client.send("DELETE", f"/documents?reference={reference}").status in (200, 404, 422)
