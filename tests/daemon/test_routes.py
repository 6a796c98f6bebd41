"""Each documented route, when all is well and when it is not."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import quote

import jsonschema
import pytest

from agentctl.core.events import decode_event
from tests.support.daemon import running_daemon
from tests.support.daemon_client import Daemon, Json, events, eventually, refused

NOTE = "# Lighthouse\n\nThe keeper lights the lamp at dusk."


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running_daemon(tmp_path / "home") as address:
        yield Daemon(address, tmp_path)


# Questions


def test_a_question_is_answered_as_ask_does_it(daemon: Daemon) -> None:
    model = daemon.says("The answer is 42.")

    answer = daemon.post("/agent/query", {"prompt": "What is it?", "model": model}).json

    assert (answer["answer"], answer["status"], answer["backend"]) == (
        "The answer is 42.",
        "done",
        "scripted",
    )
    assert answer["run_id"] and answer["session"]


def test_a_session_is_gone_on_with(daemon: Daemon) -> None:
    question = {"prompt": "What is it?", "model": daemon.says("It."), "session": "mine"}

    first, second = (daemon.post("/agent/query", question).json for _ in range(2))

    assert first["session"] == second["session"]


def test_a_stream_tells_every_event_in_order_to_the_last(daemon: Daemon) -> None:
    question = {"prompt": "Count.", "model": daemon.says("one two three"), "stream": True}

    with daemon.opened("POST", "/agent/query", question) as response:
        told = list(events(response))

    assert response.getheader("content-type", "").startswith("text/event-stream")
    assert response.getheader("cache-control") == "no-store"
    assert (told[0]["type"], told[-1]["type"]) == ("run_started", "run_finished")
    assert "".join(each["text"] for each in told if each["type"] == "text") == "one two three"
    assert [decode_event(json.dumps(each)).type for each in told] == [each["type"] for each in told]


def test_an_agent_that_is_named_does_the_task(daemon: Daemon) -> None:
    question = {"prompt": "Say it.", "agent": "assistant", "model": daemon.says("Said.")}

    answer = daemon.post("/agent/query", question).json
    with daemon.opened("POST", "/agent/query", {**question, "stream": True}) as response:
        told = list(events(response))

    assert (answer["agent"], answer["status"], answer["answer"]) == ("assistant", "done", "Said.")
    assert (told[-1]["type"], told[-1]["answer"]) == ("run_finished", "Said.")


def test_an_agent_that_is_named_has_its_time(daemon: Daemon) -> None:
    slow = daemon.says({"text": "word " * 2000, "delay_s": 0.05})
    question = {"prompt": "Say it.", "agent": "assistant", "model": slow, "timeout_s": 1}

    assert daemon.post("/agent/query", question).json["status"] == "timeout"


@pytest.mark.parametrize(
    "more",
    [{"session": "mine"}, {"system": "Be brief."}, {"knowledge": "off"}, {"collection": "notes"}],
)
def test_what_an_agent_has_no_use_for_is_refused(daemon: Daemon, more: Json) -> None:
    answer = daemon.post("/agent/query", {"prompt": "Say it.", "agent": "assistant", **more})

    assert refused(answer) == (400, "usage")
    assert next(iter(more)) in answer.json["error"]["message"]


@pytest.mark.parametrize("more", [{}, {"stream": True}])
def test_an_agent_that_nobody_has_is_not_found_before_a_stream_begins(
    daemon: Daemon, more: Json
) -> None:
    answer = daemon.post("/agent/query", {"prompt": "x", "agent": "nobody", **more})

    assert refused(answer) == (404, "not-found")


def test_a_question_that_fails_has_the_status_of_its_error(daemon: Daemon) -> None:
    unknown = daemon.post("/agent/query", {"prompt": "x", "model": "ollama:nothing"})
    missing = daemon.post("/agent/query", {"prompt": "x", "model": "scripted:/nothing"})

    assert refused(unknown) == (503, "backend-unreachable")
    assert refused(missing) == (404, "input-missing")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 100_000,
        b'{"prompt": ""}',
        b'{"prompt": 1}',
        b'{"prompt": "x", "promt": "y"}',
        b'{"prompt": "x", "timeout_s": -1}',
        b'{"prompt": "x", "timeout_s": NaN}',
        b'{"prompt": "\\ud800"}',
    ],
)
def test_a_body_that_does_not_fit_is_refused(daemon: Daemon, body: bytes) -> None:
    assert refused(daemon.post("/agent/query", body))[0] in (400, 422)


# Documents


def test_documents_are_taken_in_found_listed_and_removed(daemon: Daemon) -> None:
    page = daemon.folder / "page.md"
    page.write_text(NOTE)

    report = daemon.post("/documents", {"paths": [str(page)], "collection": "sea"}).json
    found = daemon.get("/search?q=who%20lights%20the%20lamp&n=1").json
    listed = daemon.get("/documents?collection=sea").json
    removed = daemon.send("DELETE", f"/documents?reference={page}").json

    assert report["added"] == 1
    assert found["hits"][0]["path"] == str(page)
    assert [each["path"] for each in listed] == [str(page)] == [each["path"] for each in removed]
    assert daemon.get("/documents").json == []


def test_a_text_is_taken_in_under_its_title(daemon: Daemon) -> None:
    report = daemon.post("/documents", {"text": NOTE, "title": "the lamp"}).json

    assert report["added"] == 1
    assert [each["title"] for each in daemon.get("/documents").json] == ["the lamp"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"paths": ["relative.md"]}, 400),
        ({"paths": ["~/page.md"]}, 400),
        ({"paths": ["/with/\0"]}, 400),
        ({"paths": ["file:///etc/passwd"]}, 400),
        ({"text": "without a title"}, 400),
        ({"title": "without a text"}, 400),
        ({}, 400),
        ({"paths": "/no/list"}, 422),
    ],
)
def test_what_cannot_be_taken_in_is_refused(daemon: Daemon, body: Json, status: int) -> None:
    assert refused(daemon.post("/documents", body))[0] == status


def test_a_document_that_is_not_there_is_in_the_report(daemon: Daemon) -> None:
    report = daemon.post("/documents", {"paths": ["/no/such/page.md"]})

    assert report.status == 200
    assert [each["code"] for each in report.json["failed"]] == ["input-missing"]


def test_searches_that_make_no_sense_are_refused(daemon: Daemon) -> None:
    assert refused(daemon.get("/search"))[0] == 422
    assert refused(daemon.get("/search?q=x&n=0"))[0] == 422
    assert refused(daemon.get("/search?q=x&mode=psychic"))[0] == 422
    assert refused(daemon.get("/search?q=x&collection=nobodys")) == (404, "not-found")
    assert refused(daemon.send("DELETE", "/documents?reference=nothing")) == (404, "not-found")
    assert refused(daemon.send("DELETE", "/documents"))[0] == 422


# Tasks


def test_a_task_is_added_shown_paused_run_and_removed(daemon: Daemon) -> None:
    task = {
        "name": "nightly",
        "trigger": {"kind": "cron", "expression": "0 3 * * *"},
        "action": {"kind": "ask", "text": "What is new?", "model": daemon.says("Nothing.")},
    }

    added = daemon.post("/tasks", task)
    started = daemon.post("/tasks/nightly/run")
    history = eventually(
        lambda: daemon.get("/tasks/nightly/history").json, lambda runs: runs[0]["status"] == "done"
    )
    paused = daemon.send("PATCH", "/tasks/nightly", {"enabled": False}).json

    assert (added.status, added.json["name"]) == (201, "nightly")
    assert started.status == 202
    assert [(each["result"], each["run_id"]) for each in history] == [
        ("Nothing.", started.json["run_id"])
    ]
    assert (paused["enabled"], paused["next_run"]) == (False, None)
    assert daemon.get("/tasks/nightly").json["name"] == "nightly"
    assert [each["name"] for each in daemon.get("/tasks").json] == ["nightly"]
    assert daemon.send("DELETE", "/tasks/nightly").json["name"] == "nightly"
    assert daemon.get("/tasks").json == []


def test_tasks_that_make_no_sense_are_refused(daemon: Daemon) -> None:
    when, what = {"kind": "interval", "expression": "60"}, {"kind": "ask", "text": "x"}
    never = {"name": "x", "trigger": {"kind": "cron", "expression": "99 * * * *"}, "action": what}
    good = {"name": "twice", "trigger": when, "action": what}

    assert refused(daemon.post("/tasks", never)) == (400, "usage")
    assert refused(daemon.post("/tasks", {"name": "x", "trigger": when}))[0] == 422
    assert daemon.post("/tasks", good).status == 201
    assert refused(daemon.post("/tasks", good)) == (400, "usage")
    for path in ("/tasks/nothing", "/tasks/nothing/history"):
        assert refused(daemon.get(path)) == (404, "not-found")
    assert refused(daemon.post("/tasks/nothing/run")) == (404, "not-found")
    assert refused(daemon.send("PATCH", "/tasks/nothing", {"enabled": True}))[0] == 404
    assert refused(daemon.send("DELETE", "/tasks/nothing"))[0] == 404


# The machine


def test_the_machine_and_the_journal_are_shown(daemon: Daemon) -> None:
    stats = daemon.get("/system/stats").json
    journal = daemon.get("/journal").json

    assert stats["memory"]["total"] > 0
    assert stats["daemon"]["status"] == "running"
    assert "the daemon was started" in [each["message"] for each in journal]
    assert isinstance(daemon.get("/system/history?seconds=60").json, list)
    assert refused(daemon.get("/system/history?seconds=nan"))[0] == 422


def test_the_journal_begins_at_a_moment_whatever_offset_it_is_told_in(daemon: Daemon) -> None:
    first = daemon.get("/journal").json[0]
    began = datetime.fromisoformat(first["time"])
    east = began.astimezone(timezone(timedelta(hours=5)))
    moments = [began, east, began.replace(tzinfo=None), began + timedelta(milliseconds=1)]

    told = [daemon.get(f"/journal?since={quote(each.isoformat())}").json for each in moments]

    assert [first in each for each in told] == [True, True, True, False]
    assert daemon.get("/journal?since=2999-01-01").json == []


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "9999-12-31T23:59-14:00", ""])
def test_what_is_no_moment_is_refused(daemon: Daemon, since: str) -> None:
    assert refused(daemon.get(f"/journal?since={since}")) == (422, "usage")


def test_health_tells_how_the_parts_are(daemon: Daemon) -> None:
    health = daemon.get("/health").json

    assert health["url"] == daemon.address.url
    assert "resources" in [job["name"] for job in health["jobs"]]


# What is not there, and what describes the rest


def test_what_is_not_served_has_the_shape_of_every_error(daemon: Daemon) -> None:
    assert refused(daemon.get("/nothing")) == (404, "not-found")
    assert refused(daemon.send("PUT", "/agents")) == (405, "usage")
    assert refused(daemon.post("/workspace/nothing", {})) == (404, "not-found")
    assert refused(daemon.post("/workspace/close", {})) == (404, "not-found")
    assert refused(daemon.post("/workspace/list_runs", {"limits": 1})) == (400, "usage")
    assert refused(daemon.post("/workspace/list_runs", b"[]")) == (400, "usage")


def test_the_description_is_valid_openapi_and_complete(daemon: Daemon) -> None:
    api = daemon.get("/openapi.json", Authorization=None).json

    assert api["openapi"].startswith("3.1")
    for schema in api["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    assert {"/agent/query", "/search", "/documents", "/tasks", "/system/stats"} <= set(api["paths"])
    assert not any(path.startswith(("/workspace", "/shutdown")) for path in api["paths"])
    assert all(
        operation["description"] for verbs in api["paths"].values() for operation in verbs.values()
    )


def test_the_page_loads_nothing_from_anywhere(daemon: Daemon) -> None:
    page = daemon.get("/docs", Authorization=None)
    text = page.body.decode()

    assert page.headers["content-type"].startswith("text/html")
    assert "/agent/query" in text
    assert not any(word in text for word in ("http:", "https:", "src=", "@import", "<script"))
