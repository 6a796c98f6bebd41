"""What every Workspace keeps, whatever stands behind it."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from agentctl.core.chat.conversation import AskRequest
from agentctl.core.chat.templates import Template
from agentctl.core.config import default_settings
from agentctl.core.errors import ModelNotFound, NotFound
from agentctl.core.events import Event, RunFinished
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths
from agentctl.core.workspace import Workspace


def local(home: Path) -> Workspace:
    paths = find_paths({"AGENTCTL_HOME": str(home)})
    return LocalWorkspace(default_settings(), paths, {"OLLAMA_HOST": "127.0.0.1:1"})


@pytest.fixture(params=[local])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workspace]:
    opened: Workspace = request.param(tmp_path / "home")
    yield opened
    asyncio.run(opened.close())


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
