"""What every Workspace keeps, whatever stands behind it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

import pytest

from agentctl.core.agents.run_request import AgentRequest
from agentctl.core.automation.tasks import Action, TaskRequest, Trigger
from agentctl.core.automation.watching import WatchRequest
from agentctl.core.backends.base import Delta, Done, Message, TextDelta
from agentctl.core.backup import BackupReport, BackupRequest, BackupStep
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.passthrough import ChatBegan, ChatCall
from agentctl.core.chat.templates import Template
from agentctl.core.config import default_settings
from agentctl.core.errors import ModelNotFound, NotFound, UsageProblem
from agentctl.core.events import Event, RunFinished, RunStarted, TextArrived
from agentctl.core.knowledge.library import (
    IngestReport,
    IngestRequest,
    IngestStep,
    SearchRequest,
)
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths
from agentctl.core.workspace import Workspace
from agentctl.daemon.client import daemon_endpoint, remote_workspace
from tests.support.daemon import running_daemon


@contextmanager
def opened_local(home: Path) -> Iterator[Workspace]:
    paths = find_paths({"AGENTCTL_HOME": str(home)})
    workspace = LocalWorkspace(default_settings(), paths, {"OLLAMA_HOST": "127.0.0.1:1"})
    yield workspace
    asyncio.run(workspace.close())


@contextmanager
def opened_remote(home: Path) -> Iterator[Workspace]:
    with running_daemon(home) as address:
        yield remote_workspace(daemon_endpoint(address))


@pytest.fixture(params=[opened_local, opened_remote])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    with request.param(tmp_path / "home") as opened:
        yield opened


@pytest.fixture
def model(tmp_path: Path) -> str:
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"text": "The answer is 42."}))
    return f"scripted:{script}"


def ask(workspace: Workspace, request: AskRequest) -> list[Event]:
    async def collect() -> list[Event]:
        async with aclosing(workspace.ask(request)) as events:
            return [event async for event in events]

    return asyncio.run(collect())


def test_an_answer_is_told_as_events_and_kept_as_a_session(
    workspace: Workspace, model: str
) -> None:
    events = ask(workspace, AskRequest(prompt="What is the answer?", model=model))

    session, messages = asyncio.run(workspace.show_session("latest"))
    assert isinstance(events[-1], RunFinished)
    assert [message.content for message in messages] == ["What is the answer?", "The answer is 42."]
    assert (session.title, session.messages) == ("What is the answer?", 2)


def test_preparing_sends_and_stores_nothing(workspace: Workspace, model: str) -> None:
    prepared = asyncio.run(workspace.prepare(AskRequest(prompt="one two", model=model)))

    assert [message.content for message in prepared.messages] == ["one two"]
    assert prepared.prompt_tokens == 2
    assert asyncio.run(workspace.list_sessions()) == []


def test_sessions_are_listed_found_forked_exported_and_removed(
    workspace: Workspace, model: str
) -> None:
    ask(
        workspace,
        AskRequest(prompt="a lighthouse", model=model, session="one", create_session=True),
    )
    ask(workspace, AskRequest(prompt="a harbour", model=model))

    fork = asyncio.run(workspace.fork_session("one", "two"))
    listed = [session.name for session in asyncio.run(workspace.list_sessions())]
    matches = asyncio.run(workspace.search_sessions("lighthouse"))
    document = asyncio.run(workspace.export_session("one", "md"))
    data = json.loads(asyncio.run(workspace.export_session("one", "json")))
    asyncio.run(workspace.remove_session("one"))

    assert listed == ["two", None, "one"]
    assert {match.name for match in matches} == {"one", "two"}
    assert "# a lighthouse" in document
    assert [message["role"] for message in data["messages"]] == ["user", "assistant"]
    assert [s.name for s in asyncio.run(workspace.list_sessions())] == ["two", None]
    assert asyncio.run(workspace.show_session("two"))[0].id == fork.id


def test_what_does_not_exist_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        asyncio.run(workspace.show_session("nothing"))
    with pytest.raises(NotFound):
        asyncio.run(workspace.template("nothing"))
    with pytest.raises(ModelNotFound):
        asyncio.run(workspace.show_model("embedded:nothing"))
    with pytest.raises(ModelNotFound):
        asyncio.run(workspace.use_model("embedded:nothing"))


def test_a_saved_template_comes_back_as_it_was(workspace: Workspace) -> None:
    template = Template(
        prompt="Say $what: $input",
        system="Be brief.",
        options={"temperature": 0.1},
        schema={"enum": [None, 'a "quoted" word']},
        defaults={"what": "it"},
        extract=True,
    )
    asyncio.run(workspace.save_template("mine", template))

    assert asyncio.run(workspace.template("mine")) == template
    assert "mine" in asyncio.run(workspace.templates())


def test_the_catalogue_is_listed_without_any_server(workspace: Workspace) -> None:
    listed = asyncio.run(workspace.list_models())

    assert "smollm2-135m" in [entry.name for entry in listed.models]
    assert any("127.0.0.1:1" in note for note in listed.notes)


# Cancelling, which has to reach a model at the other end of a connection.


def test_a_cancelled_answer_keeps_what_it_had_and_still_ends(
    workspace: Workspace, tmp_path: Path
) -> None:
    script = tmp_path / "slow.jsonl"
    script.write_text(json.dumps({"text": "word " * 500, "delay_s": 0.05}))
    request = AskRequest(prompt="count", model=f"scripted:{script}")

    async def cancel_in_the_middle() -> list[Event]:
        events: list[Event] = []
        spoken = asyncio.Event()

        async def read() -> None:
            async with aclosing(workspace.ask(request)) as stream:
                async for event in stream:
                    events.append(event)
                    if isinstance(event, TextArrived):
                        spoken.set()

        reading = asyncio.ensure_future(read())
        await spoken.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return events

    events = asyncio.run(cancel_in_the_middle())
    _, messages = asyncio.run(workspace.show_session("latest"))

    assert isinstance(events[-1], RunFinished)
    assert events[-1].status == "cancelled"
    assert messages[-1].status == "cancelled"
    assert messages[-1].content == events[-1].answer


# Every wing at least once: what goes in and what comes out has to travel.


def test_documents_are_taken_in_found_shown_and_removed(
    workspace: Workspace, tmp_path: Path
) -> None:
    page = tmp_path / "lighthouse.md"
    page.write_text("# Lighthouse\n\nThe keeper lights the lamp at dusk.")

    async def take_in() -> list[IngestStep | IngestReport]:
        request = IngestRequest(sources=(str(page),), collection="sea")
        async with aclosing(workspace.ingest(request)) as steps:
            return [step async for step in steps]

    *steps, report = asyncio.run(take_in())
    found = asyncio.run(workspace.search(SearchRequest(query="who lights the lamp?")))
    shown = asyncio.run(workspace.show_document(str(page)))
    collections = asyncio.run(workspace.list_collections())
    verified = asyncio.run(workspace.verify_documents())
    removed = asyncio.run(workspace.remove_documents([str(page)]))

    assert isinstance(report, IngestReport) and report.added == 1
    assert "added" in [step.status for step in steps if isinstance(step, IngestStep)]
    assert found.hits[0].path == str(page)
    assert "at dusk" in shown.text
    assert [(each.name, each.documents) for each in collections] == [("sea", 1)]
    assert verified.ok
    assert [each.path for each in removed] == [str(page)]


def test_text_from_a_pipe_is_taken_in_byte_for_byte(workspace: Workspace) -> None:
    request = IngestRequest(stdin="Grüße \N{SNOWMAN}".encode(), title="note")

    async def take_in() -> None:
        async with aclosing(workspace.ingest(request)) as steps:
            async for _ in steps:
                pass

    asyncio.run(take_in())

    assert "Grüße \N{SNOWMAN}" in asyncio.run(workspace.show_document("note")).text


def test_a_run_of_an_agent_is_told_kept_and_shown(
    workspace: Workspace, model: str, tmp_path: Path
) -> None:
    request = AgentRequest(agent="assistant", task="say it", folder=tmp_path, model=model)

    async def run() -> list[Event]:
        async with aclosing(workspace.run_agent(request)) as events:
            return [event async for event in events]

    events = asyncio.run(run())
    details = asyncio.run(workspace.show_run("latest"))

    assert isinstance(events[0], RunStarted) and isinstance(events[-1], RunFinished)
    assert details.run.id == events[0].run_id
    assert details.events[0] == events[0]
    assert details.tasks == ("say it",)
    assert [run.id for run in asyncio.run(workspace.list_runs())] == [details.run.id]


def test_tasks_are_added_paused_run_and_remembered(workspace: Workspace, model: str) -> None:
    request = TaskRequest(
        name="nightly",
        trigger=Trigger(kind="cron", expression="0 3 * * *", timezone="Europe/Berlin"),
        action=Action(kind="ask", text="What is the answer?", model=model),
    )

    async def run() -> list[Event]:
        async with aclosing(workspace.run_task("nightly")) as events:
            return [event async for event in events]

    preview = asyncio.run(workspace.preview_task(request, 3))
    added = asyncio.run(workspace.add_task(request))
    events = asyncio.run(run())
    paused = asyncio.run(workspace.enable_task("nightly", is_enabled=False))
    history = asyncio.run(workspace.task_history("nightly"))

    assert len(preview) == 3 and added.next_run == preview[0]
    assert isinstance(events[-1], RunFinished) and events[-1].answer == "The answer is 42."
    assert paused.next_run is None and not paused.enabled
    assert [(run.status, run.result) for run in history] == [("done", "The answer is 42.")]
    assert asyncio.run(workspace.remove_task("nightly")).name == "nightly"
    assert asyncio.run(workspace.list_tasks()) == []


def test_folders_are_watched_and_left(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()

    watched = asyncio.run(workspace.watch_folder(WatchRequest(path=str(folder))))
    listed = asyncio.run(workspace.list_watched())
    asyncio.run(workspace.unwatch_folder(str(folder)))

    assert (watched.path, watched.collection) == (str(folder), "default")
    assert [each.path for each in listed] == [str(folder)]
    assert asyncio.run(workspace.list_watched()) == []


def test_the_machine_is_measured(workspace: Workspace) -> None:
    stats = asyncio.run(workspace.measure())

    assert stats.memory.total > 0
    assert stats.backend.name == "ollama"
    assert asyncio.run(workspace.measurements(60)) == []


def test_a_conversation_that_the_caller_keeps_is_answered_and_not_stored(
    workspace: Workspace, model: str
) -> None:
    call = ChatCall(messages=(Message("user", "What is the answer?"),), model=model)

    async def answer() -> list[ChatBegan | Delta]:
        async with aclosing(workspace.chat(call)) as deltas:
            return [delta async for delta in deltas]

    began, *deltas = asyncio.run(answer())

    assert isinstance(began, ChatBegan) and began.backend == "scripted"
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == "The answer is 42."
    assert isinstance(deltas[-1], Done)
    assert asyncio.run(workspace.list_sessions()) == []


def test_texts_become_vectors_of_length_one(workspace: Workspace) -> None:
    embeddings = asyncio.run(workspace.embed(["a lamp", "a lamp"]))

    first, second = embeddings.vectors
    assert first == second
    assert sum(x * x for x in first) == pytest.approx(1, abs=1e-3)


def test_what_a_verb_refuses_is_the_same_error_everywhere(workspace: Workspace) -> None:
    with pytest.raises(NotFound) as missing:
        asyncio.run(workspace.show_task("nothing"))
    with pytest.raises(UsageProblem):
        asyncio.run(
            workspace.add_task(
                TaskRequest(
                    name="",
                    trigger=Trigger(kind="interval", expression="60"),
                    action=Action(kind="ask", text="hello"),
                )
            )
        )

    assert missing.value.hint == "agentctl tasks list"


def test_a_session_gets_another_name(workspace: Workspace, model: str) -> None:
    ask(workspace, AskRequest(prompt="a harbour", model=model, session="one", create_session=True))
    ask(workspace, AskRequest(prompt="a pier", model=model, session="two", create_session=True))

    renamed = asyncio.run(workspace.rename_session("one", "harbour"))

    assert (renamed.name, renamed.title) == ("harbour", "a harbour")
    with pytest.raises(UsageProblem):
        asyncio.run(workspace.rename_session("two", "harbour"))


def test_whoever_stores_something_all_hear_of_it(workspace: Workspace, model: str) -> None:
    async def listen() -> list[int]:
        heard = []
        async with aclosing(workspace.changes()) as changes:
            heard.append(await anext(changes))
            async with aclosing(workspace.ask(AskRequest(prompt="x", model=model))) as events:
                async for _ in events:
                    pass
            heard.append(await anext(changes))
        return heard

    assert asyncio.run(listen()) == [0, 1]


def test_all_of_it_is_backed_up_into_one_file(
    workspace: Workspace, model: str, tmp_path: Path
) -> None:
    ask(workspace, AskRequest(prompt="a harbour", model=model))
    target = tmp_path / "backup.zip"

    async def back_up() -> list[BackupStep | BackupReport]:
        request = BackupRequest(path=str(target))
        async with aclosing(workspace.back_up(request)) as steps:
            return [step async for step in steps]

    *steps, report = asyncio.run(back_up())

    assert isinstance(report, BackupReport)
    assert (report.counts.sessions, report.size) == (1, target.stat().st_size)
    assert {step.stage for step in steps if isinstance(step, BackupStep)} == {
        "database",
        "packing",
        "checking",
    }
    with pytest.raises(UsageProblem):
        asyncio.run(back_up())
