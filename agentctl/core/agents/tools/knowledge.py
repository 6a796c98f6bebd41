"""`knowledge_search`: passages of the user's own documents."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict, replace

from agentctl.core.agents.tools.arguments import text, whole
from agentctl.core.agents.tools.base import (
    Risk,
    ToolOutput,
    Touches,
    Workplace,
    clip,
    object_schema,
)
from agentctl.core.backends.base import ToolSpec
from agentctl.core.errors import AgentctlError, ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.citations import source_line
from agentctl.core.knowledge.library import SearchRequest, SearchResult
from agentctl.core.sources import Source

_LONGEST_PASSAGE = 3_000


class KnowledgeSearch:
    """Asks `search`, the knowledge base, which reads nothing but what the user has ingested.

    Passages are numbered throughout a run, so that a number is cited for one of them; `given` of
    them have a number from before.
    """

    spec = ToolSpec(
        "knowledge_search",
        "Finds passages in the user's own documents (notes, manuals, books), the best first. Each "
        "begins with its number and where it stands; cite it in your answer by that number, such "
        'as [1]. Example: {"query": "how to renew the passport", "n": 3}',
        object_schema(
            {
                "query": {"type": "string", "minLength": 1, "description": "a question, or words"},
                "n": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 20,
                    "description": "how many passages; 5 if left out",
                },
                "collection": {"type": "string", "description": "all of them if left out"},
            },
            optional=("n", "collection"),
        ),
    )
    risk: Risk = "read"
    timeout_s = 60.0

    def __init__(
        self, search: Callable[[SearchRequest], Awaitable[SearchResult]], given: int = 0
    ) -> None:
        self._search = search
        self._given = given

    def touches(self, args: JsonObject, place: Workplace) -> Touches:
        return Touches()

    def preview(self, args: JsonObject, place: Workplace) -> str:
        return ""

    async def run(self, args: JsonObject, place: Workplace) -> ToolOutput:
        request = SearchRequest(
            query=text(args, "query"),
            n=whole(args, "n", 5),
            collection=text(args, "collection") or None,
        )
        try:
            result = await self._search(request)
        except AgentctlError as error:
            raise ToolFailed(f"{error.message}; the user can try: {error.hint}") from error
        if not result.hits:
            return ToolOutput("nothing in the documents fits: use other words")
        sources = [replace(hit, n=n) for n, hit in enumerate(result.hits, self._given + 1)]
        self._given += len(sources)
        passages = "\n\n".join(map(_passage, sources))
        return ToolOutput(passages, data={"sources": [asdict(source) for source in sources]})


def _passage(source: Source) -> str:
    return f"{source_line(source)}\n{clip(source.text.strip(), _LONGEST_PASSAGE)}"
