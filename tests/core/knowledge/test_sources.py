"""What an ingest finds in the folders it is given."""

from pathlib import Path

import pytest

from agentctl.core.errors import AgentctlError
from agentctl.core.knowledge.library import IngestRequest
from agentctl.core.knowledge.sources import find_candidates


def failed(path: str, error: AgentctlError) -> None:
    pytest.fail(f"{path}: {error}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.md", "home/data/log.md", "home/database.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (".", ["a.md", "home/database.md"]),
        ("home", ["home/database.md"]),
        ("home/data", ["home/data/log.md"]),
        ("home/data/log.md", ["home/data/log.md"]),
    ],
)
def test_agentctls_own_folders_are_left_out_unless_they_are_named(
    folder: Path, source: str, found: list[str]
) -> None:
    request = IngestRequest(sources=(str(folder / source),))

    candidates = find_candidates(request, failed, [folder / "home" / "data"])

    assert [Path(each.path).relative_to(folder).as_posix() for each in candidates] == found
