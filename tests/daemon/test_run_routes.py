"""Runs over HTTP: clients that leave, calls that wait for approval, ends."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.core.config import default_settings
from agentctl.core.local_workspace import LocalWorkspace
from tests.support.daemon import daemon_paths, running_daemon
from tests.support.daemon_client import Daemon, Json, events, eventually, refused


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running_daemon(tmp_path / "home") as address:
        yield Daemon(address, tmp_path)


# A client that leaves


def slow(daemon: Daemon) -> str:
    return daemon.says({"text": "word " * 2000, "delay_s": 0.05})


def ended_answers(daemon: Daemon) -> list[tuple[str, str]]:
    """Status and text of the model's messages that are over, read past the daemon."""

    async def read() -> list[tuple[str, str]]:
        workspace = LocalWorkspace(default_settings(), daemon_paths(daemon.folder / "home"), {})
        found = [
            (message.status, message.content)
            for session in await workspace.list_sessions()
            for message in (await workspace.show_session(session.id))[1]
            if message.role == "assistant" and message.status != "partial"
        ]
        await workspace.close()
        return found

    return asyncio.run(read())


def test_a_client_that_leaves_a_stream_cancels_the_answer(daemon: Daemon) -> None:
    question = {"prompt": "Count.", "model": slow(daemon), "stream": True}

    with daemon.opened("POST", "/agent/query", question) as response:
        next(each for each in events(response) if each["type"] == "text")
    ((status, text),) = eventually(lambda: ended_answers(daemon), bool)

    assert status == "cancelled"
    assert text.startswith("word")


def test_a_client_that_gives_up_waiting_cancels_the_answer(daemon: Daemon) -> None:
    body = json.dumps({"prompt": "Count.", "model": slow(daemon)}).encode()
    head = (
        f"POST /agent/query HTTP/1.1\r\nHost: {daemon.host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {daemon.address.token}\r\nContent-Length: {len(body)}\r\n\r\n"
    )

    with daemon.raw(head.encode(), body):
        eventually(lambda: len(sessions(daemon)), bool)
    ((status, _),) = eventually(lambda: ended_answers(daemon), bool)

    assert status == "cancelled"


def sessions(daemon: Daemon) -> list[Json]:
    with daemon.opened("POST", "/workspace/list_sessions", {}) as response:
        return list(json.loads(response.readline())["item"])


def test_a_run_that_was_given_away_goes_on_when_its_client_has_left(daemon: Daemon) -> None:
    task = {"task": "Say it.", "model": daemon.says({"text": "a b c d e", "delay_s": 0.02})}

    started = daemon.post("/agents/assistant/runs", task)

    assert started.status == 202
    assert daemon.run_when(started.json["run_id"], "done")["answer"] == "a b c d e"


def test_a_client_that_leaves_the_stream_of_an_agent_cancels_the_run(daemon: Daemon) -> None:
    task = {"task": "Say it.", "model": slow(daemon), "stream": True}

    with daemon.opened("POST", "/agents/assistant/runs", task) as response:
        run = next(events(response))["run_id"]

    assert daemon.run_when(run, "cancelled")


# Agents and their runs


def test_agents_are_listed(daemon: Daemon) -> None:
    names = [each["name"] for each in daemon.get("/agents").json]

    assert "assistant" in names


def test_an_approved_call_is_made_and_the_run_goes_on_to_its_end(daemon: Daemon) -> None:
    run = daemon.waiting()

    decision = daemon.post(f"/runs/{run}/approve")
    ended = daemon.run_when(run, "done")

    assert (decision.status, decision.json["decision"]) == (200, "allow")
    assert (daemon.folder / "out.txt").read_text() == "hello\n"
    assert ended["answer"] == "It is written."


def test_a_call_may_be_approved_with_other_arguments(daemon: Daemon) -> None:
    run = daemon.waiting()

    daemon.post(f"/runs/{run}/approve", {"args": {"path": "other.txt", "content": "bye\n"}})
    daemon.run_when(run, "done")

    assert (daemon.folder / "other.txt").read_text() == "bye\n"
    assert not (daemon.folder / "out.txt").exists()


def test_a_denied_call_is_not_made(daemon: Daemon) -> None:
    run = daemon.waiting()

    decision = daemon.post(f"/runs/{run}/deny", {"reason": "not now"}).json
    daemon.run_when(run, "denied")

    assert (decision["decision"], decision["reason"]) == ("deny", "not now")
    assert not (daemon.folder / "out.txt").exists()


def test_a_run_that_waits_can_be_given_up(daemon: Daemon) -> None:
    run = daemon.waiting()

    assert daemon.post(f"/runs/{run}/cancel").json["status"] == "cancelled"
    assert refused(daemon.post(f"/runs/{run}/cancel")) == (400, "usage")


def test_a_run_at_work_can_be_stopped(daemon: Daemon) -> None:
    run = daemon.post("/agents/assistant/runs", {"task": "x", "model": slow(daemon)}).json["run_id"]

    daemon.post(f"/runs/{run}/cancel")

    assert daemon.run_when(run, "cancelled")


def test_an_answer_to_what_does_not_wait_is_refused(daemon: Daemon) -> None:
    run = daemon.waiting()
    daemon.post(f"/runs/{run}/deny")
    daemon.run_when(run, "denied")

    assert refused(daemon.post(f"/runs/{run}/approve")) == (404, "not-found")
    assert refused(daemon.post(f"/runs/{run}/maybe"))[0] == 422
    assert refused(daemon.post("/runs/nothing/approve")) == (404, "not-found")
    assert refused(daemon.get("/runs/nothing")) == (404, "not-found")


def test_runs_are_listed_the_newest_first(daemon: Daemon) -> None:
    task = {"task": "Say it.", "model": daemon.says("Said.")}
    ids = [daemon.post("/agents/assistant/runs", task).json["run_id"] for _ in range(2)]
    for run in ids:
        daemon.run_when(run, "done")

    assert {each["id"] for each in daemon.get("/runs").json} == set(ids)
    assert len(daemon.get("/runs?limit=1").json) == 1
    assert refused(daemon.get("/runs?limit=0"))[0] == 422


def test_a_run_needs_a_folder_that_is_there(daemon: Daemon) -> None:
    for folder in ("relative", "/no/such/folder", "/\0"):
        answer = daemon.post("/agents/assistant/runs", {"task": "x", "folder": folder})
        assert refused(answer) == (400, "usage")
