"""The run behind `ask`: what is promised of its events, however it ends."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agentctl.core.chat.conversation import AskRequest
from agentctl.core.config import default_settings
from agentctl.core.events import Event, RunFinished, RunStarted, TextArrived
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import Paths, find_paths
from agentctl.core.storage import open_database


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"AGENTCTL_HOME": str(tmp_path / "home")})


@pytest.fixture
def workspace(paths: Paths) -> LocalWorkspace:
    return LocalWorkspace(default_settings(), paths, {})


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., str]:
    """Writes a script of replies; the name of the model that plays it."""

    def write(*replies: dict[str, object]) -> str:
        path = tmp_path / "replies.jsonl"
        path.write_text("\n".join(map(json.dumps, replies)))
        return f"scripted:{path}"

    return write


def events_of(
    workspace: LocalWorkspace,
    request: AskRequest,
    after: Callable[[Event], Awaitable[object] | None] = lambda _: None,
) -> list[Event]:
    """`after` does something once an event has come, before the next one."""

    async def collect() -> list[Event]:
        events: list[Event] = []
        async with aclosing(workspace.ask(request)) as stream:
            async for event in stream:
                events.append(event)
                if (doing := after(event)) is not None:
                    await doing
        return events

    return asyncio.run(collect())


def last_message(workspace: LocalWorkspace) -> tuple[str, str]:
    """Content and status of the newest message."""
    _, messages = asyncio.run(workspace.show_session("latest"))
    return messages[-1].content, messages[-1].status


def assert_whole_run(events: list[Event]) -> RunFinished:
    """Begins and ends once; what was said is the answer."""
    assert isinstance(events[0], RunStarted)
    assert [type(event) for event in events].count(RunStarted) == 1
    finished = events[-1]
    assert isinstance(finished, RunFinished)
    assert [type(event) for event in events].count(RunFinished) == 1
    assert len({event.run_id for event in events}) == 1
    assert "".join(e.text for e in events if isinstance(e, TextArrived)) == finished.answer
    return finished


def test_an_answer_is_begun_streamed_measured_and_ended(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["one ", "two"], "thinking": "hm"})

    events = events_of(workspace, AskRequest(prompt="count", model=model))

    finished = assert_whole_run(events)
    assert [event.type for event in events] == [
        "run_started",
        "thinking",
        "text",
        "text",
        "usage",
        "run_finished",
    ]
    assert (finished.status, finished.answer) == ("done", "one two")
    assert last_message(workspace) == ("one two", "done")


ENDINGS = {
    "the model fails in the middle": (
        {"chunks": ["one "], "error": {"slug": "backend-failed", "message": "boom"}},
        {},
        "failed",
        "backend-failed",
    ),
    "the model falls silent": (
        {"chunks": ["one ", "two"], "delay_s": 60},
        {"timeout_s": 0.3},
        "timeout",
        "backend-timeout",
    ),
    "there is no such model": (None, {"model": "embedded:nothing"}, "failed", "model-not-found"),
    "a file is missing": ({"text": "x"}, {"files": ("/no/such",)}, "failed", "input-missing"),
    "the prompt is empty": ({"text": "x"}, {"prompt": " "}, "failed", "usage"),
    "the session is unknown": ({"text": "x"}, {"session": "no"}, "failed", "not-found"),
    "the answer does not fit": (
        {"text": "[]"},
        {"schema": {"type": "object"}},
        "failed",
        "answer-invalid",
    ),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_every_failure_is_an_event_of_a_whole_run(
    ending: tuple[dict[str, object] | None, dict[str, object], str, str],
    workspace: LocalWorkspace,
    script: Callable[..., str],
) -> None:
    reply, changes, status, code = ending
    model = script(reply) if reply is not None else ""
    request = AskRequest(**{"prompt": "hi", "model": model, **changes})  # type: ignore[arg-type]  # a table of tests

    events = events_of(workspace, request)

    assert assert_whole_run(events).status == status
    assert [event.code for event in events if event.type == "error"] == [code]


def test_what_is_passed_on_is_stored_already(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["one ", "two ", "three"]})

    async def check() -> None:
        seen = ""
        async with aclosing(workspace.ask(AskRequest(prompt="count", model=model))) as events:
            async for event in events:
                if isinstance(event, TextArrived):
                    seen += event.text
                    _, messages = await workspace.show_session("latest")
                    assert messages[-1].content == seen

    asyncio.run(check())


def cancelled_run(
    workspace: LocalWorkspace,
    model: str,
    other: sqlite3.Connection | None = None,
    cancels: int = 1,
) -> tuple[list[Event], asyncio.Task[None]]:
    """Cancelled after the first piece; `other` writes from that piece on until then."""
    seen: list[Event] = []

    async def main() -> asyncio.Task[None]:
        async def read() -> None:
            async for event in workspace.ask(AskRequest(prompt="count", model=model)):
                seen.append(event)
                if isinstance(event, TextArrived):
                    if other is not None:
                        other.execute("BEGIN IMMEDIATE")
                    arrived.set()

        arrived = asyncio.Event()
        task = asyncio.create_task(read())
        await arrived.wait()
        for _ in range(cancels):
            task.cancel()
            await asyncio.sleep(0)
        if other is not None:
            other.commit()
        await asyncio.wait([task])
        return task

    return seen, asyncio.run(main())


def test_a_cancelled_run_still_ends_and_then_is_cancelled(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    threads = threading.active_count()

    seen, task = cancelled_run(workspace, script({"chunks": ["one ", "two"]}))

    assert task.cancelled()
    assert assert_whole_run(seen).status == "cancelled"
    assert last_message(workspace) == ("one ", "cancelled")
    assert threading.active_count() <= threads + 1  # asyncio's own helper may stay


def test_a_reader_that_leaves_early_leaves_what_arrived(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["one ", "two"]})

    async def leave() -> None:
        events: AsyncGenerator[Event, None] = workspace.ask(AskRequest(prompt="x", model=model))
        async for event in events:
            if isinstance(event, TextArrived):
                break
        await events.aclose()

    asyncio.run(leave())

    assert last_message(workspace) == ("one ", "cancelled")


@pytest.fixture
def other(workspace: LocalWorkspace, paths: Paths) -> Iterator[sqlite3.Connection]:
    """Another process's connection."""
    opened = open_database(paths.database)
    yield opened
    opened.close()


def test_while_another_process_writes_the_loop_goes_on(
    workspace: LocalWorkspace, other: sqlite3.Connection, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["one ", "two"]})

    def hold_it(_: Event) -> None:
        if not other.in_transaction:
            other.execute("BEGIN IMMEDIATE")
            # A loop that stood still would never come to it.
            asyncio.get_running_loop().call_soon(other.commit)

    events = events_of(workspace, AskRequest(prompt="count", model=model), hold_it)

    assert assert_whole_run(events).status == "done"
    assert "warning" not in [event.type for event in events]
    assert last_message(workspace) == ("one two", "done")


@pytest.mark.parametrize(("cancels", "stored"), [(1, "cancelled"), (2, "partial")])
def test_a_run_that_is_cancelled_while_it_waits_to_be_stored_ends_as_any_other(
    cancels: int,
    stored: str,
    workspace: LocalWorkspace,
    other: sqlite3.Connection,
    script: Callable[..., str],
) -> None:
    seen, task = cancelled_run(workspace, script({"chunks": ["one ", "two"]}), other, cancels)

    assert task.cancelled()
    finished = assert_whole_run(seen)
    assert (finished.status, finished.answer) == ("cancelled", "one ")
    assert last_message(workspace) == ("one ", stored)


def test_a_session_that_is_removed_while_it_is_answered_is_told_once(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["one ", "two ", "three"]})

    def remove_it(event: Event) -> Awaitable[object] | None:
        return workspace.remove_session("latest") if isinstance(event, RunStarted) else None

    events = events_of(workspace, AskRequest(prompt="count", model=model), remove_it)

    finished = assert_whole_run(events)
    assert (finished.status, finished.answer) == ("done", "one two three")
    assert [event.code for event in events if event.type == "warning"] == ["not-found"]
    assert asyncio.run(workspace.list_sessions()) == []


def test_an_unusable_database_is_an_event_and_the_model_is_not_asked(
    workspace: LocalWorkspace, paths: Paths, script: Callable[..., str]
) -> None:
    paths.database.parent.mkdir(parents=True)
    paths.database.write_bytes(b"this is no database " * 100)

    events = events_of(workspace, AskRequest(prompt="x", model=script({"text": "hello"})))

    assert assert_whole_run(events).answer == ""
    assert [event.code for event in events if event.type == "error"] == ["storage"]


def test_a_disk_that_fills_up_in_the_middle_does_not_stop_the_answer(
    workspace: LocalWorkspace, paths: Paths, script: Callable[..., str]
) -> None:
    model = script({"chunks": ["x" * 100_000, "y" * 100_000, "z"]})

    def fill_the_disk(event: Event) -> None:
        if isinstance(event, RunStarted):
            connection = workspace._sessions._connection
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    events = events_of(workspace, AskRequest(prompt="x", model=model), fill_the_disk)

    finished = assert_whole_run(events)
    assert len(finished.answer) == 200_001
    assert [event.type for event in events].count("warning") == 1
    assert finished.status == "failed"
    connection = open_database(paths.database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT content FROM messages WHERE role = 'user'").fetchall()
    connection.close()


def test_without_a_log_no_database_is_made(
    workspace: LocalWorkspace, paths: Paths, script: Callable[..., str]
) -> None:
    events_of(workspace, AskRequest(prompt="x", model=script({"text": "hi"}), log=False))

    assert not paths.database.exists()


def test_an_unanswered_question_is_joined_to_the_next(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    failing = script({"error": {"slug": "backend-failed", "message": "boom"}})
    events_of(workspace, AskRequest(prompt="one?", model=failing, session="s", create_session=True))

    prepared = asyncio.run(
        workspace.prepare(AskRequest(prompt="two?", model=script({"text": "x"}), session="s"))
    )

    assert [(m.role, m.content) for m in prepared.messages] == [("user", "one?\n\ntwo?")]


def test_a_backend_that_counts_more_tokens_than_we_did_gets_fewer_turns(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    for number in range(4):
        talk = AskRequest(
            prompt=f"{number} " + "word " * 20,
            model=script({"text": "ok"}),
            session="s",
            create_session=True,
        )
        events_of(workspace, talk)
    overflow = {"error": {"slug": "context-overflow", "message": "too long"}}
    model = script(overflow, overflow, {"text": "done"})

    events = events_of(workspace, AskRequest(prompt="last", model=model, session="s"))

    assert assert_whole_run(events).answer == "done"
    warnings = [event.message for event in events if event.type == "warning"]
    assert "oldest 4 messages" in warnings[0]
    assert "oldest 6 messages" in warnings[1]
    assert [e.truncated_tokens > 0 for e in events if e.type == "usage"] == [True]


def test_a_backend_that_refuses_the_last_turn_alone_is_believed(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    overflow = {"error": {"slug": "context-overflow", "message": "too long"}}

    events = events_of(workspace, AskRequest(prompt="last", model=script(overflow)))

    assert [event.code for event in events if event.type == "error"] == ["context-overflow"]


def test_an_answer_that_has_begun_is_never_followed_by_another(
    workspace: LocalWorkspace, script: Callable[..., str]
) -> None:
    first = AskRequest(prompt="one", model=script({"text": "ok"}), session="s", create_session=True)
    events_of(workspace, first)
    overflow = {"slug": "context-overflow", "message": "too long"}
    model = script({"chunks": ["half "], "error": overflow}, {"text": "a second answer"})

    events = events_of(workspace, AskRequest(prompt="two", model=model, session="s"))

    finished = assert_whole_run(events)
    assert (finished.status, finished.answer) == ("failed", "half ")


def test_an_empty_answer_is_told(workspace: LocalWorkspace, script: Callable[..., str]) -> None:
    events = events_of(workspace, AskRequest(prompt="x", model=script({"thinking": "hm"})))

    assert [event.code for event in events if event.type == "warning"] == ["empty"]


def test_a_mistake_of_ours_still_ends_the_run(workspace: LocalWorkspace) -> None:
    broken = AskRequest(prompt="x", model=7)  # type: ignore[arg-type]  # the mistake

    events = events_of(workspace, broken)

    assert assert_whole_run(events).status == "failed"
    assert [event.code for event in events if event.type == "error"] == ["unexpected"]
