"""The list of watched folders."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agentctl.core.automation.watched_folders import WatchedFolders
from agentctl.core.automation.watching import WatchedFolder, WatchRequest
from agentctl.core.errors import InputMissing, NotFound, UsageProblem
from agentctl.core.storage import open_database

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = open_database(tmp_path / "data" / "agentctl.db")
    yield connection
    connection.close()


@pytest.fixture
def folders(connection: sqlite3.Connection) -> WatchedFolders:
    return WatchedFolders(connection, lambda: NOON)


def test_a_folder_is_kept_with_its_collection_and_globs(
    folders: WatchedFolders, tmp_path: Path
) -> None:
    added = folders.add(
        WatchRequest(path=str(tmp_path), collection="work", include=("*.md",), exclude=("a b/",))
    )

    assert added == WatchedFolder(
        path=str(tmp_path),
        collection="work",
        include=("*.md",),
        exclude=("a b/",),
        added="2030-05-01T12:00:00Z",
        status="idle",
    )
    assert folders.entries() == [added]


def test_one_that_is_added_again_gets_the_new_collection_and_globs(
    connection: sqlite3.Connection, folders: WatchedFolders, tmp_path: Path
) -> None:
    folders.add(WatchRequest(path=str(tmp_path), include=("*.md",)))
    later = WatchedFolders(connection, lambda: NOON.replace(hour=13))

    again = later.add(WatchRequest(path=str(tmp_path), collection="work", exclude=("*.log",)))

    assert (again.collection, again.include, again.exclude) == ("work", (), ("*.log",))
    assert again.added == "2030-05-01T12:00:00Z"
    assert folders.entries() == [again]


def test_a_removed_folder_is_forgotten(folders: WatchedFolders, tmp_path: Path) -> None:
    added = folders.add(WatchRequest(path=str(tmp_path)))

    assert folders.remove(str(tmp_path)) == added
    assert folders.entries() == []


def test_a_folder_that_is_gone_can_still_be_removed(
    folders: WatchedFolders, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    folders.add(WatchRequest(path=str(notes)))
    notes.rmdir()

    folders.remove(str(notes))

    assert folders.entries() == []


def test_removing_what_is_not_watched_says_where_to_look(folders: WatchedFolders) -> None:
    with pytest.raises(NotFound, match="/nowhere is not watched") as raised:
        folders.remove("/nowhere")

    assert raised.value.hint == "agentctl docs watched"


def test_a_name_whose_bytes_are_no_characters_can_be_added_and_removed(
    folders: WatchedFolders, tmp_path: Path
) -> None:
    odd = tmp_path / "caf\udce9"
    odd.mkdir()

    added = folders.add(WatchRequest(path=str(odd)))

    assert added.path.endswith("caf\\xe9")
    assert folders.remove(str(odd)) == added


@pytest.mark.parametrize(
    ("name", "collection", "error"),
    [
        ("notes", "default", UsageProblem),
        ("{}/file.md", "default", UsageProblem),
        ("{}/no", "default", InputMissing),
        ("{}/no\0", "default", InputMissing),
        ("{}", " ", UsageProblem),
    ],
)
def test_only_a_folder_by_its_whole_path_can_be_watched(
    folders: WatchedFolders, tmp_path: Path, name: str, collection: str, error: type[Exception]
) -> None:
    (tmp_path / "file.md").write_text("text")

    with pytest.raises(error):
        folders.add(WatchRequest(path=name.format(tmp_path), collection=collection))

    assert folders.entries() == []
