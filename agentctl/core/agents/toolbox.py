"""The tools of a run: which there are, what they are made with, and the rules for them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from agentctl.core.agents.definitions import AgentDefinition, AgentFiles
from agentctl.core.agents.instructions import instructions_for
from agentctl.core.agents.permissions.policy import Rule, load_rules, remember_rule
from agentctl.core.agents.run_context import Record
from agentctl.core.agents.run_store import RunRow
from agentctl.core.agents.sandbox.sandbox import Sandbox, SandboxLimits
from agentctl.core.agents.tools.base import Tool, Workplace
from agentctl.core.agents.tools.code import RunPython
from agentctl.core.agents.tools.schedule import Schedule
from agentctl.core.config import Agents
from agentctl.core.knowledge.library import SearchRequest, SearchResult
from agentctl.core.paths import Paths, make_private

Search = Callable[[SearchRequest], Awaitable[SearchResult]]
_NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class Kit:
    """What one run has: tools by name, rules for them, and agents that may be given work."""

    tools: dict[str, Tool]
    rules: Sequence[Rule]
    agents: Mapping[str, AgentDefinition]
    warnings: tuple[str, ...]


class Toolbox:
    """Makes the tools of runs.

    `search` asks the knowledge base, `schedule` adds a task. `more` are tools besides the built-in
    ones, offered to the agents whose files name them.
    """

    def __init__(
        self,
        settings: Agents,
        paths: Paths,
        environ: Mapping[str, str],
        search: Search,
        schedule: Schedule,
        more: Sequence[Tool] = (),
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._environ = environ
        self._search = search
        self._schedule = schedule
        self._more = more

    def place(self, run: RunRow, *, may_write: bool) -> Workplace:
        """Where a run works; its scratch folder is made."""
        scratch = make_private(make_private(self._paths.runs) / run.id)
        return Workplace(folder=Path(run.folder), scratch=scratch, code_may_write=may_write)

    def nowhere(self) -> Workplace:
        """For tools that are only looked at."""
        return Workplace(folder=self._paths.runs / _NOWHERE, scratch=self._paths.runs / _NOWHERE)

    def tidy(self, place: Workplace) -> None:
        """Removes a scratch folder to which nothing was written."""
        try:
            place.scratch.rmdir()
        except OSError:
            return

    def remember(self, rule: Rule) -> str:
        """Keeps a rule for all runs to come; where it stands."""
        return remember_rule(self._paths, rule)

    async def open(
        self,
        definition: AgentDefinition,
        place: Workplace,
        stack: AsyncExitStack,
        record: Record,
        result_chars: int,
    ) -> Kit:
        """The tools that the agent, and those it may give work to, can call.

        Args:
            record: what the run has had before.
            result_chars: characters that one result may have.

        Raises ConfigError for rules or MCP servers that are written down wrongly.
        """
        files = AgentFiles(self._paths)
        others = {
            name: _for_this_run(files.load(name), definition, place) for name in definition.agents
        }
        everybody = [definition, *others.values()]
        patterns = [pattern for each in everybody for pattern in each.tools]
        consent = self._settings.code_without_sandbox == "allow"
        sandbox = Sandbox(self._environ, SandboxLimits(), consent=consent)
        tools = {
            tool.spec.name: tool
            for tool in self._built_in(sandbox, record, result_chars)
            if matches(tool.spec.name, patterns)
        }
        warnings: tuple[str, ...] = ()
        if any(pattern.startswith("mcp_") for pattern in patterns):
            found, warnings = await self._from_servers(patterns, stack)
            tools |= found
        if matches(RunPython.spec.name, patterns):
            in_code = [name for each in everybody if each.kind == "code" for name in each.tools]
            offered = [tool.spec for name, tool in tools.items() if matches(name, in_code)]
            python = RunPython(sandbox, place, offered, record.python_state(), stack)
            tools[python.spec.name] = python
        return Kit(tools, load_rules(self._paths, definition.permissions), others, warnings)

    def _built_in(self, sandbox: Sandbox, record: Record, result_chars: int) -> list[Tool]:
        from agentctl.core.agents.tools.edit import EditFile, WriteFile
        from agentctl.core.agents.tools.files import ListFiles, ReadFile
        from agentctl.core.agents.tools.knowledge import KnowledgeSearch
        from agentctl.core.agents.tools.machine import Now, ReadLog, SystemStatus
        from agentctl.core.agents.tools.person import AskUser
        from agentctl.core.agents.tools.schedule import ScheduleTask
        from agentctl.core.agents.tools.search_files import SearchFiles
        from agentctl.core.agents.tools.shell import RunShell
        from agentctl.core.agents.tools.web import FetchUrl

        tools: list[Tool] = [
            ReadFile(result_chars),
            ListFiles(),
            SearchFiles(),
            WriteFile(),
            EditFile(),
            RunShell(sandbox),
            KnowledgeSearch(self._search, given=record.sources_given()),
            Now(lambda: datetime.now().astimezone()),
            SystemStatus(),
            ReadLog(self._paths.log),
            AskUser(),
            ScheduleTask(self._schedule),
            *self._more,
        ]
        return [*tools, FetchUrl(characters=result_chars)] if self._settings.fetch_url else tools

    async def _from_servers(
        self, patterns: Sequence[str], stack: AsyncExitStack
    ) -> tuple[dict[str, Tool], tuple[str, ...]]:
        from agentctl.core.agents.tools.mcp import McpTools
        from agentctl.core.agents.tools.mcp_servers import read_mcp_servers

        servers = McpTools(read_mcp_servers(self._paths), self._paths, self._environ)
        offer = await (await stack.enter_async_context(servers)).open(patterns)
        return {tool.spec.name: tool for tool in offer.tools}, offer.warnings


def matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _for_this_run(
    other: AgentDefinition, main: AgentDefinition, place: Workplace
) -> AgentDefinition:
    """Who names no model of its own has that of the agent that gives it work."""
    return replace(
        other,
        model=other.model or main.model,
        instructions=instructions_for(other, place.folder),
    )
