"""What `agentctl mcp` offers to other programs: tools like those of agents, on the verbs.

They are made anew for each call, with the `tell` that reports how far that call is.
"""

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from agentctl.core.agents.tools.arguments import text, whole
from agentctl.core.agents.tools.base import (
    Risk,
    Tool,
    ToolOutput,
    Touches,
    Workplace,
    object_schema,
)
from agentctl.core.agents.tools.knowledge import KnowledgeSearch
from agentctl.core.agents.tools.schedule import ScheduleTask
from agentctl.core.automation.task_requests import explain, schedule_task
from agentctl.core.backends.base import ToolSpec
from agentctl.core.chat.conversation import AskRequest
from agentctl.core.errors import ToolFailed
from agentctl.core.events import ErrorRaised, Event, RunFinished, SourcesFound, TextArrived
from agentctl.core.jsontypes import Json, JsonObject
from agentctl.core.knowledge.library import IngestReport, IngestRequest, SearchRequest, SearchResult
from agentctl.core.paths import expand
from agentctl.core.web_page import URL_SCHEMES
from agentctl.core.workspace import Workspace

Open: TypeAlias = Callable[[], AbstractAsyncContextManager[Workspace]]
Tell: TypeAlias = Callable[[float, float | None, str], Awaitable[None]]
"""Reports how far a call is: a number that grows, of how many (None: not known), and words."""

_QUERY: JsonObject = {"type": "string", "minLength": 1, "maxLength": 2_000}
_PROMPT: JsonObject = {"type": "string", "minLength": 1, "maxLength": 100_000}
_NAME: JsonObject = {"type": "string", "minLength": 1, "maxLength": 200}
_COLLECTION: JsonObject = {**_NAME, "description": "all of them if left out"}
# A server is started anywhere: only whole paths say the same to both sides.
_PLACE: JsonObject = {
    "type": "string",
    "maxLength": 4_096,
    "pattern": r"^(/|~/|[A-Za-z]:[\\/]|https?://)",
}
_KNOWLEDGE: Mapping[str, Literal["auto", "always", "off"]] = {
    "auto": "auto",
    "always": "always",
    "off": "off",
}
_SECONDS = 3_600.0


def offered_tools(open_workspace: Open, tell: Tell) -> dict[str, Tool]:
    """All of them by name."""
    tools: Sequence[Tool] = (
        Search(open_workspace),
        Ask(open_workspace, tell),
        Ingest(open_workspace, tell),
        ListDocuments(open_workspace),
        ListTasks(open_workspace),
        AddTask(open_workspace),
        RunTask(open_workspace, tell),
        Status(open_workspace),
    )
    return {tool.spec.name: tool for tool in tools}


class _OnVerbs:
    """What the tools share that need nothing but a verb; they read, and touch no file."""

    risk: Risk = "read"
    timeout_s = _SECONDS

    def __init__(self, open_workspace: Open) -> None:
        self._open = open_workspace

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""


class Search(KnowledgeSearch):
    """The agents' `knowledge_search`."""

    spec = replace(
        KnowledgeSearch.spec,
        name="search",
        parameters=object_schema(
            {
                "query": {**_QUERY, "description": "a question, or words"},
                "n": {"type": "integer", "minimum": 1, "maximum": 20, "description": "5 if not"},
                "collection": _COLLECTION,
            },
            optional=("n", "collection"),
        ),
    )

    def __init__(self, open_workspace: Open) -> None:
        async def search(request: SearchRequest) -> SearchResult:
            async with open_workspace() as workspace:
                return await workspace.search(request)

        super().__init__(search)


class Ask(_OnVerbs):
    """An answer of the default model; no conversation is kept."""

    spec = ToolSpec(
        "ask",
        "Asks a language model on this machine. It may be given passages of the user's own "
        "documents, which it then cites as [1].",
        object_schema(
            {
                "prompt": _PROMPT,
                "system": {**_PROMPT, "description": "how to answer"},
                "knowledge": {
                    "type": "string",
                    "enum": [*_KNOWLEDGE],
                    "description": "whether passages go along; as the user chose if left out",
                },
                "collection": _COLLECTION,
            },
            optional=("system", "knowledge", "collection"),
        ),
    )

    def __init__(self, open_workspace: Open, tell: Tell) -> None:
        super().__init__(open_workspace)
        self._tell = tell

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        chosen = _KNOWLEDGE.get(text(args, "knowledge"))
        request = AskRequest(
            prompt=text(args, "prompt"),
            system=text(args, "system") or None,
            knowledge=chosen,
            collection=text(args, "collection") or None,
            log=False,
        )
        async with self._open() as workspace:
            return await _answer(workspace.ask(request), self._tell)


class Ingest(_OnVerbs):
    """Takes in one file, folder or page; the gate is told which."""

    spec = ToolSpec(
        "ingest",
        "Adds a file, a folder or a web page to the user's knowledge base, for search and ask. "
        "What has not changed is left alone.",
        object_schema(
            {
                "source": {**_PLACE, "description": "a whole path, or a URL"},
                "collection": {**_NAME, "description": "default if left out"},
            },
            optional=("collection",),
        ),
    )
    # It leaves the machine for a page; and whoever may write in a folder may not take in the rest.
    risk: Risk = "network"

    def __init__(self, open_workspace: Open, tell: Tell) -> None:
        super().__init__(open_workspace)
        self._tell = tell

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        source = text(args, "source")
        if not source.startswith(URL_SCHEMES):
            return Touches(reads=(place.resolve(_absolute(source)),))
        try:
            host = urlsplit(source).hostname
        except ValueError:
            host = None
        if not host:
            raise ToolFailed(f"{source} names no host")
        return Touches(host=host)

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        source = text(args, "source")
        if not source.startswith(URL_SCHEMES):
            source = _absolute(source)
        collection = text(args, "collection", "default")
        report, steps = IngestReport(), 0
        async with self._open() as workspace:
            # The gate was told of this host and of no other.
            request = IngestRequest(sources=(source,), collection=collection, same_site=True)
            async with aclosing(workspace.ingest(request)) as told:
                async for step in told:
                    if isinstance(step, IngestReport):
                        report = step
                        continue
                    steps += 1
                    await self._tell(steps, None, f"{step.status} {step.path}".strip())
        return _report(report)


class ListDocuments(_OnVerbs):
    spec = ToolSpec(
        "list_documents",
        "Lists the documents of the user's knowledge base.",
        object_schema(
            {
                "collection": _COLLECTION,
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 1_000,
                    "description": "how many; 100 if left out",
                },
            },
            optional=("collection", "limit"),
        ),
    )

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        async with self._open() as workspace:
            found = await workspace.list_documents(text(args, "collection") or None)
        shown = found[: whole(args, "limit", 100)]
        lines = [f"{each.id}  {each.path}  ({each.collection}, {each.title})" for each in shown]
        lines.append(f"{len(shown)} of {len(found)} documents")
        data: JsonObject = {"documents": _plain(shown), "total": len(found)}
        return ToolOutput("\n".join(lines), data=data)


class ListTasks(_OnVerbs):
    spec = ToolSpec(
        "list_tasks", "Lists what is done on a schedule, and when next.", object_schema({})
    )

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        async with self._open() as workspace:
            found = await workspace.list_tasks()
        lines = [
            f"{each.name}: {explain(each)}{'' if each.enabled else ' (paused)'}" for each in found
        ]
        return ToolOutput("\n".join(lines) or "there are no tasks", data={"tasks": _plain(found)})


class AddTask(ScheduleTask):
    """The agents' `schedule_task`; here an agent has no work folder that goes without saying."""

    spec = replace(
        ScheduleTask.spec,
        name="add_task",
        parameters={
            **ScheduleTask.spec.parameters,
            "dependentRequired": {"agent": ["task", "folder"]},
        },
    )

    def __init__(self, open_workspace: Open) -> None:
        async def schedule(words: JsonObject) -> str:
            async with open_workspace() as workspace:
                return await schedule_task(workspace.add_task, words)

        super().__init__(schedule)


class RunTask(_OnVerbs):
    spec = ToolSpec(
        "run_task",
        "Runs a task now, and waits for what comes of it.",
        object_schema({"name": {**_NAME, "description": "as list_tasks names it"}}),
    )
    risk: Risk = "execute"

    def __init__(self, open_workspace: Open, tell: Tell) -> None:
        super().__init__(open_workspace)
        self._tell = tell

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        async with self._open() as workspace:
            return await _answer(workspace.run_task(text(args, "name")), self._tell)


class Status(_OnVerbs):
    spec = ToolSpec(
        "status",
        "Tells how busy the machine is, how the model server is, and how much is in the "
        "knowledge base.",
        object_schema({}),
    )

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        async with self._open() as workspace:
            stats = await workspace.measure()
        lines = [
            f"processors {stats.cpu_percent:.0f}% busy, memory {stats.memory.percent:.0f}% used",
            f"model server {stats.backend.name}: {stats.backend.status}",
            f"{stats.knowledge.documents} documents in the knowledge base",
            f"daemon: {stats.daemon.status}",
            *stats.warnings,
        ]
        return ToolOutput("\n".join(lines), data={"stats": _plain(stats)})


async def _answer(events: AsyncGenerator[Event, None], tell: Tell) -> ToolOutput:
    """What a run comes to. Raises ToolFailed when it does not come to a good end."""
    sources: Sequence[object] = ()
    problem, status, answer, pieces = "", "failed", "", 0
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextArrived):
                pieces += 1
                await tell(pieces, None, event.text)
            elif isinstance(event, SourcesFound):
                sources = event.sources
            elif isinstance(event, ErrorRaised):
                problem = f"{event.message} (mend: {event.hint})"
            elif isinstance(event, RunFinished):
                status, answer = event.status, event.answer
    if status != "done":
        raise ToolFailed(problem or f"it ended as {status}: {answer}".rstrip(": "))
    data: JsonObject = {"answer": answer, "sources": _plain(sources)}
    return ToolOutput(answer, data=data)


def _absolute(name: str) -> str:
    """As `agentctl ingest` names it, for a document to be one and the same.

    What is judged is what this means: `..` behind a link would lead elsewhere if links came first.
    """
    return os.path.abspath(expand(name))  # noqa: PTH100 - absolute() keeps the `..`


def _report(report: IngestReport) -> ToolOutput:
    counts: Mapping[str, int] = {
        name: getattr(report, name)
        for name in ("added", "updated", "unchanged", "removed", "skipped")
    }
    lines = [", ".join(f"{count} {name}" for name, count in counts.items() if count)]
    lines += [f"failed: {each.path}: {each.message} ({each.hint})" for each in report.failed]
    told = "\n".join(filter(None, lines)) or "nothing was found there"
    if report.failed and not (report.added or report.updated or report.unchanged):
        raise ToolFailed(told)
    return ToolOutput(told, data={"report": _plain(report)})


def _plain(value: object) -> Json:
    """A value as JSON has it."""
    import msgspec

    data: Json = msgspec.to_builtins(value)
    return data
