"""`knowledge_search`: numbered passages from the user's documents."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from agentctl.core.agents.tools.base import Touches, Workplace
from agentctl.core.agents.tools.knowledge import KnowledgeSearch
from agentctl.core.errors import EmbedderChanged, NotFound, ToolFailed
from agentctl.core.jsontypes import JsonObject
from agentctl.core.knowledge.library import SearchRequest, SearchResult
from agentctl.core.sources import Source

HIT = Source(
    n=1,
    score=0.9,
    path="/home/me/light.md",
    title="Lighthouses",
    collection="default",
    page=None,
    line_start=12,
    line_end=14,
    text="The lamp is green.\n",
    chunk_id=1,
    document_id=1,
)


class Library:
    """Answers every search with the same hits, or the same error."""

    def __init__(self, *hits: Source, error: Exception | None = None) -> None:
        self.hits = hits
        self.error = error
        self.requests: list[SearchRequest] = []

    async def search(self, request: SearchRequest) -> SearchResult:
        self.requests.append(request)
        if self.error is not None:
            raise self.error
        return SearchResult(query=request.query, mode="hybrid", took_ms=1.0, hits=self.hits)


def ask(library: Library, tmp_path: Path, args: JsonObject) -> str:
    place = Workplace(folder=tmp_path, scratch=tmp_path)
    return asyncio.run(KnowledgeSearch(library.search).run(args, place)).text


def test_passages_are_numbered_and_say_where_they_stand(tmp_path: Path) -> None:
    book = replace(HIT, n=7, path="/b.pdf", title="", page=3, line_start=None, text="Red.")
    library = Library(HIT, book)

    assert ask(library, tmp_path, {"query": "lamp"}) == (
        "[1] /home/me/light.md:12  Lighthouses\nThe lamp is green.\n\n[2] /b.pdf (page 3)\nRed."
    )
    assert library.requests == [SearchRequest(query="lamp", n=5)]


def test_numbers_go_on_from_search_to_search(tmp_path: Path) -> None:
    tool = KnowledgeSearch(Library(HIT).search, given=3)
    place = Workplace(folder=tmp_path, scratch=tmp_path)

    outputs = [asyncio.run(tool.run({"query": query}, place)) for query in ("lamp", "light")]

    assert [output.text[:3] for output in outputs] == ["[4]", "[5]"]
    assert outputs[1].data is not None
    assert outputs[1].data["sources"][0]["n"] == 5


def test_number_and_collection_are_passed_on(tmp_path: Path) -> None:
    library = Library()
    ask(library, tmp_path, {"query": "lamp", "n": 2, "collection": "books"})
    assert library.requests == [SearchRequest(query="lamp", n=2, collection="books")]


def test_nothing_found_is_no_failure(tmp_path: Path) -> None:
    assert "use other words" in ask(Library(), tmp_path, {"query": "lamp"})


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (NotFound("no collection x; there are: default"), "no collection x; there are: default"),
        (EmbedderChanged("embedded by another"), "the user can try: agentctl docs reindex"),
    ],
)
def test_what_the_knowledge_base_objects_to_is_told(
    error: Exception, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ToolFailed, match=message):
        ask(Library(error=error), tmp_path, {"query": "lamp"})


def test_no_file_is_touched(tmp_path: Path) -> None:
    place = Workplace(folder=tmp_path, scratch=tmp_path)
    tool = KnowledgeSearch(Library().search)
    assert tool.touches({"query": "x"}, place) == Touches()
    assert tool.preview({"query": "x"}, place) == ""
