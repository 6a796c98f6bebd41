"""`search_files`: what is found, and that no expression can hold up the program."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentctl.core.agents.tools.base import Touches, Workplace
from agentctl.core.agents.tools.line_matcher import Found, PlainMatcher
from agentctl.core.agents.tools.search_files import Search, SearchFiles
from agentctl.core.errors import ToolFailed
from agentctl.core.jsontypes import Json

on_posix = pytest.mark.skipif(os.name != "posix", reason="links and pipes as on POSIX")


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    folder = (tmp_path / "work").resolve()
    folder.mkdir()
    return Workplace(folder=folder, scratch=tmp_path)


@pytest.fixture
def put(place: Workplace) -> Callable[[str, str | bytes], None]:
    def write(name: str, content: str | bytes) -> None:
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


@pytest.fixture
def search(place: Workplace) -> Callable[..., list[str]]:
    def run(text: str, **args: Json) -> list[str]:
        return asyncio.run(SearchFiles().run({"text": text, **args}, place)).text.splitlines()

    return run


def test_lines_come_with_file_and_number(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a.py", "import os\r\n\r\nprint(os.name)\r\n")
    put("b/c.py", "os")

    assert search("os") == [
        "matching lines: 3; files searched in .: 2",
        "a.py:1: import os",
        "a.py:3: print(os.name)",
        "b/c.py:1: os",
    ]
    assert search("os", path="b") == ["matching lines: 1; files searched in b: 1", "b/c.py:1: os"]
    assert search("os", path="b/c.py")[1:] == ["b/c.py:1: os"]
    assert search("nothing") == ["matching lines: 0; files searched in .: 2"]


def test_text_is_no_expression_unless_it_is_said(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a", "f(x)\nfx\n")

    assert search("f(x)")[1:] == ["a:1: f(x)"]
    assert search("f(x)", is_regex=True)[1:] == ["a:2: fx"]
    assert search("^f.$", is_regex=True)[1:] == ["a:2: fx"]


def test_lower_case_finds_capitals_and_capitals_only_themselves(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a", "TODO\ntodo\n")

    assert search("todo")[1:] == ["a:1: TODO", "a:2: todo"]
    assert search("TODO")[1:] == ["a:1: TODO"]


def test_a_glob_chooses_files(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    for name in ("a.py", "a.md", "src/b.py", "src/deep/c.py"):
        put(name, "x")

    assert search("x", glob="*.py")[1:] == ["a.py:1: x", "src/b.py:1: x", "src/deep/c.py:1: x"]
    assert search("x", glob="src/*.py")[1:] == ["src/b.py:1: x"]
    assert search("x", glob="*.rs") == ["matching lines: 0; files searched in .: 0"]


def test_hidden_ignored_and_binary_files_are_passed_over(
    search: Callable[..., list[str]], put: Callable[[str, str | bytes], None]
) -> None:
    put("seen", "key")
    put(".env", "key")
    put("build/x", "key")
    put("a.bin", b"key\0")
    put(".gitignore", "build/\n")

    assert search("key")[1:] == ["seen:1: key"]


def test_a_file_that_is_named_is_searched_or_refused(
    search: Callable[..., list[str]], put: Callable[[str, str | bytes], None]
) -> None:
    put(".env", "key")
    put("a.bin", b"key\0")

    assert search("key", path=".env")[1:] == [".env:1: key"]
    with pytest.raises(ToolFailed, match=r"a.bin is binary"):
        search("key", path="a.bin")


def test_of_a_long_line_the_part_around_the_match_is_shown(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a", "x" * 1_000 + "needle" + "y" * 1_000)
    put("b", "needle")

    (_, found, short) = search("needle")

    assert found == f"a:1: …{'x' * 100}needle{'y' * 194}…"
    assert short == "b:1: needle"


def test_many_lines_end_and_that_is_said(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a", "x\n" * 99)
    put("b", "x\n" * 99)

    lines = search("x")

    assert lines[0] == "matching lines: 100; files searched in .: 2"
    assert lines[100] == "b:1: x"
    assert lines[101].startswith("[there may be more than 100")


def test_of_a_large_file_the_beginning_is_searched(
    search: Callable[..., list[str]], put: Callable[[str, str], None], place: Workplace
) -> None:
    put("a", "needle\n" + "x" * 9_000)
    with (place.folder / "a").open("ab") as file:
        file.truncate(2_000_000_000)

    assert search("needle")[1:] == [
        "a:1: needle",
        "[of a only the first 10,000,000 bytes were searched]",
    ]


@on_posix
def test_pipes_and_devices_do_not_hang(
    search: Callable[..., list[str]], put: Callable[[str, str], None], place: Workplace
) -> None:
    os.mkfifo(place.folder / "pipe")
    (place.folder / "zero").symlink_to("/dev/zero")
    put("a", "x")

    assert search("x")[1:] == ["a:1: x"]
    for name in ("pipe", "zero"):
        with pytest.raises(ToolFailed, match="no regular file"):
            search("x", path=name)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"text": ""}, "text is empty"),
        ({"text": "a\nb"}, "several lines"),
        ({"text": "x", "path": "nowhere"}, "nowhere: no such file or folder"),
        ({"text": "x", "path": "a\0b"}, "is no path"),
        ({"text": "(", "is_regex": True}, r"'\(' cannot be searched for: missing \)"),
        ({"text": "(" * 5_000, "is_regex": True}, "cannot be searched for"),
        ({"text": "\ud800"}, "half of a character"),
    ],
)
def test_what_cannot_be_searched_for_is_told(
    args: dict[str, Json], message: str, place: Workplace
) -> None:
    with pytest.raises(ToolFailed, match=message):
        asyncio.run(SearchFiles().run(args, place))


CATASTROPHE: dict[str, Json] = {"text": "(x+x+)+y", "is_regex": True}


def test_an_expression_without_end_is_ended(
    put: Callable[[str, str], None], place: Workplace
) -> None:
    put("a", "x" * 5_000)
    with pytest.raises(ToolFailed, match=r"took longer than 2 seconds: write a simpler"):
        asyncio.run(SearchFiles(2.0).run(CATASTROPHE, place))


def test_what_was_found_before_a_failure_is_told(
    put: Callable[[str, str], None], place: Workplace
) -> None:
    for name in ("a", "b", "c"):
        put(name, name)

    class FailsAtB:
        def find(self, text: str) -> Found:
            if text == "b":
                raise ToolFailed("no more time")
            return [(0, 0)]

    search = Search(
        folder=place.folder, place=place, glob="", stopped=Event(), deadline=float("inf")
    )

    assert search.run(FailsAtB()).splitlines()[1:] == ["a:1: a", "[no more time]"]


def test_a_search_without_any_time_left_says_that_it_is_not_complete(
    put: Callable[[str, str], None], place: Workplace
) -> None:
    put("a", "x")

    lines = asyncio.run(SearchFiles(0).run({"text": "x"}, place)).text.splitlines()

    assert lines[0] == "matching lines: 0; files searched in .: 0"
    assert lines[1].startswith("[not all files were searched")


def test_cancelling_ends_the_process_at_once(
    put: Callable[[str, str], None], place: Workplace
) -> None:
    put("a", "x" * 5_000)
    before = set(psutil.Process().children())

    def started() -> set[psutil.Process]:
        while not (found := set(psutil.Process().children()) - before):
            pass
        return found

    async def cancel_when_it_runs() -> set[psutil.Process]:
        search = asyncio.create_task(SearchFiles(600).run(CATASTROPHE, place))
        processes = await asyncio.to_thread(started)
        search.cancel()
        with pytest.raises(asyncio.CancelledError):
            await search
        return processes

    _, alive = psutil.wait_procs(asyncio.run(cancel_when_it_runs()), timeout=60)
    assert alive == []


def test_of_very_many_matches_no_more_are_kept_than_are_shown(
    search: Callable[..., list[str]], put: Callable[[str, str], None]
) -> None:
    put("a", "\n" * 9_000_000)
    assert len(search("^", is_regex=True)) == 102


def test_the_gate_is_told_which_folder_is_read(place: Workplace) -> None:
    tool = SearchFiles()

    assert tool.touches({"text": "x"}, place) == Touches(reads=(place.folder,))
    assert tool.touches({"text": "x", "path": ".."}, place) == Touches(reads=(place.folder.parent,))
    assert tool.preview({"text": "x"}, place) == ""


@given(
    text=st.text("aAß.(\u017f\n", max_size=20),
    wanted=st.text("aAß.(\u017f", min_size=1, max_size=3),
)
def test_a_plain_text_is_found_where_it_stands(text: str, wanted: str) -> None:
    found = PlainMatcher(wanted).find(text)

    lines = text.split("\n")
    assert {n for n, line in enumerate(lines) if wanted in line} <= {n for n, _ in found}
    for n, start in found:
        assert lines[n][start : start + len(wanted)].casefold() == wanted.casefold()
