"""A knowledge base in a process of its own, to be killed or run beside others.

`python -m tests.support.knowledge_process HOME EMBEDDER ingest FOLDER` (or `reindex`, or `search
QUERY TIMES`) prints each step, as JSON, at the moment it is told.
"""

import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import asdict, replace
from pathlib import Path

from agentctl.core.config import default_settings
from agentctl.core.knowledge.knowledge_base import KnowledgeBase
from agentctl.core.knowledge.library import IngestRequest, SearchRequest
from agentctl.core.paths import find_paths
from tests.support.hashing_embedder import HashingEmbedder


def open_base(home: Path, embedder: str) -> KnowledgeBase:
    """With an embedder that costs nothing, under a name of its own."""
    environ = {"AGENTCTL_HOME": str(home)}
    settings = default_settings()
    settings = replace(settings, knowledge=replace(settings.knowledge, embedder=embedder))
    return KnowledgeBase(settings, find_paths(environ), environ, HashingEmbedder)


async def main(home: str, embedder: str, verb: str, *arguments: str) -> None:
    base = open_base(Path(home), embedder)
    if verb == "search":
        query, times = arguments
        for _ in range(int(times)):
            result = await base.search(SearchRequest(query=query))
            print(json.dumps([hit.path for hit in result.hits]), flush=True)
    else:
        stream = (
            base.ingest(IngestRequest(sources=arguments, prune=True))
            if verb == "ingest"
            else base.reindex_documents()
        )
        async with aclosing(stream) as steps:
            async for step in steps:
                print(json.dumps(asdict(step)), flush=True)
    await base.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
