"""A loader of your own, for .ini files by their sections: `python examples/add_loader.py`."""

import asyncio
import os
import re
import tempfile
from pathlib import Path

from agentctl.core.config import default_settings
from agentctl.core.knowledge.documents import Document, Section
from agentctl.core.knowledge.library import IngestRequest, SearchRequest
from agentctl.core.knowledge.loaders.base import from_the_start
from agentctl.core.knowledge.loaders.encoding import decode
from agentctl.core.knowledge.loaders.registry import TEXT_FORMATS
from agentctl.core.local_workspace import LocalWorkspace
from agentctl.core.paths import find_paths

SECTION = re.compile(r"^\[(.+)\]", re.M)


class IniLoader:
    """The file's own text; each [section] is a heading."""

    is_isolated = False

    def load(self, data: bytes, name: str) -> Document:
        text, warnings = decode(data, name)
        sections = [
            Section(found.start(), (found[1],), kind="code") for found in SECTION.finditer(text)
        ]
        return Document(
            text=text,
            title="",
            media_type="text/x-ini",
            sections=from_the_start(sections, "code"),
            has_lines=True,
            warnings=warnings,
        )


async def main(folder: Path) -> None:
    TEXT_FORMATS["ini"] = IniLoader()  # in agentctl itself: a line of this table
    (folder / "mail.ini").write_text("[lamp]\ncolour = green\n\n[sea]\ncolour = grey\n")
    paths = find_paths({"AGENTCTL_HOME": str(folder / "home")})
    workspace = LocalWorkspace(default_settings(), paths, os.environ)
    async for _ in workspace.ingest(IngestRequest(sources=(str(folder / "mail.ini"),))):
        pass
    found = await workspace.search(SearchRequest(query="colour of the lamp"))
    print(found.hits[0].text)
    await workspace.close()


with tempfile.TemporaryDirectory() as name:
    asyncio.run(main(Path(name)))
